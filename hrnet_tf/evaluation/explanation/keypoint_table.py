"""How well each keypoint of the skeleton is found."""

import numpy as np

from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.evaluation.explanation.errors import KIND_NAMES, Errors, labelled
from hrnet_tf.evaluation.explanation.tables import Table, as_count, as_percent
from hrnet_tf.evaluation.matched import NOBODY

# Share of a person's size, the root of the area, within which PCK calls it correct.
_PCK_LIMIT = 0.1


def keypoint_table(errors: Errors, skeleton: Skeleton) -> Table:
    """A row for each keypoint, of all people who have it labelled.

    Everything but the mean error counts people of whom nothing was predicted, too.
    """
    matches = errors.matches
    counts = labelled(matches.annotated).sum(axis=0)
    distances = _relative_distances(errors)
    is_known = np.isfinite(distances)
    per_kind = [(errors.kinds == kind).sum(axis=0) for kind in range(len(KIND_NAMES))]
    numbers = [
        np.sum(is_known & (distances <= _PCK_LIMIT), axis=0),
        *per_kind,
        counts - np.sum(per_kind, axis=0),
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(is_known, distances, 0).sum(axis=0) / is_known.sum(axis=0)
        shares = [number / counts for number in numbers]
    columns = np.stack([counts, shares[0], error, *shares[1:]], axis=1)
    forms = ["PCK", "error", *KIND_NAMES, "nobody"]
    return Table(
        "keypoint",
        {"labelled": as_count, **dict.fromkeys(forms, as_percent)},
        dict(zip(skeleton.keypoints, columns.tolist(), strict=True)),
        f"PCK: within {_PCK_LIMIT:g} of the person's size, the root of the area. "
        "error: mean distance of predicted people's keypoints, as a share of that "
        "size. nobody: labelled on someone of whom nothing was predicted.",
    )


def _relative_distances(errors: Errors) -> np.ndarray:
    """From predicted to labelled keypoints, in sizes of the person; NaN without one."""
    matches = errors.matches
    found = matches.person != NOBODY
    truth = matches.annotated.keypoints[matches.person[found]]
    offsets = matches.predicted.keypoints[found][..., :2] - truth[..., :2]
    sizes = np.sqrt(matches.annotated.area[matches.person[found]])
    distances = np.full(errors.kinds.shape, np.nan)
    distances[found] = np.linalg.norm(offsets, axis=-1) / sizes[:, np.newaxis]
    distances[errors.kinds < 0] = np.nan
    return distances
