"""A detector's results are read with the checks of annotation files."""

import json

import pytest

from hrnet_tf.data.files.detections import DetectionsError, load_detections

ROW = {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}


def load(tmp_path, rows, encoding="utf-8"):
    path = tmp_path / "detections.json"
    path.write_text(json.dumps(rows), encoding=encoding)
    return load_detections(str(path))


def test_large_ids_stay_apart(tmp_path):
    """As float64, these would be the same number."""
    ids = [2**53 + 1, 2**53, 2**63 - 1]
    found = load(tmp_path, [{**ROW, "image_id": number} for number in ids])
    assert found.image_ids.tolist() == sorted(ids)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_fault(tmp_path, encoding):
    assert len(load(tmp_path, [ROW], encoding).scores) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": -1}, "image_id is -1; it must be a whole number from 0"),
        ({"image_id": 2**63}, "image_id is 9223372036854775808"),
        ({"image_id": 7.0}, "image_id is 7.0"),
        ({"image_id": True}, "image_id is true"),
        ({"image_id": None}, "image_id is null"),
        ({"category_id": "person"}, "category_id is 'person'"),
        ({"bbox": [1, 2, float("nan"), 4]}, ".*four finite numbers"),
        ({"bbox": [1, 2, None, 4]}, ".*four finite numbers"),
        ({"bbox": [1, 2, float("inf"), 4]}, ".*four finite numbers"),
        ({"bbox": [1, 2, 3, -4]}, ".*must not be negative"),
        ({"score": float("nan")}, "score is nan"),
        ({"score": "0.9"}, "score is '0.9'"),
        ({"score": None}, "score is null"),
        ({"score": 90}, "score is 90; it must be in 0 to 1"),
        ({"score": -0.1}, "score is -0.1; it must be in 0 to 1"),
        ({"image_id": "1"}, "image_id is '1'"),
        ({"image_id": 10**400}, "image_id is 1000"),
        ({"category_id": 1.0}, "category_id is 1.0"),
        ({"bbox": [1, 2, 1e308, 4]}, ".*four finite numbers"),
        ({"bbox": [1, 2, 10**400, 4]}, ".*four finite numbers"),
        ({"bbox": "1234"}, ".*four finite numbers"),
    ],
)
def test_a_bad_result_is_named(tmp_path, changes, message):
    with pytest.raises(
        DetectionsError, match=rf"detections_file .*results\[1\]: {message}"
    ):
        load(tmp_path, [ROW, {**ROW, **changes}])


def test_a_missing_file_is_named():
    with pytest.raises(
        DetectionsError, match="detections_file .*/nowhere.json does not exist"
    ):
        load_detections("/nowhere.json")
