"""Files that are made to crash, to fill the memory or to keep an import waiting."""

import base64
import json
import os

import cv2
import h5py
import numpy as np
import pytest

from hrnet_tf.data.label_tools import labels, masks
from hrnet_tf.data.label_tools.label_studio_brush import read_brush

SIZE = {"imageHeight": 48, "imageWidth": 64}
BOX = {"label": "p", "shape_type": "rectangle", "points": [[1, 1], [20, 20]]}
REGION = {
    "id": "r",
    "type": "rectanglelabels",
    "original_width": 64,
    "original_height": 48,
    "value": {"x": 1, "y": 1, "width": 9, "height": 9, "rectanglelabels": ["p"]},
}


@pytest.fixture
def labelme(tmp_path):
    """Writes a LabelMe file of shapes."""

    def write(*shapes):
        path = tmp_path / "a.json"
        path.write_text(
            json.dumps(
                {"shapes": shapes, "imagePath": "a.png", "imageData": None, **SIZE}
            )
        )
        return path

    return write


@pytest.fixture
def label_studio(tmp_path):
    """Writes a Label Studio file of one task."""

    def write(*items, number=1):
        path = tmp_path / "export.json"
        task = {"id": number, "data": {"image": "a.png"}}
        path.write_text(json.dumps([{**task, "annotations": [{"result": items}]}]))
        return path

    return write


@pytest.fixture
def cvat(tmp_path):
    """Writes a CVAT file of one image."""

    def write(shapes, number="0"):
        path = tmp_path / "annotations.xml"
        path.write_text(
            f'<annotations><image id="{number}" name="a.png" width="64" height="48">'
            f"{shapes}</image></annotations>"
        )
        return path

    return write


# ---- masks ----


@pytest.mark.parametrize(
    ("left", "top", "columns", "rows"),
    [
        (0, 0, range(3), range(2)),
        (7, 4, range(7, 8), range(4, 5)),
        (-2, -1, range(1), range(1)),
        *((left, 0, range(0), range(0)) for left in (8, 9, -3, -4, 10**9, -(10**9))),
        *((0, top, range(0), range(0)) for top in (5, 6, -2, -3, 10**9, -(10**9))),
    ],
)
def test_masks_are_cut_at_the_border(left, top, columns, rows):
    from pycocotools import mask as coco_mask

    found = masks.run_lengths(np.ones((2, 3), bool), left, top, (8, 5))
    expected = np.zeros((5, 8))
    expected[rows.start : rows.stop, columns.start : columns.stop] = 1
    np.testing.assert_array_equal(coco_mask.decode(found), expected)


def test_masks_beyond_the_border_are_refused(labelme, refused):
    png = cv2.imencode(".png", np.full((20, 20), 255, np.uint8))[1].tobytes()
    mask = {"label": "p", "shape_type": "mask", "mask": base64.b64encode(png).decode()}
    path = labelme({**mask, "points": [[0, 60], [20, 80]]})
    error = refused("labelme", path, "--area_from=box", "--box_from=segmentation")
    assert "shapes[0]: segmentation covers no pixel of the 64x48 image" in error


@pytest.mark.parametrize(
    "make",
    [
        lambda: masks.from_runs([0, 900_000_000], 30_000, 30_000),
        lambda: masks.run_lengths(np.ones((1, 1), bool), 0, 0, (30_000, 30_000)),
        lambda: read_brush([214, 147, 164, 0, 0], 30_000, 30_000),
    ],
)
def test_masks_larger_than_any_picture_are_refused(make):
    with pytest.raises(masks.Unusable, match="30000x30000 pixels; at most 250000000"):
        make()


# ---- what messages and summaries quote ----


@pytest.mark.parametrize("mark", ["\ud800", "a\nb", "\x1b[31m", "x" * 5000, ["a"]])
def test_marks_of_shapes_are_told_on_one_line(mark, labelme, label_studio, importing):
    path = labelme(BOX, {**BOX, "shape_type": mark})
    imported = importing("labelme", path, "--area_from=box", "--overwrite")
    (line,) = [line for line in imported.out.splitlines() if "no place for" in line]
    assert len(line) < 200
    path = label_studio(REGION, {**REGION, "id": "other", "type": mark})
    imported = importing("label_studio", path, "--area_from=box", "--overwrite")
    (line,) = [line for line in imported.out.splitlines() if "not read" in line]
    assert len(line) < 200
    assert "\x1b" not in imported.out


def test_numbers_of_tasks_and_images_are_told_on_one_line(label_studio, cvat, refused):
    region = {**REGION, "value": {**REGION["value"], "x": "a"}}
    error = refused("label_studio", label_studio(region, number="a\nb" * 999))
    assert len(error.splitlines()) == 1
    assert len(error) < 500
    error = refused("cvat", cvat('<box label="p" xtl="x"/>', number="a&#10;b"))
    assert len(error.splitlines()) == 1


# ---- values ----


@pytest.mark.parametrize("choices", [5, True, 0.5, "abc", {"a": 1}])
def test_choices_that_are_no_list(choices, label_studio, refused):
    answer = {"id": "r", "type": "choices", "value": {"choices": choices}}
    error = refused("label_studio", label_studio(REGION, answer))
    assert "task 1: the choices of result[1] is" in error


def test_numbers_that_are_too_large_are_told_so(labelme, refused):
    error = refused("labelme", labelme({**BOX, "points": [[1e300, 1], [2, 2]]}))
    assert "points[0] is [1e+300, 1]; it must be two numbers, x and y, between" in error


def test_a_shape_of_keypoints_that_is_not_whole(tmp_path, refused):
    (tmp_path / "data.yaml").write_text(
        "train: images\nkpt_shape: [1, 3.0]\nnames: [p]\n"
    )
    error = refused("yolo_pose", tmp_path / "data.yaml")
    assert "kpt_shape is [1, 3.0]; it must be" in error


def test_a_list_of_images_that_is_no_text(tmp_path, refused):
    (tmp_path / "list.txt").write_bytes(b"images/\xe9.png\n")
    (tmp_path / "data.yaml").write_text(
        "train: list.txt\nkpt_shape: [1, 3]\nnames: [p]\n"
    )
    error = refused("yolo_pose", tmp_path / "data.yaml")
    assert f"{tmp_path}/list.txt is not a text in UTF-8." in error


# ---- numbers of things ----


def test_regions_in_a_long_chain(label_studio, refused):
    points = [
        {
            **REGION,
            "id": f"{number}",
            "type": "keypointlabels",
            "value": {"x": 1, "y": 1, "keypointlabels": ["nose"]},
        }
        for number in range(20_000)
    ]
    links = [
        {"type": "relation", "from_id": f"{number}", "to_id": f"{number + 1}"}
        for number in range(len(points) - 1)
    ]
    error = refused("label_studio", label_studio(*points, *links))
    assert "one object has the keypoint 'nose' 20000 times" in error


@pytest.mark.parametrize("tag", ["points", "skeleton"])
def test_more_keypoints_than_a_skeleton_may_have(tag, cvat, refused):
    shapes = f'<points label="p" points="{"1,1;" * 19_999}1,1"/>'
    if tag == "skeleton":
        parts = (f'<points label="{n}" points="1,1"/>' for n in range(20_000))
        shapes = f'<skeleton label="p">{"".join(parts)}</skeleton>'
    error = refused("cvat", cvat(shapes))
    assert "has 20000 keypoints; at most 1000 can be" in error


def test_names_of_keypoints_are_kept_in_order():
    category = labels.Category(name="p")
    category.add(["b", "a"])
    category.add(["c", "a"])
    assert category.keypoints == ["b", "a", "c"]


@pytest.mark.parametrize("place", ["stop", "track"])
def test_videos_longer_than_any(place, tmp_path, refused):
    last, frame = (10**8, 1) if place == "stop" else (5, 10**8)
    path = tmp_path / "annotations.xml"
    path.write_text(
        f"<annotations><meta><task><stop_frame>{last}</stop_frame><original_size>"
        "<width>64</width><height>48</height></original_size></task></meta>"
        f'<track id="7" label="p"><box frame="{frame}" xtl="1" ytl="1" xbr="9" '
        'ybr="9"/></track></annotations>'
    )
    error = refused("cvat", path, "--area_from=box")
    assert "frame is 100000000; at most 1000000 can be" in error


# ---- HDF5 ----


@pytest.mark.parametrize("kind", ["external", "virtual", "huge", "wide"])
def test_tables_whose_numbers_are_elsewhere_or_nowhere(kind, data, refused):
    path = data / "deeplabcut/CollectedData_me.h5"
    os.mkfifo(data / "pipe")
    with h5py.File(path, "r+") as file:
        (table,) = file.values()
        name = "axis1_level0" if kind == "wide" else "block0_values"
        shape = table[name].shape
        del table[name]
        if kind == "external":
            outside = [(str(data / "pipe"), 0, 10**6)]
            table.create_dataset(name, shape, "f8", external=outside)
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape, "f8")
            layout[:] = h5py.VirtualSource(str(data / "pipe"), "x", shape)
            table.create_virtual_dataset(name, layout)
        elif kind == "huge":
            table.create_dataset(name, (10**8, 2), "f8", chunks=(1000, 2))
        else:
            table.create_dataset(name, (1000,), "S1000000", chunks=(10,))
    error = refused("deeplabcut", path)
    told = "its numbers are in other files" if kind in ("external", "virtual") else ""
    assert (told or "it says that it has") in error
