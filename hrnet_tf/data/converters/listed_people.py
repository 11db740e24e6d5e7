"""From other data sets' lists of people to pose TFRecords and annotations beside them.

Evaluations, pictures and boxes for predictions take people from COCO's JSON: so the
list is written once more in that format, as PREFIX.annotations.json.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hrnet_tf.data.converters.coco_images import Images
from hrnet_tf.data.converters.conversion import RecordConversion
from hrnet_tf.data.converters.encoder import Orientations
from hrnet_tf.data.converters.people import PoseSummary, write_people
from hrnet_tf.data.converters.reading_ahead import read_ahead
from hrnet_tf.data.files.coco_people import people_of
from hrnet_tf.data.files.faults import ConversionError, Faults, Unusable
from hrnet_tf.data.files.listed_people import ListedPerson, to_coco
from hrnet_tf.data.records import names
from hrnet_tf.data.records.conversions import Choices
from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.output_files import check_output, written_whole
from hrnet_tf.progress import Progress


class ListConversion(RecordConversion):
    """Also writes PREFIX.annotations.json."""

    def __init__(self, output_prefix: str, *, overwrite: bool = False, **options: Any):
        """See `RecordConversion`; raises `OutputError` if that file exists, too."""
        super().__init__(output_prefix, overwrite=overwrite, **options)
        self.annotations = _annotations_beside(output_prefix)
        check_output(self.annotations, overwrite, flag="--output_prefix")

    def convert(
        self,
        path: str,
        people: Sequence[ListedPerson],
        images: Images,
        skeleton: Skeleton,
        category: str,
    ) -> PoseSummary:
        """Writes the people of the list `path`, each a `category`."""
        sizes, orientations = _look(path, people, images, self.faults)
        content = to_coco(people, sizes, skeleton, category)
        num_lost = len(people) - len(content["annotations"])
        summary = self.convert_content(path, content, images, skeleton, orientations)
        skipped = summary.people_of_skipped_images + num_lost
        return dataclasses.replace(summary, people_of_skipped_images=skipped)

    def convert_content(
        self,
        path: str,
        content: dict[str, Any],
        images: Images,
        skeleton: Skeleton,
        orientations: Mapping[str, Orientations] | None = None,
    ) -> PoseSummary:
        """Writes what an annotation file would hold; see `write_people`."""
        text = json.dumps(content)
        dataset = people_of(path, content, skeleton, None, self.faults)
        choices = Choices(self.annotations)
        with self._annotations_with(text):
            summary = write_people(
                *(self, dataset.images, dataset, images),
                *(skeleton.num_keypoints, choices, orientations),
            )
        return dataclasses.replace(summary, annotations=self.annotations)

    @contextlib.contextmanager
    def _annotations_with(self, text: str) -> Iterator[None]:
        """Gives the annotations their name once the records have theirs."""
        with written_whole(self.annotations) as partial:
            with open(partial, "w", encoding="utf-8") as file:
                file.write(text)
            yield


def _annotations_beside(output_prefix: str) -> str:
    """The annotations of the records of an output prefix."""
    return f"{names.normalized(output_prefix)}.annotations.json"


def _look(
    path: str, people: Sequence[ListedPerson], images: Images, faults: Faults
) -> tuple[dict[str, tuple[int, int]], dict[str, Orientations]]:
    """Height and width of each image that can be used, and of some, how they lie."""
    sizes, orientations = {}, {}
    wanted = list(dict.fromkeys(person.file_name for person in people))
    with Progress(len(wanted), "Looking at images") as progress:
        for name, looked in read_ahead(wanted, images.look):
            try:
                sizes[name], lies = looked.result()
                if lies:
                    orientations[name] = lies
            except Unusable as fault:
                faults.report(Unusable(fault.kind, f"{path}: {fault.sentence}"))
            progress.advance()
    if not sizes:
        raise ConversionError(
            f"None of the {len(wanted)} images that {path} lists can be used; the "
            f"first fault: {faults.sentences[0]}"
        )
    return sizes, orientations
