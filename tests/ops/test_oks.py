import pathlib

import numpy as np
import pytest

from hrnet_tf.ops import oks

REFERENCE = np.load(
    pathlib.Path(__file__).parents[1] / "testdata" / "pose_codec.npz",
    allow_pickle=False,
)
# COCO's 17 sigmas: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles.
COCO_SIGMAS = np.repeat(
    [0.026, 0.025, 0.035, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089], [1] + [2] * 8
)


def reference_poses():
    return (
        REFERENCE["nms_keypoints"],
        REFERENCE["nms_scores"],
        REFERENCE["nms_areas"],
        COCO_SIGMAS,
    )


@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_nms_keeps_the_official_selection(threshold):
    kept = oks.oks_nms(*reference_poses(), threshold)
    np.testing.assert_array_equal(kept, REFERENCE[f"nms_keep_{threshold}"])


@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_soft_nms_keeps_the_official_selection(threshold):
    kept = oks.soft_oks_nms(*reference_poses(), threshold)
    np.testing.assert_array_equal(kept, REFERENCE[f"soft_nms_keep_{threshold}"])
    assert len(kept) == 20


def test_oks_of_a_hand_computed_pair():
    pose = np.zeros((2, 3))
    other = np.array([[[3.0, 4.0, 0.9], [0.0, 0.0, 0.1]]])
    similarity = oks.oks(pose, 80.0, other, [120.0], [0.1, 0.1])
    # Distance 5, mean area 100, k = 0.2: exp(-25 / (2 * 100 * 0.04)); and exp(0).
    np.testing.assert_allclose(similarity, [(np.exp(-3.125) + 1) / 2])


def test_oks_of_keypoints_that_are_seen_in_both():
    """Of the first pair one keypoint counts, 4 pixels off; of the second none."""
    one = np.array([[[0, 0, 1], [10, 0, 1], [20, 0, 0.1]]], np.float32)
    others = np.array(
        [[[4, 0, 1], [99, 0, 0.3], [20, 0, 1]], [[0, 0, 0], [10, 0, 0.3], [20, 0, 1]]]
    )
    sigmas = np.array([0.1, 0.2, 0.3])
    found = oks.pose_similarities(
        *(one, np.array([50.0]), others, np.array([150.0, 100.0])), sigmas, 0.3
    )
    np.testing.assert_allclose(found, [[np.exp(-(4**2) / (2 * 100 * 0.2**2)), 0]])


def test_of_two_equal_poses_the_better_is_kept():
    pose = np.random.default_rng(0).uniform(0, 100, (17, 3))
    far = pose + 1000
    poses = np.stack([pose, far, pose])
    kept = oks.oks_nms(poses, [0.5, 0.1, 0.7], [900.0] * 3, COCO_SIGMAS, 0.9)
    np.testing.assert_array_equal(kept, [2, 1])


def test_soft_nms_puts_a_repeated_pose_back_by_its_decayed_score():
    pose = np.random.default_rng(0).uniform(0, 100, (17, 3))
    poses = np.stack([pose, pose, pose + 1000])
    scores, areas = [1.0, 0.9, 0.3], [900.0] * 3
    # The repeated pose's score becomes 0.9 exp(-1 / threshold): 0.12, then 0.74.
    for threshold, expected in [(0.5, [0, 2, 1]), (5.0, [0, 1, 2])]:
        kept = oks.soft_oks_nms(poses, scores, areas, COCO_SIGMAS, threshold)
        np.testing.assert_array_equal(kept, expected)


def test_no_poses_select_nothing():
    empty = np.zeros((0, 17, 3)), np.zeros(0), np.zeros(0), COCO_SIGMAS, 0.9
    for nms in oks.oks_nms, oks.soft_oks_nms:
        kept = nms(*empty)
        assert kept.shape == (0,) and kept.dtype == np.int64


def test_score_is_box_score_times_mean_of_confident_keypoints():
    keypoints = np.zeros((3, 4, 3))
    keypoints[0, :, 2] = [0.9, 0.5, 0.2, 0.1]  # 0.2 is not over 0.2.
    keypoints[1, :, 2] = [0.2, 0.1, 0.0, -1.0]
    keypoints[2, :, 2] = [0.3, 0.4, 0.5, 0.6]
    scores = oks.rescore(keypoints, np.array([0.5, 1.0, 0.8]), 0.2)
    np.testing.assert_allclose(scores, [0.5 * 0.7, 0.0, 0.8 * 0.45])
