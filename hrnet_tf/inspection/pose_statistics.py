"""People and their keypoints: numbers, and those that look wrong."""

from typing import Any

import numpy as np

from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.inspection.boxes import BoxStatistics, find_doubtful_boxes
from hrnet_tf.inspection.findings import Finding, Findings, Place
from hrnet_tf.inspection.pose_sources import People
from hrnet_tf.inspection.report import Distribution, Section
from hrnet_tf.inspection.samples import Sample
from hrnet_tf.inspection.sides import Sides

NOT_LEARNED = "person with keypoints that training leaves out"
NEVER_LABELLED = "keypoint that nobody has labelled"
OUTSIDE_IMAGE = "keypoint outside the image"
FAR_FROM_BOX = "keypoint far outside its person's box"
LARGE_BOX = "box far larger than its person's keypoints"
ONE_POINT = "all keypoints at one point"
SAME_POINT = "two keypoints at the same point"
ORIGIN = "keypoint labelled at 0, 0"
ONLY_UNLABELLED = "coordinates, but visibility 0 for all of them"
SAME_KEYPOINTS = "two people with the same keypoints"
MISCOUNTED = "num_keypoints is not the number of labelled keypoints"

# Pixels that a keypoint may lie outside before it is counted.
_TOLERANCE = 1.0
# What is far outside a box, in parts of its longer side.
_FAR = 0.2
# A box is far larger than keypoints that span less of its longer side, if these are at
# least half of all, and three. Of 87 such people of COCO all span 0.4 or more.
_LEAST_EXTENT, _LEAST_LABELLED = 1 / 3, 3


class PoseStatistics:
    """Counts people and keypoints and finds what looks wrong with them."""

    def __init__(self, skeleton: Skeleton, findings: Findings):
        """Starts without people."""
        self._skeleton = skeleton
        self._findings = findings
        self._boxes = BoxStatistics()
        self._sides = Sides(skeleton)
        self._people_per_image, self._labelled = Distribution(), Distribution()
        count = skeleton.num_keypoints
        self._histogram = np.zeros(count + 1, np.int64)
        self._visibility = np.zeros((count, 3), np.int64)
        self._outside = np.zeros((count, 2), np.int64)
        self._images_without_people = 0
        self._counts = dict.fromkeys(
            ("people", "crowds", "without labelled keypoints", "learned in training"), 0
        )

    def add(self, sample: Sample[People], content: People) -> None:
        """Takes the people of one image."""
        place, size, people = sample.place, sample.size, content.people
        self._people_per_image.add([len(people)])
        self._images_without_people += not people
        if not people:
            return
        crowds = np.array([person.iscrowd for person in people])
        labelled = (content.keypoints[..., 2] > 0).sum(axis=1)
        self._counts["people"] += len(people)
        self._counts["crowds"] += int(crowds.sum())
        without = int(np.count_nonzero(~crowds & (labelled == 0)))
        self._counts["without labelled keypoints"] += without
        if sample.encoded is not None:
            self._counts["learned in training"] += int(content.is_learned.sum())
        areas = np.array([person.area for person in people], np.float64)
        self._boxes.add(content.boxes[~crowds], areas[~crowds], size)
        groups = np.where(crowds, -1, 0)
        numbers: list[Any] = [person.id for person in people]
        find_doubtful_boxes(
            self._findings, place, size, content.boxes, areas, groups, numbers
        )
        for index in range(len(people)):
            self._add_person(place, size, content, index)
        self._find_same_keypoints(place, content)

    def _add_person(
        self, place: Place, size: tuple[int, int], content: People, index: int
    ) -> None:
        person, keypoints = content.people[index], content.keypoints[index]
        is_labelled = keypoints[:, 2] > 0
        if person.was_miscounted:
            self._find(place, person.id, MISCOUNTED, "num_keypoints is wrong")
        if person.iscrowd:
            return
        if not is_labelled.any():
            if keypoints[:, :2].any():
                self._find(place, person.id, ONLY_UNLABELLED, "visibility 0 only")
            return
        if not content.is_learned[index]:
            self._find(place, person.id, NOT_LEARNED, "area 0, or no box")
        count = int(is_labelled.sum())
        self._labelled.add([count])
        self._histogram[count] += 1
        values = np.arange(len(keypoints)), np.clip(keypoints[:, 2], 0, 2).astype(int)
        self._visibility[values] += 1
        self._sides.add(place, person.id, keypoints)
        self._find_outside(place, size, content, index)
        self._find_large_box(place, content, index)
        self._find_coinciding(place, person.id, keypoints)

    def _find_outside(
        self, place: Place, size: tuple[int, int], content: People, index: int
    ) -> None:
        """Keypoints outside the image or the person's box."""
        number, keypoints = content.people[index].id, content.keypoints[index]
        is_labelled = keypoints[:, 2] > 0
        box = content.boxes[index]
        of_image = _distances(keypoints, np.array([0, 0, size[1], size[0]]))
        of_box = _distances(keypoints, box)
        for column, distances in enumerate((of_box, of_image)):
            self._outside[is_labelled & (distances > _TOLERANCE), column] += 1
        for keypoint in np.flatnonzero(is_labelled & (of_image > _TOLERANCE)):
            x, y = keypoints[keypoint, :2]
            name = self._skeleton.keypoints[keypoint]
            told = f"{name} at {x:.0f}, {y:.0f} of {size[1]}x{size[0]} pixels"
            score = float(of_image[keypoint])
            self._find(place, number, OUTSIDE_IMAGE, f"{name} outside", told, score)
        share = np.where(is_labelled, of_box, 0) / max(*box[2:], 1e-9)
        if share.max() > _FAR:
            keypoint = int(share.argmax())
            name = self._skeleton.keypoints[keypoint]
            told = f"{name} is {of_box[keypoint]:.0f} pixels from it"
            score = float(share[keypoint])
            self._find(place, number, FAR_FROM_BOX, f"{name} far off", told, score)

    def _find_large_box(self, place: Place, content: People, index: int) -> None:
        """Boxes far larger than the keypoints, such as corners taken for a size."""
        keypoints, box = content.keypoints[index], content.boxes[index]
        points = keypoints[keypoints[:, 2] > 0, :2]
        if len(points) < max(_LEAST_LABELLED, len(keypoints) / 2):
            return
        extent = float(np.ptp(points, axis=0).max())
        share = extent / max(*box[2:], 1e-9)
        if 0 < share < _LEAST_EXTENT:
            told = (
                f"keypoints within {extent:.0f} pixels, and a box of {box[2]:.0f}x"
                f"{box[3]:.0f}"
            )
            number = content.people[index].id
            self._find(place, number, LARGE_BOX, "box far larger", told, 1 / share)

    def _find_coinciding(
        self, place: Place, number: int, keypoints: np.ndarray
    ) -> None:
        """Keypoints of a person where others are, or at the origin."""
        labelled = np.flatnonzero(keypoints[:, 2] > 0)
        points = keypoints[labelled, :2]
        names = [self._skeleton.keypoints[keypoint] for keypoint in labelled]
        at_origin = ~points.any(axis=1)
        if at_origin.any():
            first = names[int(at_origin.argmax())]
            self._find(place, number, ORIGIN, f"{first} at 0, 0", first)
        places, counts = np.unique(points, axis=0, return_counts=True)
        if len(points) > 1 and len(places) == 1:
            self._find(place, number, ONE_POINT, "one point")
            return
        same = [point for point in places[counts > 1] if point.any()]
        if same:
            which = [
                name
                for name, point in zip(names, points, strict=True)
                if (point == same[0]).all()
            ]
            told = " and ".join(which)
            self._find(place, number, SAME_POINT, told, told, float(counts.max()))

    def _find_same_keypoints(self, place: Place, content: People) -> None:
        """People of one image with the same three or more labelled keypoints."""
        seen: dict[bytes, int] = {}
        for person, keypoints in zip(content.people, content.keypoints, strict=True):
            if (keypoints[:, 2] > 0).sum() < 3:
                continue
            first = seen.setdefault(keypoints.tobytes(), person.id)
            if first != person.id:
                told = f"those of annotation {first}"
                self._find(place, person.id, SAME_KEYPOINTS, f"as {first}", told)

    def _find(
        self,
        place: Place,
        number: int,
        kind: str,
        note: str,
        told: str = "",
        score: float = 0.0,
    ) -> None:
        more = f": {told}" if told else ""
        sentence = f"{place}: annotation {number}{more}."
        self._findings.add(kind, Finding(sentence, place, number, note, score))

    @property
    def images_without_people(self) -> int:
        """How many images show nobody."""
        return self._images_without_people

    def sections(self) -> list[Section]:
        """What there is to say at the end; adds what only all people together tell."""
        counted = self._visibility.sum(axis=1)
        for keypoint in np.flatnonzero(self._visibility[:, 0] == counted):
            name = self._skeleton.keypoints[keypoint]
            if counted[keypoint]:
                self._findings.add(NEVER_LABELLED, Finding(f"{name}."))
        self._sides.report(self._findings)
        return [
            Section(
                "people",
                self._counts,
                {
                    "people per image": self._people_per_image,
                    "labelled keypoints per person": self._labelled,
                },
                {
                    f"with {number} keypoints": {"people": int(count)}
                    for number, count in enumerate(self._histogram)
                    if count
                },
            ),
            self._boxes.section(),
            Section("keypoints", table=self._keypoint_table()),
            Section(
                "left and right",
                table=self._sides.table(),
                notes=[]
                if self._skeleton.flip_pairs
                else [
                    f"The skeleton {self._skeleton.name} has no flip_pairs, so that "
                    "left and right cannot be compared."
                ],
            ),
        ]

    def _keypoint_table(self) -> dict[str, dict[str, int]]:
        if not self._visibility.any():
            return {}
        return {
            name: {
                "labelled": int(hidden + visible),
                "visible": int(visible),
                "hidden": int(hidden),
                "absent": int(absent),
                "outside the box": int(of_box),
                "outside the image": int(of_image),
            }
            for name, (absent, hidden, visible), (of_box, of_image) in zip(
                self._skeleton.keypoints, self._visibility, self._outside, strict=True
            )
        }


def _distances(keypoints: np.ndarray, box: np.ndarray) -> np.ndarray:
    """How far each of the keypoints [K, 3] lies outside a box; 0 for within."""
    low = box[:2] - keypoints[:, :2]
    high = keypoints[:, :2] - box[:2] - box[2:]
    return np.maximum(np.maximum(low, high), 0).max(axis=1)
