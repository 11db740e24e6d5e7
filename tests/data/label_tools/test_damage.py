"""Files with one thing changed at random: read, or refused in a sentence.

What is written must be what the converters take.
"""

import copy
import json
import re
import shutil
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from hrnet_tf.data.files.coco_objects import read_coco_objects
from hrnet_tf.data.files.coco_people import read_coco_people
from hrnet_tf.data.files.faults import Faults
from hrnet_tf.data.label_tools.annotations import Choices
from hrnet_tf.data.label_tools.boxes import Margin
from hrnet_tf.data.label_tools.importing import import_annotations
from hrnet_tf.data.label_tools.source import Source
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.messages import UserError

CHOICES = Choices(
    box_from=("segmentation", "keypoints"),
    box_margin=Margin(pixels=3),
    area_from="box",
)
MANY = hypothesis.settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
ODD_VALUES = st.sampled_from(
    [
        *(None, True, -1, 0, 2, 3.5, 10**12, 10**400, float("nan"), float("inf")),
        *("", " ", "x", "7", "\ud800", "\0", "../../x", "/", "a\nb", "person"),
        *([], [1], [[]], [None], [[1, 2]], {}, {"x": 1}, [{}], ["a", "a"]),
    ]
)
ODD_TEXTS = st.sampled_from(
    ["", " ", "x", "-1", "nan", "1e400", "1_0", "9" * 30, "1,2", "\udcff", "\0", "a b"]
)


def run(tool, path, on_error):
    """Imports; whatever is refused must be a sentence, and written files complete."""
    output = path.parent / "out" / "people.json"
    shutil.rmtree(output.parent, ignore_errors=True)
    source = Source(path=str(path), faults=Faults(on_error))
    try:
        import_annotations(tool, source, str(output), choices=CHOICES)
    except UserError as error:
        assert "\n" not in str(error).strip()
        assert not output.exists()
        return
    skeletons = list(output.parent.glob("*.yaml"))
    read_coco_objects(str(output), False, Faults("fail"))
    if len(skeletons) == 1:
        skeleton = load_skeleton(str(skeletons[0]))
        read_coco_people(str(output), skeleton, "all", Faults("fail"))


def places(content, before=()):
    """Paths of all values in JSON."""
    yield before
    if isinstance(content, (dict, list)):
        pairs = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in pairs:
            yield from places(value, (*before, key))


def change(content, place, value):
    """A copy of JSON with one value changed; removed if the new one is `...`."""
    if not place:
        return value
    content = copy.deepcopy(content)
    parent = content
    for key in place[:-1]:
        parent = parent[key]
    if value is ...:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    return content


FILES = {
    "labelme": "labelme/a.json",
    "label_studio": "label_studio_sleap.json",
    "coco": "coco_datumaro.json",
}


@pytest.mark.parametrize("tool", FILES)
@MANY
@hypothesis.given(drawn=st.data(), on_error=st.sampled_from(["fail", "skip"]))
def test_json(data, tool, drawn, on_error):
    path = data / FILES[tool]
    source = Path(__file__).parents[2] / "testdata/label_tools" / FILES[tool]
    content = json.loads(source.read_text())
    if tool == "label_studio":
        content[0]["data"] = {"image": "a.png"}
    place = drawn.draw(st.sampled_from([*places(content)]))
    value = drawn.draw(ODD_VALUES | st.just(...) if place else ODD_VALUES)
    path.write_text(json.dumps(change(content, place, value)))
    run(tool, path, on_error)


@MANY
@hypothesis.given(drawn=st.data(), value=ODD_TEXTS)
@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_xml(data, drawn, value, on_error):
    path = data / "cvat_datumaro.xml"
    source = Path(__file__).parents[2] / "testdata/label_tools/cvat_datumaro.xml"
    text = source.read_text()
    found = [*re.finditer(r'(?<==")[^"]*|(?<=>)[^<]*', text)]
    start, end = drawn.draw(st.sampled_from(found)).span()
    changed = text[:start] + value + text[end:]
    path.write_bytes(changed.encode("utf-8", "surrogateescape"))
    run("cvat", path, on_error)


@MANY
@hypothesis.given(drawn=st.data(), value=ODD_TEXTS)
@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_tables_and_lines(data, drawn, value, on_error):
    source = Path(__file__).parents[2] / "testdata/label_tools"
    tool = drawn.draw(st.sampled_from(["deeplabcut", "yolo_pose"]))
    if tool == "deeplabcut":
        name, cells = "deeplabcut/CollectedData_me.csv", "[^,\n]+"
        folder = data / "labeled-data/vid"
        path = folder / "CollectedData_me.csv"
        shutil.copytree(data / "images", folder, dirs_exist_ok=True)
    else:
        name, cells = "yolo_pose_ultralytics.txt", "[^ \n]+"
        path = data / "labels/a.txt"
        path.parent.mkdir(exist_ok=True)
        (data / "data.yaml").write_text(
            "train: images\nkpt_shape: [3, 3]\nnames: [person]\n"
        )
    text = (source / name).read_text()
    start, end = drawn.draw(st.sampled_from([*re.finditer(cells, text)])).span()
    changed = text[:start] + value + text[end:]
    path.write_bytes(changed.encode("utf-8", "surrogateescape"))
    run(tool, path if tool == "deeplabcut" else data / "data.yaml", on_error)


@MANY
@hypothesis.given(
    key=st.sampled_from(
        ["path", "kpt_shape", "names", "train", "flip_idx", "kpt_names"]
    ),
    value=ODD_VALUES,
)
def test_descriptions_of_data_sets(data, key, value):
    spec = {"train": "images", "kpt_shape": [3, 3], "names": ["person"], key: value}
    (data / "data.yaml").write_text(json.dumps(spec))
    run("yolo_pose", data / "data.yaml", "fail")


@MANY
@hypothesis.given(place=st.integers(0, 18279), bit=st.integers(0, 7))
def test_bits_of_hdf5(data, place, bit):
    folder = data / "labeled-data/vid"
    shutil.copytree(data / "images", folder, dirs_exist_ok=True)
    source = Path(__file__).parents[2] / "testdata/label_tools/deeplabcut"
    content = bytearray((source / "CollectedData_me.h5").read_bytes())
    content[place] ^= 1 << bit
    path = folder / "CollectedData_me.h5"
    path.write_bytes(content)
    run("deeplabcut", path, "fail")
