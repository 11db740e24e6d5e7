"""report.html and report.json: an evaluation of poses explained, with its worst cases.

Pictures come from the validation records, so that the images' files are not needed.
The page has everything in it, and is kept below 3 MB.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from hrnet_tf import output_files
from hrnet_tf.data.records.pose_images import find_images
from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.evaluation.explanation.explanation import Explanation
from hrnet_tf.evaluation.explanation.tables import Table
from hrnet_tf.evaluation.explanation.worst_cases import Case, worst_cases
from hrnet_tf.visualization import html_page
from hrnet_tf.visualization.error_cases import draw_errors

PAGE, NUMBERS = "report.html", "report.json"

_CASES_PER_KIND = 4
_CELL = (280, 260)  # Height and width in pixels of either side.
_MOST_OF_PICTURES = 2_500_000  # Letters of all addresses of pictures.

_LINES = "Red lines lead from predicted keypoints with this error to where they belong."
_MEANINGS = {
    "miss": f"Keypoints near no keypoint of anybody. {_LINES}",
    "swap": f"Keypoints on somebody else, who is drawn on the right, too. {_LINES}",
    "inversion": f"Left and right exchanged. {_LINES}",
    "jitter": f"Keypoints near their place, but not on it. {_LINES}",
    "false positive": "Predictions of nobody; on the right, everyone who is annotated.",
    "false negative": "People of whom nothing was predicted.",
}


class EvaluatedModel(NamedTuple):
    """What is explained."""

    step: int | None  # of training; None if it is not known
    annotation_file: str
    metrics: str  # as a table of text

    @property
    def title(self) -> str:
        """The page's title: reports of other steps may lie about."""
        at_step = "" if self.step is None else f" at step {self.step:,}"
        return f"Evaluation{at_step} on {os.path.basename(self.annotation_file)}"


def write_report(
    folder: str,
    model: EvaluatedModel,
    explanation: Explanation,
    skeleton: Skeleton,
    input_path: Any,
) -> str:
    """Writes both files into a folder, which may be remote.

    Args:
        folder: The model directory.
        model: What was evaluated.
        explanation: What is behind its metrics.
        skeleton: What the predictions are of.
        input_path: The records that have the images.

    Returns:
        The path of the page.
    """
    cases = worst_cases(explanation.errors, _CASES_PER_KIND)
    image_ids = {case.image_id for case in cases}
    pictures = _pictures(cases, find_images(input_path, image_ids), skeleton)
    parts = _sections(model.metrics, explanation) + list(_galleries(cases, pictures))
    path = os.path.join(folder, PAGE)
    output_files.write_text(path, html_page.page(model.title, parts))
    facts = {"step": model.step, "annotation_file": model.annotation_file}
    numbers = {**facts, **explanation.as_json()}
    output_files.write_json(os.path.join(folder, NUMBERS), numbers, indent=2)
    return path


def _pictures(
    cases: Sequence[Case],
    images: Iterable[tuple[int, np.ndarray]],
    skeleton: Skeleton,
) -> dict[int, str]:
    """Addresses of pictures by the place of their case, as many as there is room for.

    An image is forgotten once its cases are drawn.
    """
    pictures: dict[int, str] = {}
    length = 0
    for image_id, image in images:
        for place, case in enumerate(cases):
            if case.image_id != image_id:
                continue
            address = html_page.jpeg(
                draw_errors(
                    *(image, case.predicted, case.annotated, case.is_wrong),
                    *(skeleton, _CELL, case.others),
                )
            )
            length += len(address)
            if length > _MOST_OF_PICTURES:
                return pictures
            pictures[place] = address
    return pictures


def _sections(metrics: str, explanation: Explanation) -> list[str]:
    """Everything but the pictures."""
    calibration = explanation.calibration
    is_filled = calibration.counts > 0
    chart = html_page.diagonal_chart(
        calibration.confidence[is_filled],
        calibration.right[is_filled],
        "confidence",
        "share that is right",
    )
    return [
        html_page.preformatted(metrics),
        *map(html_page.paragraph, explanation.notes),
        *_section("Errors", explanation.kinds),
        *_section("Keypoints", explanation.keypoints),
        *(_section("People", explanation.people) if explanation.people.rows else []),
        *_section("Confidence", calibration.table()),
        html_page.paragraph(calibration.sentence),
        chart,
    ]


def _section(name: str, table: Table) -> list[str]:
    return [
        html_page.heading(name),
        html_page.paragraph(table.note),
        html_page.table(table.cells()),
    ]


def _galleries(cases: Sequence[Case], pictures: dict[int, str]) -> Iterator[str]:
    """The cases of each kind below its name."""
    for kind in dict.fromkeys(case.kind for case in cases):
        yield html_page.heading(f"Worst cases: {kind}")
        yield html_page.paragraph(_MEANINGS[kind])
        yield html_page.gallery(
            html_page.figure(
                pictures.get(place),
                f"image {case.image_id}: {case.facts}"
                + ("" if place in pictures else " (without its picture)"),
            )
            for place, case in enumerate(cases)
            if case.kind == kind
        )
