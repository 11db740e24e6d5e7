"""The skeleton files beside imported annotations: one for each set of keypoints."""

import os
from typing import Any

import yaml

from hrnet_tf.data.files.faults import ConversionError
from hrnet_tf.data.label_tools.labels import Category, Labels
from hrnet_tf.data.vocabularies.skeletons import (
    BUILT_IN,
    Skeleton,
    skeleton_from_spec,
)
from hrnet_tf.messages import did_you_mean, listed
from hrnet_tf.output_files import written_whole


def apply_skeleton(labels: Labels, skeleton: Skeleton) -> None:
    """Gives keypoints the names (if they have none) and the order of a skeleton.

    Raises `ConversionError` if it lacks some.
    """
    known = list(skeleton.keypoints)
    for category in labels.categories.values():
        if category.keypoints:
            if category.is_numbered:
                _rename(labels, category, skeleton)
            for name in category.keypoints:
                if name not in known:
                    raise ConversionError(
                        f"The category {category.name!r} has the keypoint {name!r}"
                        f"{did_you_mean(name, known)}, which the skeleton "
                        f"{skeleton.name} (--skeleton) lacks; it has {listed(known)}."
                    )
            category.keypoints = known
            category.limbs = [(known[a], known[b]) for a, b in skeleton.limbs]
    labels.unsaid -= {"names of keypoints", "order of keypoints"}
    labels.unsaid -= {"flip pairs", "limbs", "sigmas"}


def _rename(labels: Labels, category: Category, skeleton: Skeleton) -> None:
    if len(category.keypoints) != skeleton.num_keypoints:
        raise ConversionError(
            f"The category {category.name!r} has {len(category.keypoints)} keypoints "
            f"without names, and the skeleton {skeleton.name} (--skeleton) "
            f"{skeleton.num_keypoints}; give the skeleton of the data."
        )
    names = dict(zip(category.keypoints, skeleton.keypoints, strict=True))
    for image in labels.images:
        for labelled in image.objects:
            if labelled.category == category.name and labelled.keypoints:
                labelled.keypoints = {
                    names[old]: point for old, point in labelled.keypoints.items()
                }
    category.keypoints, category.is_numbered = list(names.values()), False


def specs(labels: Labels, skeleton: Skeleton | None) -> dict[str, dict[str, Any]]:
    """The mappings of the skeleton files, by category; those that are alike once.

    Raises `SkeletonError` for names that cannot be keypoints.
    """
    found: dict[str, dict[str, Any]] = {}
    for category in labels.categories.values():
        if not category.keypoints:
            continue
        spec: dict[str, Any] = {"name": category.name, "keypoints": category.keypoints}
        if category.flip_pairs is not None:
            spec["flip_pairs"] = [list(pair) for pair in category.flip_pairs]
        if category.limbs is not None:
            spec["limbs"] = [list(limb) for limb in category.limbs]
        if skeleton is not None:
            spec = skeleton.to_spec()
        skeleton_from_spec(spec, f"of {category.name!r}")
        if not any(_is_same(spec, other) for other in found.values()):
            found[category.name] = spec
    return found


def _is_same(spec: dict[str, Any], other: dict[str, Any]) -> bool:
    return {**spec, "name": ""} == {**other, "name": ""}


def paths(output: str, categories: list[str], labels: Labels) -> dict[str, str]:
    """OUTPUT.skeleton.yaml; with the category's number in it, if there are several."""
    stem = output.removesuffix(".json")
    if len(categories) == 1:
        return {categories[0]: f"{stem}.skeleton.yaml"}
    return {
        name: f"{stem}.skeleton.{labels.categories[name].id}.yaml"
        for name in categories
    }


def write(path: str, spec: dict[str, Any]) -> None:
    """Writes a skeleton file."""
    with written_whole(path) as partial, open(partial, "w", encoding="utf-8") as file:
        yaml.safe_dump(spec, file, sort_keys=False, allow_unicode=True, width=88)


def usable(spec: dict[str, Any], path: str) -> str:
    """What --skeleton takes for it: a built-in skeleton's name, or the file's path."""
    return _built_in(spec) or path


def _built_in(spec: dict[str, Any]) -> str | None:
    """The built-in skeleton of the same keypoints, if that can say more."""
    if "sigmas" in spec:
        return None
    same = (n for n, s in BUILT_IN.items() if list(s.keypoints) == spec["keypoints"])
    return next(same, None)


def advice(spec: dict[str, Any], path: str) -> list[str]:
    """What can be told of a skeleton by its names alone, without being written."""
    if name := _built_in(spec):
        return [
            f"These are the keypoints of {name}: --skeleton={name}, in place of the "
            "file, has flip pairs, limbs and sigmas."
        ]
    pairs = skeleton_from_spec(spec, path).unlisted_pairs
    if not pairs:
        return []
    told = listed([f"[{left}, {right}]" for left, right in pairs], 4)
    return [
        f"Names that look like mirror images: {told}. If they are, add flip_pairs: "
        f"auto to {os.path.basename(path)}."
    ]
