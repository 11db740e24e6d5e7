"""Label sets: the classes that an image's pixels are divided into.

`load_label_set` knows cityscapes, pascal_context, pascal_context_60, lip and
synthetic_parts, and reads your own from a YAML file:

    name: my_rooms
    classes: [floor, wall, left_door, right_door]
    flip_pairs: [[left_door, right_door]]     # optional: change places in a mirror;
                                              # auto: derived from left and right
    colors: [[90, 90, 90], ...]               # optional: RGB, one per class
    values: [0, 1, 2, 4]                      # optional: pixel values in label images
    ignore: [3, 255, [0, 0, 0]]               # optional: values and colours without
                                              # a class

In records and predictions a class is its place in `classes`, from 0. `IGNORE` marks
pixels without a class, which are neither learned nor scored.
"""

import colorsys
import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hrnet_tf.data.vocabularies import vocabulary
from hrnet_tf.data.vocabularies.vocabulary import is_color, is_list_of
from hrnet_tf.messages import UserError, did_you_mean, shown

Color = tuple[int, int, int]

IGNORE = 255
MAX_CLASSES = IGNORE

_KEYS = ("name", "classes", "flip_pairs", "colors", "values", "ignore")


class LabelSetError(UserError):
    """An unknown label set name, or a label set file that is wrong."""


# Makes an error from a sentence about a label set.
_Refuse = Callable[[str], LabelSetError]


@dataclasses.dataclass(frozen=True)
class LabelSet:
    """The classes of one data set.

    Attributes:
        name: What the set is called.
        classes: Their names, in the order of their numbers.
        colors: An RGB triple per class, for pictures.
        flip_pairs: Pairs of class numbers that change places in a mirrored image.
        values: Each class's value in label images, if it is not the class's number.
        has_own_colors: Whether the colours were given; only then may label images be
            painted in them.
        ignored_values: Values in label images that mark pixels without a class.
        ignored_colors: Colours in label images that do.
        unlisted_pairs: Classes that are mirror images by their names alone.
    """

    name: str
    classes: tuple[str, ...]
    colors: tuple[Color, ...]
    flip_pairs: tuple[tuple[int, int], ...] = ()
    values: tuple[int, ...] | None = None
    has_own_colors: bool = False
    ignored_values: tuple[int, ...] = ()
    ignored_colors: tuple[Color, ...] = ()
    unlisted_pairs: tuple[tuple[str, str], ...] = ()

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def flip_permutation(self) -> list[int]:
        """The number that each class has in a mirrored image."""
        return vocabulary.flip_permutation(self.num_classes, self.flip_pairs)

    def ignoring(self, value: int | None) -> "LabelSet":
        """The same with one more ignored value. Raises `LabelSetError`."""
        if value is None or value in self.ignored_values:
            return self
        if value in (self.values or range(self.num_classes)):
            raise LabelSetError(
                f"--ignore_value={value} is the value of a class of the label set "
                f"{self.name}."
            )
        return dataclasses.replace(self, ignored_values=(*self.ignored_values, value))

    def to_spec(self) -> dict[str, Any]:
        """The mapping that `label_set_from_spec` reads."""
        return {
            "name": self.name,
            "classes": list(self.classes),
            "colors": [list(color) for color in self.colors],
            "flip_pairs": [
                [self.classes[first], self.classes[second]]
                for first, second in self.flip_pairs
            ],
        }


def load_label_set(name_or_path: str) -> LabelSet:
    """A built-in label set, or that of a `*.yaml` file. Raises `LabelSetError`."""
    return vocabulary.load(
        name_or_path, "label set", BUILT_IN, label_set_from_spec, LabelSetError
    )


def label_set_from_spec(spec: Any, source: str) -> LabelSet:
    """The label set that a mapping from `source` describes. Raises `LabelSetError`."""

    def refuse(sentence: str) -> LabelSetError:
        return LabelSetError(f"Label set {source}: {sentence}")

    if not isinstance(spec, Mapping):
        raise refuse(f"it must be a mapping with the keys {', '.join(_KEYS)}.")
    for key in spec:
        if key not in _KEYS:
            raise refuse(
                f"unknown key {shown(key)}{did_you_mean(key, _KEYS)}; the keys are "
                f"{', '.join(_KEYS)}."
            )
    classes = _classes(spec.get("classes"), refuse)
    pairs = spec.get("flip_pairs")
    if pairs == vocabulary.AUTO:
        pairs = vocabulary.derive_pairs(classes, source)
    flip_pairs = _flip_pairs([] if pairs is None else pairs, classes, refuse)
    colors = _colors(spec.get("colors"), classes, refuse)
    values = _values(spec.get("values"), len(classes), refuse)
    ignored_values, ignored_colors = _ignored(spec.get("ignore"), refuse)
    label_set = LabelSet(
        name=_name(spec.get("name"), source, refuse),
        classes=classes,
        colors=colors,
        flip_pairs=flip_pairs,
        values=values,
        has_own_colors=spec.get("colors") is not None,
        ignored_values=ignored_values,
        ignored_colors=ignored_colors,
        unlisted_pairs=vocabulary.unlisted_pairs(
            classes, None if pairs is None else flip_pairs
        ),
    )
    _check_ignored(label_set, refuse)
    return label_set


def _name(name: Any, source: str, refuse: _Refuse) -> str:
    if name is None:
        return os.path.splitext(os.path.basename(source))[0]
    if not vocabulary.is_name(name):
        raise refuse(f"name is {shown(name)}; it must be a text on one line.")
    return name


def _classes(classes: Any, refuse: _Refuse) -> tuple[str, ...]:
    if not is_list_of(classes, str) or not 2 <= len(classes) <= MAX_CLASSES:
        raise refuse(f"classes must be a list of 2 to {MAX_CLASSES} names.")
    for name in classes:
        if not vocabulary.is_name(name):
            raise refuse(
                f"a class is called {shown(name)}; a name must be a text on one line."
            )
        if classes.count(name) > 1:
            raise refuse(f"the class {shown(name)} is listed twice.")
    return tuple(classes)


def _flip_pairs(
    pairs: Any, classes: tuple[str, ...], refuse: _Refuse
) -> tuple[tuple[int, int], ...]:
    if not isinstance(pairs, (list, tuple)) or not all(
        is_list_of(pair, str) and len(pair) == 2 for pair in pairs
    ):
        raise refuse(
            f"flip_pairs is {shown(pairs)}; it must be a list of pairs of class names, "
            "or auto."
        )
    members = [name for pair in pairs for name in pair]
    for name in members:
        if name not in classes:
            raise refuse(f"flip_pairs names {shown(name)}, which is not a class.")
        if members.count(name) > 1:
            raise refuse(f"flip_pairs names {shown(name)} twice.")
    return tuple(
        (classes.index(first), classes.index(second)) for first, second in pairs
    )


def _colors(
    colors: Any, classes: tuple[str, ...], refuse: _Refuse
) -> tuple[Color, ...]:
    count = len(classes)
    if colors is None:
        return _distinct_colors(count)
    is_valid = isinstance(colors, (list, tuple)) and all(map(is_color, colors))
    if not is_valid or len(colors) != count:
        raise refuse(
            f"colors must be a list of {count} lists of red, green and blue in "
            "0 to 255, one per class."
        )
    seen: dict[Color, str] = {}
    for name, (red, green, blue) in zip(classes, colors, strict=True):
        other = seen.setdefault((red, green, blue), name)
        if other != name:
            raise refuse(
                f"colors gives {shown(other)} and {shown(name)} the same colour "
                f"{[red, green, blue]}; classes must differ."
            )
    return tuple(seen)


def _values(values: Any, count: int, refuse: _Refuse) -> tuple[int, ...] | None:
    if values is None:
        return None
    if not is_list_of(values, int) or len(set(values)) != len(values):
        raise refuse("values must be a list of different whole numbers.")
    if len(values) != count or not 0 <= min(values) <= max(values) <= 65535:
        raise refuse(
            f"values must hold {count} numbers in 0 to 65535, one per class; got "
            f"{len(values)}."
        )
    return tuple(values)


def _ignored(
    ignored: Any, refuse: _Refuse
) -> tuple[tuple[int, ...], tuple[Color, ...]]:
    """Values and colours that mark pixels without a class."""
    if ignored is None:
        return (), ()
    entries = [ignored] if _is_value(ignored) else ignored
    if not isinstance(entries, (list, tuple)) or not all(
        _is_value(entry) or is_color(entry) for entry in entries
    ):
        raise refuse(
            "ignore must be a list of pixel values in 0 to 65535, or of lists of red, "
            "green and blue in 0 to 255, or of both."
        )
    return (
        tuple(entry for entry in entries if _is_value(entry)),
        tuple((red, green, blue) for red, green, blue in filter(is_color, entries)),
    )


def _check_ignored(label_set: LabelSet, refuse: _Refuse) -> None:
    for value in label_set.ignored_values:
        if value in (label_set.values or range(label_set.num_classes)):
            raise refuse(
                f"ignore has the value {value}, which is that of a class; a colour is "
                "a list in the list, such as ignore: [[0, 0, 0]]."
            )
    for color in label_set.ignored_colors:
        if not label_set.has_own_colors:
            raise refuse(
                f"ignore has the colour {list(color)}, but without colors no label "
                "image is read by colour; list colors, or ignore a pixel value."
            )
        if color in label_set.colors:
            raise refuse(f"ignore has the colour {list(color)}, that of a class.")


def _is_value(value: Any) -> bool:
    return is_list_of([value], int) and 0 <= value <= 65535


def _distinct_colors(count: int) -> tuple[Color, ...]:
    """Dark grey for class 0, usually the background, then hues far from each other."""
    colors = [(40, 40, 44)]
    for index in range(1, count):
        # Steps of the golden ratio keep any number of first hues apart.
        hue = index * 0.61803398875 % 1
        saturation, value = ((0.75, 0.95), (0.5, 0.85), (0.9, 0.7))[index % 3]
        red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
        colors.append((round(255 * red), round(255 * green), round(255 * blue)))
    return tuple(colors[:count])


def _built_in(
    name: str,
    classes: str,
    flip_pairs: Sequence[tuple[int, int]] = (),
    colors: Sequence[Color] | None = None,
) -> LabelSet:
    """A label set from class names with spaces between them."""
    names = tuple(classes.split())
    return LabelSet(
        name=name,
        classes=names,
        colors=tuple(colors or _distinct_colors(len(names))),
        flip_pairs=tuple(flip_pairs),
        has_own_colors=colors is not None,
    )


_CITYSCAPES = _built_in(
    "cityscapes",
    "road sidewalk building wall fence pole traffic_light traffic_sign vegetation "
    "terrain sky person rider car truck bus train motorcycle bicycle",
    colors=[
        *((128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156)),
        *((190, 153, 153), (153, 153, 153), (250, 170, 30), (220, 220, 0)),
        *((107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60)),
        *((255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100)),
        *((0, 0, 230), (119, 11, 32)),
    ],
)

# In the order of their numbers among all 459 labels of PASCAL-Context.
_PASCAL_CONTEXT = (
    "aeroplane bag bed bedclothes bench bicycle bird boat book bottle building bus "
    "cabinet car cat ceiling chair cloth computer cow cup curtain dog door fence floor "
    "flower food grass ground horse keyboard light motorbike mountain mouse person "
    "plate platform pottedplant road rock sheep shelves sidewalk sign sky snow sofa "
    "table track train tree truck tvmonitor wall water window wood"
)

_LIP = _built_in(
    "lip",
    "background hat hair glove sunglasses upper_clothes dress coat socks pants "
    "jumpsuits scarf skirt face left_arm right_arm left_leg right_leg left_shoe "
    "right_shoe",
    flip_pairs=[(14, 15), (16, 17), (18, 19)],
)

_SYNTHETIC_PARTS = _built_in(
    "synthetic_parts",
    "background hair face torso left_upper_arm right_upper_arm left_elbow right_elbow "
    "left_lower_arm right_lower_arm left_hand right_hand left_upper_leg "
    "right_upper_leg left_knee right_knee left_lower_leg right_lower_leg left_foot "
    "right_foot",
    flip_pairs=[(left, left + 1) for left in range(4, 20, 2)],
)

BUILT_IN: Mapping[str, LabelSet] = {
    label_set.name: label_set
    for label_set in (
        _CITYSCAPES,
        _built_in("pascal_context", _PASCAL_CONTEXT),
        _built_in("pascal_context_60", f"background {_PASCAL_CONTEXT}"),
        _LIP,
        _SYNTHETIC_PARTS,
    )
}
