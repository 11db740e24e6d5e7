"""The pose of somebody who walks or stands, as a function of the way that was walked.

Frames and units are those of poses.py; lengths, too.
"""

import numpy as np

from hrnet_tf.data.synthetic.poses import SIDES, bend, direction, rotation

# Body heights for two steps.
STRIDE = 0.8
# Degrees by which thighs and arms swing, and knees bend when a leg comes forward.
_THIGH, _ARM, _KNEE = 24, 22, 45


def walking_pose(
    distance: float, pace: float
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Joints [3] by name, and the head's rotation [3, 3], in the body frame.

    Args:
        distance: The way walked so far, in body heights.
        pace: How far limbs swing, from 0, for somebody who stands, to 1.
    """
    phase = 2 * np.pi * distance / STRIDE
    neck = np.array([0, -0.315, 0])
    joints = {"neck": neck, "head": neck + np.array([0, -0.142, 0.012])}
    for sign, side in SIDES:
        swing = np.sin(phase + (0 if side == "left" else np.pi))
        lifted = max(np.cos(phase + (0 if side == "left" else np.pi)), 0)
        upper = direction(sign, 9, -pace * _ARM * swing)
        lower = bend(upper, np.array([0, 0, 1.0]), 12 + 14 * pace)
        shoulder = np.array([sign * 0.118, -0.285, 0])
        joints[f"{side}_shoulder"] = shoulder
        joints[f"{side}_elbow"] = elbow = shoulder + upper * 0.165
        joints[f"{side}_wrist"] = wrist = elbow + lower * 0.15
        joints[f"{side}_hand"] = wrist + lower * 0.04
        hip = np.array([sign * 0.068, 0, 0])
        thigh = direction(sign, 3, pace * _THIGH * swing)
        shin = bend(thigh, np.array([0, 0, -1.0]), 4 + pace * _KNEE * lifted)
        toes = bend(shin, np.array([sign * 0.2, 0, 1.0]), 75)
        joints[f"{side}_hip"] = hip
        joints[f"{side}_knee"] = knee = hip + thigh * 0.225
        joints[f"{side}_ankle"] = ankle = knee + shin * 0.215
        joints[f"{side}_toes"] = ankle + toes * 0.07
    return joints, rotation(0, 0)
