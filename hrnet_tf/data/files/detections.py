"""A detector's results, COCO's list of {"image_id", "category_id", "bbox", "score"}."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from hrnet_tf.data.files.coco_annotations import read_bbox, require_ids
from hrnet_tf.data.files.coco_masks import is_number_list
from hrnet_tf.data.files.faults import ConversionError, Unusable
from hrnet_tf.input_files import InputFileError, read_json
from hrnet_tf.messages import UserError, shown, shown_at

_KIND = "bad result"
_ROUNDING = 1e-5  # of scores


class DetectionsError(UserError):
    """A file that does not hold a detector's boxes."""


@dataclasses.dataclass(frozen=True)
class Detections:
    """A detector's person boxes, sorted by image."""

    image_ids: np.ndarray  # int64 [D]
    boxes: np.ndarray  # float32 [D, 4], x, y, width, height in original pixels
    scores: np.ndarray  # float32 [D]


def load_detections(
    path: str, category_ids: Sequence[int] = (), score_threshold: float = 0.0
) -> Detections:
    """Reads person boxes from COCO's results JSON, to evaluate on.

    Boxes of categories other than `category_ids` (if there are any), those that score
    lower and those without an extent are left out. Raises `DetectionsError` if the file
    is something else, or no box is left.
    """
    try:
        results = read_json(path)
        if not isinstance(results, list):
            raise ConversionError(f"it is {shown(results)}.")
        rows = sorted(
            (result["image_id"], *box, score)
            for place, result in enumerate(results)
            if (found := _read_row(place, result, category_ids))
            for box, score in [found]
            if score >= score_threshold and min(box[2:]) > 0
        )
    except InputFileError as error:
        raise DetectionsError(f"detections_file {error}") from None
    except ConversionError as error:
        raise DetectionsError(
            f"detections_file {path} must be a JSON list of objects with image_id, "
            f"category_id, bbox [x, y, width, height] and score; {error}"
        ) from None
    present = sorted({result["category_id"] for result in results})
    if present and category_ids and not set(category_ids) & set(present):
        raise DetectionsError(
            f"detections_file {path} has no box of category {_either(category_ids)}: "
            f"its {len(results)} results are of category {_either(present)}; "
            "choose with task.validation_data.detections_category_id."
        )
    if not rows:
        raise DetectionsError(
            f"detections_file {path} leaves no box to evaluate on: none of its "
            f"{len(results)} results has category_id {_either(category_ids or present)}"
            " (detections_category_id), an extent and a score of at least "
            f"{score_threshold} (detection_score_threshold)."
        )
    table = np.array([row[1:] for row in rows], np.float64)
    return Detections(
        # Large ids are not whole as float64, and two images would become one.
        image_ids=np.array([row[0] for row in rows], np.int64),
        boxes=table[:, :4].astype(np.float32),
        scores=table[:, 4].astype(np.float32),
    )


def _either(category_ids: Sequence[int]) -> str:
    return " or ".join(map(str, category_ids))


def _read_row(
    place: int, result: Any, category_ids: Sequence[int]
) -> tuple[list[float], float] | None:
    """Box and score of a result; None if it is of another category."""
    try:
        if not isinstance(result, dict):
            raise Unusable(_KIND, f"it is {shown(result)}; it must be an object.")
        require_ids(_KIND, result, "category_id")
        require_ids(_KIND, result, "image_id", least=0)
        if category_ids and result["category_id"] not in category_ids:
            return None
        score = read_score(result)
        if not -_ROUNDING <= score <= 1 + _ROUNDING:
            raise Unusable(_KIND, f"score is {score}; it must be in 0 to 1.")
        return read_result_box(result), score
    except Unusable as fault:
        raise ConversionError(f"results[{place}]: {fault.sentence}") from None


def read_result_box(result: dict[str, Any]) -> list[float]:
    """Checks a result's box; it may be a mere line or point. Raises `Unusable`."""
    bbox = read_bbox(result)
    if min(bbox[2:]) < 0:
        raise Unusable(
            _KIND, f"bbox is {bbox}; its width and height must not be negative."
        )
    return bbox


def read_score(result: dict[str, Any]) -> float:
    """Checks a result's score. Raises `Unusable`."""
    score: Any = result.get("score")
    if not is_number_list([score]):
        received = shown_at("score", result)
        raise Unusable(_KIND, f"score is {received}; it must be a finite number.")
    return score
