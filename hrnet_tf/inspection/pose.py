"""Inspects people with keypoints."""

import numpy as np

from hrnet_tf.configs.pose import PoseTask
from hrnet_tf.data.vocabularies.skeletons import Skeleton, load_skeleton
from hrnet_tf.inspection import pose_sheet
from hrnet_tf.inspection.configuration import read_task
from hrnet_tf.inspection.findings import Finding
from hrnet_tf.inspection.inspection import Inspection
from hrnet_tf.inspection.options import Options
from hrnet_tf.inspection.pose_sources import AnnotatedPeople, People, RecordedPeople
from hrnet_tf.inspection.pose_statistics import PoseStatistics
from hrnet_tf.inspection.report import Section
from hrnet_tf.inspection.samples import Sample
from hrnet_tf.inspection.sampling import Reservoir
from hrnet_tf.messages import UserError
from hrnet_tf.training.validation import pose as validation


class PoseInspection(Inspection[People]):
    """Numbers, doubtful people and crops of people."""

    kind = "pose"
    doubtful_size = 480, 400

    def __init__(self, options: Options, of_data: Skeleton):
        """Reads the annotations, or finds the records.

        `of_data` is the skeleton that the data themselves tell of, for want of another.
        """
        super().__init__(options)
        self._task: PoseTask = read_task(
            options, (PoseTask,), "hrnet_pose_coco", validation.mistakes, self.kind
        )
        self._skeleton = of_data
        if options.skeleton:
            self._skeleton = load_skeleton(options.skeleton)
        elif options.has_configuration:
            self._skeleton = load_skeleton(self._task.skeleton)
        if options.records:
            if of_data.num_keypoints != self._skeleton.num_keypoints:
                raise UserError(
                    f"--records={options.records}: the first record holds "
                    f"{of_data.num_keypoints} keypoints per person, and the skeleton "
                    f"{self._skeleton.name} has {self._skeleton.num_keypoints}: give "
                    "the one that the records were converted with, --skeleton=..."
                )
            self.source = RecordedPeople(options.records, self._skeleton)
        else:
            self.source = AnnotatedPeople(options, self._skeleton, self.findings)
        self._statistics = PoseStatistics(self._skeleton, self.findings)
        self._chosen: Reservoir[pose_sheet.Chosen] = Reservoir(
            options.num_rows, options.seed
        )

    def add(self, sample: Sample[People], content: People) -> None:
        self._statistics.add(sample, content)
        if sample.encoded is not None:
            for index in np.flatnonzero(content.is_learned):
                person = content.people[index]
                self._chosen.offer(pose_sheet.Chosen(sample, person))

    def sections(self) -> list[Section]:
        return self._statistics.sections()

    @property
    def empty_images(self) -> tuple[str, int]:
        return "without people", self._statistics.images_without_people

    def draw_sheet(self) -> np.ndarray | None:
        chosen = self._chosen.kept()
        if not chosen:
            return None
        return pose_sheet.draw_training(
            chosen,
            self._task,
            self._skeleton,
            self.options.num_augmented,
            self.options.seed,
        )

    def draw_finding(self, sample: Sample[People], finding: Finding) -> np.ndarray:
        return pose_sheet.draw_person(sample, finding, self._skeleton)
