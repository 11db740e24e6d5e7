"""Drawn videos of people whose paths are known: crossings, hiding, leaving, standing.

What happens is a function of time alone, so that a film is the same at every rate of
frames. `draw_film` draws it, `film_truth` tells where people are and draws nothing.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from hrnet_tf.data.synthetic.people import Clothes, Figure, dress
from hrnet_tf.data.synthetic.poses import rotation
from hrnet_tf.data.synthetic.scenes import add_grain, describe, draw_ground
from hrnet_tf.data.synthetic.shapes import Shape, draw_labels, draw_shapes, hsv
from hrnet_tf.data.synthetic.walking import walking_pose

# Of every film, in seconds.
SECONDS = 8.0

# Body heights in a second at which people walk with all their swing, and turn.
_BRISK = 0.35
_TURN = 62  # degrees
_CAMERA = 8  # degrees above the horizon

_GRAIN = 4  # grey levels of noise

# A thing's number in labels, above all people's.
_PILLAR = 200


@dataclasses.dataclass(frozen=True)
class Actor:
    """Somebody in a film.

    Attributes:
        height: The body's, as a share of the picture's height. Taller ones are nearer,
            and hide others.
        path: (seconds, x) to walk to, x as a share of the picture's width.
        turn: How somebody who stands is turned, in degrees; 0 faces the viewer.
    """

    height: float
    path: tuple[tuple[float, float], ...]
    turn: float = 0.0

    def place(self, seconds: float) -> float:
        """Where the hips are, as a share of the picture's width."""
        times, places = np.array(self.path).T
        step = int(np.clip(np.searchsorted(times, seconds, "right"), 1, len(times)))
        if step == len(times):
            return float(places[-1])
        share = (seconds - times[step - 1]) / (times[step] - times[step - 1])
        share = min(max(share, 0.0), 1.0)
        # Nobody starts or stops at once.
        eased = share * share * (3 - 2 * share)
        return float(places[step - 1] + eased * (places[step] - places[step - 1]))


def _to_and_fro(left: float, right: float, shift: float = 0.0) -> Any:
    """A path between two places, of which the first step begins after a shift."""
    times = (0.5, 3.4, 4.2, 7.2)
    return tuple(
        (time + shift, place)
        for time, place in zip(times, (left, right, right, left), strict=True)
    )


# By name: who is in a film, and the edges of a pillar in front, if any, as shares.
SCENES: dict[str, tuple[tuple[Actor, ...], tuple[float, float] | None]] = {
    "crossing": (
        (
            Actor(0.55, ((0.0, 0.5),), turn=-20),
            Actor(0.62, _to_and_fro(0.12, 0.86)),
            Actor(0.7, _to_and_fro(0.88, 0.14, 0.2)),
        ),
        None,
    ),
    "hiding": (
        (
            Actor(0.55, ((0.0, 0.82),), turn=15),
            Actor(0.62, ((0.3, 0.1), (3.6, 0.7), (4.4, 0.7), (7.4, 0.1))),
            Actor(0.68, ((1.8, 0.9), (5.0, 0.24))),
        ),
        (0.39, 0.56),
    ),
    "leaving": (
        (
            Actor(0.55, ((0.0, 0.5),), turn=10),
            Actor(0.62, ((0.5, 0.3), (2.2, -0.14), (2.9, -0.14), (4.6, 0.32))),
            Actor(0.68, ((2.0, 0.66), (4.0, 1.15), (4.8, 1.15), (6.8, 0.7))),
        ),
        None,
    ),
    "standing": (
        (
            Actor(0.6, ((0.0, 0.2),), turn=-25),
            Actor(0.64, ((0.0, 0.5),)),
            Actor(0.68, ((0.0, 0.8),), turn=30),
        ),
        None,
    ),
}


class FilmFrame(NamedTuple):
    """A frame of a film.

    Attributes:
        seconds: When it is shown.
        image: uint8 [height, width, 3], RGB; None if it is not drawn.
        people: One dict for each person of whom a pixel can be seen, with the fields of
            a COCO annotation that describe the image (`scenes.Scene.people`), the
            person's `track_id`, and `visible`, the share of the body that can be seen.
    """

    seconds: float
    image: np.ndarray | None
    people: list[dict[str, Any]]


def film_frames(
    scene: str,
    frames_per_second: float,
    size: tuple[int, int],
    seed: int = 0,
    drawn: bool = True,
) -> Iterator[FilmFrame]:
    """Yields the frames of a film.

    Args:
        scene: One of `SCENES`.
        frames_per_second: Their rate.
        size: (height, width) in pixels.
        seed: Another one gives other clothes and another ground.
        drawn: Whether frames have images.
    """
    actors, pillar = SCENES[scene]
    rng = np.random.default_rng([seed, list(SCENES).index(scene)])
    clothes = [Clothes.sample(rng) for _ in actors]
    ground = draw_ground(rng, np.zeros((*size, 2), np.uint8), [])
    color = hsv(rng.uniform(0, 360), 0.3, 0.55)
    before = _pillar(pillar, size, color) if pillar else []
    for number in range(round(SECONDS * frames_per_second)):
        seconds = number / frames_per_second
        figures = [
            _figure(actor, wear, seconds, size)
            for actor, wear in zip(actors, clothes, strict=True)
        ]
        image = None
        if drawn:
            image = ground.copy()
            for shapes in (*(figure.shapes for figure in figures), before):
                draw_shapes(image, shapes)
            add_grain(np.random.default_rng([seed, number]), image, _GRAIN)
        yield FilmFrame(seconds, image, list(_seen(figures, before, size)))


def _figure(
    actor: Actor, clothes: Clothes, seconds: float, size: tuple[int, int]
) -> Figure:
    """An actor in a frame, in pixels."""
    height, width = size
    scale = actor.height * height
    place = actor.place(seconds) * width
    # In body heights a second, from a step that no rate of frames changes.
    step = 0.01
    speed = (actor.place(seconds + step) * width - place) / scale / step
    pace = float(np.clip(speed / _BRISK, -1, 1))
    turn = _TURN * pace + actor.turn * (1 - abs(pace))
    view = rotation(0, -_CAMERA) @ rotation(1, turn)
    figure = dress(*walking_pose(place / scale, abs(pace)), view, clothes)
    # Feet stand on the ground, the nearer the lower.
    ground = (0.62 + 0.48 * actor.height) * height
    return figure.place(scale, np.array([place, ground - 0.44 * scale]))


def _pillar(
    edges: tuple[float, float], size: tuple[int, int], color: Any
) -> list[Shape]:
    height, width = size
    left, right = (edge * width for edge in edges)
    corners = [(left, -1), (right, -1), (right, height), (left, height)]
    return [Shape(np.array(corners, np.float64), color, part=0)]


def _seen(
    figures: list[Figure], before: list[Shape], size: tuple[int, int]
) -> Iterator[dict[str, Any]]:
    """What can be seen of people, far ones first."""
    labels = np.zeros((*size, 2), np.uint8)
    for owner, figure in enumerate(figures, 1):
        draw_labels(labels, figure.shapes, owner)
    draw_labels(labels, before, _PILLAR)
    for owner, figure in enumerate(figures, 1):
        person = describe(figure, labels, owner)
        if person["area"]:
            visible = min(person["area"] / _whole_area(figure), 1.0)
            yield {"track_id": owner, "visible": round(visible, 3), **person}


def _whole_area(figure: Figure) -> int:
    """The pixels of somebody whom nothing hides, in a picture that is large enough."""
    low, high = figure.box
    width, height = np.ceil(high - low).astype(int) + 3
    labels = np.zeros((height, width, 2), np.uint8)
    # As many parts of a pixel off the grid as in the film.
    draw_labels(labels, figure.place(1, 1 - np.floor(low)).shapes, 1)
    return np.count_nonzero(labels[..., 0])
