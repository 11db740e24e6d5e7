"""Articulated people for the synthetic data set: a posed body becomes a `Figure`.

The joints of a random pose (poses.py) are seen without perspective and covered with
coloured polygons, far ones first. Lengths are in body heights until `Figure.place`
turns them into pixels.

Left sleeves, trouser legs and shoes are warm (red to yellow), right ones cool (cyan
to blue), on every person; elbows, wrists, knees and ankles carry a patch. Buttons and
a face tell the front from the back.
"""

import dataclasses
from typing import Any

import cv2
import numpy as np

from hrnet_tf.data.synthetic.poses import SIDES, rotation, sample_pose, sample_view
from hrnet_tf.data.synthetic.shapes import (
    UNIT_CIRCLE,
    Color,
    Shape,
    capsule,
    circle,
    hsv,
    pale,
    shade,
)
from hrnet_tf.data.vocabularies import skeletons

# What the pixels of a part map stand for: as many classes as in the LIP data set, with
# left and right as there. The neck and the ears count as face.
PART_NAMES = (
    *("background", "hair", "face", "torso"),
    *("left_upper_arm", "right_upper_arm", "left_elbow", "right_elbow"),
    *("left_lower_arm", "right_lower_arm", "left_hand", "right_hand"),
    *("left_upper_leg", "right_upper_leg", "left_knee", "right_knee"),
    *("left_lower_leg", "right_lower_leg", "left_foot", "right_foot"),
)
_PART = {name: index for index, name in enumerate(PART_NAMES)}
_KEYPOINT_NAMES = skeletons.load_skeleton("coco17").keypoints
# The parts that end at a joint: it is visible if one of them is.
_PARTS_AT_JOINT = {
    "shoulder": ("upper_arm",),
    "elbow": ("upper_arm", "elbow", "lower_arm"),
    "wrist": ("lower_arm", "hand"),
    "hip": ("upper_leg",),
    "knee": ("upper_leg", "knee", "lower_leg"),
    "ankle": ("lower_leg", "foot"),
}


def _parts_at_keypoint(name: str) -> frozenset[int]:
    side, _, joint = name.partition("_")
    if joint not in _PARTS_AT_JOINT:
        return frozenset([_PART["hair"], _PART["face"]])
    return frozenset(_PART[f"{side}_{part}"] for part in _PARTS_AT_JOINT[joint])


# For each of the 17 COCO keypoints, the part indices that show it.
KEYPOINT_PARTS = tuple(_parts_at_keypoint(name) for name in _KEYPOINT_NAMES)

_HEAD_RADII = np.array([0.1, 0.12, 0.105])
_OUTLINE = 0.009
# Points on the unit head; its radii are `_HEAD_RADII`.
_FACE = {
    "nose": (0.0, 0.14, 1.06),
    **{f"{name}_eye": (sign * 0.4, -0.14, 0.9) for sign, name in SIDES},
    **{f"{name}_ear": (sign * 1.06, 0.02, 0.0) for sign, name in SIDES},
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """A person ready to be drawn.

    Attributes:
        shapes: What to draw, in drawing order (far shapes first).
        keypoints: float64 [17, 2], x and y of the COCO keypoints, hidden ones too.
        turned_away: bool [17], keypoints of the face that its own head hides.
    """

    shapes: list[Shape]
    keypoints: np.ndarray
    turned_away: np.ndarray

    @property
    def box(self) -> np.ndarray:
        """The smallest and the largest (x, y) of all shapes, float64 [2, 2]."""
        points = np.concatenate([shape.polygon for shape in self.shapes])
        return np.stack([points.min(axis=0), points.max(axis=0)])

    def place(self, scale: float, offset: np.ndarray) -> "Figure":
        """The same figure with every point moved to `scale * point + offset`."""
        shapes = [
            shape._replace(polygon=scale * shape.polygon + offset)
            for shape in self.shapes
        ]
        keypoints = scale * self.keypoints + offset
        return Figure(shapes, keypoints, self.turned_away)


def sample_figure(rng: np.random.Generator) -> Figure:
    """Returns a person of random pose, view and clothes, in body heights; see `dress`.

    Lengths are those of a body one unit tall standing upright; turning and bending make
    what is drawn shorter.
    """
    joints, head_turn = sample_pose(rng)
    view = sample_view(rng)
    return dress(joints, head_turn, view, Clothes.sample(rng))


def dress(
    joints: dict[str, np.ndarray],
    head_turn: np.ndarray,
    view: np.ndarray,
    clothes: "Clothes",
) -> Figure:
    """The person who has a pose, as the viewer sees it. The hips are at the origin.

    Args:
        joints: The pose's joints [3] by name, in the body frame; see poses.py.
        head_turn: The head's rotation [3, 3] in that frame.
        view: The rotation [3, 3] from that frame to the viewer's.
        clothes: What the person wears.
    """
    joints = {name: view @ joint for name, joint in joints.items()}
    head_turn = view @ head_turn
    for name, point in _FACE.items():
        joints[name] = joints["head"] + head_turn @ (np.array(point) * _HEAD_RADII)

    forward = view[2, 2]
    layers = [_torso(joints, clothes, forward), _head(joints, head_turn, clothes)]
    for _, side in SIDES:
        layers += _limbs(joints, side, clothes)
    layers.sort(key=lambda layer: layer[0])
    return Figure(
        shapes=[shape for _, shapes in layers for shape in shapes],
        keypoints=np.stack([joints[name][:2] for name in _KEYPOINT_NAMES]),
        turned_away=_turned_away(joints, head_turn),
    )


def sample_side_hue(rng: np.random.Generator, side: str) -> float:
    """A hue in degrees for clothes of the 'left' or 'right' limbs."""
    return rng.uniform(-12, 42) if side == "left" else rng.uniform(185, 245)


@dataclasses.dataclass(frozen=True)
class Clothes:
    """The colours of one person."""

    skin: Color
    hair: Color
    shirt: Color
    trim: Color
    pattern: str
    limbs: dict[str, Color]  # '{side}_{arm|leg|shoe}'

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Clothes":
        """Random ones, as `people.py` begins by describing."""
        limbs = {}
        for _, side in SIDES:
            for limb, brightness in (("arm", 0.95), ("leg", 0.78), ("shoe", 0.55)):
                hue = sample_side_hue(rng, side)
                value = brightness * rng.uniform(0.85, 1.05)
                limbs[f"{side}_{limb}"] = hsv(hue, rng.uniform(0.65, 0.95), value)
        # Shirts keep away from both families of limb colours: green or violet to
        # pink, or nearly grey.
        shirt_hue = rng.uniform(*((75, 160), (270, 330))[rng.integers(2)])
        shirt = hsv(shirt_hue, rng.uniform(0.05, 0.6), rng.uniform(0.45, 0.95))
        light, dark = np.array([252, 216, 184]), np.array([128, 84, 58])
        red, green, blue = light + rng.uniform(0, 1) * (dark - light)
        hair = hsv(rng.uniform(20, 40), rng.uniform(0.1, 0.65), rng.uniform(0.08, 0.3))
        if rng.random() < 0.25:
            hair = hsv(rng.uniform(46, 54), rng.uniform(0.5, 0.75), 0.85)
        return cls(
            skin=(round(red), round(green), round(blue)),
            hair=hair,
            shirt=shirt,
            trim=shade(shirt, 0.55 if rng.random() < 0.5 else 1.45),
            pattern=("plain", "stripes", "band")[rng.integers(3)],
            limbs=limbs,
        )


Layer = tuple[float, list[Shape]]  # (depth towards the viewer, shapes)


def _outlined(part: str, polygon: np.ndarray, color: Color) -> list[Shape]:
    """A part with a dark edge: the edge is the part's outermost `_OUTLINE`."""
    center = polygon.mean(axis=0)
    reach = polygon - center
    inner = (
        reach
        * (1 - _OUTLINE / np.maximum(np.linalg.norm(reach, axis=1), _OUTLINE))[:, None]
    )
    return [
        Shape(polygon, shade(color, 0.45), _PART[part]),
        Shape(center + inner, color),
    ]


def _stick(
    part: str,
    start: np.ndarray,
    end: np.ndarray,
    radii: tuple[float, float],
    color: Color,
) -> list[Shape]:
    """A limb segment from joint to joint with a dark edge and a highlight."""
    start, end = start[:2], end[:2]
    outer = capsule(start, end, radii[0] + _OUTLINE, radii[1] + _OUTLINE)
    light = 0.35 * min(radii) * np.array([-0.7, -0.7])
    shine = capsule(start + light, end + light, 0.35 * radii[0], 0.35 * radii[1])
    return [
        Shape(outer, shade(color, 0.4), _PART[part]),
        Shape(capsule(start, end, *radii), color),
        Shape(shine, shade(color, 1.15)),
    ]


def _limbs(joints: dict[str, np.ndarray], side: str, clothes: Clothes) -> list[Layer]:
    """The layers of one arm and one leg, with a patch on every joint that bends."""
    arm, leg = clothes.limbs[f"{side}_arm"], clothes.limbs[f"{side}_leg"]
    shoe = clothes.limbs[f"{side}_shoe"]
    arm_patch, leg_patch = pale(arm, 0.5), shade(leg, 0.55)
    at = {
        joint: joints[f"{side}_{joint}"]
        for joint in ("shoulder", "elbow", "wrist", "hand")
        + ("hip", "knee", "ankle", "toes")
    }

    def segment(part: str, start: str, end: str, *look: Any) -> list[Shape]:
        return _stick(f"{side}_{part}", at[start], at[end], *look)

    def patch(joint: str, radius: float, color: Color) -> Shape:
        # Wrists and ankles are not parts themselves.
        part = _PART.get(f"{side}_{joint}")
        return Shape(circle(at[joint][:2], radius), color, part)

    upper_arm = segment("upper_arm", "shoulder", "elbow", (0.052, 0.044), arm)
    lower_arm = [
        *_outlined(f"{side}_hand", circle(at["hand"][:2], 0.043), clothes.skin),
        *segment("lower_arm", "elbow", "wrist", (0.042, 0.034), shade(arm, 0.75)),
        patch("wrist", 0.021, arm_patch),
    ]
    upper_leg = segment("upper_leg", "hip", "knee", (0.068, 0.055), leg)
    lower_leg = [
        *segment("foot", "ankle", "toes", (0.042, 0.037), shoe),
        *segment("lower_leg", "knee", "ankle", (0.052, 0.039), shade(leg, 1.25)),
        patch("ankle", 0.021, leg_patch),
    ]

    def depth(start: str, end: str) -> float:
        return (at[start][2] + at[end][2]) / 2

    # A limb in the plane of the body belongs in front of the torso.
    upper_arm_depth = depth("shoulder", "elbow") + 0.08
    lower_arm_depth = depth("elbow", "wrist") + 0.085
    upper_leg_depth = depth("hip", "knee") + 0.1
    lower_leg_depth = depth("knee", "ankle") + 0.095
    return [
        (upper_arm_depth, upper_arm),
        (lower_arm_depth, lower_arm),
        (max(upper_arm_depth, lower_arm_depth), [patch("elbow", 0.025, arm_patch)]),
        (upper_leg_depth, upper_leg),
        (lower_leg_depth, lower_leg),
        (max(upper_leg_depth, lower_leg_depth), [patch("knee", 0.029, leg_patch)]),
    ]


def _torso(joints: dict[str, np.ndarray], clothes: Clothes, forward: float) -> Layer:
    """The trunk; `forward` > 0 if its front is visible."""
    shoulders = [joints[f"{side}_shoulder"][:2] for _, side in SIDES]
    hips = [joints[f"{side}_hip"][:2] for _, side in SIDES]
    top, bottom = (shoulders[0] + shoulders[1]) / 2, (hips[0] + hips[1]) / 2
    corners = np.concatenate(
        [circle(top + 0.75 * (point - top), 0.064) for point in shoulders]
        + [circle(bottom + 0.75 * (point - bottom), 0.068) for point in hips]
    )
    hull = cv2.convexHull(corners.astype(np.float32))[:, 0].astype(np.float64)
    shapes = _outlined("torso", hull, clothes.shirt)

    def across(height: float, radius: float) -> Shape:
        left, right = (
            shoulder + height * (hip - shoulder)
            for shoulder, hip in zip(shoulders, hips, strict=True)
        )
        return Shape(capsule(left, right, radius, radius), clothes.trim)

    if clothes.pattern == "stripes":
        shapes += [across(height, 0.014) for height in (0.2, 0.42, 0.64, 0.86)]
    elif clothes.pattern == "band":
        shapes.append(across(0.45, 0.032))
    if forward > 0:
        buttons = [top + height * (bottom - top) for height in (0.3, 0.5, 0.7)]
        shapes += [Shape(circle(point, 0.011), (250, 250, 240)) for point in buttons]
    depth = (joints["neck"][2] + joints["left_hip"][2] + joints["right_hip"][2]) / 3
    return depth, shapes


def _head(joints: dict[str, np.ndarray], turn: np.ndarray, clothes: Clothes) -> Layer:
    """Neck and head; `turn` is the rotation of the head into the view."""
    center = joints["head"]
    skin, shadow = clothes.skin, shade(clothes.skin, 0.78)

    def on_head(points: np.ndarray) -> np.ndarray:
        """Points [..., 3] of the unit head to the view."""
        return center + (points * _HEAD_RADII) @ turn.T

    # A Cholesky factor of the outline's matrix maps the unit circle onto it.
    outline = center[:2] + UNIT_CIRCLE @ np.linalg.cholesky(_outline_scatter(turn)).T
    skull = _outlined("hair", outline, clothes.hair)
    face = _visible_cap(turn)
    if face is not None:
        skull.append(Shape(on_head(face)[:, :2], skin, _PART["face"]))

    behind: list[Shape] = []
    before: list[Shape] = []
    for _, side in SIDES:
        ear = joints[f"{side}_ear"]
        layer = behind if _is_behind(ear, center) else before
        layer += _outlined("face", circle(ear[:2], 0.033), shadow)
    for _, side in SIDES:
        eye = joints[f"{side}_eye"]
        if _faces_viewer(eye, center):
            before.append(Shape(circle(eye[:2], 0.026), (252, 252, 252)))
            before.append(Shape(circle(eye[:2], 0.014), (20, 20, 28)))
    if turn[2, 2] > 0.1:
        start, end = on_head(np.array([[-0.3, 0.52, 0.8], [0.3, 0.52, 0.8]]))[:, :2]
        before.append(Shape(capsule(start, end, 0.008, 0.008), (150, 40, 50)))
    if _faces_viewer(joints["nose"], center):
        nose = circle(joints["nose"][:2], 0.021)
        before.append(Shape(nose, shade(skin, 0.62), _PART["face"]))
    neck = _stick("face", joints["neck"], center, (0.042, 0.042), shadow)
    return center[2] + 0.002, [*neck, *behind, *skull, *before]


def _outline_scatter(turn: np.ndarray) -> np.ndarray:
    """S [2, 2] of the head's outline x @ inv(S) @ x = 1 around its centre."""
    axes = turn[:2] * _HEAD_RADII
    return axes @ axes.T


def _visible_cap(turn: np.ndarray) -> np.ndarray | None:
    """The face on the unit head [20, 3], bounded by what the viewer sees of it."""
    axis = np.array([0, 0.28, 0.96])
    rim = np.concatenate([UNIT_CIRCLE * 0.86, np.zeros((len(UNIT_CIRCLE), 1))], axis=1)
    rim = rim @ rotation(0, -np.degrees(np.arctan2(axis[1], axis[2]))).T
    rim = rim + 0.5 * axis
    # The surface at u faces the viewer if u is on the positive side of this axis.
    sight = turn[2] / _HEAD_RADII
    sight /= np.linalg.norm(sight)
    # So little of the face is left (less than a seventh of the head's radius) that the
    # step below would go around the wrong side of the head.
    if axis @ sight < -0.5:
        return None
    # Rim points beyond the horizon come forward to it.
    hidden = rim @ sight < 0
    rim[hidden] -= np.outer(rim[hidden] @ sight, sight)
    rim[hidden] /= np.linalg.norm(rim[hidden], axis=1, keepdims=True)
    return rim


def _faces_viewer(point: np.ndarray, center: np.ndarray) -> bool:
    """Whether an eye or the nose is on the near side of the head."""
    return point[2] - center[2] > 0.02


def _is_behind(ear: np.ndarray, center: np.ndarray) -> bool:
    """Whether an ear is drawn before the skull that may cover it."""
    return ear[2] - center[2] < -0.02


def _turned_away(joints: dict[str, np.ndarray], turn: np.ndarray) -> np.ndarray:
    """Which keypoints the skull hides, bool [17]; all of them are on the face."""
    center = joints["head"]
    outline = np.linalg.inv(_outline_scatter(turn))
    hidden = np.zeros(len(_KEYPOINT_NAMES), bool)
    for index, name in enumerate(_KEYPOINT_NAMES):
        if name.endswith("_ear"):
            reach = joints[name][:2] - center[:2]
            covered = reach @ outline @ reach < 1
            hidden[index] = covered and _is_behind(joints[name], center)
        elif name in _FACE:
            hidden[index] = not _faces_viewer(joints[name], center)
    return hidden
