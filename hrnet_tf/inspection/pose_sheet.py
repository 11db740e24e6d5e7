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
from hrnet_tf.inspection import sheets
from hrnet_tf.inspection.findings import Finding
from hrnet_tf.inspection.pose_sources import People
from hrnet_tf.inspection.samples import Sample
from hrnet_tf.inspection.sequences import read_each

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
    rows: list[list[sheets.Cell]] = []
    for one, *crops_of_one in zip(chosen, plain, augmented, strict=True):
        crops = [crop for several in crops_of_one for crop in several]
        drawn = [
            visualization.draw_skeletons(image, keypoints[np.newaxis], skeleton)
            for image, keypoints, _ in crops
        ]
        name = f"{one.sample.place.image_id}, person {one.person.id}"
        rows.append(sheets.row_of_sample(name, drawn[0], drawn[1:]))
        rows.append(
            [
                ("target", visualization.draw_heatmaps(image, targets))
                for image, _, targets in crops
            ]
        )
    height, width = task.model.input_size
    return sheets.draw_rows(rows, (_CELL_HEIGHT, round(_CELL_HEIGHT * width / height)))


def _read_crops(
    records: Sequence[bytes],
    task: pose_config.PoseTask,
    skeleton: Skeleton,
    is_training: bool,
    times: int,
    seed: int,
) -> list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Image, keypoints [K, 3] and targets of the one person of each record.

    Each record is read so many times.
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

    return read_each(records, times, seed, read)


def draw_person(
    sample: Sample[People], finding: Finding, skeleton: Skeleton
) -> np.ndarray:
    """The person whom a finding is about, with what is around them."""
    image, content = sample.pixels(), sample.annotated()
    numbers: list[int | None] = [person.id for person in content.people]
    index = numbers.index(finding.annotation_id)
    box, keypoints = content.boxes[index], content.keypoints[index]
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
