"""Finds out what kind of data there is, and which inspection looks at it."""

from collections.abc import Sequence
from typing import Any

from hrnet_tf.data.files import coco_annotations
from hrnet_tf.data.records import instances, pose, segmentation
from hrnet_tf.data.records.shards import RecordError, read_serialized
from hrnet_tf.data.vocabularies import skeletons
from hrnet_tf.data.vocabularies.skeletons import Skeleton, SkeletonError
from hrnet_tf.inspection.detection import DetectionInspection
from hrnet_tf.inspection.inspection import Inspection
from hrnet_tf.inspection.options import Options
from hrnet_tf.inspection.pose import PoseInspection
from hrnet_tf.inspection.samples import features_of, find_records
from hrnet_tf.inspection.segmentation import SegmentationInspection


def open_inspection(options: Options) -> Inspection[Any]:
    """The inspection of the data that the options name. Raises `UserError`."""
    if options.records:
        return _of_records(options, options.records)
    return _of_annotations(options, options.annotations or "")


def _of_records(options: Options, pattern: str) -> Inspection[Any]:
    path, features = _first_record(find_records(pattern))
    if pose.KEYPOINTS_PER_PERSON in features:
        counts = features[pose.KEYPOINTS_PER_PERSON].int64_list.value
        return PoseInspection(options, _skeleton_for(counts[0] if counts else 0))
    if segmentation.LABELS_ENCODED in features:
        counts = features[segmentation.NUM_CLASSES].int64_list.value
        return SegmentationInspection(options, counts[0] if counts else 0)
    if instances.IMAGE_ID in features:
        return DetectionInspection(options)
    raise RecordError(
        f"{path}: the first record is of no kind that is known here: it has neither "
        f"{pose.KEYPOINTS_PER_PERSON} (pose) nor {segmentation.LABELS_ENCODED} "
        f"(segmentation) nor {instances.IMAGE_ID} (detection)."
    )


def _first_record(files: Sequence[str]) -> tuple[str, Any]:
    """Its file and features. Raises `RecordError`."""
    damaged = ""
    for path in files:
        try:
            for serialized in read_serialized(path):
                return path, features_of(serialized)
        except RecordError as error:
            damaged = damaged or error.message
    raise RecordError(damaged or f"{files[0]} and all files beside it hold no record.")


def _of_annotations(options: Options, path: str) -> Inspection[Any]:
    content = coco_annotations.load(path, _brief)
    entries = filter(lambda entry: isinstance(entry, dict), content["annotations"])
    lengths = [entry.get("length", 0) for entry in entries]
    described = [
        entry
        for entry in content["categories"]
        if isinstance(entry, dict) and isinstance(entry.get("keypoints"), list)
    ]
    wanted = [name.strip() for name in (options.category or "").split(",")]
    # Those that are looked at come first.
    described.sort(key=lambda entry: entry.get("name") not in wanted)
    names_keypoints = any(entry["keypoints"] for entry in described)
    if names_keypoints or any(lengths):
        longest = max(lengths, default=0) // 3
        return PoseInspection(options, _described_skeleton(described, longest))
    return DetectionInspection(options)


def _brief(entry: dict[str, Any]) -> dict[str, Any]:
    """Of an annotation the number of keypoint values alone."""
    if "image_id" not in entry:
        return {} if "file_name" in entry else entry
    keypoints = entry.get("keypoints")
    return {"length": len(keypoints)} if isinstance(keypoints, list) else {}


def _described_skeleton(categories: Sequence[dict[str, Any]], longest: int) -> Skeleton:
    """The skeleton of the first category that names keypoints, or without names.

    `longest` is the most keypoints that an annotation has.
    """
    for category in categories:
        names = category["keypoints"]
        for known in skeletons.BUILT_IN.values():
            if names == list(known.keypoints):
                return known
        try:
            return skeletons.skeleton_from_spec(
                {
                    "name": str(category.get("name")),
                    "keypoints": names,
                    "flip_pairs": "auto",
                    "limbs": _limbs(names, category.get("skeleton")),
                },
                "of the annotations",
            )
        except SkeletonError:
            continue  # Such as one without names.
    return _skeleton_for(longest)


def _limbs(names: Sequence[str], limbs: Any) -> list[list[str]]:
    """COCO's limbs, pairs of places from 1, by names; none if one of them is wrong."""
    if not isinstance(limbs, list):
        return []
    places = range(1, len(names) + 1)
    found = []
    for limb in limbs:
        is_pair = isinstance(limb, list) and len(limb) == 2 and limb[0] != limb[1]
        if not is_pair or any(place not in places for place in limb):
            return []
        pair = sorted(limb)
        if pair not in found:
            found.append(pair)
    return [[names[place - 1] for place in pair] for pair in found]


def _skeleton_for(count: int) -> Skeleton:
    """The built-in skeleton of so many keypoints, or one without names."""
    for known in skeletons.BUILT_IN.values():
        if known.num_keypoints == count:
            return known
    names = [f"keypoint {number}" for number in range(max(count, 1))]
    return skeletons.skeleton_from_spec(
        {"name": "without names", "keypoints": names, "flip_pairs": []}, "of the data"
    )
