"""YOLO pose data sets. yolo_pose_ultralytics.txt was written by ultralytics 8.4.190.

`ultralytics.data.converter.convert_coco` wrote it from a COCO file of two people.
"""

import numpy as np
import pytest
import yaml

AREA = "--area_from=box"
LINE = "0 0.5 0.5 0.25 0.5 0.25 0.25 2 0 0 0 0.5 0.75 1"


def dataset(folder, lines=None, **spec):
    """A data set of two images, the second without objects."""
    spec = {
        "path": ".",
        "train": "images",
        "kpt_shape": [3, 3],
        "flip_idx": [0, 2, 1],
        "names": {0: "person"},
        **spec,
    }
    path = folder / "data.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in spec.items() if v is not None}))
    labels = folder / "labels"
    labels.mkdir()
    text = (folder / "yolo_pose_ultralytics.txt").read_text()
    (labels / "a.txt").write_text(text if lines is None else lines)
    return path


def test_what_ultralytics_wrote_loses_nothing(data, importing):
    found = importing("yolo_pose", dataset(data), AREA)
    names = [f"keypoint_{n}" for n in range(3)]
    assert found.skeleton == {
        "name": "person",
        "keypoints": names,
        "flip_pairs": [["keypoint_1", "keypoint_2"]],
    }
    files = [(i["file_name"], i["width"], i["height"]) for i in found.content["images"]]
    assert files == [("images/a.png", 64, 48), ("images/b.png", 64, 48)]
    # Ultralytics writes six digits.
    np.testing.assert_allclose(
        [entry["bbox"] for entry in found.objects],
        [[8, 6, 14, 28.5], [40, 10, 10, 34]],
        atol=1e-4,
    )
    np.testing.assert_allclose(
        found.keypoints(0), [[15, 11.25, 2], [8.5, 30, 1], [22, 30, 2]], atol=1e-4
    )
    assert found.keypoints(1)[1] == [0, 0, 0]
    assert "names of keypoints: they are numbered" in found.out
    assert "flip pairs: " not in found.out
    people, empty = found.records(data)
    np.testing.assert_allclose(people["keypoints"][0, 1], [8.5, 30, 1], atol=1e-4)
    assert empty["bbox"].shape == (0, 4)


def test_names_of_keypoints_by_class(data, importing):
    path = dataset(
        data, kpt_names={0: ["nose", "l", "r"]}, flip_idx=None, names=["person"]
    )
    found = importing("yolo_pose", path, AREA)
    assert found.skeleton == {"name": "person", "keypoints": ["nose", "l", "r"]}
    assert "flip pairs: none are written" in found.out
    assert "Names that look like mirror images: [l, r]" in found.out


def test_two_values_a_keypoint(data, importing):
    path = dataset(data, "0 .5 .5 .25 .5 .25 .25 0 0 -1 .5\n", kpt_shape=[3, 2])
    found = importing("yolo_pose", path, AREA)
    assert found.keypoints(0) == [[16, 12, 2], [0, 0, 0], [0, 0, 0]]
    assert "visibility: every labelled keypoint is written as visible" in found.out


def test_keypoints_that_change_places_with_none(data, importing):
    found = importing("yolo_pose", dataset(data, flip_idx=[0, 1, 2]), AREA)
    assert found.skeleton["flip_pairs"] == []


def test_an_empty_list_tells_nothing_about_mirror_images(data, importing):
    found = importing("yolo_pose", dataset(data, flip_idx=[]), AREA)
    assert "flip_pairs" not in found.skeleton
    assert "flip pairs: none are written" in found.out


def test_splits(data, importing, refused):
    (data / "images/val").mkdir()
    (data / "images/b.png").rename(data / "images/val/b.png")
    (data / "labels").mkdir()
    (data / "labels/val").mkdir()
    (data / "labels/val/b.txt").write_text(LINE)
    (data / "labels").rename(data / "labels_")
    path = dataset(data, val="images/val")
    (data / "labels_/val").rename(data / "labels/val")
    assert "has the splits train, val; choose one" in refused("yolo_pose", path, AREA)
    assert "did you mean 'val'?" in refused("yolo_pose", path, AREA, "--split=vall")
    found = importing("yolo_pose", data, AREA, "--split=val")
    assert [i["file_name"] for i in found.content["images"]] == ["images/val/b.png"]
    assert found.keypoints(0) == [[16, 12, 2], [0, 0, 0], [32, 36, 1]]


def test_lists_of_images(data, importing):
    (data / "train.txt").write_text("./images/b.png\nimages/a.png\n\n")
    found = importing("yolo_pose", dataset(data, train=["train.txt"]), AREA)
    names = [image["file_name"] for image in found.content["images"]]
    assert names == ["images/b.png", "images/a.png"]


def test_keypoints_beyond_the_border_stay_and_are_counted(data, importing):
    line = LINE.replace("0.25 0.25 2", "1.25 0.25 2")
    found = importing("yolo_pose", dataset(data, line), AREA)
    assert found.keypoints(0)[0] == [80, 12, 2]
    assert "1    of these outside the image" in found.out


def test_images_that_are_turned_need_a_decision(data, importing, refused):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(data / "images/a.png").save(data / "images/a.png", exif=exif)
    path = dataset(data, LINE)
    assert "has the EXIF orientation 6" in refused("yolo_pose", path, AREA)
    found = importing("yolo_pose", path, AREA, "--exif=apply")
    assert found.content["images"][0]["width"] == 48
    assert found.keypoints(0)[0] == [12, 16, 2]
    found.records(data, exif="apply")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (LINE[:-2], "a.txt, line 1: the line has 13 values; with kpt_shape [3, 3]"),
        (f"{LINE}\n\n0 1", "a.txt, line 3: the line has 2 values"),
        ("7" + LINE[1:], "the class is 7, but names has only 1"),
        ("-1" + LINE[1:], "the class is -1"),
        (LINE.replace("0.75", "nan"), "value 13 is 'nan'; it must be a number"),
        (LINE.replace("0.75", "1e999"), "value 13 is inf; it must be a number"),
        (LINE[:-1] + "3", "a keypoint has visibility 3"),
        (LINE.replace("0.25 0.5", "0 0.5", 1), "its width and height must be positive"),
        ("\udcff", "is not a text in UTF-8"),
    ],
)
def test_damaged_lines_are_refused(data, refused, lines, expected):
    path = dataset(data, "")
    (data / "labels/a.txt").write_bytes(lines.encode("utf-8", "surrogateescape"))
    assert expected in refused("yolo_pose", path, AREA)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"kpt_shape": None}, "has no kpt_shape"),
        (
            {"kpt_shape": 17},
            "kpt_shape is 17; it must be [number of keypoints, 2 or 3]",
        ),
        ({"kpt_shape": [0, 3]}, "there must be 1 to 1000 keypoints"),
        ({"kpt_shape": [10**12, 3]}, "there must be 1 to 1000 keypoints"),
        ({"names": None}, "names is null; it must be a list of names"),
        ({"names": {1: "person"}}, "names is {1: 'person'}"),
        ({"names": ["a", "a"]}, "names has a name twice"),
        ({"flip_idx": [0, 1]}, "flip_idx is [0, 1]; it must hold each number"),
        ({"flip_idx": [1, 2, 0]}, "two keypoints that change places must name"),
        (
            {"kpt_names": {0: ["a", "b"]}},
            "kpt_names has 2 names for the class 'person'",
        ),
        ({"kpt_names": {0: ["a", "b", "b"]}}, "kpt_names has a name twice"),
        ({"train": None}, "names no split"),
        ({"train": "gone"}, "the folder"),
        ({"train": "labels"}, "has no image"),
        ({"train": 3}, "a split is 3; it must be a folder"),
    ],
)
def test_damaged_descriptions_are_refused(data, refused, spec, expected):
    assert expected in refused("yolo_pose", dataset(data, **spec), AREA)


def test_a_listed_image_that_is_missing_is_refused(data, refused):
    (data / "train.txt").write_text("images/gone.png\n")
    sentence = refused("yolo_pose", dataset(data, train="train.txt"), AREA)
    assert "gone.png does not exist" in sentence
