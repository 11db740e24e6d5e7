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
    ],
)
def test_names_of_other_things(names):
    assert mirror_pairs(names) == []


def test_a_name_has_one_mirror_image():
    names = ["left_arm_l", "right_arm_l", "left_arm_r"]
    assert mirror_pairs(names) == [("left_arm_l", "right_arm_l")]
