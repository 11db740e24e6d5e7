"""From faces and their landmarks to pose TFRecords."""

import os
from typing import Any

from hrnet_tf.data.converters.coco_images import FolderImages
from hrnet_tf.data.converters.listed_people import ListConversion
from hrnet_tf.data.converters.people import PoseSummary
from hrnet_tf.data.files.cofw_mat import CofwFile
from hrnet_tf.data.files.face_lists import FACE_SETS, read_coco_faces, read_list
from hrnet_tf.data.files.faults import ConversionError
from hrnet_tf.data.vocabularies.skeletons import load_skeleton


def convert(
    dataset: str,
    annotations: str,
    output_prefix: str,
    *,
    image_dir: str | None = None,
    **options: Any,
) -> PoseSummary:
    """Writes the records and `output_prefix`.annotations.json, all files or none.

    The flags of `hrnet_tf.data.faces` describe the arguments. Raises `ConversionError`
    if the input cannot be used, and `OutputError` if files of this prefix exist
    already, or it names none.
    """
    faces = FACE_SETS[dataset]
    conversion = ListConversion(output_prefix, **options)
    suffix = os.path.splitext(annotations)[1].lower()
    if suffix not in faces.suffixes:
        raise ConversionError(
            f"--annotations={annotations} ends in {suffix or 'no suffix'}; lists of "
            f"{faces.title} end in {' or '.join(faces.suffixes)}."
        )
    skeleton = load_skeleton(faces.skeleton)
    if suffix == ".mat":
        with CofwFile(annotations, faces) as file:
            people = file.people(conversion.faults)
            return conversion.convert(annotations, people, file, skeleton, "face")
    if not image_dir:
        raise ConversionError(
            f"--image_dir is missing: give the folder with the images of {annotations}."
        )
    images = FolderImages(image_dir, conversion.rules)
    if suffix == ".json":
        content = read_coco_faces(annotations, faces, conversion.faults)
        return conversion.convert_content(annotations, content, images, skeleton)
    people = read_list(annotations, faces, conversion.faults)
    return conversion.convert(annotations, people, images, skeleton, "face")
