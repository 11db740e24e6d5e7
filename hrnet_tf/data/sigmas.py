r"""Estimates the sigmas of keypoints, by which AP is scored, from double annotations.

  python -m hrnet_tf.data.sigmas --first=anna.json --second=ben.json

Two people have annotated the same images, each in a COCO keypoint file of its own. What
is printed goes into your skeleton file, in the order of its keypoints.

sigma_i^2 = E[d_i^2 / s^2] / 2, where d_i is how far the two annotations of keypoint i
lie apart and s^2 the area of the person or object. Half of it, since d_i holds the
errors of two annotators, and sigma is that of one; COCO's formula then takes 2 * sigma.

Images are the same if their file_name is; people in them are paired by boxes and
keypoints. Keypoints with few pairs are named: of 30, a sigma is known to about 10 %.

Without --second there is nothing to be estimated from: the command says what others
take instead, and prints that.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from hrnet_tf import command_line
from hrnet_tf.command_line import UsageError
from hrnet_tf.data.vocabularies.skeletons import (
    BUILT_IN,
    DEFAULT_SIGMA,
    LARGEST_SIGMA,
    LEAST_SIGMA,
    Skeleton,
    load_skeleton,
    skeleton_from_spec,
)
from hrnet_tf.messages import UserError, listed

if TYPE_CHECKING:
    from hrnet_tf.data.files.double_annotations import Pairs
    from hrnet_tf.ops.sigmas import Estimate

_NONE_KNOWN = f"""\
# Without double annotations there are no sigmas of your own. Others take COCO's for
# keypoints of the same name, as CrowdPose does; the others get {DEFAULT_SIGMA} here. A
# skeleton that states its sigmas keeps them. AP by such sigmas ranks your own networks,
# and compares with no AP by others, since a sigma twice as large forgives errors twice
# as large. PCK and NME need no sigmas: see task.evaluation.metric."""


class SigmaError(UserError):
    """Annotations that sigmas cannot be estimated from."""


def define_flags() -> flags.FlagValues:
    """The command's flags."""
    flag = command_line.Flags()
    flag.string("first", "COCO keypoint annotations of one annotator.")
    flag.string("second", "Those of another annotator, of the same images.")
    flag.string(
        "skeleton",
        f"The keypoints: {', '.join(BUILT_IN)}, or the path of a YAML file. By default "
        "those that --first names.",
    )
    flag.string(
        "category",
        "Name of the category, several names with commas that share the skeleton, or "
        "all. By default the only one.",
    )
    flag.area_from("Where the area of people comes from who have none.")
    flag.on_error("At a faulty image or annotation: end, or leave it out.")
    flag.integer(
        "min_pairs", "Keypoints of fewer pairs than this are named.", 30, least=1
    )
    return flag.values


def estimate(values: flags.FlagValues) -> None:
    """Estimates and prints sigmas as the flags say."""
    if not values.first and (values.second or not values.skeleton):
        raise UsageError(
            "--first is missing; it is the file of one annotator, and --second that of "
            "another. Without both, give --skeleton."
        )
    skeleton = load_skeleton(values.skeleton) if values.skeleton else None
    if not values.second:
        _print_others(skeleton or _described(values.first))
        return
    from hrnet_tf.data.files.double_annotations import find_pairs
    from hrnet_tf.ops import sigmas

    skeleton = skeleton or _described(values.first)
    paths = values.first, values.second
    first, second = (_read(path, skeleton, values) for path in paths)
    pairs = find_pairs(first, second, paths)
    keypoints = pairs.keypoints(skeleton.num_keypoints)
    areas = [pair.area for pair in pairs.pairs]
    import numpy as np

    found = sigmas.estimate(*keypoints, np.array(areas))
    _check(found, paths)
    print(
        f"# From {len(pairs.pairs)} people in {pairs.num_images} images that both "
        f"{values.first} and {values.second} annotate."
    )
    if pairs.num_alone:
        print(f"# {pairs.num_alone} others are in one of the two only.")
    _print(skeleton, found)
    _tell(skeleton, found, pairs, values.min_pairs)


def _described(path: str) -> Skeleton:
    """The keypoints of the first category that names some."""
    from hrnet_tf.data.files import coco_annotations

    content = coco_annotations.load(path, coco_annotations.without_outline)
    for category in content["categories"]:
        names = category.get("keypoints") if isinstance(category, dict) else None
        if not names:
            continue
        for known in BUILT_IN.values():
            if names == list(known.keypoints):
                return known
        # Sides do not matter here.
        spec = {"name": "described", "keypoints": names, "flip_pairs": []}
        return skeleton_from_spec(spec, f"of {path}")
    raise SigmaError(
        f"No category in {path} names its keypoints; give them with --skeleton."
    )


def _read(path: str, skeleton: Skeleton, values: flags.FlagValues) -> Any:
    from hrnet_tf.data.files.coco_people import read_coco_people
    from hrnet_tf.data.files.faults import Faults

    faults = Faults(values.on_error)
    people = read_coco_people(path, skeleton, values.category, faults, values.area_from)
    for sentence in [*faults.sentences, *people.warnings]:
        print(sentence, file=sys.stderr)
    return people


def _check(found: "Estimate", paths: tuple[str, str]) -> None:
    """Refuses annotations that are copies of each other."""
    if not found.counts.any():
        raise SigmaError(
            f"Nobody has a keypoint that both {paths[0]} and {paths[1]} label."
        )
    if not found.sigmas[found.counts > 0].any():
        raise SigmaError(
            f"All keypoints in {paths[0]} and {paths[1]} lie on the same places: the "
            "second file is a copy, and not the work of another annotator."
        )


def _print(skeleton: Skeleton, found: "Estimate") -> None:
    print("sigmas:")
    for name, sigma, count in zip(
        skeleton.keypoints, found.sigmas, found.counts, strict=True
    ):
        if count:
            usable = min(max(sigma, LEAST_SIGMA), LARGEST_SIGMA)
            print(f"  - {usable:.4f}  # {name}, {count} pairs")
        else:
            print(f"  - {DEFAULT_SIGMA}  # {name}, no pair: for want of one")


def _print_others(skeleton: Skeleton) -> None:
    """What others take, for keypoints without double annotations."""
    coco = BUILT_IN["coco17"]
    known = dict(zip(coco.keypoints, coco.sigmas, strict=True))
    are_stated = set(skeleton.sigmas) != {DEFAULT_SIGMA}
    print(_NONE_KNOWN)
    print("sigmas:")
    for name, stated in zip(skeleton.keypoints, skeleton.sigmas, strict=True):
        sigma = stated if are_stated else known.get(name, DEFAULT_SIGMA)
        whose = "for want of one"
        if known.get(name) == sigma:
            whose = "COCO's"
        elif are_stated:
            whose = f"of {skeleton.name}"
        print(f"  - {sigma}  # {name}, {whose}")


def _tell(
    skeleton: Skeleton, found: "Estimate", pairs: "Pairs", min_pairs: int
) -> None:
    """Says what of the estimate is doubtful, beside what can be copied."""
    few = [
        f"{name} ({count})"
        for name, count in zip(skeleton.keypoints, found.counts, strict=True)
        if count < min_pairs
    ]
    if few:
        print(
            f"Fewer than {min_pairs} pairs, so that the sigma is uncertain: "
            f"{listed(few, 20)}.",
            file=sys.stderr,
        )
    if not len(found.far):
        return
    person, keypoint = found.far[0]
    pair = pairs.pairs[person]
    print(
        f"Pairs further apart than 5 times the usual: {len(found.far)}, such as "
        f"{skeleton.keypoints[keypoint]} of annotations {pair.first.id} and "
        f"{pair.second.id} on {pair.file_name}: sides swapped, or another person? They "
        "count; correct them if they are mistakes.",
        file=sys.stderr,
    )


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code: 0 done, 1 failed, 2 bad usage."""
    return command_line.run(estimate, define_flags(), argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
