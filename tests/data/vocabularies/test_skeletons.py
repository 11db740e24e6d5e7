"""Built-in skeletons against COCO and MPII facts; wrong skeleton files."""

import pathlib
import time

import pytest
import yaml

from hrnet_tf.data.vocabularies import skeletons

EXAMPLE = pathlib.Path(__file__).parents[3] / "configs/pose/skeleton_example.yaml"
FOLDER = pathlib.Path(skeletons.__file__).with_name("skeleton_files")


def write_skeleton(folder, **changes):
    """A valid five-keypoint file with `changes`; a change to None drops the key."""
    spec = {
        "name": "mug",
        "keypoints": ["rim_left", "rim_right", "base_left", "base_right", "handle"],
        "flip_pairs": [["rim_left", "rim_right"], ["base_left", "base_right"]],
        "limbs": [["rim_left", "base_left"], ["rim_right", "handle"]],
        "sigmas": [0.01, 0.02, 0.03, 0.04, 0.05],
        "upper_body": ["rim_left", "rim_right"],
        **changes,
    }
    path = folder / "mug.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in spec.items() if v is not None}))
    return str(path)


def test_coco17():
    coco = skeletons.load_skeleton("coco17")
    assert coco.num_keypoints == len(coco.sigmas) == 17
    assert coco.keypoints[0] == "nose"
    assert coco.keypoints[9] == "left_wrist"
    assert coco.keypoints[16] == "right_ankle"
    assert coco.flip_permutation == (
        *(0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15),
    )
    assert coco.upper_body == tuple(range(11))
    # The list of COCO's person category, which counts from 1.
    coco_json = (
        *((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7)),
        *((6, 8), (7, 9), (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5)),
        *((4, 6), (5, 7)),
    )
    assert set(coco.limbs) == {(first - 1, second - 1) for first, second in coco_json}


def test_coco17_sigmas_are_those_of_pycocotools():
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    expected = cocoeval.Params(iouType="keypoints").kpt_oks_sigmas
    assert skeletons.load_skeleton("coco17").sigmas == pytest.approx(expected)


def test_mpii16():
    mpii = skeletons.load_skeleton("mpii16")
    assert mpii.num_keypoints == len(mpii.sigmas) == 16
    assert mpii.flip_permutation == (
        *(5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10),
    )
    assert mpii.upper_body == (7, 8, 9, 10, 11, 12, 13, 14, 15)


def test_every_skeleton_file_is_built_in_and_like_a_user_s_own(tmp_path):
    files = sorted(FOLDER.glob("*.yaml"))
    assert {path.stem for path in files} == set(skeletons.BUILT_IN)
    for path in files:
        assert path.stem == skeletons.load_skeleton(path.stem).name
        copy = tmp_path / path.name
        copy.write_text(path.read_text())
        again = skeletons.load_skeleton(str(copy))
        assert again == skeletons.load_skeleton(path.stem)
        assert again.unlisted_pairs == ()


def test_seventeen_keypoints_without_names_are_coco_s():
    """They are taken for those of the first skeleton of as many."""
    assert next(
        s.name for s in skeletons.BUILT_IN.values() if s.num_keypoints == 17
    ) == ("coco17")


# Official lib/utils/transforms.py of the facial landmark code, which counts WFLW's
# points from 0 and the others' from 1.
FACES = {
    "wflw98": (
        *((a, 32 - a) for a in range(16)),
        *((33, 46), (34, 45), (35, 44), (36, 43), (37, 42), (38, 50), (39, 49)),
        *((40, 48), (41, 47), (60, 72), (61, 71), (62, 70), (63, 69), (64, 68)),
        *((65, 75), (66, 74), (67, 73), (55, 59), (56, 58), (76, 82), (77, 81)),
        *((78, 80), (87, 83), (86, 84), (88, 92), (89, 91), (95, 93), (96, 97)),
    ),
    "300w68": (
        *((a, 18 - a) for a in range(1, 9)),
        *((18, 27), (19, 26), (20, 25), (21, 24), (22, 23), (32, 36), (33, 35)),
        *((37, 46), (38, 45), (39, 44), (40, 43), (41, 48), (42, 47), (49, 55)),
        *((50, 54), (51, 53), (62, 64), (61, 65), (68, 66), (59, 57), (60, 56)),
    ),
    "cofw29": (
        *((1, 2), (5, 7), (3, 4), (6, 8), (9, 10), (11, 12), (13, 15), (17, 18)),
        *((14, 16), (19, 20), (23, 24)),
    ),
    "aflw19": ((1, 6), (2, 5), (3, 4), (7, 12), (8, 11), (9, 10), (13, 15), (16, 18)),
}


@pytest.mark.parametrize("name", FACES)
def test_faces_have_the_official_mirror_images(name):
    face = skeletons.load_skeleton(name)
    first = 0 if name == "wflw98" else 1
    expected = {frozenset((a - first, b - first)) for a, b in FACES[name]}
    assert {frozenset(pair) for pair in face.flip_pairs} == expected


@pytest.mark.parametrize(
    ("name", "corners"),
    [("wflw98", (60, 72)), ("300w68", (36, 45)), ("cofw29", (8, 9))],
)
def test_faces_name_the_outer_corners_of_eyes(name, corners):
    """Their distance normalises errors."""
    face = skeletons.load_skeleton(name)
    found = tuple(face.keypoints.index(f"{s}_eye_outer") for s in ("right", "left"))
    assert found == corners


def test_whole_bodies_are_made_of_bodies_faces_and_hands():
    whole = skeletons.load_skeleton("coco_wholebody133")
    coco, hand = skeletons.load_skeleton("coco17"), skeletons.load_skeleton("hand21")
    assert whole.keypoints[:17] == coco.keypoints
    assert whole.sigmas[:17] == coco.sigmas
    assert whole.sigmas[91:112] == whole.sigmas[112:] == hand.sigmas
    assert whole.sigmas[17:24] == (0.068, 0.066, 0.066, 0.092, 0.094, 0.094, 0.042)
    face = skeletons.load_skeleton("300w68")
    assert [name.replace("face_", "") for name in whole.keypoints[23:91]] == [
        *face.keypoints
    ]
    # From one part to another, in a mirror as well.
    assert whole.flip_permutation[91] == 112 and whole.flip_permutation[17] == 20
    assert {tuple(i + 23 for i in limb) for limb in face.limbs} <= set(whole.limbs)


@pytest.mark.parametrize("name", [*skeletons.BUILT_IN, str(EXAMPLE)])
def test_skeletons_are_consistent(name):
    skeleton = skeletons.load_skeleton(name)
    permutation = skeleton.flip_permutation
    everything = list(range(skeleton.num_keypoints))
    assert [permutation[i] for i in permutation] == everything, "a mirror undoes itself"
    assert len(set(skeleton.keypoints)) == skeleton.num_keypoints
    for left, right in skeleton.flip_pairs:
        assert skeleton.keypoints[left].startswith("left_")
        assert skeleton.keypoints[right] == skeleton.keypoints[left].replace(
            "left_", "right_"
        )
    unpaired = [i for i in everything if permutation[i] == i]
    for i in unpaired:
        assert not skeleton.keypoints[i].startswith(("left_", "right_"))
    assert all(sigma > 0 for sigma in skeleton.sigmas)
    assert all(0 <= i < skeleton.num_keypoints for limb in skeleton.limbs for i in limb)


def test_limb_colors_tell_sides_apart():
    coco = skeletons.load_skeleton("coco17")
    color = dict(zip(coco.limbs, coco.limb_colors, strict=True))
    left_leg, right_leg, shoulders = color[13, 11], color[14, 12], color[5, 6]
    assert len({left_leg, right_leg, shoulders}) == 3
    assert color[0, 1] == color[7, 9] == left_leg, "nose to left eye is left"
    assert color[0, 2] == color[8, 10] == right_leg
    assert color[11, 12] == shoulders


def test_limb_colors_can_be_given(tmp_path):
    colors = [[1, 2, 3], [255, 0, 128]]
    mug = skeletons.load_skeleton(write_skeleton(tmp_path, limb_colors=colors))
    assert mug.limb_colors == ((1, 2, 3), (255, 0, 128))
    assert skeletons.skeleton_from_spec(mug.to_spec(), "again") == mug
    hand = skeletons.load_skeleton("hand21")
    color = dict(zip(hand.limbs, hand.limb_colors, strict=True))
    fingers = [color[0, tip - 3] for tip in range(4, 21, 4)]
    assert len(set(fingers)) == 5
    assert [color[tip - 1, tip] for tip in range(4, 21, 4)] == fingers


def test_colors_by_sides_are_none_of_one_s_own(tmp_path):
    """Exported models list them, and are of the same skeleton."""
    mug = skeletons.load_skeleton(write_skeleton(tmp_path))
    listed = {**mug.to_spec(), "limb_colors": [list(c) for c in mug.limb_colors]}
    assert skeletons.skeleton_from_spec(listed, "listed") == mug


def test_reads_a_file(tmp_path):
    mug = skeletons.load_skeleton(write_skeleton(tmp_path))
    assert mug == skeletons.Skeleton(
        name="mug",
        keypoints=("rim_left", "rim_right", "base_left", "base_right", "handle"),
        flip_pairs=((0, 1), (2, 3)),
        sigmas=(0.01, 0.02, 0.03, 0.04, 0.05),
        limbs=((0, 2), (1, 4)),
        upper_body=(0, 1),
    )


def test_what_errors_are_divided_by(tmp_path):
    pair = ["rim_left", "handle"]
    mug = skeletons.load_skeleton(write_skeleton(tmp_path, normalizer=pair))
    assert mug.normalizer == ("rim_left", "handle")
    again = skeletons.skeleton_from_spec(mug.to_spec(), "again")
    assert again.normalizer == mug.normalizer
    # Evaluations alone use it.
    assert mug == skeletons.load_skeleton(write_skeleton(tmp_path))
    named = skeletons.load_skeleton(write_skeleton(tmp_path, normalizer="bbox_side"))
    assert named.normalizer == named.to_spec()["normalizer"] == "bbox_side"
    eyes = ("right_eye_outer", "left_eye_outer")
    lengths = {name: skeletons.load_skeleton(name).normalizer for name in FACES}
    assert lengths == {**dict.fromkeys(FACES, eyes), "aflw19": "annotations"}


def test_optional_keys_have_defaults(tmp_path):
    path = write_skeleton(
        tmp_path, flip_pairs=None, limbs=None, sigmas=None, upper_body=None
    )
    mug = skeletons.load_skeleton(path)
    assert mug.flip_permutation == (0, 1, 2, 3, 4)
    assert mug.sigmas == (0.05,) * 5
    assert mug.limbs == mug.limb_colors == mug.upper_body == ()
    assert mug.normalizer == ""


def test_flip_pairs_are_derived_if_asked_for_and_else_told_of(tmp_path, log, caplog):
    caplog.set_level("INFO", "hrnet_tf")
    auto = skeletons.load_skeleton(write_skeleton(tmp_path, flip_pairs="auto"))
    assert auto.flip_pairs == ((0, 1), (2, 3))
    found = "finds [rim_left, rim_right], [base_left, base_right]."
    assert f"flip_pairs: auto {found}" in log() and "WARNING" not in log()
    (tmp_path / "without").mkdir()
    path = write_skeleton(tmp_path / "without", flip_pairs=None)
    mug = skeletons.load_skeleton(path)
    assert mug.flip_pairs == ()
    pairs = "flip_pairs: [[rim_left, rim_right], [base_left, base_right]]"
    assert path in log() and pairs in log()
    (tmp_path / "none").mkdir()
    path = write_skeleton(tmp_path / "none", flip_pairs=[])
    assert skeletons.load_skeleton(path).flip_pairs == ()
    assert path not in log()


def test_sigmas_by_name(tmp_path):
    names = ["handle", "base_right", "base_left", "rim_right", "rim_left"]
    path = write_skeleton(tmp_path, sigmas=dict(zip(names, range(1, 6), strict=True)))
    assert skeletons.load_skeleton(path).sigmas == (5.0, 4.0, 3.0, 2.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": None}, ["name is missing"]),
        ({"name": 3}, ["name is 3"]),
        ({"keypoints": None}, ["keypoints is missing"]),
        ({"keypoints": []}, ["keypoints is []", "at least one"]),
        ({"keypoints": "handle"}, ["keypoints is 'handle'"]),
        ({"keypoints": ["handle", True]}, ["keypoints[1] is true", "quotes"]),
        ({"keypoints": ["a", "b", "a"]}, ["keypoints[2] repeats 'a'"]),
        ({"flip_pair": []}, ["flip_pair", "did you mean 'flip_pairs'"]),
        ({"flip_pairs": "none"}, ["flip_pairs is 'none'"]),
        ({"flip_pairs": [["rim_left"]]}, ["flip_pairs[0]", "['rim_left']"]),
        (
            {"flip_pairs": [["rim_left", "rim_rigth"]]},
            ["flip_pairs[0]", "'rim_rigth'", "did you mean 'rim_right'"],
        ),
        ({"flip_pairs": [["handle", "handle"]]}, ["flip_pairs[0]", "itself"]),
        (
            {"flip_pairs": [["rim_left", "rim_right"], ["handle", "rim_left"]]},
            ["flip_pairs[1]", "'rim_left'", "earlier pair"],
        ),
        ({"limbs": [["rim_left", 4]]}, ["limbs[0]", "4", "not in keypoints"]),
        (
            {"limbs": [["rim_left", "handle"], ["handle", "rim_left"]]},
            ["limbs[1]", "repeats"],
        ),
        ({"sigmas": [0.1, 0.2]}, ["sigmas has 2 values for 5 keypoints"]),
        ({"sigmas": [0.1, 0.1, 0.1, 0.1, 0]}, ["sigmas", "'handle'", "0", "positive"]),
        ({"sigmas": [0.1, 0.1, 0.1, 0.1, float("nan")]}, ["'handle'", "nan"]),
        ({"sigmas": [0.1, 0.1, 0.1, 0.1, "big"]}, ["'handle'", "'big'"]),
        ({"sigmas": [0.1, 0.1, 0.1, 0.1, True]}, ["'handle'", "true"]),
        ({"sigmas": [0.1, 0.1, 0.1, 0.1, 1e300]}, ["'handle'", "0.0001 to 10"]),
        ({"sigmas": [0.1, 0.1, 0.1, 0.1, 1e-300]}, ["'handle'", "0.0001 to 10"]),
        ({"sigmas": [0.1, 0.1, 0.1, 0.1, -1]}, ["'handle'", "-1"]),
        ({"name": "a\nb"}, [r"name is 'a\nb'", "on one line"]),
        ({"keypoints": ["a", " "]}, ["keypoints[1] is ' '"]),
        ({"keypoints": ["a", "b\x1b[2J"]}, [r"keypoints[1] is 'b\x1b[2J'"]),
        ({"keypoints": [f"k{i}" for i in range(1001)]}, ["at most 1000"]),
        ({"flip_pairs": False}, ["flip_pairs is false"]),
        ({"flip_pairs": {"a": "b"}}, ["flip_pairs is {'a': 'b'}"]),
        ({"limbs": 1.5}, ["limbs is 1.5"]),
        ({"limb_colors": "red"}, ["limb_colors is 'red'", "triples"]),
        ({"limb_colors": [[1, 2, 3]]}, ["has 1 colours for 2 limbs"]),
        ({"limb_colors": [[1, 2, 3], [1, 2, 256]]}, ["limb_colors[1]", "256"]),
        ({"limb_colors": [[1, 2, True], [1, 2, 3]]}, ["limb_colors[0]", "0 to 255"]),
        ({"sigmas": {"rim_left": 0.1}}, ["no value for 'rim_right'", "and 1 more"]),
        ({"sigmas": {"rim": 0.1}}, ["sigmas", "'rim'", "not in keypoints"]),
        ({"sigmas": 0.1}, ["sigmas is 0.1"]),
        ({"normalizer": "bbox_sid"}, ["normalizer is 'bbox_sid'", "'bbox_side'"]),
        ({"normalizer": ["handle"]}, ["normalizer is ['handle']", "two keypoints"]),
        ({"normalizer": ["handle", "handle"]}, ["normalizer", "two keypoints"]),
        ({"normalizer": ["handle", "rim"]}, ["normalizer[1]", "'rim'"]),
        ({"normalizer": 3}, ["normalizer is 3"]),
        ({"upper_body": ["head"]}, ["upper_body[0]", "'head'"]),
        ({"upper_body": ["handle", "handle"]}, ["upper_body[1] repeats 'handle'"]),
    ],
)
def test_wrong_file(tmp_path, changes, expected):
    check_refused(tmp_path, changes, expected)


LONG = "x" * 5000
EMPTY = dict.fromkeys(("flip_pairs", "limbs", "sigmas", "upper_body"))


@pytest.mark.parametrize(
    "changes",
    [
        {"keypoints": [LONG, LONG]},
        {"flip_pairs": [[LONG, LONG]]},
        {"flip_pairs": [[LONG, "a"], ["b", LONG]]},
        {"flip_pairs": [[f"{LONG}y", "a"]]},
        {"sigmas": [0, 0.1, 0.1]},
        {"sigmas": {"a": 0.1}},
        {"upper_body": [LONG, LONG]},
    ],
)
def test_long_names_are_not_quoted_whole(tmp_path, changes):
    text = check_refused(tmp_path, {**EMPTY, "keypoints": [LONG, "a", "b"], **changes})
    assert len(text.replace(str(tmp_path), "")) < 500


def check_refused(tmp_path, changes, expected=()):
    path = write_skeleton(tmp_path, **changes)
    with pytest.raises(skeletons.SkeletonError) as error:
        skeletons.load_skeleton(path)
    for part in [path, *expected]:
        assert part in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "holds nothing"),
        ("[a, b]", "must hold a mapping"),
        ("name: [", "is not valid YAML"),
        ("name: a\nkeypoints: [b]\nname: c", "'name' is given twice"),
        ("[a]: b", "is not valid YAML"),
        ("name: 2020-13-45", "is not valid YAML"),
        (b"\xff\xfe\x00name", "is not valid YAML"),
    ],
)
def test_file_that_is_no_skeleton(tmp_path, content, expected):
    path = tmp_path / "wrong.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(skeletons.SkeletonError, match=expected) as error:
        skeletons.load_skeleton(str(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(skeletons.SkeletonError, match="'coco17'"):
        skeletons.load_skeleton("coco71")
    with pytest.raises(skeletons.SkeletonError, match=r"no skeleton file 'my\.yaml'"):
        skeletons.load_skeleton("my.yaml")


def test_numbers_beyond_all_floats_are_refused():
    """JSON, of a model's metadata, may hold them."""
    spec = {"name": "a", "keypoints": ["b"], "sigmas": [10**400]}
    with pytest.raises(skeletons.SkeletonError, match="gives 'b' the value 1000"):
        skeletons.skeleton_from_spec(spec, "a")


def test_many_pairs_take_no_time():
    names = [f"k{i}" for i in range(1000)]
    limbs = [[a, b] for a in names[:100] for b in names[500:]]
    spec = {"name": "a", "keypoints": names, "limbs": limbs}
    start = time.monotonic()
    assert len(skeletons.skeleton_from_spec(spec, "a").limbs) == 50_000
    assert time.monotonic() - start < 5
