"""CVAT's XML. cvat_datumaro.xml was written by datumaro 1.13, which knows no skeletons.

The skeletons here are written as CVAT itself exports them.
"""

import html

import numpy as np
import pytest

BOX = ["--area_from=box"]
FROM_KEYPOINTS = [*BOX, "--box_from=keypoints", "--box_margin=2px"]
DRAWING = """
<line x1="1" y1="1" x2="2" y2="2" data-type="edge" data-node-from="2" data-node-to="1">
</line>
<circle r="1.5" data-type="element node" data-element-id="1" data-node-id="1"
 data-label-name="nose"></circle>
<circle r="1.5" data-type="element node" data-element-id="2" data-node-id="2"
 data-label-name="left, hand"></circle>
"""
LABELS = f"""
<labels>
  <label><name>person</name><color>#c06060</color><type>skeleton</type>
    <attributes></attributes><svg>{html.escape(DRAWING)}</svg></label>
  <label><name>nose</name><type>points</type><parent>person</parent></label>
  <label><name>left, hand</name><type>points</type><parent>person</parent></label>
  <label><name>ヒト</name><type>points</type><parent>person</parent></label>
  <label><name>dog</name><type>rectangle</type></label>
</labels>
"""


def points(label, place, outside=0, occluded=0, more=""):
    return (
        f'<points label="{label}" source="manual" outside="{outside}" '
        f'occluded="{occluded}" points="{place}" {more}></points>'
    )


NOSE = points("nose", "15.00,11.25")
SKELETON = f"""
<skeleton label="person" source="manual" z_order="0">
  {points("left, hand", "8.50,30.00", occluded=1)}
  {NOSE}
  {points("ヒト", "40.00,30.00", outside=1)}
</skeleton>
"""


def images(folder, shapes, name="a.png", labels=LABELS):
    path = folder / "annotations.xml"
    path.write_text(
        f"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task>{labels}</task></meta>
<image id="0" name="{name}" width="64" height="48">{shapes}</image>
</annotations>""",
        encoding="utf-8",
    )
    return path


def test_skeletons(data, importing):
    found = importing("cvat", images(data, SKELETON), *FROM_KEYPOINTS)
    assert found.skeleton == {
        "name": "person",
        "keypoints": ["nose", "left, hand", "ヒト"],
        "limbs": [["left, hand", "nose"]],
    }
    (person,) = found.objects
    assert found.keypoints(0) == [[15, 11.25, 2], [8.5, 30, 1], [0, 0, 0]]
    assert person["bbox"] == [6.5, 9.25, 10.5, 22.75]
    assert found.content["categories"][0]["skeleton"] == [[2, 1]]
    assert "limbs: " not in found.out
    assert "1    of these hidden" in found.out
    (record,) = found.records(data / "images")
    np.testing.assert_allclose(record["keypoints"][0, 1], [8.5, 30, 1])


def test_skeletons_that_nothing_describes_have_the_order_of_the_first(data, importing):
    found = importing("cvat", images(data, SKELETON, labels=""), *FROM_KEYPOINTS)
    assert found.skeleton["keypoints"] == ["left, hand", "nose", "ヒト"]
    assert "order of keypoints: it is that in which they are met" in found.out
    assert "limbs: none are written" in found.out


def test_what_datumaro_wrote(data, importing):
    path = data / "cvat_datumaro.xml"
    found = importing("cvat", path, *BOX, "--box_from=segmentation")
    person, outlined, masked = found.objects
    assert person["bbox"] == [8, 6, 14, 28.5]
    assert found.keypoints(0) == [[15, 11.25, 2], [8.5, 30, 2], [22, 30, 2]]
    assert found.skeleton["keypoints"] == [f"keypoint_{n}" for n in range(3)]
    assert outlined["segmentation"] == [[40, 10, 50, 10, 50, 40, 45, 44, 40, 40]]
    assert outlined["attributes"] == {"occluded": True}
    assert masked["bbox"] == [30, 10, 6, 4]
    assert [c["name"] for c in found.content["categories"]] == ["person", "dog"]
    assert len(found.content["images"]) == 2
    assert "names of keypoints: they are numbered" in found.out
    people, empty = found.records(data / "images", category="person")
    assert people["keypoints"].shape == (1, 3, 3)
    assert empty["keypoints"].shape == (0, 3, 3)


def test_numbered_points_take_the_names_of_a_skeleton(data, importing, refused):
    skeleton = data / "own.yaml"
    skeleton.write_text("name: own\nkeypoints: [nose, left, right]\n")
    flags = [*BOX, "--box_from=segmentation", f"--skeleton={skeleton}"]
    found = importing("cvat", data / "cvat_datumaro.xml", *flags)
    assert found.content["categories"][0]["keypoints"] == ["nose", "left", "right"]
    assert found.keypoints(0)[1] == [8.5, 30, 2]
    flags[-1] = "--skeleton=coco17"
    assert "has 3 keypoints without names" in refused(
        "cvat", data / "cvat_datumaro.xml", *flags
    )


def test_a_group_of_one_person_is_one_object(data, importing):
    box = '<box label="person" xtl="1" ytl="2" xbr="30" ybr="40" group_id="4"/>'
    grouped = SKELETON.replace("z_order", 'group_id="4" z_order')
    found = importing("cvat", images(data, box + grouped), *BOX)
    (person,) = found.objects
    assert person["bbox"] == [1, 2, 29, 38]
    assert person["num_keypoints"] == 2


def test_a_group_of_several_people_stays_several(data, importing):
    box = '<box label="person" xtl="{}" ytl="2" xbr="30" ybr="40" group_id="4"/>'
    found = importing("cvat", images(data, box.format(1) + box.format(9)), *BOX)
    assert [entry["bbox"][0] for entry in found.objects] == [1, 9]
    assert found.objects[0]["attributes"] == {"group_id": 4}
    assert found.keypoints(0) == [[0, 0, 0]] * 3


def test_a_mask_and_an_outline_in_a_group_stay_two_objects(data, importing):
    shapes = """
      <mask label="dog" rle="0,4" left="1" top="1" width="2" height="2" group_id="4"/>
      <polygon label="dog" points="9,9;20,9;20,20" group_id="4"/>"""
    path = images(data, shapes, labels="")
    found = importing("cvat", path, *BOX, "--box_from=segmentation")
    assert [entry["bbox"] for entry in found.objects] == [[1, 1, 2, 2], [9, 9, 11, 11]]


def test_single_points_of_a_group_are_keypoints_by_their_labels(data, importing):
    shapes = '<box label="cat" xtl="1" ytl="2" xbr="30" ybr="40" group_id="4"/>'
    shapes += '<points label="ear" points="3,4" group_id="4" occluded="1"/>'
    shapes += '<points label="tail" points="5,6" group_id="4" occluded="0"/>'
    found = importing("cvat", images(data, shapes, labels=""), *BOX)
    assert found.skeleton["keypoints"] == ["ear", "tail"]
    assert [entry["name"] for entry in found.content["categories"]] == ["cat"]
    assert found.keypoints(0) == [[3, 4, 1], [5, 6, 2]]


def test_turned_boxes_attributes_and_what_is_not_read(data, importing):
    shapes = """
      <box label="dog" xtl="10" ytl="20" xbr="30" ybr="28" rotation="90" occluded="1">
        <attribute name="breed">pug</attribute></box>
      <polyline label="dog" points="1,2;3,4"/>"""
    found = importing("cvat", images(data, shapes), *BOX)
    (dog,) = found.objects
    np.testing.assert_allclose(dog["bbox"], [16, 14, 8, 20])
    np.testing.assert_allclose(
        dog["segmentation"][0], [24, 14, 24, 34, 16, 34, 16, 14], atol=1e-9
    )
    assert dog["attributes"] == {"rotation": 90, "breed": "pug", "occluded": True}
    assert "1  shapes that COCO has no place for, left out: polyline" in found.out


def test_an_ellipse_is_an_outline(data, importing, refused):
    oval = '<ellipse label="dog" cx="32" cy="24" rx="8" ry="4" rotation="{}"/>'
    flags = [*BOX[:0], "--area_from=segmentation", "--box_from=segmentation"]
    found = importing("cvat", images(data, oval.format(90)), *flags)
    (dog,) = found.objects
    np.testing.assert_allclose(dog["bbox"], [28, 16, 8, 16])
    assert dog["area"] == pytest.approx(np.pi * 8 * 4, rel=0.1)
    flat = images(data, oval.replace('ry="4"', 'ry="0"').format(0))
    assert "ellipse has the radii 8 and 0" in refused("cvat", flat, *flags)


def test_tags_are_of_the_image(data, importing):
    tag = '<tag label="good" source="manual"><attribute name="by">me</attribute></tag>'
    found = importing("cvat", images(data, f'{tag}<tag label="wet"/>'))
    assert found.content["images"][0]["attributes"] == {
        "tags": [{"label": "good", "by": "me"}, {"label": "wet"}]
    }
    assert "left out" not in found.out


PERSON_BOX = '<box label="person_box" xtl="1" ytl="2" xbr="30" ybr="40" group_id="4"/>'


def test_the_box_of_a_skeleton_has_another_label(data, importing, refused):
    """CVAT draws none with the skeleton's."""
    grouped = SKELETON.replace("z_order", 'group_id="4" z_order')
    path = images(data, PERSON_BOX + grouped)
    sentence = refused("cvat", path, *BOX)
    assert "it has no box; to make one, add --box_from=keypoints" in sentence
    assert "own, add --rename=person_box=person" in sentence
    found = importing("cvat", path, *BOX, "--rename=person_box=person")
    (person,) = found.objects
    assert person["bbox"] == [1, 2, 29, 38]
    assert person["num_keypoints"] == 2
    assert [entry["name"] for entry in found.content["categories"]] == ["person"]


def test_a_person_and_a_thing_in_a_group_stay_two_objects(data, importing):
    ball = PERSON_BOX.replace("person_box", "ball")
    grouped = SKELETON.replace("z_order", 'group_id="4" z_order')
    found = importing("cvat", images(data, ball + grouped), *FROM_KEYPOINTS)
    assert [entry["bbox"][0] for entry in found.objects] == [1, 6.5]
    assert (
        "1  groups of keypoints and a shape of another label, kept apart "
        "(--rename=ball=person joins them)" in found.out
    )
    two = images(data, ball + 2 * grouped)
    found = importing("cvat", two, *FROM_KEYPOINTS, "--overwrite")
    assert len(found.objects) == 3
    assert "--rename" not in found.out


def test_keypoints_are_renamed_with_their_limbs(data, importing):
    flags = [*FROM_KEYPOINTS, "--rename=nose=snout,dogg=cat"]
    found = importing("cvat", images(data, SKELETON), *flags)
    assert found.skeleton["keypoints"] == ["snout", "left, hand", "ヒト"]
    assert found.skeleton["limbs"] == [["left, hand", "snout"]]
    assert found.keypoints(0)[0] == [15, 11.25, 2]
    assert "--rename=dogg=cat: no label is called 'dogg' (did you mean 'dog'?)." in (
        found.out
    )


@pytest.mark.parametrize("pair", ["person", "=person", "person="])
def test_what_renames_nothing_is_refused(data, refused, pair):
    path = images(data, SKELETON)
    sentence = refused("cvat", path, f"--rename={pair}", code=2)
    assert f"--rename={pair} must be written OLD=NEW" in sentence


def test_keypoints_at_the_origin(data, importing):
    """Points of several places cannot leave one out, so that some tools write 0, 0."""
    shapes = """
      <box label="person" xtl="1" ytl="2" xbr="30" ybr="40" group_id="4"/>
      <points label="person" points="0,0;15,20;0,7" occluded="0" group_id="4"/>"""
    path = images(data, shapes, labels="")
    found = importing("cvat", path, *BOX)
    assert "1    of these at 0, 0 (if such are not labelled, add --zero_is_absent)" in (
        found.out
    )
    assert found.keypoints(0) == [[0, 0, 2], [15, 20, 2], [0, 7, 2]]
    found = importing("cvat", path, *BOX, "--zero_is_absent", "--overwrite")
    assert "1    keypoints at 0, 0, taken for not labelled" in found.out
    assert "of these at 0, 0" not in found.out
    assert found.keypoints(0) == [[0, 0, 0], [15, 20, 2], [0, 7, 2]]
    assert found.objects[0]["num_keypoints"] == 2


def test_a_skeleton_that_is_outside_is_nothing(data, importing):
    gone = f'<skeleton label="person">{points("nose", "1,2", outside=1)}</skeleton>'
    found = importing("cvat", images(data, gone))
    assert found.objects == []
    assert "1  skeletons without a visible or hidden point, left out" in found.out


# ---- videos ----

META = """
<task><size>4</size><mode>interpolation</mode><start_frame>10</start_frame>
<stop_frame>16</stop_frame><frame_filter>step=2</frame_filter>
<original_size><width>64</width><height>48</height></original_size>{labels}</task>
"""


def at(frame, content, more='outside="0" keyframe="1"'):
    return f'<skeleton frame="{frame}" {more}>{content}</skeleton>'


TRACKS = f"""
<track id="0" label="person" source="manual">
  {at(10, NOSE + points("left, hand", "8.5,30", occluded=1, more='keyframe="1"'))}
  {at(12, points("nose", "17,12", more='keyframe="0"'), 'keyframe="0"')}
  {at(14, points("nose", "17,12", outside=1), 'outside="1" keyframe="1"')}
</track>
<track id="1" label="dog">
  <box frame="12" xtl="1" ytl="2" xbr="9" ybr="12" outside="0" occluded="0"/>
  <box frame="14" xtl="1" ytl="2" xbr="9" ybr="12" outside="1" occluded="0"/>
</track>
"""


def video(folder, tracks=TRACKS, meta=META):
    path = folder / "annotations.xml"
    meta = meta.format(labels=LABELS)
    path.write_text(
        f"<annotations><version>1.1</version><meta>{meta}</meta>{tracks}</annotations>",
        encoding="utf-8",
    )
    return path


def test_tracks_of_a_video(data, importing):
    found = importing("cvat", video(data), *FROM_KEYPOINTS)
    frames = [(i["file_name"], i["frame"]) for i in found.content["images"]]
    assert frames == [(f"frame_0000{n}.PNG", n) for n in (10, 12, 14, 16)]
    first = found.content["images"][0]["id"]
    person, later, dog = found.objects
    assert [person["image_id"], later["image_id"], dog["image_id"]] == [
        first,
        first + 1,
        first + 1,
    ]
    assert found.keypoints(0) == [[15, 11.25, 2], [8.5, 30, 1], [0, 0, 0]]
    assert found.keypoints(1) == [[17, 12, 2], [0, 0, 0], [0, 0, 0]]
    assert later["attributes"] == {"track_id": "0"}
    assert dog["bbox"] == [1, 2, 8, 10]
    assert "gaps" not in found.out


def test_frames_that_are_files(data, importing, refused):
    path = video(data)
    for number in (10, 12):
        target = data / f"images/frame_0000{number}.png"
        target.write_bytes((data / "images/a.png").read_bytes())
    flags = [*FROM_KEYPOINTS, f"--image_dir={data}"]
    found = importing("cvat", path, *flags)
    names = [image["file_name"] for image in found.content["images"]]
    assert names == ["images/frame_000010.png", "images/frame_000012.png"]
    assert (
        "2  frames without objects, of which there is no image, left out" in found.out
    )
    found.records(data)
    target.unlink()
    assert "frame_000012.PNG does not exist" in refused("cvat", path, *flags)


def test_gaps_in_tracks_are_told(data, importing):
    tracks = f'<track id="0" label="person">{at(10, NOSE)}{at(16, NOSE)}</track>'
    found = importing("cvat", video(data, tracks), *FROM_KEYPOINTS)
    assert "1  gaps in tracks, not filled (export whole tracks from CVAT)" in found.out


def test_videos_from_before_frames_were_told(data, importing):
    meta = """<task><size>3</size><original_size><width>64</width><height>48</height>
      </original_size></task>"""
    tracks = (
        '<track id="0" label="dog"><box frame="1" xtl="1" ytl="2" xbr="9" ybr="9"/>'
    )
    found = importing("cvat", video(data, tracks + "</track>", meta), *BOX)
    assert len(found.content["images"]) == 3


def test_several_videos_are_refused(data, refused):
    sentence = refused("cvat", video(data, meta=META + META), *FROM_KEYPOINTS)
    assert "it describes 2 videos (original_size), not one" in sentence


# ---- damaged files ----

BOMB = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><annotations>&b;</annotations>"""
OUTSIDE = """<?xml version="1.0"?>
<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><annotations>&a;</annotations>"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is not valid XML: no element found"),
        ("<annotations><image>", "is not valid XML: no element found"),
        ("<annotations>&x;</annotations>", "is not valid XML: undefined entity"),
        (BOMB, "it has a document type, which CVAT does not write"),
        (OUTSIDE, "it has a document type, which CVAT does not write"),
        ("<html/>", "is not a CVAT file: it begins with <html>"),
        ('<?xml version="1.0" encoding="x-none"?><annotations/>', "is not valid XML"),
        ("<annotations/>", "No image is left to write"),
        ("<annotations>" + "<a>" * 200_000, "is not valid XML"),
    ],
)
def test_files_that_are_not_cvats_are_refused(data, refused, text, expected):
    path = data / "annotations.xml"
    path.write_text(text)
    assert expected in refused("cvat", path, *BOX)


def test_a_bomb_in_the_drawing_is_refused(data, refused):
    bomb = BOMB.removeprefix('<?xml version="1.0"?>')
    labels = LABELS.replace(html.escape(DRAWING), html.escape(bomb))
    sentence = refused("cvat", images(data, "", labels=labels))
    assert "the drawing of a skeleton is not valid XML" in sentence


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ('<box label="dog" xtl="1" ytl="2" xbr="nan" ybr="4"/>', "xbr is 'nan'"),
        ('<box label="dog" xtl="1" ytl="2" xbr="1_0" ybr="4"/>', "xbr is '1_0'"),
        (
            '<box label="dog" xtl="1" ytl="2" xbr="3"/>',
            "ybr is ''; it must be a number",
        ),
        ('<box label="dog" xtl="3" ytl="2" xbr="1" ybr="4"/>', "must be positive"),
        ('<box label="dog" xtl="99" ytl="2" xbr="120" ybr="4"/>', "wholly outside"),
        ('<box xtl="3" ytl="2" xbr="1" ybr="4"/>', "its label is null"),
        ('<polygon label="dog" points="1,2;3,4"/>', "a polygon cannot have 2 points"),
        ('<polygon label="dog" points="1 2;3,4;5,6"/>', "points has '1 2'"),
        ('<points label="dog" points=""/>', "points has ''"),
        (
            '<points label="c" points="1,2;3,4"/><points label="c" points="1,2"/>',
            "it has 1 points, and other objects 'c' have 2",
        ),
        (f'<skeleton label="person">{NOSE}{NOSE}</skeleton>', "the point 'nose' twice"),
        (
            f'<skeleton label="person">{points("nose", "1,2;3,4")}</skeleton>',
            "the point 'nose' has several places",
        ),
        (
            '<mask label="dog" rle="1, 2" left="0" top="0" width="9" height="9"/>',
            "do not add up to 9x9 pixels",
        ),
        (
            '<mask label="dog" rle="-1" left="0" top="0" width="9" height="9"/>',
            "rle is -1",
        ),
        ('<box label="dog" xtl="1" ytl="2" xbr="3" ybr="4" group_id="x"/>', "group_id"),
    ],
)
def test_damaged_shapes_are_refused(data, refused, shapes, expected):
    sentence = refused("cvat", images(data, shapes), *FROM_KEYPOINTS)
    assert expected in sentence
    assert "image 0 (a.png)" in sentence


def test_an_image_that_is_not_there_is_refused(data, refused):
    path = images(data, SKELETON, name="gone.png")
    sentence = refused("cvat", path, *FROM_KEYPOINTS, f"--image_dir={data}/images")
    assert "gone.png does not exist; give the folder" in sentence
