"""Keypoint sets as data: names, left-right pairs, sigmas, limbs.

`load_skeleton` knows those of published data sets (the files in skeleton_files/), and
reads your own from a YAML file of the same kind:

    name: mug
    keypoints: [rim_left, rim_right, base_left, base_right, handle]
    flip_pairs: [[rim_left, rim_right], [base_left, base_right]]  # left, right
    limbs: [[rim_left, rim_right], [rim_left, base_left]]         # drawn lines
    limb_colors: [[255, 109, 0], [0, 200, 83]]    # RGB of each; by sides by default
    sigmas: {rim_left: 0.04, ...}   # or a list in keypoint order; 0.05 by default
    upper_body: [rim_left, rim_right]
    normalizer: [rim_left, rim_right]   # errors are divided by their distance

Only `name` and `keypoints` are required. Without `flip_pairs` every keypoint is its
own mirror image, and `flip_pairs: auto` derives them from names such as left_eye and
right_eye; without `limbs` only dots are drawn; without `upper_body` the
half-body augmentation is off; without `normalizer`, which may be one of `NORMALIZERS`,
NME has to be told what errors are divided by. The order of `keypoints` is the order of
the keypoint triples in the annotation file and of the network's output channels.
"""

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hrnet_tf.data.vocabularies import vocabulary
from hrnet_tf.input_files import read_yaml
from hrnet_tf.messages import UserError, did_you_mean, listed, shown

# Between COCO's ears (0.035) and wrists (0.062): a keypoint of middling precision.
DEFAULT_SIGMA = 0.05
# Beyond these, no similarity lies between 0 and 1.
LEAST_SIGMA, LARGEST_SIGMA = 0.0001, 10
MOST_KEYPOINTS = 1000
# What errors may be divided by, besides the distance of two keypoints: the annotations'
# own `normalizer`, the longer side of the box, or the root of width times height.
ANNOTATIONS, BBOX_SIDE, BBOX_SIZE = "annotations", "bbox_side", "bbox_size"
NORMALIZERS = (ANNOTATIONS, BBOX_SIDE, BBOX_SIZE)

Color = tuple[int, int, int]

_LEFT_COLOR, _RIGHT_COLOR, _CENTRE_COLOR = (0, 200, 83), (255, 109, 0), (41, 121, 255)


class SkeletonError(UserError):
    """An unknown skeleton name, or a skeleton file that says something impossible."""


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """A set of K keypoints. Everything but `keypoints` refers to them by index.

    Attributes:
        name: What the set is called.
        keypoints: The K names, in the order of annotations and output channels.
        flip_pairs: (left, right) keypoints that change places in a mirrored image.
        sigmas: Per keypoint, the spread of human annotators relative to the object's
            scale, as used by the object keypoint similarity (OKS): COCO's `sigmas`,
            half of the k_i in COCO's formula.
        limbs: Pairs of keypoints that are joined by a line when drawn.
        upper_body: Keypoints that half-body augmentation counts as the upper body;
            all others are the lower body. Empty: no half-body augmentation.
        unlisted_pairs: Keypoints that are mirror images by their names alone.
        given_limb_colors: An RGB triple per limb; empty: they follow from the sides.
        normalizer: What evaluations divide errors by, unless they are told: one of
            `NORMALIZERS`, the names of two keypoints, or nothing.
    """

    name: str
    keypoints: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    limbs: tuple[tuple[int, int], ...]
    upper_body: tuple[int, ...]
    unlisted_pairs: tuple[tuple[str, str], ...] = dataclasses.field(
        default=(), compare=False
    )
    given_limb_colors: tuple[Color, ...] = ()
    normalizer: str | tuple[str, str] = dataclasses.field(default="", compare=False)

    @property
    def num_keypoints(self) -> int:
        """K."""
        return len(self.keypoints)

    @property
    def flip_permutation(self) -> tuple[int, ...]:
        """For each place, the index of the keypoint that takes it after a mirror."""
        return tuple(vocabulary.flip_permutation(self.num_keypoints, self.flip_pairs))

    def to_spec(self) -> dict[str, Any]:
        """The skeleton as the mapping of a skeleton file, names in place of indices."""

        def names(indices: Iterable[int]) -> list[str]:
            return [self.keypoints[index] for index in indices]

        spec = {
            "name": self.name,
            "keypoints": list(self.keypoints),
            "flip_pairs": [names(pair) for pair in self.flip_pairs],
            "limbs": [names(limb) for limb in self.limbs],
            "sigmas": list(self.sigmas),
            "upper_body": names(self.upper_body),
        }
        if self.given_limb_colors:
            spec["limb_colors"] = [list(color) for color in self.given_limb_colors]
        if given := self.normalizer:
            spec["normalizer"] = given if isinstance(given, str) else list(given)
        return spec

    @property
    def limb_colors(self) -> tuple[Color, ...]:
        """One RGB colour per limb: as given, or else by the sides of its keypoints.

        These are green on the left, orange on the right, blue between or across.
        """
        if self.given_limb_colors:
            return self.given_limb_colors
        left = {pair[0] for pair in self.flip_pairs}
        right = {pair[1] for pair in self.flip_pairs}

        def color(limb: tuple[int, int]) -> Color:
            on_left = any(keypoint in left for keypoint in limb)
            on_right = any(keypoint in right for keypoint in limb)
            if on_left == on_right:
                return _CENTRE_COLOR
            return _LEFT_COLOR if on_left else _RIGHT_COLOR

        return tuple(color(limb) for limb in self.limbs)


# In the order in which data without names are taken for one of them.
_NAMES = (
    *("coco17", "mpii16", "crowdpose14", "ap10k17", "coco_wholebody133", "hand21"),
    *("wflw98", "300w68", "cofw29", "aflw19"),
)


class _BuiltIn(Mapping[str, Skeleton]):
    """The skeletons in this package's files, each read when it is first asked for."""

    def __getitem__(self, name: str) -> Skeleton:
        if name not in _NAMES:
            raise KeyError(name)
        return _read_built_in(name)

    def __contains__(self, name: object) -> bool:
        return name in _NAMES

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


@functools.cache
def _read_built_in(name: str) -> Skeleton:
    path = os.path.join(os.path.dirname(__file__), "skeleton_files", f"{name}.yaml")
    return skeleton_from_spec(read_yaml(path), path)


BUILT_IN = _BuiltIn()


def load_skeleton(name_or_path: str) -> Skeleton:
    """A built-in skeleton, or that of a `*.yaml` file. Raises `SkeletonError`."""
    return vocabulary.load(
        name_or_path, "skeleton", BUILT_IN, skeleton_from_spec, SkeletonError
    )


def skeleton_from_spec(spec: Any, source: str) -> Skeleton:
    """The skeleton that a mapping from `source` describes. Raises `SkeletonError`."""
    reader = _SpecReader(spec, source)
    flip_pairs = reader.flip_pairs()
    skeleton = Skeleton(
        name=reader.name(),
        keypoints=reader.keypoints,
        flip_pairs=flip_pairs,
        sigmas=reader.sigmas(),
        limbs=reader.pairs("limbs", each_keypoint_once=False),
        upper_body=reader.upper_body(),
        unlisted_pairs=vocabulary.unlisted_pairs(
            reader.keypoints,
            None if spec.get("flip_pairs") is None else flip_pairs,
        ),
        normalizer=reader.normalizer(),
    )
    colors = reader.limb_colors(len(skeleton.limbs))
    # Exported models list all colours, also those that follow from the sides.
    if not colors or colors == skeleton.limb_colors:
        return skeleton
    return dataclasses.replace(skeleton, given_limb_colors=colors)


class _SpecReader:
    """Reads the keys of one skeleton mapping, each with its own check."""

    _ALLOWED = (
        *("name", "keypoints", "flip_pairs", "limbs", "limb_colors", "sigmas"),
        *("upper_body", "normalizer"),
    )

    def __init__(self, spec: Any, source: str):
        self._source = source
        if not isinstance(spec, dict):
            raise SkeletonError(
                f"Skeleton file {source} holds {shown(spec, none='nothing')}; it must "
                f"hold a mapping with the keys {', '.join(self._ALLOWED)}."
            )
        for key in spec:
            if key not in self._ALLOWED:
                raise self._error(
                    shown(key),
                    f"is not a known key{did_you_mean(key, self._ALLOWED)}; allowed "
                    f"keys are {', '.join(self._ALLOWED)}.",
                )
        for key in ("name", "keypoints"):
            if key not in spec:
                raise self._error(key, "is missing; it is required.")
        self._spec = spec
        self.keypoints = self._keypoints()
        self._index = {name: index for index, name in enumerate(self.keypoints)}

    def _error(self, key: Any, problem: str) -> SkeletonError:
        return SkeletonError(f"Skeleton file {self._source}: {key} {problem}")

    def name(self) -> str:
        name = self._spec["name"]
        if not vocabulary.is_name(name):
            raise self._error(
                "name", f"is {shown(name)}; it must be a text on one line."
            )
        return name

    def _keypoints(self) -> tuple[str, ...]:
        names = self._spec["keypoints"]
        if not isinstance(names, list) or not 1 <= len(names) <= MOST_KEYPOINTS:
            raise self._error(
                "keypoints",
                f"is {shown(names)}; it must be a list of at least one name, and at "
                f"most {MOST_KEYPOINTS}.",
            )
        for place, name in enumerate(names):
            if not vocabulary.is_name(name):
                # YAML reads a bare 1, on or no as a number or a truth value.
                raise self._error(
                    f"keypoints[{place}]",
                    f"is {shown(name)}; a name must be a text on one line (put it "
                    "in quotes if it looks like a number or yes/no).",
                )
            if name in names[:place]:
                raise self._error(
                    f"keypoints[{place}]",
                    f"repeats {shown(name)}; each keypoint is listed once.",
                )
        return tuple(names)

    def flip_pairs(self) -> tuple[tuple[int, int], ...]:
        if self._spec.get("flip_pairs") != vocabulary.AUTO:
            return self.pairs("flip_pairs", each_keypoint_once=True)
        return tuple(
            (self._index[left], self._index[right])
            for left, right in vocabulary.derive_pairs(self.keypoints, self._source)
        )

    def pairs(self, key: str, each_keypoint_once: bool) -> tuple[tuple[int, int], ...]:
        pairs = self._list(key, "a list of [name, name] pairs")
        indices: list[tuple[int, int]] = []
        seen: set[frozenset[int]] = set()
        used: set[int] = set()
        for place, pair in enumerate(pairs):
            where = f"{key}[{place}]"
            if not isinstance(pair, list) or len(pair) != 2:
                raise self._error(
                    where, f"is {shown(pair)}; it must be a pair [name, name]."
                )
            first, second = (self._keypoint(where, name) for name in pair)
            if first == second:
                raise self._error(
                    where, f"pairs {shown(pair[0])} with itself; name two keypoints."
                )
            if frozenset((first, second)) in seen:
                raise self._error(where, f"repeats the pair {shown(pair)}.")
            if each_keypoint_once and used & {first, second}:
                repeated = first if first in used else second
                raise self._error(
                    where,
                    f"uses {shown(self.keypoints[repeated])}, which an earlier pair "
                    "has already; a keypoint has at most one mirror image.",
                )
            indices.append((first, second))
            seen.add(frozenset((first, second)))
            used |= {first, second}
        return tuple(indices)

    def sigmas(self) -> tuple[float, ...]:
        sigmas = self._spec.get("sigmas")
        if sigmas is None:
            return (DEFAULT_SIGMA,) * len(self.keypoints)
        if isinstance(sigmas, dict):
            for name in sigmas:
                self._keypoint("sigmas", name)
            missing = [name for name in self.keypoints if name not in sigmas]
            if missing:
                raise self._error(
                    "sigmas",
                    f"has no value for {listed(list(map(shown, missing)))}; give one "
                    f"per keypoint, or leave sigmas out to use {DEFAULT_SIGMA} for "
                    "all.",
                )
            sigmas = [sigmas[name] for name in self.keypoints]
        if not isinstance(sigmas, list):
            raise self._error(
                "sigmas",
                f"is {shown(sigmas)}; it must be a list of numbers in keypoint order "
                "or a mapping from keypoint name to number.",
            )
        if len(sigmas) != len(self.keypoints):
            raise self._error(
                "sigmas",
                f"has {len(sigmas)} values for {len(self.keypoints)} keypoints; give "
                "one per keypoint.",
            )
        for keypoint, sigma in zip(self.keypoints, sigmas, strict=True):
            is_number = isinstance(sigma, (int, float)) and not isinstance(sigma, bool)
            if not is_number or not LEAST_SIGMA <= sigma <= LARGEST_SIGMA:
                raise self._error(
                    "sigmas",
                    f"gives {shown(keypoint)} the value {shown(sigma)}; a sigma must "
                    f"be a positive number, from {LEAST_SIGMA} to {LARGEST_SIGMA}.",
                )
        return tuple(float(sigma) for sigma in sigmas)

    def limb_colors(self, num_limbs: int) -> tuple[Color, ...]:
        """The colours that are given, one for each of the limbs; none if none are."""
        if self._spec.get("limb_colors") is None:
            return ()
        colors = self._list("limb_colors", "a list of [red, green, blue] triples")
        for place, color in enumerate(colors):
            if not vocabulary.is_color(color):
                raise self._error(
                    f"limb_colors[{place}]",
                    f"is {shown(color)}; a colour must be a list of red, green and "
                    "blue in 0 to 255.",
                )
        if len(colors) != num_limbs:
            raise self._error(
                "limb_colors",
                f"has {len(colors)} colours for {num_limbs} limbs; give one per limb, "
                "or leave limb_colors out to have them by sides.",
            )
        return tuple((red, green, blue) for red, green, blue in colors)

    def upper_body(self) -> tuple[int, ...]:
        names = self._list("upper_body", "a list of keypoint names")
        indices: list[int] = []
        for place, name in enumerate(names):
            index = self._keypoint(f"upper_body[{place}]", name)
            if index in indices:
                raise self._error(f"upper_body[{place}]", f"repeats {shown(name)}.")
            indices.append(index)
        return tuple(indices)

    def normalizer(self) -> str | tuple[str, str]:
        given = self._spec.get("normalizer")
        if given is None or given in NORMALIZERS:
            return given or ""
        if isinstance(given, list) and len(given) == 2 and given[0] != given[1]:
            for place, name in enumerate(given):
                self._keypoint(f"normalizer[{place}]", name)
            return given[0], given[1]
        raise self._error(
            "normalizer",
            f"is {shown(given)}{did_you_mean(given, NORMALIZERS)}; it must be two "
            f"keypoints [name, name] or one of {', '.join(NORMALIZERS)}.",
        )

    def _list(self, key: str, allowed: str) -> list:
        value = self._spec.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._error(key, f"is {shown(value)}; it must be {allowed}.")
        return value

    def _keypoint(self, where: str, name: Any) -> int:
        if not isinstance(name, str) or name not in self._index:
            raise self._error(
                where,
                f"names the keypoint {shown(name)}, which is not in keypoints"
                f"{did_you_mean(name, self.keypoints)}.",
            )
        return self._index[name]
