"""Errors that are put into perfect predictions are found as what they are."""

import dataclasses

import numpy as np
import pytest
from posed_people import (
    AWAY,
    MUG,
    choose,
    drop,
    make_scene,
    near_truth,
    of_the_other,
    repeat,
)

from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.evaluation.explanation.errors import (
    GOOD,
    INVERSION,
    JITTER,
    KIND_NAMES,
    MISS,
    SWAP,
    UNLABELLED,
)

SKELETONS = [
    *(load_skeleton(name) for name in ("coco17", "crowdpose14", "hand21", "300w68")),
    MUG,
]
by_name = pytest.mark.parametrize("skeleton", SKELETONS, ids=lambda s: s.name)
PAIRED = [skeleton for skeleton in SKELETONS if skeleton.flip_pairs]

LEAST = 0.99


def inject(scene, kind, wrong):
    """Spoils the chosen keypoints in one way; returns those that were."""
    points = {
        JITTER: lambda: near_truth(scene, 0.7),
        INVERSION: lambda: scene.truth[:, scene.mirror],
        SWAP: lambda: of_the_other(scene),
        MISS: lambda: scene.truth + [AWAY, 0.0],
    }[kind]()
    # What is not labelled cannot be taken for something else.
    source = scene.annotated.keypoints[..., 2] > 0
    if kind == INVERSION:
        wrong = wrong & source[:, scene.mirror]
        wrong = wrong & (np.array(scene.mirror) != np.arange(len(scene.mirror)))
    if kind == SWAP:
        pairs = source.reshape(-1, 2, source.shape[1])
        wrong = wrong & pairs[:, ::-1].reshape(source.shape)
    scene.spoil(wrong, points)
    return wrong


@by_name
@pytest.mark.parametrize("labelled", [1.0, 0.6])
@pytest.mark.parametrize("kind", [JITTER, SWAP, MISS])
def test_what_is_put_in_is_found(kind, labelled, skeleton):
    scene = make_scene(skeleton, labelled=labelled)
    # Half of one person may as well be half of another.
    wrong = inject(scene, kind, choose(scene, most=0.35))
    assert wrong.sum() >= 5
    found = scene.explain()
    kinds = found.errors.kinds
    assert np.mean(kinds[wrong] == kind) >= LEAST
    is_labelled = scene.annotated.keypoints[..., 2] > 0
    assert np.mean(kinds[is_labelled & ~wrong] == GOOD) >= LEAST
    assert (kinds[~is_labelled] == UNLABELLED).all()
    number, share, without, gain = found.kinds.rows[KIND_NAMES[kind]]
    assert number == pytest.approx(wrong.sum(), rel=0.01)
    assert share == pytest.approx(number / is_labelled.sum())
    assert without == pytest.approx(1) and gain > 0.01


@pytest.mark.parametrize("skeleton", PAIRED, ids=lambda s: s.name)
def test_exchanged_sides_are_found(skeleton):
    scene = make_scene(skeleton, labelled=0.9)
    wrong = inject(scene, INVERSION, choose(scene, 0.4))
    assert wrong.sum() >= 5
    found = scene.explain()
    assert np.mean(found.errors.kinds[wrong] == INVERSION) >= LEAST
    _, _, without, gain = found.kinds.rows["inversion"]
    assert without == pytest.approx(1) and gain > 0.01
    for name in ("jitter", "swap", "miss", "false positive", "false negative"):
        assert found.kinds.rows[name][0] == 0


@pytest.mark.parametrize("skeleton", PAIRED, ids=lambda s: s.name)
def test_people_whose_sides_are_all_exchanged_are_found(skeleton):
    """They fit nobody by their OKS."""
    scene = make_scene(skeleton)
    everything = np.ones(scene.truth.shape[:2], bool)
    wrong = inject(scene, INVERSION, everything)
    found = scene.explain()
    assert (found.errors.kinds[wrong] == INVERSION).all()
    assert (found.errors.kinds[~wrong] == GOOD).all()
    rows = found.kinds.rows
    assert rows["false positive"][0] == rows["false negative"][0] == 0
    assert rows["inversion"][2] == pytest.approx(1)


def test_only_the_better_of_two_fits_somebody_in_the_mirror():
    scene = make_scene(MUG, num_images=2, people_per_image=1)
    inject(scene, INVERSION, np.ones((2, 3), bool))
    scene.spoil(np.array([[0, 0, 1]] * 2, bool), scene.truth + [AWAY, 0.0])
    repeat(scene, np.array([1]), offset=1, score=0.1)
    matches = scene.explain().errors.matches
    assert matches.person.tolist() == [0, 1, -1]
    assert matches.is_false.tolist() == [False, False, True]


def test_the_other_side_of_somebody_else_is_a_swap():
    scene = make_scene(SKELETONS[0])
    wrong = np.zeros(scene.truth.shape[:2], bool)
    wrong[:, 7] = True
    scene.spoil(wrong, of_the_other(scene)[:, scene.mirror])
    assert (scene.explain().errors.kinds[wrong] == SWAP).all()


def test_without_pairs_nothing_is_an_inversion():
    hand = load_skeleton("hand21")
    scene = make_scene(hand)
    scene.spoil(choose(scene), near_truth(scene, 0.6))
    found = scene.explain()
    assert found.kinds.rows["inversion"][0] == 0
    assert "no left and right" in found.notes[-1]


@by_name
def test_false_positives_are_found(skeleton):
    scene = make_scene(skeleton)
    count = len(scene.predicted.score)
    # More confident than anybody else, or AP would not mind.
    repeat(scene, np.arange(0, count, 4), AWAY, score=1.5)
    found = scene.explain()
    added = np.arange(len(scene.predicted.score)) >= count
    assert np.mean(found.errors.matches.is_false == added) >= LEAST
    assert not found.errors.matches.is_duplicate.any()
    number, share, without, gain = found.kinds.rows["false positive"]
    assert (number, share) == (added.sum(), pytest.approx(added.mean()))
    assert without == pytest.approx(1) and gain > 0.05


@pytest.mark.parametrize("is_beside_another", [False, True])
def test_predictions_of_annotated_boxes_belong_to_their_people(is_beside_another):
    """However far off they are; of a detector's boxes they are false positives."""
    scene = make_scene(SKELETONS[0])
    scene.predicted.score[:] = np.where(np.arange(30) == 4, 0.1, 0.9)
    everything = np.zeros(scene.truth.shape[:2], bool)
    everything[4] = True
    elsewhere = of_the_other(scene) if is_beside_another else scene.truth + [AWAY, 0.0]
    scene.spoil(everything, elsewhere)
    rows = scene.explain().kinds.rows
    assert rows["false positive"][0] == rows["false negative"][0] == 1
    scene.predicted.person_id[:] = scene.annotated.person_id
    found = scene.explain()
    rows = found.kinds.rows
    assert rows["false positive"][0] == rows["false negative"][0] == 0
    assert (found.errors.kinds[4] == (SWAP if is_beside_another else MISS)).all()
    assert rows["swap" if is_beside_another else "miss"][2] == pytest.approx(1)


def test_nobody_is_taken_from_the_prediction_of_the_own_box():
    """A more confident one of another box lies on the same person."""
    scene = make_scene(SKELETONS[0])
    everything = np.zeros(scene.truth.shape[:2], bool)
    everything[4] = True
    scene.spoil(everything, of_the_other(scene) + [4, 0])
    scene.predicted.score[[4, 5]] = 0.9, 0.5
    rows = scene.explain().kinds.rows
    assert rows["false positive"][0] == rows["false negative"][0] == 1
    scene.predicted.person_id[:] = scene.annotated.person_id
    found = scene.explain()
    assert found.errors.matches.person.tolist() == list(range(30))
    rows = found.kinds.rows
    assert rows["false positive"][0] == rows["false negative"][0] == 0
    assert rows["swap"][0] == 17 and rows["swap"][2] == pytest.approx(1)


def test_second_predictions_of_someone_are_told_apart():
    scene = make_scene(SKELETONS[0])
    repeat(scene, np.array([3, 8]), offset=3, score=0.1)
    repeat(scene, np.array([3]), offset=AWAY, score=0.1)
    matches = scene.explain().errors.matches
    assert np.flatnonzero(matches.is_false).tolist() == [30, 31, 32]
    assert np.flatnonzero(matches.is_duplicate).tolist() == [30, 31]


@by_name
def test_false_negatives_are_found(skeleton):
    scene = make_scene(skeleton)
    gone = np.arange(0, len(scene.predicted.score), 5)
    drop(scene, gone)
    found = scene.explain()
    assert found.errors.matches.missed.tolist() == gone.tolist()
    number, share, without, gain = found.kinds.rows["false negative"]
    assert (number, share) == (len(gone), pytest.approx(0.2))
    assert without == pytest.approx(1) and gain > 0.05


@pytest.mark.parametrize("skeleton", PAIRED[:2], ids=lambda s: s.name)
def test_all_kinds_at_once(skeleton):
    scene = make_scene(skeleton, num_images=40, labelled=0.9)
    # Each keypoint has one error at most, and each person half of theirs right.
    draw = np.random.default_rng(5).integers(0, 4, scene.truth.shape[:2])
    chosen = choose(scene, 0.3)
    wrong = {
        kind: inject(scene, kind, chosen & (draw == place))
        for place, kind in enumerate((JITTER, INVERSION, SWAP, MISS))
    }
    repeat(scene, np.arange(0, 80, 9), AWAY, score=0.4)
    found = scene.explain()
    for kind, injected in wrong.items():
        assert injected.sum() > 20
        assert np.mean(found.errors.kinds[:80][injected] == kind) >= LEAST
        assert found.kinds.rows[KIND_NAMES[kind]][3] > 0
    assert found.kinds.rows["false positive"][0] == 9


def test_limits_are_those_of_the_paper():
    scene = make_scene(MUG, num_images=1, people_per_image=1)
    for similarity, kind in (
        (0.86, GOOD),
        (0.84, JITTER),
        (0.51, JITTER),
        (0.49, MISS),
    ):
        scene.spoil(np.ones((1, 3), bool), near_truth(scene, similarity))
        assert (scene.explain().errors.kinds == kind).all(), similarity


def test_what_is_nearer_to_the_other_side_is_no_jitter():
    scene = make_scene(MUG, num_images=1, people_per_image=1)
    left, right = scene.annotated.keypoints[0, :2, :2]
    offset = (left - right) / np.linalg.norm(left - right)
    # Half way, the similarity to both sides would be 0.7.
    apart = 2 * SIGMA_OF_RIM * np.sqrt(-2 * np.log(0.7))
    right[:] = left - apart * offset
    for share, kind in ((0.0, GOOD), (0.45, JITTER), (0.55, INVERSION), (1, INVERSION)):
        scene.predicted.keypoints[0, 0, :2] = left - share * apart * offset
        assert scene.explain().errors.kinds[0, 0] == kind, share


SIGMA_OF_RIM = 2 * MUG.sigmas[0] * 100


def test_people_who_do_not_count_excuse_predictions():
    scene = make_scene(SKELETONS[0], num_images=2)
    crowd = dataclasses.replace(scene.people.people[0][0], iscrowd=True)
    scene.people.people[0][0] = crowd
    scene.annotated.counts[0] = False
    matches = scene.explain().errors.matches
    assert matches.person.tolist() == [-1, 1, 2, 3]
    assert not matches.is_false.any() and not len(matches.missed)


def test_no_predictions_at_all():
    scene = make_scene(SKELETONS[0])
    drop(scene, np.arange(30))
    found = scene.explain()
    assert found.kinds.rows["false negative"][:2] == (30, 1)
    assert np.isnan(found.kinds.rows["false negative"][2])
    assert "Nobody was found" in found.text()


def test_ranking_by_likeness_mends_the_order_of_scores():
    scene = make_scene(SKELETONS[0])
    wrong = np.zeros(scene.truth.shape[:2], bool)
    wrong[:10, :9] = True
    scene.spoil(wrong, scene.truth + [AWAY, 0.0])
    scene.predicted.score[:10] = 1.5
    assert scene.explain().kinds.rows["order of scores"][3] > 0.1
