"""A detector's person boxes, to evaluate on instead of ground-truth boxes."""

import dataclasses
import json

import numpy as np
import tensorflow as tf

from hrnet_tf.messages import UserError


class DetectionsError(UserError):
    """A file that does not hold a detector's boxes."""


@dataclasses.dataclass(frozen=True)
class Detections:
    """A detector's person boxes, sorted by image."""

    image_ids: np.ndarray  # int64 [D]
    boxes: np.ndarray  # float32 [D, 4], x, y, width, height in original pixels
    scores: np.ndarray  # float32 [D]


def load_detections(
    path: str, category_id: int = 1, score_threshold: float = 0.0
) -> Detections:
    """Reads person boxes from COCO's results JSON.

    Boxes of other categories and those that score lower are left out. Raises
    `DetectionsError` if the file is something else, or no box is left.
    """
    with tf.io.gfile.GFile(path, "rb") as file:
        try:
            results = json.load(file)
            rows = sorted(
                (result["image_id"], *result["bbox"], result["score"])
                for result in results
                if result["category_id"] == category_id
                and result["score"] >= score_threshold
                and result["bbox"][2] > 0
                and result["bbox"][3] > 0
            )
            table = np.array(rows, np.float64).reshape(len(rows), 6)
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise DetectionsError(
                f"detections_file {path} must be a JSON list of objects with image_id, "
                f"category_id, bbox [x, y, width, height] and score; reading it failed "
                f"with {error!r}."
            ) from error
    if not rows:
        raise DetectionsError(
            f"detections_file {path} leaves no box to evaluate on: none of its "
            f"{len(results)} results has category_id {category_id} "
            "(detections_category_id) and a score of at least "
            f"{score_threshold} (detection_score_threshold)."
        )
    return Detections(
        image_ids=table[:, 0].astype(np.int64),
        boxes=table[:, 1:5].astype(np.float32),
        scores=table[:, 5].astype(np.float32),
    )
