"""What all loaded models do alike: images in, predictions out.

>>> import hrnet_tf
>>> pose = hrnet_tf.load("exported/pose/1")
>>> people = pose.predict("photo.jpg", boxes=[[50, 40, 120, 300]])
>>> people.draw().save("drawn.png")
>>> people.to_coco(image_id=7)[0]["image_id"]
7
"""

import abc
import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, ClassVar, Generic, TypeVar, overload

import numpy as np
from PIL import Image

from hrnet_tf.data.files.person_boxes import PERSON_CATEGORY
from hrnet_tf.messages import shown
from hrnet_tf.serving.boxes import BoxError, Boxes
from hrnet_tf.serving.images import ImageLike, is_image, pixels_of
from hrnet_tf.serving.interfaces import check_interface
from hrnet_tf.serving.loading import TFLITE_SIGNATURE, LoadedModel, LoadedTFLite
from hrnet_tf.serving.metadata import Metadata, ModelError

P = TypeVar("P", bound="Prediction")

# Images, one after the other, that a SavedModel predicts together.
BATCH_SIZE = 8


@dataclasses.dataclass(frozen=True)
class Style:
    """How predictions are told and drawn.

    Attributes:
        category_id: The category of people in rows.
        keypoint_score_threshold: Keypoints that score at most this are not drawn.
        box_score_threshold: Objects that score less are not drawn.
        draw_boxes: Whether people's boxes and scores are drawn.
        full_legend: Whether a legend names all classes, not only those in the image:
            the frames of a video are of one size, and so is their legend.
    """

    category_id: int = PERSON_CATEGORY
    keypoint_score_threshold: float = 0.2
    box_score_threshold: float = 0.3
    draw_boxes: bool = True
    full_legend: bool = False


DEFAULT_STYLE = Style()


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Prediction(abc.ABC):
    """What a model found in one image.

    Attributes:
        columns: What the columns of its table are called.
        image: The image, uint8 [H, W, 3], RGB.
        style: How it is told and drawn.
    """

    columns: ClassVar[tuple[str, ...]]

    image: np.ndarray = dataclasses.field(repr=False)
    style: Style = DEFAULT_STYLE

    @property
    def label_map(self) -> np.ndarray | None:
        """The class of every pixel, uint8 [H, W], if the model tells it."""
        return None

    @abc.abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """Rows of results.json without the image's id and name; ready for JSON."""

    def to_coco(self, image_id: int, **more: Any) -> list[dict[str, Any]]:
        """The rows of results.json, as COCO writes results.

        Args:
            image_id: The image's, in every row.
            **more: What else is to stand in every row, such as a `file_name`.
        """
        return [{"image_id": image_id, **more, **row} for row in self.rows()]

    @abc.abstractmethod
    def table(self) -> list[list[Any]]:
        """The same for people to read: rows of `columns`."""

    @abc.abstractmethod
    def picture(self) -> np.ndarray:
        """It drawn on the image, uint8 [H, W, 3]; a legend makes the picture wider."""

    def draw(self, **style: Any) -> Image.Image:
        """The picture as a PIL image, which has `save` and `show`.

        Args:
            **style: Fields of `Style` to change, e.g. keypoint_score_threshold=0.5.
        """
        return Image.fromarray(self.styled(**style).picture())

    def styled(self: P, **changes: Any) -> P:
        """The same, told and drawn in a changed `Style`."""
        return dataclasses.replace(
            self, style=dataclasses.replace(self.style, **changes)
        )


class Predictor(abc.ABC, Generic[P]):
    """A loaded model.

    Attributes:
        unit: What the rows of its predictions are, in the plural.
        columns: Those of its predictions' tables.
        needs_boxes: Whether it looks at people whose boxes it is told.
        finds_people_apart: Whether it finds people first, with `find_people`, and then
            looks at each: `predict_image` takes boxes, and does without if None.
        batches_any_sizes: Whether images of other sizes are predicted together faster
            than one by one.
        style_fields: The fields of `Style` that change its predictions.
        metadata_type: The class of its description.
        metadata: What the model says of itself.
        style: How its predictions are told and drawn.
    """

    unit: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    needs_boxes: ClassVar[bool] = False
    finds_people_apart: ClassVar[bool] = False
    batches_any_sizes: bool = False
    style_fields: ClassVar[frozenset[str]] = frozenset()
    metadata_type: ClassVar[type[Metadata]]
    metadata: Metadata

    def __init__(self, model: LoadedModel, style: Style = DEFAULT_STYLE):
        """Takes a loaded model of the right kind.

        Raises:
            ModelError: If its description cannot be read, or is of another model.
        """
        self.metadata = self.metadata_type.from_dict(model.description, model.path)
        expected = self.metadata.saved_model_interface()
        if isinstance(model, LoadedTFLite):
            expected = {TFLITE_SIGNATURE: self.metadata.tflite_interface()}
        check_interface(expected, model.interface, model.path)
        self.style = style
        self._model = model

    def __repr__(self) -> str:
        return f"<{' '.join([self.metadata.task, 'model', *self.sources])}>"

    @property
    def sources(self) -> tuple[str, ...]:
        """The paths of what it was loaded from."""
        path = getattr(getattr(self, "_model", None), "path", "")
        return (path,) if path else ()

    @overload
    def predict(
        self,
        images: ImageLike,
        boxes: Any = None,
        detector: "Predictor[Any] | None" = None,
    ) -> P: ...
    @overload
    def predict(
        self,
        images: Sequence[ImageLike],
        boxes: Any = None,
        detector: "Predictor[Any] | None" = None,
    ) -> list[P]: ...
    @overload
    def predict(
        self,
        images: Iterator[ImageLike],
        boxes: Any = None,
        detector: "Predictor[Any] | None" = None,
    ) -> Iterator[P]: ...

    def predict(
        self, images: Any, boxes: Any = None, detector: "Predictor[Any] | None" = None
    ) -> Any:
        """Looks at an image, or at many.

        Args:
            images: A path, an open file or its bytes, pixels as uint8 [H, W, 3] in RGB
                (NumPy or a tensor), or a PIL image; or a list, an array [B, H, W, 3] or
                an iterator of such.
            boxes: For pose models, where the image's people are: [[x, y, width,
                height], ...] in pixels of the image as viewers show it. With many
                images, as many lists of boxes.
            detector: For pose models, a loaded detector that finds the people. Without
                it and boxes, one person fills the image.

        Returns:
            The prediction of an image; a list of predictions for a list, in its order;
            an iterator of them for an iterator, which is read as they are asked for.

        Raises:
            ImageError: If something is no image.
            BoxError: If something is no boxes, or their number is another.
            MediaError: If a file cannot be read.
            ModelError: If the model takes no boxes, or the detector finds no people.
        """
        if not self.needs_boxes and (boxes is not None or detector is not None):
            raise ModelError(
                f"{self!r} takes no boxes and no detector: only pose models do."
            )
        if boxes is not None and detector is not None:
            raise BoxError("Give boxes or a detector, not both.")
        if not isinstance(detector, (Predictor, type(None))):
            raise BoxError(
                "The detector must be a model that hrnet_tf.load returned; got "
                f"{shown(detector)}."
            )
        if is_image(images):
            (prediction,) = self.predict(
                [images], None if boxes is None else [Boxes.of(boxes)], detector
            )
            return prediction
        # What has no order gives its predictions none.
        if not isinstance(images, Iterable) or isinstance(images, (Mapping, Set)):
            pixels_of(images)  # Says what an image may be.
        if not isinstance(boxes, (Iterable, type(None))):
            raise BoxError(
                f"For many images, boxes must be as many lists; got {shown(boxes)}."
            )
        predictions = (
            prediction
            for batch in _batches(
                _paired(images, boxes, detector), self.batches_any_sizes
            )
            for prediction in self.predict_batch(*batch)
        )
        is_list = isinstance(images, Sequence) or hasattr(images, "ndim")
        return list(predictions) if is_list else predictions

    @abc.abstractmethod
    def predict_image(self, image: np.ndarray, boxes: Boxes | None = None) -> P:
        """Looks at one image.

        Args:
            image: uint8 [H, W, 3], RGB.
            boxes: The people to look at, for models that need boxes: if None, one who
                fills the image.
        """

    def predict_batch(
        self, images: Sequence[np.ndarray], boxes: Sequence[Boxes | None]
    ) -> list[P]:
        """Looks at images; `predict_image` for each, if not faster.

        They are of one size, unless it `batches_any_sizes`.
        """
        return [self.predict_image(*pair) for pair in zip(images, boxes, strict=True)]

    def find_people(
        self,
        image: np.ndarray,
        category_id: int | None = None,
        least_score: float | None = None,
    ) -> Boxes:
        """The people in an image, for a pose model; only detectors find them.

        Args:
            image: uint8 [H, W, 3], RGB.
            category_id: Their category. If None, the one called person, or the only
                one.
            least_score: Objects that score less are left out. If None, as drawing does.

        Raises:
            ModelError: If this is no detector, or has no such category.
        """
        del image, category_id, least_score
        raise ModelError(
            f"{self!r} cannot find people for a pose model: a detector can."
        )


class InBatches(Predictor[P]):
    """A model that sees images together: a single one is a batch of one."""

    def predict_image(self, image: np.ndarray, boxes: Boxes | None = None) -> P:
        (prediction,) = self.predict_batch([image], [boxes])
        return prediction

    @abc.abstractmethod
    def predict_batch(
        self, images: Sequence[np.ndarray], boxes: Sequence[Boxes | None]
    ) -> list[P]:
        """Looks at images together; see `Predictor`."""


def _paired(
    images: Any, boxes: Any, detector: Predictor[Any] | None
) -> Iterator[tuple[np.ndarray, Boxes | None]]:
    """Yields each image with its boxes; raises `BoxError` if their numbers differ."""
    if detector is not None:
        for pixels in map(pixels_of, images):
            yield pixels, detector.find_people(pixels)
        return
    missing = object()
    given = iter(boxes) if boxes is not None else None
    count = 0
    for count, image in enumerate(images, start=1):
        mine = next(given, missing) if given else None
        if mine is missing:
            raise BoxError(
                f"There are boxes for {count - 1} images, and more images: give as "
                "many lists of boxes as images."
            )
        try:
            people = None if mine is None else Boxes.of(mine)
        except BoxError as error:
            raise BoxError(f"boxes[{count - 1}]: {error}") from None
        yield pixels_of(image), people
    if given and next(given, missing) is not missing:
        raise BoxError(
            f"There are {count} images, and boxes for more: give as many lists of "
            "boxes as images."
        )


def _batches(
    pairs: Iterator[tuple[np.ndarray, Boxes | None]], any_sizes: bool
) -> Iterator[tuple[list[np.ndarray], list[Boxes | None]]]:
    """Groups images that follow one another and have one size, or any."""
    batch: collections.deque[tuple[np.ndarray, Boxes | None]] = collections.deque()
    for pair in pairs:
        is_other = batch and pair[0].shape != batch[0][0].shape and not any_sizes
        if is_other or len(batch) == BATCH_SIZE:
            yield _split(batch)
            batch.clear()
        batch.append(pair)
    if batch:
        yield _split(batch)


def _split(
    batch: Iterable[tuple[np.ndarray, Boxes | None]],
) -> tuple[list[np.ndarray], list[Boxes | None]]:
    images, boxes = zip(*batch, strict=True)
    return list(images), list(boxes)


def fitted_size(size: Sequence[int], limit: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of an image made to fit into `limit`, its aspect ratio kept."""
    scale = min(limit[0] / size[0], limit[1] / size[1])
    height, width = (
        min(max(int(side * scale + 0.5), 1), most)
        for side, most in zip(size, limit, strict=True)
    )
    return height, width
