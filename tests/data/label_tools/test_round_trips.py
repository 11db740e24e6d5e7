"""From COCO to each tool's files, as the tool writes them, and back, without a loss."""

import csv
import json
import shutil
import xml.etree.ElementTree as ET

import hypothesis
import numpy as np
import pytest
import yaml
from hypothesis import strategies as st

from hrnet_tf.data import import_annotations

SIZE = 64, 48
# Letters that JSON, XML, YAML and tables have to quote.
NAMES = ["nose", 'left "a", <b>', "ヒト & co"]
LIMBS = [[1, 2], [2, 3]]
FILES = ["a.png", "b.png"]

SOME = hypothesis.settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


def numbers(low, high):
    """Quarters of a pixel, which the two digits of CVAT's files can write."""
    return st.integers(4 * low, 4 * high).map(lambda number: number / 4)


@st.composite
def boxes(draw):
    left, top = draw(numbers(0, SIZE[0] - 4)), draw(numbers(0, SIZE[1] - 4))
    width, height = draw(numbers(4, SIZE[0])), draw(numbers(4, SIZE[1]))
    return [left, top, min(width, SIZE[0] - left), min(height, SIZE[1] - top)]


@st.composite
def keypoints(draw):
    points = [
        (draw(numbers(1, SIZE[0])), draw(numbers(1, SIZE[1])), v) if v else (0, 0, 0)
        for v in draw(st.lists(st.integers(0, 2), min_size=3, max_size=3))
    ]
    return [value for point in points for value in point]


@st.composite
def people(draw):
    """COCO's annotations of two images; a person has an outline beside the box."""
    annotations = []
    for image in range(1, len(FILES) + 1):
        for _ in range(draw(st.integers(0, 3))):
            x, y, w, h = box = draw(boxes())
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": 1,
                    "bbox": box,
                    "area": w * h,
                    "iscrowd": 0,
                    "segmentation": [[x, y, x + w, y, x + w, y + h]],
                    "keypoints": (points := draw(keypoints())),
                    "num_keypoints": sum(v > 0 for v in points[2::3]),
                }
            )
    return {
        "info": {"year": 2030},
        "images": [
            {"id": n, "file_name": name, "width": SIZE[0], "height": SIZE[1]}
            for n, name in enumerate(FILES, start=1)
        ],
        "categories": [
            {"id": 1, "name": "person", "keypoints": NAMES, "skeleton": LIMBS}
        ],
        "annotations": annotations,
    }


def of_image(content, number):
    return [entry for entry in content["annotations"] if entry["image_id"] == number]


def labelled(entry):
    """Name, x, y and visibility of the keypoints that are not absent."""
    flat = entry["keypoints"]
    triples = zip(NAMES, flat[::3], flat[1::3], flat[2::3], strict=True)
    return [triple for triple in triples if triple[3]]


# ---- what the tools write ----


def write_coco(content, folder):
    path = folder / "labels.json"
    path.write_text(json.dumps(content))
    return path


def write_cvat(content, folder):
    """Boxes have a label of their own: CVAT draws none with that of a skeleton."""
    root = ET.Element("annotations")
    labels = ET.SubElement(ET.SubElement(ET.SubElement(root, "meta"), "task"), "labels")

    def add(**texts):
        label = ET.SubElement(labels, "label")
        for key, text in texts.items():
            ET.SubElement(label, key).text = text

    drawing = ET.Element("svg")
    for number, name in enumerate(NAMES, start=1):
        node = {"data-node-id": str(number), "data-label-name": name}
        ET.SubElement(drawing, "circle", node)
    for one, other in LIMBS:
        edge = {"data-node-from": str(one), "data-node-to": str(other)}
        ET.SubElement(drawing, "line", edge)
    svg = "".join(ET.tostring(part, "unicode") for part in drawing)
    add(name="person", type="skeleton", svg=svg)
    for name in NAMES:
        add(name=name, type="points", parent="person")
    add(name="person_box", type="rectangle")
    for entry in content["images"]:
        size = {key: str(entry[key]) for key in ("width", "height")}
        image = ET.SubElement(root, "image", name=entry["file_name"], **size)
        for group, person in enumerate(of_image(content, entry["id"]), start=1):
            shape = {"occluded": "0", "group_id": str(group)}
            x, y, w, h = person["bbox"]
            corners = {"xtl": x, "ytl": y, "xbr": x + w, "ybr": y + h}
            sides = {key: f"{value:.2f}" for key, value in corners.items()}
            ET.SubElement(image, "box", label="person_box", **shape, **sides)
            (flat,) = person["segmentation"]
            pairs = zip(flat[::2], flat[1::2], strict=True)
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in pairs)
            ET.SubElement(image, "polygon", label="person_box", points=points, **shape)
            there = {name: rest for name, *rest in labelled(person)}
            if not there:
                continue
            skeleton = ET.SubElement(image, "skeleton", label="person", **shape)
            for name in NAMES:
                x, y, v = there.get(name, (1, 1, 0))
                marks = {"outside": str(int(v == 0)), "occluded": str(int(v == 1))}
                point = {"label": name, "points": f"{x:.2f},{y:.2f}"}
                ET.SubElement(skeleton, "points", **point, **marks)
    path = folder / "annotations.xml"
    ET.ElementTree(root).write(path, encoding="utf-8")
    return path


def write_label_studio(content, folder):
    def percents(x, y):
        return {"x": 100 * x / SIZE[0], "y": 100 * y / SIZE[1]}

    tasks = []
    for image in content["images"]:
        result = []

        def add(kind, identity, value, result=result, **more):
            size = {"original_width": SIZE[0], "original_height": SIZE[1]}
            place = {"id": identity, "type": kind, "from_name": kind, **more}
            result.append({"to_name": "image", "value": value, **size, **place})

        for person in of_image(content, image["id"]):
            number, (x, y, w, h) = str(person["id"]), person["bbox"]
            extent = percents(w, h)
            box = {**percents(x, y), "width": extent["x"], "height": extent["y"]}
            add("rectanglelabels", number, {**box, "rectanglelabels": ["person"]})
            (flat,) = person["segmentation"]
            pairs = zip(flat[::2], flat[1::2], strict=True)
            value = {"points": [[*percents(x, y).values()] for x, y in pairs]}
            value["polygonlabels"] = ["person"]
            add("polygonlabels", f"{number}o", value, parentID=number)
            for name, x, y, v in labelled(person):
                place = percents(x, y)
                tied = {"parentID": number}
                value = {**place, "keypointlabels": [name]}
                add("keypointlabels", f"{number}{name}", value, **tied)
                if v == 1:
                    value = {**place, "choices": ["hidden"]}
                    add("choices", f"{number}{name}", value, **tied)
        tasks.append(
            {"data": {"image": image["file_name"]}, "annotations": [{"result": result}]}
        )
    path = folder / "export.json"
    path.write_text(json.dumps(tasks))
    return path


def write_labelme(content, folder):
    for image in content["images"]:
        shapes = []

        def add(label, kind, points, group, shapes=shapes, **flags):
            shape = {"label": label, "shape_type": kind, "points": points}
            shapes.append({**shape, "group_id": group, "flags": flags})

        for person in of_image(content, image["id"]):
            group, (x, y, w, h) = person["id"], person["bbox"]
            add("person", "rectangle", [[x, y], [x + w, y + h]], group)
            (flat,) = person["segmentation"]
            pairs = [*zip(flat[::2], flat[1::2], strict=True)]
            add("person", "polygon", pairs, group)
            for name, x, y, v in labelled(person):
                add(name, "point", [[x, y]], group, hidden=v == 1)
        whole = {"shapes": shapes, "imagePath": image["file_name"], "flags": {}}
        whole |= {"imageWidth": SIZE[0], "imageHeight": SIZE[1]}
        path = folder / image["file_name"].replace(".png", ".json")
        path.write_text(json.dumps(whole))
    return folder


def write_yolo_pose(content, folder):
    for image in content["images"]:
        lines = []
        for person in of_image(content, image["id"]):
            x, y, w, h = person["bbox"]
            row = [(x + w / 2) / SIZE[0], (y + h / 2) / SIZE[1]]
            row += [w / SIZE[0], h / SIZE[1]]
            flat = person["keypoints"]
            for x, y, v in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
                row += [x / SIZE[0], y / SIZE[1], v]
            lines.append("0 " + " ".join(f"{value:.6f}" for value in row))
        path = folder / image["file_name"].replace(".png", ".txt")
        path.write_text("\n".join(lines))
    spec = {"train": ".", "kpt_shape": [3, 3], "names": ["person"]}
    path = folder / "data.yaml"
    path.write_text(yaml.safe_dump({**spec, "kpt_names": {0: NAMES}}))
    return path


def write_deeplabcut(content, folder):
    """A table of up to three individuals."""
    individuals = ["one", "two", "three"]
    columns = [(who, part) for who in individuals for part in NAMES]
    rows = [
        ["scorer", "", "", *["me"] * 2 * len(columns)],
        ["individuals", "", "", *(who for who, _ in columns for _ in "xy")],
        ["bodyparts", "", "", *(part for _, part in columns for _ in "xy")],
        ["coords", "", "", *"xy" * len(columns)],
    ]
    for image in content["images"]:
        places = {
            (who, name): (x, y)
            for who, person in zip(
                individuals, of_image(content, image["id"]), strict=False
            )
            for name, x, y, _ in labelled(person)
        }
        cells = [cell for column in columns for cell in places.get(column, ("", ""))]
        rows.append(["labeled-data", "vid", image["file_name"], *cells])
    images = folder / "labeled-data/vid"
    images.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(folder / name, images)
    with (images / "CollectedData_me.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    limbs = [[NAMES[place - 1] for place in limb] for limb in LIMBS]
    (folder / "config.yaml").write_text(yaml.safe_dump({"skeleton": limbs}))
    return folder


# ---- and back ----

TOOLS = {
    "coco": (write_coco, []),
    "cvat": (write_cvat, ["--rename=person_box=person"]),
    "label_studio": (write_label_studio, ["--hidden_flag=hidden"]),
    "labelme": (write_labelme, ["--hidden_flag=hidden"]),
    "yolo_pose": (write_yolo_pose, []),
    "deeplabcut": (write_deeplabcut, ["--box_from=keypoints", "--box_margin=1px"]),
}
# What the tools cannot say.
WITHOUT = {
    "yolo_pose": {"segmentation", "skeleton"},
    "label_studio": {"skeleton"},
    "labelme": {"skeleton"},
    "deeplabcut": {"bbox", "segmentation", "visibility"},
}


@pytest.mark.parametrize("tool", TOOLS)
@SOME
@hypothesis.given(content=people())
def test_nothing_is_lost(tool, content, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp(tool)
    for name in FILES:
        shutil.copy(data / "images" / name, folder)
    write, flags = TOOLS[tool]
    source, output = write(content, folder), folder / "out" / "people.json"
    names = folder / "names.yaml"
    names.write_text(yaml.safe_dump({"name": "own", "keypoints": NAMES}))
    command = ["import", f"--from={tool}", f"--input={source}", f"--output={output}"]
    if tool == "label_studio":  # Of images without objects it does not tell the size.
        command.append(f"--image_dir={folder}")
    without = WITHOUT.get(tool, set())
    if "skeleton" in without:
        command.append(f"--skeleton={names}")
    assert import_annotations.main([*command, "--area_from=box", *flags]) == 0
    compare(content, json.loads(output.read_text()), without)


def compare(before, after, without):
    wanted, found = (
        {
            image["file_name"].split("/")[-1]: of_image(content, image["id"])
            for image in content["images"]
        }
        for content in (before, after)
    )
    assert [*wanted] == [*found]
    if not before["annotations"]:
        return
    if not ({"skeleton", "bbox"} & without):
        (category,) = after["categories"]
        assert (category["keypoints"], category["skeleton"]) == (NAMES, LIMBS)
    for name in wanted:
        if "bbox" in without:  # Whoever has no keypoint is nothing then.
            wanted[name] = [p for p in wanted[name] if p["num_keypoints"]]
        assert len(wanted[name]) == len(found[name])
        for person, other in zip(wanted[name], found[name], strict=True):
            compare_people(person, other, without)


def compare_people(person, other, without):
    for key in {"bbox", "segmentation"} - without:
        np.testing.assert_allclose(other[key], person[key], atol=1e-4)
    # Who has none at all may be told from those of whom none is labelled.
    points = np.reshape(other.get("keypoints", [0] * 9), (3, 3)).astype(float)
    expected = np.reshape(person["keypoints"], (3, 3)).astype(float)
    if "visibility" in without:
        expected[:, 2] = 2 * (expected[:, 2] > 0)
    np.testing.assert_allclose(points, expected, atol=1e-4)


@SOME
@hypothesis.given(content=people())
def test_what_is_imported_is_imported_again_without_a_change(content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("again")
    source, output = write_coco(content, folder), folder / "out" / "people.json"
    command = ["import", "--from=coco", f"--input={source}", f"--output={output}"]
    assert import_annotations.main(command) == 0
    assert json.loads(output.read_text()) == content
