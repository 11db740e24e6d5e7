"""Object keypoint similarity (OKS), scores and suppression of poses, in NumPy.

OKS is to poses what IoU is to boxes: 1 for equal poses, falling with the distance
between keypoints relative to the person's scale and to each keypoint's sigma.
"""

import numpy as np

_SOFT_NMS_MAX_POSES = 20


def oks(
    pose: np.ndarray,
    area: float,
    poses: np.ndarray,
    areas: np.ndarray,
    sigmas: np.ndarray,
) -> np.ndarray:
    """Similarity of one pose to each of P others.

    The scale is the mean of the two areas and every keypoint counts, seen or not
    (official lib/nms/nms.py, `oks_iou`). This compares predictions with each other;
    the OKS of the COCO metric compares with ground truth and is pycocotools' own.

    Args:
        pose: [K, 2 or more], (x, y, ...) in image pixels.
        area: Area of the pose in square pixels.
        poses: [P, K, 2 or more].
        areas: [P].
        sigmas: [K], the skeleton's.

    Returns:
        float64 [P], in [0, 1].
    """
    mean_areas = (area + np.asarray(areas, np.float64)) / 2
    return keypoint_similarities(pose, poses, mean_areas, sigmas).mean(axis=-1)


def pose_similarities(
    poses: np.ndarray,
    areas: np.ndarray,
    others: np.ndarray,
    other_areas: np.ndarray,
    sigmas: np.ndarray,
    least_score: float = 0.0,
) -> np.ndarray:
    """OKS of A poses with B others, of the keypoints that are seen in both.

    The scale is the mean of the two areas.

    Args:
        poses: [A, K, 3], x and y in image pixels and the score, or COCO's flag.
        areas: [A], in square pixels.
        others: [B, K, 3].
        other_areas: [B].
        sigmas: [K], the skeleton's.
        least_score: Keypoints that score at most this are not seen.

    Returns:
        float64 [A, B], in [0, 1]; 0 for two poses without a keypoint in common.
    """
    poses, others = np.asarray(poses)[:, np.newaxis], np.asarray(others)
    areas, other_areas = (np.asarray(a, np.float64) for a in (areas, other_areas))
    mean_areas = (areas[:, np.newaxis] + other_areas) / 2
    return mean_similarity(
        keypoint_similarities(poses, others, mean_areas, sigmas),
        np.minimum(poses[..., 2], others[..., 2]) > least_score,
    )


def keypoint_similarities(
    points: np.ndarray, truth: np.ndarray, areas: np.ndarray, sigmas: np.ndarray
) -> np.ndarray:
    """Similarity of each keypoint to where it should be; see `mean_similarity`.

    exp(-d^2 / (2 s^2 k^2)) with the distance d, the person's area s^2 and k = 2 sigma,
    as pycocotools computes it.

    Args:
        points: [..., K, 2 or more], x, y, ..., in image pixels.
        truth: [..., K, 2 or more].
        areas: [...], of the people in `truth`, in square pixels.
        sigmas: [K], the skeleton's.

    Returns:
        float64 [..., K], in [0, 1].
    """
    offsets = np.asarray(points, np.float64)[..., :2] - np.asarray(truth)[..., :2]
    squared_distances = np.square(offsets).sum(axis=-1)
    variances = np.square(2 * np.asarray(sigmas, np.float64))
    scales = np.asarray(areas, np.float64)[..., np.newaxis] + np.spacing(1)
    return np.exp(-squared_distances / variances / scales / 2)


def mean_similarity(similarities: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """OKS: the mean similarity [...] of keypoints [..., K]; 0 where none counts.

    `counts`, bool [..., K], are those that the mean is of: by COCO, the labelled ones.
    """
    total = np.where(counts, similarities, 0).sum(axis=-1)
    return total / np.maximum(counts.sum(axis=-1), 1)


def oks_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    sigmas: np.ndarray,
    threshold: float,
) -> np.ndarray:
    """Drops every pose whose OKS with a better kept pose exceeds `threshold`.

    Official lib/nms/nms.py, `oks_nms`; of equal scores the earlier pose comes first.

    Args:
        keypoints: [P, K, 2 or more], (x, y, ...) in image pixels.
        scores: [P].
        areas: [P], in square pixels.
        sigmas: [K], the skeleton's.
        threshold: Largest OKS between kept poses.

    Returns:
        int64 indices of the kept poses, best first.
    """
    keypoints, areas = np.asarray(keypoints), np.asarray(areas)
    order = np.argsort(-np.asarray(scores), kind="stable")
    kept: list[int] = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(best)
        similarity = oks(
            keypoints[best], areas[best], keypoints[order], areas[order], sigmas
        )
        order = order[similarity <= threshold]
    return np.array(kept, np.int64)


def soft_oks_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    sigmas: np.ndarray,
    threshold: float,
) -> np.ndarray:
    """Orders poses by scores that decay with their OKS to the poses already taken.

    Taking a pose multiplies the score of every other by exp(-OKS^2 / threshold). At
    most 20 poses are taken, as in official lib/nms/nms.py, `soft_oks_nms`.

    Args and returns: as `oks_nms`.
    """
    keypoints, areas = np.asarray(keypoints), np.asarray(areas)
    scores = np.asarray(scores, np.float64)
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    kept: list[int] = []
    while order.size and len(kept) < _SOFT_NMS_MAX_POSES:
        best, order = order[0], order[1:]
        kept.append(best)
        similarity = oks(
            keypoints[best], areas[best], keypoints[order], areas[order], sigmas
        )
        scores = scores[1:] * np.exp(-np.square(similarity) / threshold)
        resorted = np.argsort(-scores, kind="stable")
        order, scores = order[resorted], scores[resorted]
    return np.array(kept, np.int64)


def rescore(
    keypoints: np.ndarray, box_scores: np.ndarray, keypoint_score_threshold: float
) -> np.ndarray:
    """Scores people [P]: box score times the mean keypoint score above the threshold.

    `keypoints` are [P, K, 3] (x, y, score). A person without any above the threshold
    scores 0. Official lib/dataset/coco.py, `evaluate`.
    """
    keypoint_scores = keypoints[..., 2]
    confident = keypoint_scores > keypoint_score_threshold
    total = np.where(confident, keypoint_scores, 0.0).sum(axis=-1)
    return box_scores * total / np.maximum(confident.sum(axis=-1), 1)
