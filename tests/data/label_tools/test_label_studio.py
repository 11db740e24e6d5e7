"""Label Studio's exports. label_studio_sleap.json was written by sleap-io 0.9.5.

Its writer ties keypoints by relations to boxes that mean nothing, and names no image.
"""

import copy
import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hrnet_tf.data.label_tools.label_studio_brush import read_brush

BOX = ["--area_from=box"]
SIZE = {"original_width": 64, "original_height": 48, "image_rotation": 0}


def item(identity, kind, value, **more):
    return {
        **SIZE,
        "id": identity,
        "type": f"{kind}labels",
        "from_name": "label",
        "to_name": "image",
        "value": value,
        **more,
    }


def keypoint(identity, name, x, y, **more):
    return item(
        identity, "keypoint", {"x": x, "y": y, "keypointlabels": [name]}, **more
    )


def rectangle(identity="r", **value):
    box = {"x": 12.5, "y": 25, "width": 25, "height": 50, "rotation": 0}
    return item(identity, "rectangle", {**box, "rectanglelabels": ["person"], **value})


RESULT = [
    rectangle(),
    keypoint("k1", "nose", 25, 50, parentID="r"),
    keypoint("k2", "left, hand", 12.5, 25, parentID="r"),
    item("k2", "choices", {"choices": ["occluded"]}) | {"type": "choices"},
    item(
        "p",
        "polygon",
        {"points": [[50, 50], [75, 50], [75, 75]], "polygonlabels": ["dog"]},
    ),
]
ADDRESS = "/data/upload/3/1a2b3c4d-a%20b.png"


def export(folder, result=RESULT, **task):
    content = {"id": 5, "data": {"image": ADDRESS}, "annotations": [{"result": result}]}
    path = folder / "export.json"
    path.write_text(json.dumps([content | task]))
    return path


def test_what_sleap_wrote_loses_nothing(data, importing):
    path = data / "label_studio_sleap.json"
    tasks = json.loads(path.read_text())
    tasks[0]["data"] = {"image": "s3://bucket/images/a.png"}
    path.write_text(json.dumps(tasks))
    found = importing("label_studio", path, *BOX)
    names = ["nose", "left_hand", "right_hand"]
    assert found.skeleton == {"name": "instance_class", "keypoints": names}
    assert found.content["images"][0]["file_name"] == "images/a.png"
    np.testing.assert_allclose(
        found.keypoints(0), [[15, 11.25, 2], [8.5, 30, 2], [22, 30, 2]]
    )
    np.testing.assert_allclose(found.keypoints(1), [[45, 12, 2], [0] * 3, [41, 20, 2]])
    (record,) = found.records(data)
    np.testing.assert_allclose(record["keypoints"][1, 0], [45, 12, 2])


def test_parents_outlines_and_choices(data, importing):
    found = importing(
        "label_studio",
        export(data),
        *BOX,
        "--box_from=segmentation",
        "--hidden_flag=occluded",
    )
    person, dog = found.objects
    assert person["bbox"] == [8, 12, 16, 24]
    assert found.keypoints(0) == [[16, 24, 2], [8, 12, 1]]
    assert found.skeleton["keypoints"] == ["nose", "left, hand"]
    assert dog["segmentation"] == [[32, 24, 48, 24, 48, 36]]
    assert dog["bbox"] == [32, 24, 16, 12]
    assert "keypoints" not in dog
    assert found.content["images"][0]["file_name"] == "1a2b3c4d-a b.png"
    assert "1  image names with 8 letters that Label Studio put before" in found.out


def test_names_are_those_of_the_files(data, importing):
    (data / "images/a.png").rename(data / "images/a b.png")
    folder = data / "images"
    path = export(data, RESULT[:3])
    found = importing("label_studio", path, *BOX, f"--image_dir={folder}")
    assert found.content["images"][0]["file_name"] == "a b.png"
    found.records(folder)


def test_local_files(data, importing):
    address = {"image": "/data/local-files/?d=images/a.png"}
    found = importing("label_studio", export(data, RESULT[:3], data=address), *BOX)
    assert found.content["images"][0]["file_name"] == "images/a.png"


def test_a_turned_rectangle_is_an_outline_too(data, importing):
    found = importing(
        "label_studio", export(data, [rectangle(x=50, rotation=90)]), *BOX
    )
    (turned,) = found.objects
    # About the upper left corner at 32, 12; 16 wide and 24 high before.
    np.testing.assert_allclose(turned["bbox"], [8, 12, 24, 16])
    np.testing.assert_allclose(
        turned["segmentation"][0], [32, 12, 32, 28, 8, 28, 8, 12], atol=1e-9
    )
    assert turned["attributes"] == {"rotation": 90}


def test_plain_tags_with_labels_of_their_own(data, importing):
    drawn = {**rectangle(), "type": "rectangle"}
    del drawn["value"]["rectanglelabels"]
    named = {**drawn, "type": "labels", "value": {**drawn["value"], "labels": ["cat"]}}
    found = importing("label_studio", export(data, [drawn, named]), *BOX)
    assert found.content["categories"][0]["name"] == "cat"
    assert len(found.objects) == 1


def test_relations_between_people_do_not_join_them(data, importing):
    relation = {"type": "relation", "from_id": "r", "to_id": "q"}
    result = [rectangle(), rectangle("q", x=60), relation]
    found = importing("label_studio", export(data, result), *BOX)
    assert len(found.objects) == 2
    assert "1  relations between objects, left out" in found.out


# label_studio_sdk 2.1 wrote it: `converter.brush.mask2rle` of an image of 6x4 pixels,
# painted in rows 1 and 2 and columns 2 to 4.
STROKES = [0, 0, 0, 96, 57, 27, 254, 31, 0, 183, 255, 108, 2, 223, 254, 27, 0, 0]


def brush(**value):
    strokes = {"format": "rle", "rle": STROKES, "brushlabels": ["dog"]}
    size = {"original_width": 6, "original_height": 4}
    return item("b", "brush", {**strokes, **value}) | size


def test_brush_strokes_are_masks(data, importing):
    found = importing(
        "label_studio", export(data, [brush()]), *BOX, "--box_from=segmentation"
    )
    assert found.objects[0]["bbox"] == [2, 1, 3, 2]
    rows = np.zeros((4, 6), int)
    rows[1:3, 2:5] = 1
    mask = coco_mask.decode(found.objects[0]["segmentation"])
    np.testing.assert_array_equal(mask, rows)


def test_painted_is_what_is_opaque():
    colors = [255, 0, 0, 0, 0, 0, 0, 255]  # two pixels, the second painted black
    # 8 values of 8 bits; lengths of 4 bits; one block of 8 values, told one by one.
    bits = f"{8:032b}{7:05b}{'0011' * 4}0{0:02b}{7:04b}"
    bits += "".join(f"{value:08b}" for value in colors)
    bits += "0" * (-len(bits) % 8)
    runs = [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]
    np.testing.assert_array_equal(read_brush(runs, 2, 1), [[False, True]])


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (3, "rle is 3; it must be a list"),
        ([1, 256], "rle is [1, 256]; it must be a list of bytes"),
        ([], "the brush strokes (rle) are cut off"),
        (STROKES[:-4], "the brush strokes (rle) are cut off"),
        ([255] * 30, "values; an image of 6x4 needs 96"),
    ],
)
def test_damaged_brush_strokes_are_refused(data, refused, runs, expected):
    path = export(data, [brush(rle=runs)])
    assert expected in refused("label_studio", path, *BOX, "--box_from=segmentation")


def test_what_is_not_read_is_counted(data, importing):
    video = {"id": "v", "type": "videorectangle", "value": {"sequence": []}}
    path = export(data, [rectangle(), video], predictions=[{"result": []}])
    found = importing("label_studio", path, *BOX)
    assert "1  regions that are not read, left out: videorectangle" in found.out
    assert "1  tasks whose predictions were passed over" in found.out
    assert len(found.objects) == 1


def test_ellipses_are_outlines(data, importing, refused):
    value = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 25, "rotation": 90}
    oval = item("b", "ellipse", {**value, "ellipselabels": ["dog"]})
    flags = [*BOX, "--box_from=segmentation"]
    found = importing("label_studio", export(data, [oval]), *flags)
    # 32 pixels wide and 24 high before it is turned.
    np.testing.assert_allclose(found.objects[0]["bbox"], [20, 8, 24, 32])
    del oval["value"]["radiusY"]
    sentence = refused("label_studio", export(data, [oval]), *flags)
    assert "radiusY is null; it must be a number" in sentence


def answer(identity, tag, kind, **value):
    return {"id": identity, "type": kind, "from_name": tag, "value": value}


def test_answers_are_kept_by_the_tags_that_asked(data, importing):
    place = {"x": 25, "y": 50}
    result = [
        rectangle() | {"meta": {"text": ["sits"]}},
        answer("r", "coat", "choices", choices=["red"]),
        answer("r", "words", "textarea", text=["on a chair"]),
        keypoint("k", "nose", 25, 50, parentID="r"),
        answer("k", "sight", "choices", **place, choices=["occluded"]),
        answer("k", "focus", "choices", **place, choices=["sharp"]),
        answer("c", "quality", "rating", rating=4),
    ]
    path = export(data, result)
    found = importing("label_studio", path, *BOX, "--hidden_flag=occluded")
    assert found.keypoints(0) == [[16, 24, 1]]
    assert found.objects[0]["attributes"] == {
        "coat": ["red"],
        "words": ["on a chair"],
        "meta": {"text": ["sits"]},
        "keypoints": {"nose": {"sight": ["occluded"], "focus": ["sharp"]}},
    }
    assert found.content["images"][0]["attributes"] == {"quality": 4}


def test_hidden_as_label_studios_own_converter_writes_it(data, importing):
    nose = keypoint("k", "nose", 25, 50, parentID="r")
    nose["value"]["hidden"] = True
    flags = [*BOX, "--hidden_flag=hidden"]
    found = importing("label_studio", export(data, [rectangle(), nose]), *flags)
    assert found.keypoints(0) == [[16, 24, 1]]


def test_labels_are_renamed_before_objects_are_put_together(data, importing, refused):
    boxed = rectangle(rectanglelabels=["box"])
    outline = {"points": [[15, 30], [30, 30], [30, 60]], "polygonlabels": ["person"]}
    path = export(data, [boxed, item("p", "polygon", outline, parentID="r")])
    sentence = refused("label_studio", path, *BOX)
    assert "if they are one object, add --rename=person=box" in sentence
    found = importing("label_studio", path, *BOX, "--rename=box=person")
    (person,) = found.objects
    assert person["bbox"] == [8, 12, 16, 24] and person["segmentation"]


def test_the_ground_truth_is_chosen_and_cancelled_work_passed_over(data, importing):
    annotations = [
        {"result": [], "was_cancelled": True},
        {"result": [rectangle(x=0)]},
        {"result": [rectangle()], "ground_truth": True},
    ]
    found = importing("label_studio", export(data, annotations=annotations), *BOX)
    assert [entry["bbox"] for entry in found.objects] == [[8, 12, 16, 24]]


def test_tasks_that_nobody_labelled_are_no_empty_images(data, importing):
    path = export(data)
    tasks = json.loads(path.read_text())
    nobody = copy.deepcopy(tasks[0]) | {"annotations": []}
    path.write_text(json.dumps([*tasks, nobody]))
    found = importing("label_studio", path, *BOX, "--box_from=segmentation")
    assert len(found.content["images"]) == 1
    assert "1  tasks that nobody has labelled, left out" in found.out


def test_an_image_of_nothing_has_the_size_of_its_file(data, importing, refused):
    path = export(data, [], data={"image": "a.png"})
    assert "give the folder of the images with --image_dir" in refused(
        "label_studio", path
    )
    found = importing("label_studio", path, f"--image_dir={data}/images")
    assert found.content["images"][0]["width"] == 64
    assert found.objects == []


TWO = [rectangle(), rectangle("q", x=60), keypoint("k", "nose", 1, 1)]


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ({"annotations": [{"result": TWO}]}, "region k: keypoints (nose) are tied to"),
        (
            {"annotations": [{"result": []}] * 2},
            "task 5: it has 2 annotations, the work",
        ),
        ({"annotations": 1}, "annotations is 1; it must be a list"),
        ({"annotations": [1]}, "annotations[0] is 1; it must be an object"),
        ({"annotations": [{}]}, "result is null; it must be a list"),
        ({"annotations": [{"result": [1]}]}, "result[0] is 1; it must be an object"),
        ({"data": {}}, "data is {}; it must name an image"),
        ({"data": {"image": "/"}}, "the image's address is ''"),
        ({"annotations": [{"result": [SIZE]}]}, "the id of result[0] is null"),
        (
            {"annotations": [{"result": [rectangle(x=None)]}]},
            "region r: x is null; it must be a number",
        ),
        (
            {"annotations": [{"result": [rectangle(x=float("inf"))]}]},
            "region r: x is inf; it must be a number",
        ),
        (
            {"annotations": [{"result": [rectangle(rectanglelabels="person")]}]},
            "rectanglelabels is 'person'; it must be a list",
        ),
        (
            {"annotations": [{"result": [rectangle() | {"image_rotation": 90}]}]},
            "the image was turned by 90 degrees",
        ),
        (
            {"annotations": [{"result": [rectangle() | {"original_width": 0}]}]},
            "the width is 0",
        ),
        (
            {
                "annotations": [
                    {"result": [rectangle(), rectangle("q") | {"original_width": 65}]}
                ]
            },
            "images of different sizes ([(64, 48), (65, 48)])",
        ),
        (
            {
                "annotations": [
                    {"result": [rectangle(), rectangle("q") | {"to_name": 2}]}
                ]
            },
            "its shapes are on several images",
        ),
        (
            {
                "annotations": [
                    {
                        "result": [
                            rectangle(),
                            keypoint("k", "nose", 1, 1, parentID="r"),
                            keypoint("l", "nose", 2, 2, parentID="r"),
                        ]
                    }
                ]
            },
            "one object has the keypoint 'nose' 2 times",
        ),
    ],
)
def test_damaged_tasks_are_refused(data, refused, task, expected):
    assert expected in refused("label_studio", export(data, **task), *BOX)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, "is not a Label Studio export"),
        ([3], "tasks[0]: the task is 3; it must be an object"),
        ([{"id": 1, "image": ADDRESS, "label": []}], "as in JSON-MIN"),
        ([{"id": 1, "completions": []}], "Label Studio before 1.0"),
        ([], "No image is left to write"),
    ],
)
def test_other_files_are_refused(data, refused, content, expected):
    path = data / "export.json"
    path.write_text(json.dumps(content))
    assert expected in refused("label_studio", path, *BOX)


def test_a_file_that_is_cut_off_is_refused(data, refused):
    path = export(data)
    path.write_text(path.read_text()[:-9])
    assert "export.json is not valid JSON" in refused("label_studio", path, *BOX)
