"""Pictures of people: as training sees them, and those that look wrong."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from hrnet_tf import visualization
from hrnet_tf.configs import pose as pose_config
from hrnet_tf.data.files.coco_people import Person
from hrnet_tf.data.inputs.pose import PoseInput, render_targets
from hrnet_tf.data.records.pose import encode_image_record
from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.inspection.findings import Finding
from hrnet_tf.inspection.pose_sources import People
from hrnet_tf.inspection.samples import Sample
from hrnet_tf.inspection.sequences import in_sequence

_CELL_HEIGHT = 288
# How much of a doubtful person's surroundings is shown, in parts of the longer side.
_MARGIN = 0.15


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A person whose crops are drawn, and the image."""

    sample: Sample[People]
    person: Person

    def record(self, num_keypoints: int) -> bytes:
        """The image with nobody else."""
        height, width = self.sample.size
        return encode_image_record(
            encoded=self.sample.encoded or b"",
            image_id=self.sample.place.image_id or 0,
            filename=self.sample.place.name,
            height=height,
            width=width,
            people=[self.person],
            keypoints_per_person=num_keypoints,
        )


def draw_training(
    chosen: Sequence[Chosen],
    task: pose_config.PoseTask,
    skeleton: Skeleton,
    num_augmented: int,
    seed: int,
) -> np.ndarray:
    """Two rows for each person: crops with keypoints, and with the targets.

    The first crop is as an evaluation sees the person, `num_augmented` others are as
    training does. All are made by `PoseInput`, which makes those of a run.
    """
    records = [one.record(skeleton.num_keypoints) for one in chosen]
    plain = _read_crops(records, task, skeleton, False, 1, seed)
    augmented = _read_crops(records, task, skeleton, True, num_augmented, seed)
    cells: list[np.ndarray] = []
    captions: list[str] = []
    for place, one in enumerate(chosen):
        start = place * num_augmented
        crops = [plain[place], *augmented[start : start + num_augmented]]
        cells += [
            visualization.draw_skeletons(image, keypoints[np.newaxis], skeleton)
            for image, keypoints, _ in crops
        ]
        cells += [
            visualization.draw_heatmaps(image, targets) for image, _, targets in crops
        ]
        name = f"{one.sample.place.image_id}, person {one.person.id}"
        captions += [name, *["augmented"] * num_augmented]
        captions += ["target"] * (1 + num_augmented)
    height, width = task.model.input_size
    return visualization.image_grid(
        cells,
        columns=1 + num_augmented,
        cell_size=(_CELL_HEIGHT, round(_CELL_HEIGHT * width / height)),
        captions=captions,
    )


def _read_crops(
    records: Sequence[bytes],
    task: pose_config.PoseTask,
    skeleton: Skeleton,
    is_training: bool,
    times: int,
    seed: int,
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Image, keypoints [K, 3] and targets of the one person of each record.

    Each record is read so many times before the next.
    """
    data = task.train_data.replace(is_training=is_training, crop_shuffle_buffer_size=1)
    pose_input = PoseInput(data, task.codec, task.model.input_size, skeleton)

    def parse(person: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        visible = person["visible"][:, tf.newaxis]
        keypoints = tf.concat([person["keypoints"], visible], axis=-1)
        crop, labels = pose_input.parse(person)
        labels = render_targets(labels, task.codec, task.model.input_size)
        return crop, keypoints, labels["heatmaps"]

    def read(dataset: tf.data.Dataset) -> tf.data.Dataset:
        return pose_input.crop_people(dataset.map(pose_input.decode)).map(parse)

    return list(in_sequence(records, times, seed, read))


def draw_doubtful(
    samples: Sequence[Sample[People]], findings: Sequence[Finding], skeleton: Skeleton
) -> np.ndarray:
    """A cell for each finding about a person, with what is around them.

    Samples and findings belong to each other, place by place.
    """
    cells = [
        _draw_person(sample, finding, skeleton)
        for sample, finding in zip(samples, findings, strict=True)
    ]
    captions = [
        f"{finding.annotation_id}: {finding.note}"
        + (f" ({finding.place.image_id})" if finding.place else "")
        for finding in findings
    ]
    columns = min(4, len(cells))
    return visualization.image_grid(cells, columns, (480, 400), captions)


def _draw_person(
    sample: Sample[People], finding: Finding, skeleton: Skeleton
) -> np.ndarray:
    if sample.encoded is None or sample.content is None:
        raise ValueError(f"{sample.place} is of no use.")
    image = tf.io.decode_image(sample.encoded, 3, expand_animations=False).numpy()
    numbers: list[int | None] = [person.id for person in sample.content.people]
    index = numbers.index(finding.annotation_id)
    box, keypoints = sample.content.boxes[index], sample.content.keypoints[index]
    points = keypoints[keypoints[:, 2] > 0, :2]
    low = np.min([box[:2], *points], axis=0)
    high = np.max([box[:2] + box[2:], *points], axis=0)
    margin = _MARGIN * max(high - low)
    limit = np.array(image.shape[1::-1])
    left, top = np.clip(low - margin, 0, limit - 1).astype(int)
    right, bottom = np.ceil(np.clip(high + margin, 1, limit)).astype(int)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    crop = np.ascontiguousarray(image[top:bottom, left:right])
    moved = keypoints - [left, top, 0]
    moved_box = box - [left, top, 0, 0]
    return visualization.draw_skeletons(
        crop, moved[np.newaxis], skeleton, boxes=moved_box[np.newaxis]
    )
