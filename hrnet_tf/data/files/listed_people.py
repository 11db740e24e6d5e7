"""People, or faces, of lists that are no COCO files; what COCO would say of them."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hrnet_tf.data.files.faults import ConversionError, Faults, Unusable
from hrnet_tf.data.files.person_extras import NORMALIZER, REGION
from hrnet_tf.data.vocabularies.skeletons import Skeleton

# Official code counts sizes of people in units of so many pixels.
PIXELS_PER_SCALE = 200


@dataclasses.dataclass(frozen=True, eq=False)
class ListedPerson:
    """One entry of a list, in pixels of the image; the first one is at (0, 0).

    Attributes:
        number: Of its line or entry, from 1: the annotation's id.
        file_name: Of its image.
        keypoints: [K, 3], x, y and v (0, 1 or 2, as COCO has it).
        bbox: x, y, width, height.
        region: What is cropped, before it is padded: x and y of the centre, width and
            height.
        normalizer: The length that errors are divided by; 0 if it is not known.
    """

    number: int
    file_name: str
    keypoints: np.ndarray
    bbox: Sequence[float]
    region: Sequence[float]
    normalizer: float = 0.0


def square(center: Sequence[float], scale: float) -> list[float]:
    """The region of an official centre and scale."""
    side = float(PIXELS_PER_SCALE * scale)
    return [float(center[0]), float(center[1]), side, side]


def read_entries(
    path: str,
    entries: Iterable[Any],
    read: Callable[[int, Any], ListedPerson],
    faults: Faults,
    what: str,
) -> list[ListedPerson]:
    """Reads a list's entries, numbered from 1; `faults` receives the unusable ones.

    `read` raises `Unusable`; `what` an entry is called: "line". Raises
    `ConversionError` if none is left.
    """
    people: list[ListedPerson] = []
    for number, entry in enumerate(entries, 1):
        try:
            people.append(read(number, entry))
        except Unusable as fault:
            sentence = f"{path}: {what} {number}: {fault.sentence}"
            faults.report(Unusable(fault.kind, sentence))
    if not people:
        first = f"; the first fault: {faults.sentences[0]}" if faults.sentences else "."
        raise ConversionError(f"{path} lists nobody who can be used{first}")
    return people


def to_coco(
    people: Sequence[ListedPerson],
    sizes: Mapping[str, tuple[int, int]],
    skeleton: Skeleton,
    category: str,
) -> dict[str, Any]:
    """What an annotation file in COCO's format says of people.

    `sizes` has height and width of images by name; people of others are left out.
    Images are numbered from 1, in the order of the list.
    """
    names = dict.fromkeys(person.file_name for person in people)
    ids = {name: number for number, name in enumerate(filter(sizes.get, names), 1)}
    limbs = [[first + 1, second + 1] for first, second in skeleton.limbs]
    return {
        "images": [
            {"id": ids[name], "file_name": name, "height": height, "width": width}
            for name, (height, width) in ((name, sizes[name]) for name in ids)
        ],
        "annotations": [
            {
                "id": person.number,
                "image_id": ids[person.file_name],
                "category_id": 1,
                "bbox": _floats(person.bbox),
                "area": float(person.bbox[2] * person.bbox[3]),
                "iscrowd": 0,
                "num_keypoints": int(np.count_nonzero(person.keypoints[:, 2])),
                "keypoints": _floats(person.keypoints.ravel()),
                REGION: _floats(person.region),
                **({NORMALIZER: person.normalizer} if person.normalizer else {}),
            }
            for person in people
            if person.file_name in ids
        ],
        "categories": [
            {
                "id": 1,
                "name": category,
                "keypoints": list(skeleton.keypoints),
                "skeleton": limbs,
            }
        ],
    }


def _floats(values: Iterable[float]) -> list[float]:
    return [float(value) for value in values]
