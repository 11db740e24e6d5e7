"""The way of docs/keypoints.md, from annotations to a .tflite file, walked as printed.

Training is cut to some steps, and the people are drawn ones.
"""

import importlib
import json

import pages
import pytest

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.data.synthetic import dataset as synthetic

SHORT = (
    "trainer: {train_steps: 4, steps_per_loop: 2, summary_interval: 2,"
    " checkpoint_interval: 2, validation_interval: 2, optimizer_config: {learning_rate:"
    " {cosine: {decay_steps: 4}}, warmup: {linear: {warmup_steps: 1}}}}"
)


@pytest.fixture
def working_dir(tmp_path, monkeypatch):
    """A folder with drawn people in the reader's own places."""
    synthetic.draw_dataset(str(tmp_path / "drawn"), 20, 16, image_size=96, max_people=2)
    (tmp_path / "my").mkdir()
    for split in synthetic.SPLITS:
        (tmp_path / "drawn/images" / split).rename(tmp_path / "my" / split)
    (tmp_path / "drawn/annotations").rename(tmp_path / "my/annotations")
    (tmp_path / "photos").symlink_to(tmp_path / "my/val")
    (tmp_path / "configs").symlink_to(pages.REPO / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_page_leads_from_annotations_to_a_tflite_file(working_dir):
    for block in pages.blocks(pages.REPO / "docs/keypoints.md"):
        for words in block.commands() if block.language == "sh" else []:
            name, flags = words[2], words[3:]
            if name == "hrnet_tf.train":
                flags.append(f"--params_override={SHORT}")
            if name == "hrnet_tf.export":  # Four steps have no AP that could be lost.
                flags.append("--max_loss=1")
            assert importlib.import_module(name).main([name, *flags]) == 0, block
    results = json.loads((working_dir / "predicted/results.json").read_text())
    assert len(results) == 16
