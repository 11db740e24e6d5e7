"""From MPII's official lists and images to pose TFRecords."""

import os
from typing import Any

from hrnet_tf.data.converters.coco_images import FolderImages
from hrnet_tf.data.converters.listed_people import ListConversion
from hrnet_tf.data.converters.people import PoseSummary
from hrnet_tf.data.files.mpii_list import read_mpii
from hrnet_tf.data.vocabularies.skeletons import load_skeleton

SKELETON = "mpii16"


def convert(
    image_dir: str,
    annotations: str,
    output_prefix: str,
    *,
    gt_mat: str | None = None,
    **options: Any,
) -> PoseSummary:
    """Writes the records and `output_prefix`.annotations.json, all files or none.

    The flags of `hrnet_tf.data.mpii` describe the arguments. Raises `ConversionError`
    if the input cannot be used, and `OutputError` if files of this prefix exist
    already, or it names none.
    """
    conversion = ListConversion(output_prefix, **options)
    images = FolderImages(image_dir, conversion.rules)
    if gt_mat is None:
        gt_mat = _beside(annotations)
    people = read_mpii(annotations, gt_mat, conversion.faults)
    skeleton = load_skeleton(SKELETON)
    return conversion.convert(annotations, people, images, skeleton, "person")


def _beside(annotations: str) -> str:
    """gt_valid.mat beside valid.json, if it is there."""
    folder, name = os.path.split(annotations)
    stem = name.removesuffix(".json")
    path = os.path.join(folder, f"gt_{stem}.mat")
    return path if os.path.isfile(path) else ""
