"""Random poses and views of a jointed body, for the synthetic data set.

Everything is three-dimensional, in body heights, and in one of two frames:

  body: x to the person's left, y down, z forward; the hips are at the origin.
  view: x to the image's right, y down, z towards the viewer.

They coincide for an upright person who faces the viewer, so the person's left is at
the image's right, as in COCO.
"""

import numpy as np

# (sign of x in the body frame, name).
SIDES = ((1, "left"), (-1, "right"))


def sample_view(rng: np.random.Generator) -> np.ndarray:
    """Returns the rotation [3, 3] from the body frame to the view frame.

    Most people face the viewer, turned by up to 75 degrees; some show their back.
    Most are upright; some lie. The camera looks slightly down.
    """
    turn = np.clip(rng.normal(0, 28), -75, 75)
    if rng.random() < 0.12:
        turn += 180
    roll = rng.normal(0, 10) if rng.random() < 0.9 else rng.uniform(-100, 100)
    camera_height = rng.uniform(0, 18)
    return rotation(2, roll) @ rotation(0, -camera_height) @ rotation(1, turn)


def sample_pose(rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns joints [3] by name, and the head's rotation [3, 3], in the body frame.

    Joints are `neck`, `head` (its centre), and for each side `left_shoulder`, `elbow`,
    `wrist`, `hand`, `hip`, `knee`, `ankle` and `toes`.
    """
    lean = rng.normal(0, (8, 6, 10))
    chest = rotation(0, lean[0]) @ rotation(2, lean[1]) @ rotation(1, lean[2])
    nod, tilt, turn = rng.normal(0, (7, 8, 18))
    head = chest @ rotation(1, turn) @ rotation(2, tilt) @ rotation(0, nod)
    neck = chest @ np.array([0, -0.315, 0])
    joints = {"neck": neck, "head": neck + head @ np.array([0, -0.142, 0.012])}

    high_knee = rng.random(2) < 0.12
    stance = abs(rng.normal(0, 14))
    for index, (sign, side) in enumerate(SIDES):
        shoulder = chest @ np.array([sign * 0.118, -0.285, 0])
        raise_low, raise_high = ((8, 35), (35, 100), (100, 155))[rng.integers(3)]
        upper = direction(sign, rng.uniform(raise_low, raise_high), rng.normal(12, 22))
        inward = (sign * rng.uniform(-1, 0.7), rng.uniform(-1, 0.5), 0.6)
        lower = bend(upper, np.array(inward), rng.uniform(5, 115))
        joints[f"{side}_shoulder"] = shoulder
        joints[f"{side}_elbow"] = elbow = shoulder + chest @ upper * 0.165
        joints[f"{side}_wrist"] = wrist = elbow + chest @ lower * 0.15
        joints[f"{side}_hand"] = wrist + chest @ lower * 0.04

        hip = np.array([sign * 0.068, 0, 0])
        flexion = rng.uniform(45, 85) if high_knee[index] else rng.normal(4, 16)
        knee_bend = abs(rng.normal(12, 18)) + 0.9 * max(flexion, 0)
        thigh = direction(sign, 3 + abs(stance + rng.normal(0, 6)), flexion)
        shin = bend(thigh, np.array([0, 0, -1]), min(knee_bend, 110))
        toes = bend(shin, np.array([sign * rng.uniform(0.1, 0.8), 0, 1]), 75)
        joints[f"{side}_hip"] = hip
        joints[f"{side}_knee"] = knee = hip + thigh * 0.225
        joints[f"{side}_ankle"] = ankle = knee + shin * 0.215
        joints[f"{side}_toes"] = ankle + toes * 0.07
    return joints, head


def rotation(axis: int, degrees: float) -> np.ndarray:
    """Rotation [3, 3] about one axis, from the next axis towards the one after it."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    second, third = (axis + 1) % 3, (axis + 2) % 3
    matrix[second, second] = matrix[third, third] = cos
    matrix[second, third], matrix[third, second] = -sin, sin
    return matrix


def direction(sign: int, abduction: float, flexion: float) -> np.ndarray:
    """Unit vector of a limb: 0, 0 hangs down; degrees sideways and forward."""
    sideways, forward = np.radians(abduction), np.radians(flexion)
    return np.array(
        [
            sign * np.sin(sideways) * np.cos(forward),
            np.cos(sideways) * np.cos(forward),
            np.sin(forward),
        ]
    )


def bend(limb: np.ndarray, towards: np.ndarray, degrees: float) -> np.ndarray:
    """The unit vector `limb` turned by an angle towards another vector."""
    across = towards - (towards @ limb) * limb
    across /= max(np.linalg.norm(across), 1e-6)
    angle = np.radians(degrees)
    return np.cos(angle) * limb + np.sin(angle) * across
