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
        ("{", r"\.json is not valid JSON"),
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
    with pytest.raises(BoxesError, match="--boxes=/nowhere.json does not exist"):
        PersonBoxes("/nowhere.json")


def test_boxes_of_other_images_are_refused(tmp_path):
    boxes = boxes_of(tmp_path, [ROW])
    boxes.check(["1.jpg", "7.jpg"])
    with pytest.raises(BoxesError, match="of the 2 images, such as 1.jpg: .* for 7"):
        boxes.check(["1.jpg", "2.jpg"])


# ---- names with folders ----


def named(*names):
    """Annotations of images with these names: the box of each is its place, from 1."""
    return {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names, 1)],
        "annotations": [
            {"image_id": i, "category_id": 1, "bbox": [i, i, i, i]}
            for i, _ in enumerate(names, 1)
        ],
    }


def found(boxes, path):
    """Places of the names whose boxes an image has."""
    return boxes.of_image(path)[0][:, 0].astype(int).tolist()


@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_images_of_one_name_are_told_apart_by_folder(tmp_path, bom):
    content = named("cam1/frame.jpg", "cam2/frame.jpg")
    rows = [
        {**row, "file_name": content["images"][row["image_id"] - 1]["file_name"]}
        for row in content["annotations"]
    ]
    for file in (content, rows):
        boxes = boxes_of(tmp_path, bom + json.dumps(file))
        boxes.check(["cam1/frame.jpg", "cam2/frame.jpg", "cam3/frame.jpg"])
        assert found(boxes, "cam1/frame.jpg") == [1]
        assert found(boxes, "cam2/frame.jpg") == [2]
        assert found(boxes, "cam3/frame.jpg") == []
        assert boxes.image_id("cam2/frame.jpg") == 2


@pytest.mark.parametrize(
    ("names", "paths", "expected"),
    [
        (["/data/set/cam1/a.jpg", "/data/set/cam2/a.jpg"], ["cam1/a.jpg"], [1]),
        (["C:\\set\\cam2\\a.jpg", "./cam1/a.jpg"], ["cam1/a.jpg"], [2]),
        (["a.jpg", "cam1/a.jpg"], ["cam1/a.jpg"], [2]),
        (["a.jpg", "cam1/a.jpg"], ["a.jpg"], [1]),
        (["a.jpg"], ["a.jpg", "cam1/a.jpg"], [1]),
        (["a.jpg"], ["cam1/a.jpg", "a.jpg"], []),
        (["train/a.jpg"], ["elsewhere/a.jpg"], [1]),
        (["a.png", "a.jpg"], ["a.jpg"], [2]),
        (["a.jpg"], ["a.png"], [1]),
    ],
)
def test_names_that_agree_furthest_belong_together(tmp_path, names, paths, expected):
    boxes = boxes_of(tmp_path, named(*names))
    boxes.check(paths)
    assert found(boxes, paths[0]) == expected


@pytest.mark.parametrize(
    ("names", "paths", "message"),
    [
        (["cam1/a.jpg", "cam2/a.jpg"], ["a.jpg"], "a.jpg could be cam1/a.jpg, cam2/"),
        (["a.jpg"], ["cam1/a.jpg", "cam2/a.jpg"], "a.jpg could be any of the images"),
        (["cam3/a.jpg"], ["cam1/a.jpg", "cam2/a.jpg"], "could be any of the images"),
    ],
)
def test_a_choice_between_images_is_refused(tmp_path, names, paths, message):
    with pytest.raises(BoxesError, match=message):
        boxes_of(tmp_path, named(*names)).check(paths)


def test_numbers_that_two_images_share_are_refused(tmp_path):
    boxes = boxes_of(tmp_path, [{**ROW, "image_id": 0}, ROW])
    boxes.check(["cam1/frame_000000.jpg", "cam1/frame_000007.jpg"])
    with pytest.raises(
        BoxesError, match="image 0 .* those of cam1/frame_000000.jpg or"
    ):
        boxes.check(["cam1/frame_000000.jpg", "cam2/frame_000000.jpg"])


def test_a_number_does_not_stand_for_a_name(tmp_path):
    boxes = boxes_of(tmp_path, named("cat.jpg"))
    assert found(boxes, "photo_1.jpg") == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"image_id": -7}, r"results\[0\]: image_id is -7"),
        ({"image_id": 7.0}, "image_id is 7.0"),
        ({"image_id": True}, "image_id is true"),
        ({"image_id": 2**63}, "image_id is 9223372036854775808"),
        ({"bbox": [1, 2, float("nan"), 4]}, "four finite numbers"),
        ({"bbox": [1, 2, "3", 4]}, "four finite numbers"),
        ({"bbox": [1, 2, -3, 4]}, "must not be negative"),
        ({"category_id": "1"}, "category_id is '1'"),
        ({"category_id": None}, "category_id is null"),
        ({"category_id": 1.0}, "category_id is 1.0"),
        ({"category_id": True}, "category_id is true"),
        ({"iscrowd": "0"}, "iscrowd is '0'"),
        ({"score": float("nan")}, "score is nan"),
        ({"score": None}, "score is null"),
        ({"file_name": 3}, "file_name is 3"),
    ],
)
def test_bad_results_are_named(tmp_path, changes, sentence):
    with pytest.raises(BoxesError, match=sentence):
        boxes_of(tmp_path, [{**ROW, **changes}])


def test_bad_annotations_are_named(tmp_path):
    for content, sentence in (
        ({**named("a"), "images": [{"id": 1}]}, r"images\[0\]: file_name is missing"),
        (
            {**named("a"), "images": [{"id": 1, "file_name": "a"}] * 2},
            "1 is used twice",
        ),
        ({**named("a"), "images": []}, r"annotations\[0\]: image_id 1 is not in"),
        (3, "It is 3"),
        ([3], "it is 3; it must be an object"),
    ):
        with pytest.raises(BoxesError, match=sentence):
            boxes_of(tmp_path, content)


def listed(**changes):
    """Annotations of one person on a 64x48 image, changed."""
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}],
        "annotations": [
            {"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]} | changes
        ],
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"iscrowd": "0"}, "iscrowd is '0'; it must be 0 or 1"),
        ({"iscrowd": 2}, "iscrowd is 2"),
        ({"iscrowd": None}, "iscrowd is null"),
        ({"iscrowd": 1, "bbox": [1, 2, 3]}, "four finite numbers"),
        ({"category_id": "1"}, "category_id is '1'; it must be a whole number"),
        ({"category_id": None}, "category_id is null"),
        ({"category_id": 1.0}, "category_id is 1.0"),
        ({"category_id": True}, "category_id is true"),
        ({"bbox": [9, 2, -3, 4]}, "width and height must be positive"),
        ({"bbox": [9, 2, 3, 0]}, "width and height must be positive"),
        ({"bbox": [64, 2, 3, 4]}, "wholly outside the 64x48 image"),
        ({"id": "5"}, "id is '5'"),
        ({"image_id": 2}, "image_id 2 is not in 'images'"),
    ],
)
def test_annotations_are_read_by_the_rules_of_converters(tmp_path, changes, sentence):
    content = listed(**changes)
    content["annotations"].insert(0, {"image_id": 1, "bbox": [1, 2, 3, 4]})
    with pytest.raises(BoxesError, match=rf"annotations\[1\]: .*{sentence}"):
        boxes_of(tmp_path, content)


def test_an_annotation_s_id_is_used_once(tmp_path):
    content = listed()
    content["annotations"] *= 2
    with pytest.raises(BoxesError, match=r"annotations\[1\]: the id 5 is used twice"):
        boxes_of(tmp_path, content)


def test_other_categories_and_crowds_are_passed_over(tmp_path):
    content = listed()
    content["annotations"] += [{"category_id": 2}, {**ROW, "image_id": 1, "iscrowd": 1}]
    boxes = boxes_of(tmp_path, content)
    assert len(boxes.of_image("a.jpg")[0]) == 1
    assert boxes.size_of("a.jpg") == (64, 48)


@pytest.mark.parametrize("name", ["a.jpg", "./a.jpg"])
def test_an_image_is_listed_once(tmp_path, name):
    content = listed()
    content["images"].append({**content["images"][0], "id": 2, "file_name": name})
    with pytest.raises(
        BoxesError, match=r"images\[1\]: file_name is 'a.jpg', as .* image 1"
    ):
        boxes_of(tmp_path, content)


@pytest.mark.parametrize("size", [{"width": "64"}, {"width": 64}, {"height": -1}])
def test_sizes_are_told_wholly_or_not_at_all(tmp_path, size):
    content = named("a.jpg")
    boxes_of(tmp_path, content)
    content["images"][0] |= size
    with pytest.raises(BoxesError, match=r"images\[0\]: (width|height) is"):
        boxes_of(tmp_path, content)


def test_results_without_an_extent_and_crowds_are_left_out(tmp_path):
    boxes = boxes_of(
        tmp_path, [ROW, {**ROW, "bbox": [1, 2, 0, 4]}, {**ROW, "iscrowd": 1}]
    )
    assert len(boxes.of_frame(7)[0]) == 1


def test_large_ids_stay_apart(tmp_path):
    one, other = 2**60, 2**60 + 1
    boxes = boxes_of(tmp_path, [{**ROW, "image_id": one}])
    assert len(boxes.of_image(f"{one}.jpg")[0]) == 1
    assert len(boxes.of_image(f"{other}.jpg")[0]) == 0
    assert boxes.image_id(f"{2**63}.jpg") is None
