"""LabelMe's files. testdata/label_tools/labelme was written by LabelMe 6.3.1.

`labelme._label_file.write_label_file` wrote it, with the shapes of a drawn picture.
"""

import base64
import json

import cv2
import numpy as np
import pytest

BOX = ["--area_from=box", "--box_from=segmentation"]
NOSE = {"label": "nose", "points": [[15, 11.25]], "shape_type": "point"}


def edit(data, **changes):
    path = data / "labelme/a.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(content))
    return path


def shape(kind, points, **more):
    return {"label": "person", "points": points, "shape_type": kind, **more}


def test_what_labelme_wrote_loses_nothing(data, importing):
    found = importing("labelme", data / "labelme", *BOX, "--hidden_flag=occluded")
    names = ["nose", "left_hand", "right_hand"]
    assert found.skeleton == {"name": "person", "keypoints": names}
    assert found.content["categories"][0]["keypoints"] == names
    first, second = found.content["images"]
    assert (first["width"], first["height"]) == (64, 48)
    assert first["file_name"] == "images/a.png"
    assert first["attributes"] == {"flags": {"night": True}}
    assert second["file_name"] == "images/b.png"
    boxed, outlined, ball = found.objects
    np.testing.assert_allclose(ball["bbox"], [27, 27, 6, 6], atol=0.01)
    assert boxed["bbox"] == [8, 6, 14, 28.5]
    assert boxed["area"] == 14 * 28.5
    assert found.keypoints(0) == [[15, 11.25, 2], [8.5, 30, 1], [22, 30, 2]]
    assert boxed["attributes"] == {
        "keypoints": {"left_hand": {"flags": {"occluded": True}}}
    }
    assert outlined["segmentation"] == [[40, 10, 50, 10, 50, 40, 45, 44, 40, 40]]
    assert outlined["bbox"] == [40, 10, 10, 34]
    assert found.keypoints(1) == [[45, 12, 2], [0, 0, 0], [41, 20, 2]]
    assert outlined["attributes"] == {"description": "sits"}
    assert "2    boxes missing, made from the segmentation" in found.out
    assert "3    areas missing, taken from the box" in found.out
    assert "order of keypoints: " in found.out
    assert "[left_hand, right_hand]" in found.out  # advice about flip pairs


def test_hidden_keypoints_are_told_or_asked_for(data, importing):
    found = importing("labelme", data / "labelme", *BOX)
    assert (
        "hidden keypoints: keypoints are visible (2), unless --hidden_flag" in found.out
    )
    flags = [*BOX, "--hidden_flag=hiden", "--overwrite"]
    found = importing("labelme", data / "labelme", *flags)
    assert "hidden keypoints: " not in found.out
    assert "No keypoint has the mark --hidden_flag=hiden." in found.out


def test_images_far_away_are_for_the_user_to_name(data, importing, refused):
    path = edit(data, imagePath="../../../a.png")
    sentence = refused("labelme", path, *BOX)
    assert "the image ../../../a.png lies far from" in sentence
    assert "give the folder of the images with --image_dir" in sentence
    found = importing("labelme", path, *BOX, f"--image_dir={data}/images")
    assert found.content["images"][0]["file_name"] == "a.png"


def test_the_converter_takes_it(data, importing):
    found = importing("labelme", data / "labelme", *BOX)
    assert f"--image_dir={data} " in found.out
    people, empty = found.records(data)
    np.testing.assert_allclose(people["keypoints"][0, 1], [8.5, 30, 2])
    np.testing.assert_allclose(people["bbox"], [[8, 6, 14, 28.5], [40, 10, 10, 34]])
    assert people["encoded"] == (data / "images/a.png").read_bytes()
    assert empty["bbox"].shape == (0, 4)


def test_a_skeleton_sets_the_order(data, importing):
    skeleton = data / "own.yaml"
    skeleton.write_text(
        "name: own\nkeypoints: [right_hand, left_hand, nose, tail]\n"
        "flip_pairs: auto\nlimbs: [[nose, tail]]\n"
    )
    found = importing("labelme", data / "labelme", *BOX, f"--skeleton={skeleton}")
    assert found.keypoints(1) == [[41, 20, 2], [0, 0, 0], [45, 12, 2], [0, 0, 0]]
    assert found.skeleton["flip_pairs"] == [["left_hand", "right_hand"]]
    assert found.content["categories"][0]["skeleton"] == [[3, 4]]
    assert "order of keypoints" not in found.out


def test_keypoints_that_the_skeleton_lacks_are_refused(data, refused):
    sentence = refused("labelme", data / "labelme", *BOX, "--skeleton=coco17")
    assert "has the keypoint 'left_hand'" in sentence
    assert "coco17 (--skeleton) lacks" in sentence


def test_images_elsewhere(data, importing):
    folder = data / "images"
    found = importing("labelme", data / "labelme", *BOX, f"--image_dir={folder}")
    assert [image["file_name"] for image in found.content["images"]] == [
        "a.png",
        "b.png",
    ]
    found.records(folder)


def test_a_size_that_is_missing_is_that_of_the_image(data, importing):
    path = edit(data, imageHeight=None, imageWidth=None, imageData=None)
    found = importing("labelme", path, *BOX)
    assert found.content["images"][0]["width"] == 64
    assert "image sizes: they are those of the image files." in found.out


def test_a_size_that_is_missing_is_that_of_the_picture_inside(data, importing):
    edit(data, imageHeight=None, imageWidth=None, imagePath="gone.png")
    found = importing("labelme", data / "labelme/a.json", *BOX)
    assert found.content["images"][0]["height"] == 48
    assert "1  images not found in " in found.out


def test_points_without_a_group_belong_to_the_only_object(data, importing):
    shapes = [shape("rectangle", [[1, 2], [9, 12]]), NOSE]
    found = importing("labelme", edit(data, shapes=shapes), *BOX)
    assert found.objects[0]["bbox"] == [1, 2, 8, 10]
    assert found.keypoints(0) == [[15, 11.25, 2]]
    assert "1  images whose keypoints have no group, taken as one object" in found.out


def test_points_alone_are_of_the_category_that_is_given(data, importing):
    flags = ["--area_from=box", "--box_from=keypoints", "--box_margin=4px"]
    flags.append("--category=mug")
    found = importing("labelme", edit(data, shapes=[NOSE]), *flags)
    assert found.content["categories"][0]["name"] == "mug"
    assert found.objects[0]["bbox"] == [11, 7.25, 8, 8]
    assert (
        "1    boxes missing, made from the keypoints with a margin of 4px" in found.out
    )


def test_points_of_nobody_knows_whom_are_refused(data, refused):
    shapes = [
        shape("rectangle", [[1, 2], [9, 12]]),
        shape("rectangle", [[20, 2], [29, 12]]),
        NOSE,
    ]
    sentence = refused("labelme", edit(data, shapes=shapes), *BOX)
    assert "shapes[2]: keypoints (nose) are tied to no object" in sentence
    assert "2 objects; give the shapes of each object a group_id" in sentence


def test_skipping_leaves_one_object_out(data, importing):
    shapes = [
        shape("rectangle", [[1, 2], [9, 12]], group_id=1),
        NOSE | {"group_id": 1},
        NOSE | {"group_id": 1},
        shape("rectangle", [[20, 2], [29, 12]], group_id=2),
    ]
    path = edit(data, shapes=shapes)
    found = importing("labelme", path, *BOX, "--on_error=skip")
    assert [entry["bbox"] for entry in found.objects] == [[20, 2, 9, 10]]
    assert "one object has the keypoint 'nose' 2 times" in found.err
    assert "1  skipped: keypoint twice" in found.out


def test_a_mask_is_placed_on_the_image(data, importing):
    pixels = np.zeros((5, 4), np.uint8)
    pixels[1:4, 1:3] = 255
    encoded = base64.b64encode(cv2.imencode(".png", pixels)[1].tobytes()).decode()
    shapes = [shape("mask", [[10, 20], [13, 24]], mask=encoded)]
    found = importing("labelme", edit(data, shapes=shapes), *BOX[1:], "--area_from=box")
    assert found.objects[0]["bbox"] == [11, 21, 2, 3]
    assert found.objects[0]["segmentation"]["size"] == [48, 64]
    assert not (found.path.parent / "people.skeleton.yaml").exists()
    assert "hrnet_tf.data.coco_instances" in found.out


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        (["rectangle", "rectangle"], "one group holds 2 boxes"),
        (["mask", "mask"], "one group holds 2 masks"),
        (["mask", "polygon"], "one group holds a mask and an outline; keep one"),
        (["rectangle", "other"], "shapes of several categories (person, dog)"),
    ],
)
def test_groups_that_contradict_themselves_are_refused(data, refused, shapes, expected):
    encoded = cv2.imencode(".png", np.full((5, 4), 255, np.uint8))[1].tobytes()
    known = {
        "rectangle": shape("rectangle", [[1, 2], [9, 12]], group_id=0),
        "other": shape("polygon", [[1, 2], [9, 12], [1, 9]], group_id=0, label="dog"),
        "polygon": shape("polygon", [[1, 2], [9, 12], [1, 9]], group_id=0),
        "mask": shape("mask", [[1, 2], [4, 6]], group_id=0)
        | {"mask": base64.b64encode(encoded).decode()},
    }
    path = edit(data, shapes=[known[name] for name in shapes])
    assert expected in refused("labelme", path, *BOX)


def test_x_anylabelings_own_shapes_and_marks(data, importing):
    turned = [[10, 20], [20, 10], [26, 16], [16, 26]]
    shapes = [
        shape("rotation", turned, group_id=1, direction=0.785),
        {**NOSE, "group_id": 1, "difficult": True},
        {**NOSE, "group_id": 1, "label": "tail", "difficult": False},
        shape("line", [[1, 2], [3, 4]]),
    ]
    flags = [*BOX, "--hidden_flag=difficult"]
    found = importing("labelme", edit(data, shapes=shapes), *flags)
    (person,) = found.objects
    assert person["segmentation"] == [[10, 20, 20, 10, 26, 16, 16, 26]]
    assert [point[2] for point in found.keypoints(0)] == [1, 2]
    assert "1  shapes that COCO has no place for, left out: line" in found.out


def test_several_outlines_are_one_object(data, importing):
    shapes = [
        shape("polygon", [[1, 2], [9, 12], [1, 12]], group_id=0),
        shape("polygon", [[20, 2], [29, 12], [20, 12]], group_id=0),
    ]
    found = importing("labelme", edit(data, shapes=shapes), *BOX)
    assert len(found.objects[0]["segmentation"]) == 2
    assert found.objects[0]["bbox"] == [1, 2, 28, 10]


def test_a_mask_is_cut_off_at_the_border(data, importing):
    encoded = cv2.imencode(".png", np.full((5, 4), 255, np.uint8))[1].tobytes()
    text = base64.b64encode(encoded).decode()
    shapes = [
        shape("mask", [[-2, -3], [1, 1]], mask=text),
        shape("mask", [[62, 46], [65, 50]], mask=text),
    ]
    found = importing("labelme", edit(data, shapes=shapes), *BOX)
    boxes = [entry["bbox"] for entry in found.objects]
    assert boxes == [[0, 0, 2, 2], [62, 46, 2, 2]]


def test_names_with_commas_and_other_letters(data, importing):
    shapes = [shape("rectangle", [[1, 2], [9, 12]], group_id="x")]
    names = ["nez, pointe", "左手", "yes"]
    shapes += [NOSE | {"label": name, "group_id": "x"} for name in names]
    found = importing("labelme", edit(data, shapes=shapes), *BOX)
    assert found.skeleton["keypoints"] == names
    found.records(data)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"shapes": 3}, "there is no list 'shapes'"),
        ({"shapes": [3]}, "shapes[0]: the shape is 3; it must be an object"),
        ({"shapes": [{"label": 7}]}, "label is 7; it must be a text"),
        ({"shapes": [{"label": "\ud800"}]}, "it must be a text"),
        ({"shapes": [shape("point", None)]}, "points is null; it must be a list"),
        (
            {"shapes": [shape("point", [[1]])]},
            "points[0] is [1]; it must be two numbers",
        ),
        ({"shapes": [shape("point", [[1, float("nan")]])]}, "points[0] is [1, nan]"),
        ({"shapes": [shape("polygon", [[1, 2]])]}, "a polygon cannot have 1 points"),
        ({"shapes": [shape("point", [[1, 2]], group_id=[])]}, "group_id is []"),
        ({"shapes": [shape("point", [[1, 2]], flags=[1])]}, "flags is [1]"),
        ({"shapes": [shape("mask", [[1, 2], [3, 4]], mask="?")]}, "mask is not base64"),
        ({"shapes": [shape("mask", [[1, 2], [3, 4]], mask="abcd")]}, "mask is not an"),
        ({"imagePath": None}, "imagePath is null"),
        ({"imagePath": ".."}, "imagePath is '..'; it must name an image file"),
        ({"imageWidth": 0}, "the width is 0; it must be a whole number from 1 on"),
        ({"imageWidth": 50_000, "imageHeight": 50_000}, "less than 2^31 pixels"),
        ({"imageWidth": "64"}, "the width is '64'"),
        (
            {"imageWidth": None, "imageData": None, "imagePath": "gone.png"},
            "gone.png does not exist",
        ),
        (
            {"shapes": [shape("rectangle", [[100, 2], [109, 12]])]},
            "wholly outside the 64x48 image",
        ),
    ],
)
def test_damaged_files_are_refused(data, refused, changes, expected):
    assert expected in refused("labelme", edit(data, **changes), *BOX)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a.json is not valid JSON"),
        ('{"shapes": [', "a.json is not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "the file is []; it must be an object"),
        ("\0", "is not valid JSON"),
    ],
)
def test_files_that_are_not_json_are_refused(data, refused, text, expected):
    (data / "labelme/a.json").write_text(text)
    assert expected in refused("labelme", data / "labelme", *BOX)


def test_a_folder_without_files_is_refused(data, refused):
    assert "has no file *.json" in refused("labelme", data / "images", *BOX)


def test_an_image_labelled_twice_is_refused(data, refused):
    content = json.loads((data / "labelme/a.json").read_text())
    (data / "labelme/c.json").write_text(json.dumps(content))
    sentence = refused("labelme", data / "labelme", *BOX)
    assert "c.json: the image images/a.png has been labelled before" in sentence
