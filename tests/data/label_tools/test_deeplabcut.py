"""DeepLabCut's tables. testdata/label_tools/deeplabcut was written by pandas 2.3.

As DeepLabCut does: `to_csv`, and `to_hdf(key="df_with_missing")`, of one table with
two animals and a body part that is there once.
"""

import shutil

import h5py
import numpy as np
import pytest

FLAGS = [
    "--area_from=box",
    "--box_from=keypoints",
    "--box_margin=20px",
    "--category=mouse",
]
ONE = """scorer,me,me,me,me
bodyparts,nose,nose,tail,tail
coords,x,y,x,y
labeled-data/vid/a.png,15.0,11.25,,
labeled-data\\vid\\b.png,1.5,2,41,20
"""


@pytest.fixture
def project(data):
    folder = data / "project"
    shutil.copytree(data / "images", folder / "labeled-data/vid")
    return folder


def table(project, text=None, name="CollectedData_me.csv"):
    path = project / "labeled-data/vid" / name
    if text is None:
        shutil.copy(project.parent / "deeplabcut" / name, path)
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("suffix", ["csv", "h5"])
def test_several_animals_lose_nothing(project, importing, suffix):
    path = table(project, name=f"CollectedData_me.{suffix}")
    found = importing("deeplabcut", path, *FLAGS)
    mouse, single = found.content["categories"]
    assert (mouse["name"], mouse["keypoints"]) == ("mouse", ["nose", "tail, tip"])
    assert (single["name"], single["keypoints"]) == ("single", ["corner"])
    names = [image["file_name"] for image in found.content["images"]]
    assert names == ["labeled-data/vid/a.png", "labeled-data/vid/b.png"]
    assert found.keypoints(0) == [[15, 11.25, 2], [0, 0, 0]]
    assert found.keypoints(1) == [[45, 12, 2], [41, 20, 2]]
    assert found.keypoints(2) == [[2, 3, 2]]
    assert found.keypoints(3) == [[2.5, 3.5, 2]]
    individuals = [entry["attributes"]["individual"] for entry in found.objects]
    assert individuals == ["mus1", "mus2", "single", "single"]
    assert found.objects[1]["bbox"] == [21, 0, 43, 40]  # clipped to 64x48
    assert (
        "4    boxes missing, made from the keypoints with a margin of 20px" in found.out
    )
    assert "visibility: every labelled keypoint is written as visible" in found.out
    yamls = sorted(path.name for path in found.path.parent.glob("*.yaml"))
    assert yamls == ["people.skeleton.1.yaml", "people.skeleton.2.yaml"]
    assert "--category=mouse" in found.out


def test_a_project_of_one_animal(project, importing):
    table(project, ONE)
    table(project, name="CollectedData_me.h5")  # passed over: the CSV is the same
    (project / "config.yaml").write_text(
        "Task: x\nskeleton:\n- [tail, nose]\n- - nose\n  - tail\n- [nose, gone]\n"
    )
    found = importing("deeplabcut", project, *FLAGS)
    assert found.skeleton == {
        "name": "mouse",
        "keypoints": ["nose", "tail"],
        "limbs": [["tail", "nose"]],
    }
    assert found.keypoints(1) == [[1.5, 2, 2], [41, 20, 2]]
    assert "with unknown body parts, left out: gone" in found.out
    first, second = found.records(project)
    np.testing.assert_allclose(first["keypoints"][0], [[15, 11.25, 2], [0, 0, 0]])
    assert second["num_keypoints"] == [2]


def test_a_frame_without_labels_is_an_image_without_objects(project, importing):
    lines = ONE.splitlines()
    lines[-1] = "labeled-data/vid/b.png,,nan,NaN,"
    found = importing("deeplabcut", table(project, "\n".join(lines)), *FLAGS)
    assert len(found.content["images"]) == 2
    assert len(found.objects) == 1


def test_one_point_needs_a_margin_in_pixels(project, refused):
    flags = [flag for flag in FLAGS if "margin" not in flag] + ["--box_margin=10%"]
    sentence = refused("deeplabcut", table(project, ONE), *flags)
    assert "1 labelled keypoints span no area" in sentence
    assert "give --box_margin in pixels: 20px" in sentence


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("bodyparts", "parts", "no header row begins with 'bodyparts'"),
        ("coords,x", "coords,likelihood", "these are a network's predictions"),
        ("coords,x,y,x,y", "coords,x,y,x,z", "one column x and one column y"),
        ("coords,x,y,x,y", "coords,x,y,x,x", "one column x and one column y"),
        ("tail,tail", "tail,toe", "'tail' has only a column x"),
        ("coords,x,y,x,y", "coords,x,y", "different numbers of cells"),
        ("tail,tail", "nose,nose", "one column x and one column y"),
        ("15.0,11.25", "15.0,abc", "y of 'nose' is 'abc'; it must be a number"),
        ("15.0,11.25", "15.0,1e400", "y of 'nose' is inf"),
        ("15.0,11.25", "15.0,", "'nose' has x or y, but not both"),
        ("15.0,11.25,,", "15.0,11.25", "row 4: the row has 3 cells and the headers 5"),
        ("vid/a.png", "vid/gone.png", "gone.png does not exist; give the folder"),
        (ONE, '"', "it is not a table"),
        (ONE, "", "no header row begins with 'bodyparts'"),
        ("nose", "\0", "a body part is '\\x00'"),
    ],
)
def test_damaged_tables_are_refused(project, refused, old, new, expected):
    path = table(project, ONE.replace(old, new))
    assert expected in refused("deeplabcut", path, *FLAGS)


def test_points_outside_are_refused_with_their_box(project, refused):
    path = table(project, ONE.replace("15.0,11.25", "900,11"))
    sentence = refused("deeplabcut", path, *FLAGS)
    assert "all its keypoints are outside the image" in sentence


def test_other_tables_of_hdf5_are_refused(project, refused):
    path = table(project, name="CollectedData_me.h5")
    content = path.read_bytes()
    path.write_bytes(content[:3000])
    assert "is not a table as pandas writes it" in refused("deeplabcut", path, *FLAGS)
    path.write_bytes(content)
    with h5py.File(path, "a") as file:
        del file["df_with_missing/block0_values"]
    assert "not a plain table of one kind of numbers; give the CollectedData_*.csv" in (
        refused("deeplabcut", path, *FLAGS)
    )


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("skeleton: 3", "skeleton is 3; it must be a list"),
        ("skeleton: [nose]", "skeleton holds 'nose'; it must be a pair"),
        ("skeleton: [[nose, 3]]", "a body part is 3"),
        ("skeleton: [", "config.yaml is not valid YAML"),
    ],
)
def test_a_damaged_config_is_refused(project, refused, config, expected):
    table(project, ONE)
    (project / "config.yaml").write_text(config)
    assert expected in refused("deeplabcut", project, *FLAGS)


def test_two_scorers_are_refused(project, refused):
    table(project, ONE)
    table(project, ONE, name="CollectedData_you.csv")
    sentence = refused("deeplabcut", project, *FLAGS)
    assert "are labels of one video by two scorers" in sentence


def test_a_folder_of_something_else_is_refused(data, refused):
    assert "has no file *.csv or *.h5" in refused("deeplabcut", data / "images", *FLAGS)
    (data / "images/x.csv").write_text("")
    assert "has no CollectedData" in refused("deeplabcut", data / "images", *FLAGS)
