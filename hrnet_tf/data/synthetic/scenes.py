"""One image of the synthetic data set: people among things before a textured ground.

`draw_scene` is a pure function of its random generator. It keeps a label map beside
the image, (owner, body part) of whatever is on top at each pixel. All that it says
about people and things is read from there: masks, boxes, visibility flags.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from hrnet_tf.data.synthetic.limits import MAX_PEOPLE, MIN_SIDE
from hrnet_tf.data.synthetic.people import (
    KEYPOINT_PARTS,
    Figure,
    sample_figure,
    sample_side_hue,
)
from hrnet_tf.data.synthetic.shapes import (
    Shape,
    capsule,
    circle,
    draw_labels,
    draw_shapes,
    hsv,
    shade,
)

# The names of things; fences are drawn as well, but not annotated.
THINGS = ("disc", "box", "bar")
# Things with a smaller visible share or area are hard to tell apart. They are marked as
# crowds, which neither training nor evaluation counts.
_MIN_THING_SHARE, _MIN_THING_AREA = 0.5, 60

_ATTEMPTS = 6  # Places tried for a figure before it is left out.
_MIN_FREE_SHARE = 0.6  # Others must leave this share of a person's pixels visible.
_TRUNCATED_SHARE = 0.12  # Share of people who may stand across the border.

_MAX_OWNER = 255  # The largest number that fits into the labels.


class _Thing(NamedTuple):
    """A thing's name, and how many of its pixels were visible when it was drawn."""

    name: str
    drawn_pixels: int


class Scene(NamedTuple):
    """What `draw_scene` returns.

    Attributes:
        image: uint8 [height, width, 3], RGB.
        people: One dict per person, far ones first, with the fields of a COCO
            annotation that describe the image: `keypoints` (51 numbers x, y, v),
            `num_keypoints` (those with v > 0), `bbox` [x, y, width, height], `area` and
            `segmentation` (compressed RLE). Units are pixels; (0, 0) is the centre of
            the top left pixel for keypoints, its corner for boxes.
        things: One dict per visible thing, with its `name`, one of `THINGS`, `iscrowd`
            (1 if too little of it is visible), `bbox`, `area` and `segmentation`.
        parts: uint8 [height, width], indices into `people.PART_NAMES`.
    """

    image: np.ndarray
    people: list[dict[str, Any]]
    things: list[dict[str, Any]]
    parts: np.ndarray


def draw_scene(
    rng: np.random.Generator, height: int, width: int, max_people: int = 4
) -> Scene:
    """Draws 1 to `max_people` people, some behind others, things or the border.

    A keypoint's v is 2 if its body part is on top, 1 if something is drawn over it
    (another person, a thing, the person's own body), and 0, with x = y = 0, outside the
    image. Masks hold visible pixels; boxes and areas are those of the masks. Every
    drawn person is in `people`. Equal states of `rng` give equal scenes.

    Raises `ValueError` if a side, in pixels, is below `MIN_SIDE`, or `max_people` above
    `MAX_PEOPLE`.
    """
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"A scene of {height} x {width} pixels is too small to draw people; "
            f"both sides must be at least {MIN_SIDE}."
        )
    if not 1 <= max_people <= MAX_PEOPLE:
        raise ValueError(f"max_people is {max_people}; give 1 to {MAX_PEOPLE}.")

    labels = np.zeros((height, width, 2), np.uint8)
    things: list[_Thing] = []
    image = draw_ground(rng, labels, things)
    figures: list[Figure] = []
    free_pixels = np.zeros(_MAX_OWNER + 1, np.int64)  # Of each owner, when drawn.

    def add(shapes: list[Shape], owner: int) -> bool:
        """Draws a person or a thing, unless it hides too much of earlier people."""
        nonlocal labels
        changed = labels.copy()
        draw_labels(changed, shapes, owner)
        counts = np.bincount(changed[..., 0].ravel(), minlength=_MAX_OWNER + 1)
        earlier = slice(1, len(figures) + 1)
        if (counts[earlier] < _MIN_FREE_SHARE * free_pixels[earlier]).any():
            return False
        free_pixels[owner] = counts[owner]
        labels = changed
        draw_shapes(image, shapes)
        return True

    num_people = int(rng.integers(1, max_people + 1))
    # Near people are tall and in front of far ones.
    for stature in np.sort(_sample_statures(rng, num_people)):
        figure = sample_figure(rng)
        for _ in range(_ATTEMPTS):
            placed = _place(rng, figure, stature, height, width)
            if add(placed.shapes, owner=len(figures) + 1):
                figures.append(placed)
                break
        if rng.random() < 0.12:
            kind, shapes = _sample_thing(rng, height, width, largest=0.16)
            owner = MAX_PEOPLE + 1 + len(things)
            if add(shapes, owner):
                things.append(_Thing(kind, free_pixels[owner]))

    add_grain(rng, image)
    people = [
        describe(figure, labels, owner) for owner, figure in enumerate(figures, 1)
    ]
    return Scene(
        image,
        people,
        list(_describe_things(things, labels)),
        np.ascontiguousarray(labels[..., 1]),
    )


def _sample_statures(rng: np.random.Generator, count: int) -> np.ndarray:
    """The larger side of each figure as a share of the image's smaller side."""
    tallest = max(0.7, 1.08 - 0.1 * count)
    return rng.triangular(0.38, 0.85 * tallest, tallest, count)


def _place(
    rng: np.random.Generator, figure: Figure, stature: float, height: int, width: int
) -> Figure:
    """The figure at its size somewhere in the image, or across one border."""
    low, high = figure.box
    scale = stature * min(height, width) / (high - low).max()
    size = scale * (high - low)
    room = np.array([width, height]) - size
    corner = rng.uniform(0, 1, 2) * room
    if rng.random() < _TRUNCATED_SHARE:
        axis = rng.integers(2)
        beyond = rng.uniform(0.1, 0.4) * size[axis]
        corner[axis] = -beyond if rng.random() < 0.5 else room[axis] + beyond
    return figure.place(scale, corner - scale * low)


def describe(figure: Figure, labels: np.ndarray, owner: int) -> dict[str, Any]:
    """The annotation of the person whose pixels have the label `owner`."""
    height, width = labels.shape[:2]
    keypoints = []
    for (x, y), turned_away, parts in zip(
        figure.keypoints.round(2).tolist(),
        figure.turned_away,
        KEYPOINT_PARTS,
        strict=True,
    ):
        if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
            keypoints += [0, 0, 0]
            continue
        top_owner, top_part = labels[round(y), round(x)]
        visible = top_owner == owner and top_part in parts and not turned_away
        keypoints += [x, y, 2 if visible else 1]
    return {
        "keypoints": keypoints,
        "num_keypoints": sum(v > 0 for v in keypoints[2::3]),
        **_outline(labels, owner),
    }


def _describe_things(
    things: list[_Thing], labels: np.ndarray
) -> Iterator[dict[str, Any]]:
    """The annotations of the visible things."""
    for owner, thing in enumerate(things, MAX_PEOPLE + 1):
        outline = _outline(labels, owner)
        if thing.name not in THINGS or not outline["area"]:
            continue
        is_hidden = (
            outline["area"] < _MIN_THING_SHARE * thing.drawn_pixels
            or outline["area"] < _MIN_THING_AREA
        )
        yield {"name": thing.name, "iscrowd": int(is_hidden), **outline}


def _outline(labels: np.ndarray, owner: int) -> dict[str, Any]:
    """Box, area and mask of the pixels with the label `owner`."""
    rle = coco_mask.encode(np.asfortranarray(labels[..., 0] == owner, np.uint8))
    return {
        "bbox": coco_mask.toBbox(rle).tolist(),
        "area": int(coco_mask.area(rle)),
        "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
    }


def draw_ground(
    rng: np.random.Generator, labels: np.ndarray, things: list[_Thing]
) -> np.ndarray:
    """A background: a blurry mottled gradient with things on it.

    Adds the things to `things`, and to the labels, in place.
    """
    height, width = labels.shape[:2]
    grey = rng.integers(50, 206)
    coarse = grey + rng.integers(-60, 61, (rng.integers(2, 5), rng.integers(2, 5), 3))
    coarse = coarse.clip(0, 255).astype(np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    cell = int(rng.integers(6, 30))
    mottles = rng.integers(
        0, rng.integers(8, 60), (height // cell + 2, width // cell + 2), np.uint8
    )
    mottles = cv2.resize(mottles, (width, height), interpolation=cv2.INTER_LINEAR)
    image = cv2.add(image, cv2.merge([mottles] * 3))
    for _ in range(rng.integers(3, 12)):
        kind, shapes = _sample_thing(rng, height, width, largest=0.3)
        owner = MAX_PEOPLE + 1 + len(things)
        draw_shapes(image, shapes)
        draw_labels(labels, shapes, owner)
        things.append(_Thing(kind, np.count_nonzero(labels[..., 0] == owner)))
    return image


def _sample_thing(
    rng: np.random.Generator, height: int, width: int, largest: float
) -> tuple[str, list[Shape]]:
    """The name and shapes of a disc, box, fence or jointed bar, a little like a limb.

    `largest` is the greatest half side as a share of the image's smaller side.
    """
    center = rng.uniform(0, 1, 2) * (width, height)
    reach = rng.uniform(0.25, 1) * largest * min(height, width)
    along = np.radians(rng.uniform(0, 360))
    axis = reach * np.array([np.cos(along), np.sin(along)])
    side = rng.uniform(0.2, 1) * np.array([-axis[1], axis[0]])
    color = hsv(rng.uniform(0, 360), rng.uniform(0.1, 0.8), rng.uniform(0.2, 0.95))
    kind = ("disc", "box", "fence", "bar")[rng.integers(4)]
    if kind == "disc":
        polygons = [circle(center, 0.7 * reach), circle(center, 0.4 * reach)]
    elif kind == "box":
        corners = ((1, 1), (-1, 1), (-1, -1), (1, -1))
        box = np.array([u * axis + v * side for u, v in corners])
        polygons = [center + box, center + 0.7 * box]
    elif kind == "fence":
        posts = [center + share * side for share in (-1, -0.5, 0, 0.5, 1)]
        radius = 0.06 * reach
        polygons = [capsule(post - axis, post + axis, radius, radius) for post in posts]
    else:
        family = "left" if rng.random() < 0.5 else "right"
        color = hsv(sample_side_hue(rng, family), rng.uniform(0.4, 0.9), 0.8)
        radius = 0.18 * reach
        polygons = [
            capsule(center, center + 0.9 * axis, radius, 0.8 * radius),
            capsule(center, center + 0.9 * side, radius, 0.8 * radius),
        ]
    inner = shade(color, rng.uniform(0.6, 1.4))
    return kind, [
        Shape(polygon, color if index % 2 == 0 else inner, part=0)
        for index, polygon in enumerate(polygons)
    ]


def add_grain(
    rng: np.random.Generator, image: np.ndarray, level: int | None = None
) -> None:
    """Adds camera noise to the image in place, of a random level if none is given."""
    level = int(rng.integers(1, 12)) if level is None else level
    grain = rng.integers(0, 2 * level + 1, image.shape, np.uint8)
    cv2.add(image, grain, dst=image)
    cv2.subtract(image, (level, level, level, 0), dst=image)
