"""Where the people of an image are, for a pose model."""

import dataclasses
from typing import Any

import numpy as np

from hrnet_tf.messages import UserError, shown
from hrnet_tf.ops import person_boxes


class BoxError(UserError):
    """Boxes that are none, or of images that are not there."""


@dataclasses.dataclass(frozen=True, eq=False)
class Boxes:
    """The people of an image, for a pose model.

    >>> import hrnet_tf
    >>> found = hrnet_tf.Boxes([[50, 40, 120, 300]], scores=[0.9])
    >>> people = hrnet_tf.load("exported/pose/1").predict("photo.jpg", found)

    Attributes:
        boxes: float32 [P, 4], x, y, width and height in pixels of the image.
        scores: float32 [P], how sure their detector is of them.

    Raises:
        BoxError: If they have another shape, or a box can hold no person.
    """

    boxes: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        boxes, scores = _table(self.boxes), _numbers(self.scores)
        if scores is None or scores.shape != boxes.shape[:1]:
            raise BoxError(
                f"The scores of boxes must be a number for each of the {len(boxes)} "
                f"boxes; got {_described(self.scores)}."
            )
        is_usable = person_boxes.holds_person(boxes)
        if not is_usable.all():
            row = int(np.argmin(is_usable))
            raise BoxError(
                "Every box needs four numbers up to "
                f"{person_boxes.LARGEST_COORDINATE:.0e}, of which width and height are "
                f"positive; number {row} (counted from 0) is {boxes[row].tolist()}."
            )
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "scores", scores)

    @classmethod
    def of_whole(cls, image: np.ndarray) -> "Boxes":
        """One person who fills the image."""
        height, width = image.shape[:2]
        return cls.of([[0, 0, width, height]])

    @classmethod
    def of(cls, given: Any) -> "Boxes":
        """Boxes as people write them: [[x, y, width, height], ...]; [] is nobody.

        Raises:
            BoxError: If they have another shape, or a box can hold no person.
        """
        if isinstance(given, cls):
            return given
        boxes = _table(given)
        return cls(boxes, np.ones(len(boxes)))

    @classmethod
    def found(cls, boxes: np.ndarray, scores: np.ndarray) -> "Boxes":
        """Boxes of a detector, of which those are left out that can hold no person."""
        is_person = person_boxes.holds_person(boxes)
        return cls(boxes[is_person], scores[is_person])


def _table(given: Any) -> np.ndarray:
    """Boxes as float32 [P, 4]. Raises `BoxError`."""
    boxes = _numbers(given)
    if boxes is not None and boxes.size == 0:
        return np.zeros([0, 4], np.float32)
    if boxes is None or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise BoxError(
            "Boxes must be four numbers for each person of an image, [[x, y, width, "
            f"height], ...] in pixels; got {_described(given)}."
        )
    return boxes


def _numbers(given: Any) -> np.ndarray | None:
    try:
        with np.errstate(over="ignore"):  # Infinity is refused like all else.
            return np.asarray(given, np.float32)
    except (TypeError, ValueError, OverflowError):
        return None


def _described(given: Any) -> str:
    shape = getattr(given, "shape", None)
    return shown(given) if shape is None else f"an array of shape {list(shape)}"
