import pytest

from hrnet_tf.data.vocabularies.vocabulary import mirror_pairs


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left_eye", "right_eye"),
        ("eye_left", "eye_right"),
        ("eye_l", "eye_r"),
        ("l_eye", "r_eye"),
        ("Left Eye", "Right Eye"),
        ("LEFT EYE", "RIGHT EYE"),
        ("eye.L", "eye.R"),
        ("L-eye", "R-eye"),
        ("LeftEye", "RightEye"),
        ("leftEye", "rightEye"),
        ("eyeLeft", "eyeRight"),
        ("lEye", "rEye"),
        ("LEye", "REye"),
        ("eyeL", "eyeR"),
        ("l1", "r1"),
        ("left", "right"),
        ("lhip", "rhip"),
        ("LHIP_1", "RHIP_1"),
        ("Lsho", "Rsho"),
        ("FL_wheel", "FR_wheel"),
        ("RL", "RR"),
        ("LR", "RR"),
        ("wheel_fl", "wheel_fr"),
        ("lf_paw", "rf_paw"),
        ("lt_arm", "rt_arm"),
        ("arm.LT", "arm.RT"),
        ("left_hand_left_thumb", "right_hand_right_thumb"),
        ("l_hand_l_thumb", "r_hand_r_thumb"),
        ("left_hand_right_thumb", "right_hand_left_thumb"),
        ("right_hand_l", "right_hand_r"),
        ("left_bright_lamp", "right_bright_lamp"),
    ],
)
def test_names_of_mirror_images(left, right):
    for names in ([left, "nose", right], [right, left, "nose"]):
        assert mirror_pairs(names) == [(left, right)]


@pytest.mark.parametrize(
    "names",
    [
        ["wall", "warr", "clown", "crown", "ball", "barr", "late", "rate"],
        ["left_eye", "right_ear", "l_x", "r_y"],
        ["a", "b"],
        ["lip", "rip"],
        ["lake", "rake", "nose"],
        ["lake", "rake", "lamp", "ramp", "lion", "rat", "rose", "leaf", "rock", "road"],
        ["light", "right_x", "clap", "crap", "flat", "frat"],
    ],
)
def test_names_of_other_things(names):
    assert mirror_pairs(names) == []


def test_a_name_has_one_mirror_image():
    names = ["left_arm_l", "right_arm_l", "left_arm_r"]
    assert mirror_pairs(names) == [("left_arm_r", "right_arm_l")]


@pytest.mark.parametrize("left", ["l", "L"])
@pytest.mark.parametrize("parts", [("hip", "knee_1"), ("TIP", "END"), ("fin", "gill")])
def test_a_side_that_begins_several_names(left, parts):
    right = {"l": "r", "L": "R"}[left]
    pairs = [(left + part, right + part) for part in parts]
    names = ["nose", *(name for pair in pairs for name in pair), "root", "lips"]
    assert mirror_pairs(names) == pairs


def test_all_sides_change_places_if_that_name_exists():
    names = [
        f"{paw}_paw_{toe}_toe" for paw in ("left", "right") for toe in ("left", "right")
    ]
    pairs = {(names[0], names[3]), (names[1], names[2])}
    for order in (names, names[::-1]):
        assert {*mirror_pairs(order)} == pairs
