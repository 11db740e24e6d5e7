"""The notebook's cells run in order, at toy size."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples/own_keypoints.ipynb"
TOY = {
    "NUM_TRAIN, NUM_VAL = 400, 50": "NUM_TRAIN, NUM_VAL = 12, 6",
    "STEPS = 400": "STEPS = 2",
}


def cells() -> list[dict]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_it_is_stored_without_outputs():
    for cell in cells():
        assert not cell.get("outputs") and cell.get("execution_count") is None


@pytest.mark.heavy
def test_its_cells_run_in_order():
    texts = ["".join(c["source"]) for c in cells() if c["cell_type"] == "code"]
    for full, toy in TOY.items():
        assert texts[0].count(full) == 1
        texts[0] = texts[0].replace(full, toy)
    names: dict = {}
    for number, text in enumerate(texts):
        exec(compile(text, f"cell {number}", "exec"), names)
    assert names["people"].keypoints.shape == (len(names["boxes"]), 5, 3)
    assert names["tflite"].exists()
