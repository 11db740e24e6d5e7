"""MPII's people as the official pose repository lists them: annot/*.json, gt_valid.mat.

The JSON is a list of objects with `image`, `center`, `scale`, `joints` [16, 2] and
`joints_vis` [16], one for each person. Coordinates begin with 1, as in MATLAB, and are
taken to begin with 0 here. The person's region is that of official lib/dataset/mpii.py:
a square of 200 * scale pixels about the centre, which is lowered by 15 * scale so that
no ankles are cut; its padding of 1.25 is `box_padding`.

The .mat holds what the official evaluation scores by: the rectangle of each head, of
whose diagonal 0.6 is the length that errors are divided by, and once more the joints
and which of them are missing. These are then taken instead of the list's.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from hrnet_tf.data.files.coco_annotations import read_file_name
from hrnet_tf.data.files.coco_masks import is_number_list
from hrnet_tf.data.files.faults import ConversionError, Faults, Unusable
from hrnet_tf.data.files.listed_people import ListedPerson, read_entries, square
from hrnet_tf.data.files.matlab import read_arrays
from hrnet_tf.input_files import InputFileError, read_bytes, read_json
from hrnet_tf.messages import listed, shown_at

_NUM_JOINTS = 16
_KEYS = ("image", "center", "scale", "joints", "joints_vis")
# By how many scales official code lowers the centre, "to avoid cropping limbs".
_LOWERED = 15
# Of the diagonal of the head's rectangle: the official evaluation's SC_BIAS.
_HEAD_SHARE = 0.6
# How far joints of the list and of the .mat may lie apart, in pixels, and of what share
# of the people they may do so, before these count as other people.
_NEAR = 2.0
_FEW = 0.1
_LARGEST_MAT = 100_000_000  # bytes


def read_mpii(path: str, gt_mat: str | None, faults: Faults) -> list[ListedPerson]:
    """Reads MPII's people; `faults` receives those who cannot be used.

    Raises `ConversionError` if a file is not as described above, or both are of other
    people.
    """
    entries = _load(path)
    truth = _Truth.of(gt_mat, len(entries), path) if gt_mat else None

    def read(number: int, entry: Any) -> ListedPerson:
        return _read_person(number, entry, truth)

    people = read_entries(path, entries, read, faults, "person")
    if truth:
        _check_same(path, truth, entries)
    return people


def _load(path: str) -> list[Any]:
    layout = f"MPII's annotations are a list of objects with {', '.join(_KEYS)}"
    try:
        entries = read_json(path)
    except InputFileError as error:
        raise ConversionError(f"The annotation file {error}") from None
    if isinstance(entries, dict) and "annotations" in entries:
        raise ConversionError(
            f"{path} is in COCO's format; {layout}. hrnet_tf.data.coco_pose converts "
            "COCO's."
        )
    if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
        found = "an empty list" if entries == [] else f"a {type(entries).__name__}"
        if isinstance(entries, list) and entries:
            found = f"a list of {type(entries[0]).__name__}s"
        raise ConversionError(f"{path} holds {found}; {layout}.")
    missing = [key for key in _KEYS if key not in entries[0]]
    if missing == ["joints", "joints_vis"]:
        raise ConversionError(
            f"{path} has no joints, as MPII's test set: nothing can be learned or "
            "scored by it; give train.json, valid.json or trainval.json."
        )
    if missing:
        raise ConversionError(
            f"{path} holds objects without {listed(missing)}; they have "
            f"{listed([*entries[0]], 8)}. {layout}."
        )
    return entries


def _read_person(number: int, entry: Any, truth: "_Truth | None") -> ListedPerson:
    if not isinstance(entry, dict):
        raise Unusable("bad entry", "it is not an object.")
    name = read_file_name("bad entry", entry, "image")
    center: Any = entry.get("center")
    scale: Any = entry.get("scale")
    if not is_number_list(center) or len(center) != 2:
        raise Unusable(
            "bad centre", f"center is {shown_at('center', entry)}; it must be [x, y]."
        )
    if not is_number_list([scale]) or scale <= 0 or center[0] == -1:
        raise Unusable(
            "no centre or scale",
            f"center is {shown_at('center', entry)} and scale is "
            f"{shown_at('scale', entry)}; nobody can be cropped by these.",
        )
    keypoints = _read_joints(entry)
    if truth:
        keypoints = truth.keypoints[number - 1]
    region = square((center[0] - 1, center[1] + _LOWERED * scale - 1), scale)
    x, y, width, height = region
    return ListedPerson(
        number,
        name,
        keypoints,
        [x - width / 2, y - height / 2, width, height],
        region,
        truth.head_sizes[number - 1] if truth else 0.0,
    )


def _read_joints(entry: dict[str, Any]) -> np.ndarray:
    """Joints and their visibility, [16, 3], from 0."""
    joints: Any = entry.get("joints")
    visible: Any = entry.get("joints_vis")
    are_joints = isinstance(joints, list) and all(
        is_number_list(joint) and len(joint) == 2 for joint in joints
    )
    if not are_joints or len(joints) != _NUM_JOINTS:
        received = f"has {len(joints)}" if are_joints else "is no list of"
        raise Unusable(
            "wrong joints",
            f"joints {received} pairs of numbers; MPII has {_NUM_JOINTS}.",
        )
    is_visible = isinstance(visible, list) and all(v in (0, 1) for v in visible)
    if not is_visible or len(visible) != _NUM_JOINTS:
        raise Unusable(
            "wrong joints",
            f"joints_vis is {shown_at('joints_vis', entry)}; it must hold "
            f"{_NUM_JOINTS} numbers, 0 or 1.",
        )
    return _keypoints(np.array(joints, np.float64), np.array(visible, bool))


def _keypoints(joints: np.ndarray, is_visible: np.ndarray) -> np.ndarray:
    """[..., 16, 3]: from 0; those that are not labelled are zeros, as in COCO."""
    keypoints = np.concatenate(
        [joints - 1, np.full([*joints.shape[:-1], 1], 2.0)], axis=-1
    )
    return np.where(is_visible[..., np.newaxis], keypoints, 0.0)


class _Truth:
    """gt_valid.mat, of P people.

    Attributes:
        keypoints: [P, 16, 3].
        head_sizes: P numbers of pixels.
    """

    def __init__(self, path: str, content: Mapping[str, np.ndarray]):
        self.path = path
        joints = np.moveaxis(content["pos_gt_src"].astype(np.float64), -1, 0)
        is_missing = content["jnt_missing"].T.astype(bool)
        self.keypoints = _keypoints(joints, ~is_missing)
        first, second = content["headboxes_src"].astype(np.float64)
        diagonals = np.linalg.norm(second - first, axis=0)
        self.head_sizes: Sequence[float] = (_HEAD_SHARE * diagonals).tolist()

    @classmethod
    def of(cls, path: str, count: int, list_path: str) -> "_Truth":
        """Reads it, for the people of a list."""
        shapes = {
            "headboxes_src": (2, 2, count),
            "pos_gt_src": (_NUM_JOINTS, 2, count),
            "jnt_missing": (_NUM_JOINTS, count),
        }
        content = _load_mat(path, shapes)
        for name, shape in shapes.items():
            array = content.get(name)
            if array is None or array.shape != shape or array.dtype.kind not in "uif":
                found = "missing" if array is None else f"{array.dtype} {array.shape}"
                raise ConversionError(
                    f"{path}: {name} is {found}; for the {count} people of {list_path} "
                    f"it must be numbers {shape}. Give the gt_valid.mat that goes with "
                    "the list."
                )
            if not np.isfinite(array).all():
                raise ConversionError(f"{path}: {name} holds NaN or infinities.")
        return cls(path, content)


def _load_mat(path: str, names: Collection[str]) -> dict[str, np.ndarray]:
    try:
        return read_arrays(read_bytes(path, _LARGEST_MAT), names, _LARGEST_MAT)
    except InputFileError as error:
        raise ConversionError(f"The ground truth {error}") from None
    except ValueError as error:
        raise ConversionError(
            f"{path} is not MPII's ground truth, such as gt_valid.mat: {error}."
        ) from None


def _check_same(path: str, truth: _Truth, entries: Sequence[Any]) -> None:
    """Refuses ground truth of other people, or in another order."""
    far = []
    for number, entry in enumerate(entries, 1):
        try:
            one, other = _read_joints(entry), truth.keypoints[number - 1]
        except Unusable:
            continue
        both = (one[:, 2] > 0) & (other[:, 2] > 0)
        distances = np.abs(one[both, :2] - other[both, :2])
        if both.any() and distances.max() > _NEAR:
            far.append((number, distances.max()))
    if len(far) > _FEW * len(entries):
        number, distance = far[0]
        raise ConversionError(
            f"{truth.path} is not of the people of {path}: joints of {len(far)} of "
            f"{len(entries)} lie elsewhere, those of person {number} by "
            f"{distance:.0f} pixels. Give the one that goes with the list, or "
            "--gt_mat= for none."
        )
