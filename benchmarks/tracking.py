"""People followed in drawn videos whose paths are known, beside no tracking at all.

    python benchmarks/tracking.py --json=tracking.json

The videos are those of `python -m hrnet_tf.data.synthetic --video`: people cross, hide
behind a pillar, leave and come back, and stand. The networks are simulated: keypoints
and boxes are the true ones with noise, keypoints that are lost, people who are not
detected, and boxes where nobody is; a crop that two people share shows the one of whom
more is visible. With --model, keypoints are those of a real network.

No tracking means that the detector sees every frame, and that people are numbered by
their scores.

IDF1, switches, jitter and lag are those of track_measures.py. Jitter is that of people
who stand, the lag that of people who walk.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import flag_values
import measuring
import numpy as np
import track_measures

from hrnet_tf.data.synthetic.films import SCENES, FilmFrame, film_frames
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.ops.box_overlaps import box_overlaps
from hrnet_tf.serving.boxes import Boxes
from hrnet_tf.serving.pose.predictor import PosePrediction
from hrnet_tf.serving.tracking.follower import DETECT_EVERY, Follower
from hrnet_tf.serving.tracking.tracker import Tracker

SIZE = 360, 640
_STILL = "standing"
_WALKING = "crossing"
_SKELETON = load_skeleton("coco17")


def main() -> None:
    """Follows people in all videos and prints a table."""
    parser = flag_values.parser(__doc__, rounds=3)
    parser.add_argument("--rates", type=flag_values.counts, default=[10, 30, 60])
    parser.add_argument(
        "--scenes", type=flag_values.some_of(SCENES), default=list(SCENES)
    )
    parser.add_argument("--detect_every", type=flag_values.count, default=DETECT_EVERY)
    parser.add_argument(
        "--noise",
        type=flag_values.average,
        default=2.0,
        help="standard deviation of keypoints in pixels",
    )
    parser.add_argument(
        "--model",
        type=flag_values.existing,
        help="an exported pose model, to look at drawn frames; simulated if not given",
    )
    arguments = parser.parse_args()
    measuring.pin(arguments.cores)
    rows = [
        _row(scene, rate, arguments)
        for scene in arguments.scenes
        for rate in arguments.rates
    ]
    measuring.tell("People followed in drawn videos", rows, vars(arguments))


def _row(scene: str, rate: int, arguments: Any) -> dict[str, Any]:
    frames = list(film_frames(scene, rate, SIZE, drawn=bool(arguments.model)))
    pose = _load(arguments.model) if arguments.model else None
    measured: dict[str, list[Any]] = {}
    for seed in range(arguments.rounds):
        for kind in (Untracked, Tracked):
            networks = Networks(seed, arguments.noise, pose)
            contender = kind(networks, arguments.detect_every)
            counted = track_measures.Counted()
            for frame in frames:
                networks.frame = frame
                found = contender.look(frame.seconds)
                numbered = track_measures.Found(found.track_ids, found.keypoints)
                counted.add(frame.seconds, frame.people, numbered)
            measured.setdefault(kind.__name__, []).append((counted, networks.calls))
    before, after = measured["Untracked"], measured["Tracked"]

    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values))

    row = {
        "video": scene,
        "frames/s": rate,
        "IDF1": mean([counted.idf1 for counted, _ in after]),
        "IDF1, untracked": mean([counted.idf1 for counted, _ in before]),
        "switches": mean([counted.switches for counted, _ in after]),
        "switches, untracked": mean([counted.switches for counted, _ in before]),
        "detector calls": f"{100 * mean([n for _, n in after]) / len(frames):.1f} %",
        "jitter, px": None,
        "jitter, untracked": None,
        "lag, frames": None,
    }
    if scene == _STILL:
        row["jitter, px"] = mean([track_measures.jitter(c) for c, _ in after])
        row["jitter, untracked"] = mean([track_measures.jitter(c) for c, _ in before])
    if scene == _WALKING:
        row["lag, frames"] = mean([track_measures.lag(c, rate) for c, _ in after])
    return row


def _load(path: str) -> Any:
    import hrnet_tf

    return hrnet_tf.load(path)


class Untracked:
    """The detector and the pose model at every frame; numbers are places."""

    def __init__(self, networks: "Networks", detect_every: int):
        del detect_every
        self._networks = networks

    def look(self, seconds: float) -> PosePrediction:
        """The people of the frame."""
        del seconds
        found = self._networks.predict_image(IMAGE, self._networks.find_people(IMAGE))
        order = np.argsort(-found.scores)
        order = order[found.scores[order] >= 0.3]
        return found.tracked(order, found.keypoints[order], np.arange(len(order)) + 1)


class Tracked:
    """Ours: people are followed, smoothed, and detected now and then."""

    def __init__(self, networks: "Networks", detect_every: int):
        self._follower = Follower(
            networks, detect_every=detect_every, tracker=Tracker()
        )

    def look(self, seconds: float) -> PosePrediction:
        """The people of the frame."""
        return self._follower.look(IMAGE, seconds)


IMAGE = np.zeros([*SIZE, 3], np.uint8)


class Networks:
    """A detector and a pose model that see the truth badly.

    Attributes:
        frame: What they look at.
        calls: How many frames the detector has seen.
    """

    unit = "people"
    needs_boxes = False
    finds_people_apart = True
    frame: FilmFrame

    def __init__(self, seed: int, noise: float, pose: Any = None):
        self.calls = 0
        self._pose = pose
        self._rng = np.random.default_rng(seed)
        self._noise = noise

    def find_people(self, image: np.ndarray) -> Boxes:
        """Boxes of what is visible of people; some are missing, some show nobody."""
        del image
        self.calls += 1
        rng, boxes, scores = self._rng, [], []
        for person in sorted(self.frame.people, key=lambda one: -one["visible"]):
            misses = 0.02 if person["visible"] > 0.5 else 0.15
            if (
                person["visible"] < track_measures.LEAST_VISIBLE
                or rng.random() < misses
            ):
                continue
            box = np.array(person["bbox"], np.float64)
            box += rng.normal(0, 0.02, 4) * np.tile(box[2:], 2)
            if boxes and box_overlaps(np.array([box]), np.array(boxes)).max() > 0.7:
                continue
            boxes.append(box)
            scores.append(min(rng.normal(0.9, 0.05), 1.0))
        if rng.random() < 0.02:
            boxes.append(rng.uniform(20, 200, 4))
            scores.append(0.4)
        return Boxes.found(np.reshape(np.float32(boxes), [-1, 4]), np.float32(scores))

    def predict_image(self, image: np.ndarray, boxes: Boxes) -> PosePrediction:
        """The keypoints of one person in each box."""
        if self._pose:
            seen = self._pose.predict_image(self.frame.image, boxes)
            return dataclasses.replace(seen, image=image)
        found = [self._look(box) for box in boxes.boxes]
        keypoints = np.float32(found).reshape(-1, _SKELETON.num_keypoints, 3)
        scores = keypoints[..., 2]
        is_seen = scores > 0.2
        means = (scores * is_seen).sum(axis=1) / np.maximum(is_seen.sum(axis=1), 1)
        return PosePrediction(
            *(boxes.boxes, boxes.scores, keypoints, means * boxes.scores, _SKELETON),
            image=image,
        )

    def _look(self, box: np.ndarray) -> np.ndarray:
        """The keypoints [K, 3] of the person who fills the box most."""
        people = [self._seen_in(box, person) for person in self.frame.people]
        best = max(people, key=lambda one: one[0], default=(0.0, None, None))
        rng, count = self._rng, _SKELETON.num_keypoints
        if best[0] < 1.0 or best[1] is None:
            points = box[:2] + rng.uniform(0, 1, [count, 2]) * box[2:]
            return np.column_stack([points, rng.uniform(0, 0.2, count)])
        _, keypoints, is_inside = best
        flags = keypoints[:, 2] * is_inside
        scores = np.choose(
            flags.astype(int),
            [
                np.full(count, 0.05),
                rng.normal(0.4, 0.1, count),
                rng.normal(0.85, 0.05, count),
            ],
        )
        spread = self._noise * np.where(flags == 2, 1, 3)
        points = keypoints[:, :2] + rng.normal(0, 1, [count, 2]) * spread[:, None]
        is_lost = rng.random(count) < 0.02
        points[is_lost] += rng.normal(0, 0.1, [is_lost.sum(), 2]) * box[2:]
        scores[is_lost] = rng.uniform(0, 0.3, is_lost.sum())
        is_outside = flags == 0
        points[is_outside] = (
            box[:2] + rng.uniform(0, 1, [is_outside.sum(), 2]) * box[2:]
        )
        return np.column_stack([points, np.clip(scores, 0, 1)])

    def _seen_in(
        self, box: np.ndarray, person: dict[str, Any]
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """How much of a person is in a box, the keypoints, and which are inside."""
        keypoints = np.reshape(np.float64(person["keypoints"]), [-1, 3])
        offsets = (keypoints[:, :2] - box[:2] - box[2:] / 2) / (box[2:] / 2)
        is_inside = (np.abs(offsets) < 1.25).all(axis=1)
        near = np.exp(-np.square(offsets[:, 0])) * is_inside
        return float((near * (keypoints[:, 2] == 2)).sum()), keypoints, is_inside


if __name__ == "__main__":
    main()
