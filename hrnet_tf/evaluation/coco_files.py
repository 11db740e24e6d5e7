"""COCO's annotation files, as evaluators use them."""

import contextlib
import io
import json
from typing import Any

from pycocotools.coco import COCO

from hrnet_tf.messages import UserError


class AnnotationFileError(UserError):
    """The annotation file is missing or cannot serve as ground truth."""


def read_dataset(annotation_file: str) -> dict[str, Any]:
    """The content of an annotation file. Raises `AnnotationFileError`."""
    try:
        with open(annotation_file, encoding="utf-8") as file:
            dataset = json.load(file)
    except OSError as error:
        raise AnnotationFileError(
            f"Cannot read the annotation file {annotation_file}: {error.strerror}."
        ) from error
    except ValueError as error:  # Malformed JSON, or bytes that are not UTF-8.
        raise AnnotationFileError(
            f"The annotation file {annotation_file} is not JSON: {error}."
        ) from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(dataset, dict) or not isinstance(dataset.get(key), list):
            raise AnnotationFileError(
                f"The annotation file {annotation_file} has no list '{key}': it must "
                "be a COCO file with images, annotations and categories."
            )
    return dataset


def index(dataset: dict[str, Any]) -> COCO:
    """Wraps a dataset for pycocotools, without its printing."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = dataset
        coco.createIndex()
    return coco
