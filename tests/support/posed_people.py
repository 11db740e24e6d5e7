"""People whose keypoints are well apart, and predictions of them with known errors."""

import dataclasses

import numpy as np

from hrnet_tf.data.files.coco_annotations import ImageEntry
from hrnet_tf.data.files.coco_people import CocoPeople, Person
from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.evaluation.explanation import matching
from hrnet_tf.evaluation.explanation.average_precision import AveragePrecision
from hrnet_tf.evaluation.explanation.explanation import Explanation, explain
from hrnet_tf.evaluation.matched import AnnotatedPeople, PredictedPeople

AREA = 10000.0
SIZE = 100.0  # The root of the area.
# No two keypoints are nearer than about half the greatest similarity's distance.
STEP = 80.0
AWAY = 5000.0  # Pixels from everybody.

MUG = Skeleton(
    name="mug",
    keypoints=("rim_left", "rim_right", "handle"),
    flip_pairs=((0, 1),),
    sigmas=(0.05, 0.05, 0.1),
    limbs=((0, 1), (0, 2)),
    upper_body=(),
)


@dataclasses.dataclass
class Scene:
    """Annotated people, and predictions to spoil, which are perfect at first."""

    skeleton: Skeleton
    people: CocoPeople
    annotated: AnnotatedPeople
    predicted: PredictedPeople

    @property
    def truth(self) -> np.ndarray:
        """Where the keypoints of each prediction belong, [N, K, 2]."""
        return self.annotated.keypoints[..., :2]

    @property
    def mirror(self) -> list[int]:
        return list(self.skeleton.flip_permutation)

    def spoil(self, wrong: np.ndarray, points: np.ndarray) -> None:
        """Moves the keypoints marked in bool [N, K] to points [N, K, 2]."""
        self.predicted.keypoints[wrong, :2] = points[wrong]

    def explain(self) -> Explanation:
        return explain(*self.matched(), self.people, self.skeleton)

    def matched(self) -> tuple[matching.Matches, AveragePrecision]:
        """Everybody by likeness, and what scores them."""
        metric = AveragePrecision(self.people, self.skeleton.sigmas)
        matches = matching.match_by_likeness(
            self.predicted, self.annotated, metric, self.skeleton
        )
        return matches, metric


def make_scene(
    skeleton: Skeleton,
    num_images: int = 15,
    people_per_image: int = 2,
    *,
    labelled: float = 1.0,
    seed: int = 0,
) -> Scene:
    """People on a grid of points each, side by side; a share of keypoints labelled."""
    random = np.random.default_rng(seed)
    num_keypoints = skeleton.num_keypoints
    columns = int(np.ceil(np.sqrt(num_keypoints)))
    rows, places = np.divmod(np.arange(num_keypoints), columns)
    grid = STEP * np.stack([places, rows], axis=1)
    images, people = [], {}
    for image_id in range(num_images):
        images.append(ImageEntry(image_id, f"{image_id}.jpg", 4000, 3000))
        people[image_id] = []
        for number in range(people_per_image):
            corner = np.array([number * (columns + 2) * STEP, 20.0])
            points = random.permutation(grid) + corner
            points += random.uniform(-5, 5, points.shape)
            has_label = random.random(num_keypoints) < labelled
            has_label[0] = True
            points[~has_label] = 0
            keypoints = np.column_stack([points, 2 * has_label])
            box = [*corner, columns * STEP, columns * STEP]
            person = Person(
                1000 * image_id + number, box, AREA, False, keypoints.ravel().tolist()
            )
            people[image_id].append(person)
    content = CocoPeople(images, people, [1], 0, 0, [])
    annotated = AnnotatedPeople.of_people(content, num_keypoints)
    keypoints = annotated.keypoints.copy()
    keypoints[..., 2] = random.uniform(0.3, 1, keypoints.shape[:2])
    score = random.permutation(np.linspace(0.5, 1, len(keypoints)))
    ids = np.full(len(keypoints), -1)
    predicted = PredictedPeople(annotated.image_id.copy(), ids, keypoints, score)
    return Scene(skeleton, content, annotated, predicted)


def choose(scene: Scene, share: float = 0.2, most: float = 0.5) -> np.ndarray:
    """Some labelled keypoints, bool [N, K]; at most a share of each person's."""
    random = np.random.default_rng(1)
    is_labelled = scene.annotated.keypoints[..., 2] > 0
    chosen = is_labelled & (random.random(is_labelled.shape) < share)
    too_many = chosen.sum(axis=1) > most * is_labelled.sum(axis=1)
    chosen[too_many] = False
    return chosen


def near_truth(scene: Scene, similarity: float) -> np.ndarray:
    """Points with this similarity to the truth, in all directions, [N, K, 2]."""
    random = np.random.default_rng(2)
    factors = 2 * np.array(scene.skeleton.sigmas)
    distances = SIZE * factors * np.sqrt(-2 * np.log(similarity))
    angles = random.uniform(0, 2 * np.pi, scene.truth.shape[:2])
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return scene.truth + distances[..., np.newaxis] * directions


def of_the_other(scene: Scene) -> np.ndarray:
    """The truth of the other person of each image, where there are two, [N, K, 2]."""
    pairs = scene.truth.reshape(-1, 2, *scene.truth.shape[1:])
    return pairs[:, ::-1].reshape(scene.truth.shape)


def drop(scene: Scene, rows: np.ndarray) -> None:
    """Removes predictions."""
    kept = np.setdiff1d(np.arange(len(scene.predicted.score)), rows)
    fields = dataclasses.fields(scene.predicted)
    scene.predicted = PredictedPeople(
        *(getattr(scene.predicted, field.name)[kept] for field in fields)
    )


def repeat(scene: Scene, rows: np.ndarray, offset: float, score: float) -> None:
    """Predicts people once more, moved by so many pixels to the right."""
    more = scene.predicted.keypoints[rows] + [offset, 0, 0]
    scene.predicted = PredictedPeople(
        np.append(scene.predicted.image_id, scene.predicted.image_id[rows]),
        np.append(scene.predicted.person_id, np.full(len(rows), -1)),
        np.append(scene.predicted.keypoints, more, axis=0),
        np.append(scene.predicted.score, np.full(len(rows), score)),
    )
