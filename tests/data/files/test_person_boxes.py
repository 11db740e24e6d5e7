import json

import numpy as np
import pytest

from hrnet_tf.data.files.person_boxes import BoxesError, PersonBoxes


def boxes_of(tmp_path, content, **options) -> PersonBoxes:
    path = tmp_path / "boxes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return PersonBoxes(str(path), **options)


ROW = {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}


def test_results_belong_to_the_number_in_the_name(tmp_path):
    boxes = boxes_of(tmp_path, [ROW, {**ROW, "category_id": 2}, {**ROW, "image_id": 8}])
    found, scores = boxes.of_image("some/where/000007.jpg")
    np.testing.assert_array_equal(found, [[1, 2, 3, 4]])
    np.testing.assert_array_equal(scores, [0.5])
    assert boxes.image_id("frame_8.png") == 8
    assert boxes.of_image("9.jpg")[0].shape == (0, 4)
    assert boxes.of_image("nameless.jpg")[0].shape == (0, 4)
    np.testing.assert_array_equal(boxes.of_frame(7)[0], found)


def test_annotations_belong_to_file_names(tmp_path):
    content = {
        "images": [
            {"id": 7, "file_name": "train/cat.jpg"},
            {"id": 8, "file_name": "d"},
        ],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0},
            {"image_id": 7, "category_id": 1, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        ],
    }
    boxes = boxes_of(tmp_path, content)
    assert boxes.image_id("cat.jpg") == 7
    found, scores = boxes.of_image("elsewhere/cat.jpg")
    np.testing.assert_array_equal(found, [[1, 2, 3, 4]])
    np.testing.assert_array_equal(scores, [1.0])


def test_rows_may_name_their_file(tmp_path):
    boxes = boxes_of(tmp_path, [{"file_name": "a.jpg", "bbox": [1, 2, 3, 4]}])
    assert len(boxes.of_image("a.jpg")[0]) == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "must hold COCO annotations"),
        ({"images": []}, "no list 'annotations'"),
        ([{"bbox": [1, 2, 3, 4]}], "image_id"),
        ([{**ROW, "bbox": [1, 2, 3]}], "four finite numbers"),
        ([{**ROW, "category_id": 3}], "has no box of category 1"),
        ([], "has no box of category 1"),
    ],
)
def test_wrong_files_are_refused(content, sentence, tmp_path):
    with pytest.raises(BoxesError, match=sentence):
        boxes_of(tmp_path, content)


def test_a_missing_file_is_named():
    with pytest.raises(BoxesError, match="--boxes=/nowhere.json: No such file"):
        PersonBoxes("/nowhere.json")


def test_boxes_of_other_images_are_refused(tmp_path):
    boxes = boxes_of(tmp_path, [ROW])
    boxes.check(["1.jpg", "7.jpg"])
    with pytest.raises(BoxesError, match="of the 2 images, such as 1.jpg: .* for 7"):
        boxes.check(["1.jpg", "2.jpg"])
