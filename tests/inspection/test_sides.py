"""People whose left and right are swapped are found, and those who turn are not."""

import numpy as np
import pytest

from hrnet_tf.data.vocabularies import skeletons
from hrnet_tf.inspection.findings import Findings, Place
from hrnet_tf.inspection.sides import MIRRORED, SWAPPED, Sides

SKELETON = skeletons.load_skeleton("coco17")
NAMES = list(SKELETON.keypoints)
FACE = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]


def crowd(count: int = 80, crossed_ankles: int = 10) -> list[np.ndarray]:
    """People of whom half show their backs, without faces; some cross their ankles."""
    random = np.random.default_rng(5)
    people = []
    for number in range(count):
        keypoints = np.full((17, 3), 2.0)
        keypoints[:, 1] = np.linspace(0, 100, 17)
        faces_us = number % 2 == 0
        for place, (left, right) in enumerate(SKELETON.flip_pairs):
            keypoints[[left, right], 1] = 12.0 * place
            half = random.uniform(5, 15) * (1 if faces_us else -1)
            keypoints[[left, right], 0] = half, -half
        keypoints[:, :2] += random.normal(0, 0.5, (17, 2))
        if not faces_us:
            keypoints[[NAMES.index(name) for name in FACE], 2] = 0
        if number < crossed_ankles:
            swap(keypoints, "ankle")
        people.append(keypoints)
    return people


def swap(keypoints: np.ndarray, *parts: str) -> None:
    """Exchanges left and right of these parts."""
    for part in parts:
        pair = [NAMES.index(f"{side}_{part}") for side in ("left", "right")]
        keypoints[pair] = keypoints[pair[::-1]]


def find(people: list[np.ndarray], skeleton=SKELETON) -> Findings:
    sides = Sides(skeleton)
    for number, keypoints in enumerate(people):
        sides.add(Place(number, f"{number}.jpg", number), 1000 + number, keypoints)
    findings = Findings(100)
    sides.report(findings)
    return findings


def test_people_who_turn_or_cross_their_ankles_are_not_doubtful():
    assert find(crowd()).counts == {}


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (["hip"], "hips"),
        (["shoulder"], "shoulders"),
        (["hip", "knee", "ankle"], "hips, knees, ankles"),
        (["eye", "ear"], "eyes, ears"),
        (["eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"], None),
    ],
)
def test_swapped_parts_are_named(parts, told):
    people = crowd()
    swap(people[40], *parts)
    findings = find(people)
    (finding,) = findings.kept(SWAPPED)
    assert (finding.annotation_id, finding.place.image_id) == (1040, 40)
    assert f"left and right of {told or 'everything'}; " in finding.sentence
    assert finding.score > np.log(10)


def test_odds_leave_the_person_out():
    people = crowd(12, crossed_ankles=0)
    swap(people[4], "hip")
    (finding,) = find(people).kept(SWAPPED)
    # Known beforehand: 9 of 10 agree; of the 11 others, all do.
    assert finding.score == pytest.approx(np.log((9 + 11) / 1))
    assert "20 times likelier" in finding.sentence


def test_the_most_doubtful_come_first():
    people = crowd()
    swap(people[60], "eye")  # contradicts only the ears
    swap(people[40], "hip", "shoulder")
    scores = [finding.score for finding in find(people).kept(SWAPPED)]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)


def test_a_person_lying_down_is_compared_along_the_own_axis():
    people = crowd()
    people[40][:, :2] = people[40][:, 1::-1] * [1, -1]
    assert find(people).counts == {}
    swap(people[40], "hip")
    assert [f.annotation_id for f in find(people).kept(SWAPPED)] == [1040]


def test_a_whole_data_set_with_eyes_on_the_wrong_sides_is_one_finding():
    people = crowd()
    for keypoints in people:
        keypoints[:, 0] *= -1
    findings = find(people)
    assert findings.counts == {MIRRORED: 1}
    assert "Of 40 people with both eyes, 40 have" in findings.kept(MIRRORED)[0].sentence


def test_people_in_profile_tell_nothing():
    people = crowd()
    people[40][:, 0] = np.random.default_rng(0).normal(0, 0.3, 17)
    assert find(people).counts == {}


def test_without_pairs_there_is_nothing_to_compare():
    spec = {"name": "dots", "keypoints": NAMES, "flip_pairs": []}
    dots = skeletons.skeleton_from_spec(spec, "test")
    assert find(crowd(), dots).counts == {}
    assert Sides(dots).table() == {}


def test_the_table_says_what_is_common():
    sides = Sides(SKELETON)
    for number, keypoints in enumerate(crowd()):
        sides.add(Place(number, "a.jpg"), number, keypoints)
    rows = sides.table()
    eyes, ankles = rows["left_eye, right_eye"], rows["left_ankle, right_ankle"]
    assert (eyes["people"], eyes["left at viewer's right"]) == (40, 1.0)
    assert ankles["left at viewer's right"] == 0.5
    assert 0.8 < ankles["in"] < 0.9 < rows["left_hip, right_hip"]["in"]
