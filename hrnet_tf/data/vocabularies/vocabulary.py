"""What skeletons and label sets share: built-in names, YAML files, mirror images."""

import functools
import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from hrnet_tf import preset_files
from hrnet_tf.input_files import MISSING, InputFileError, read_yaml
from hrnet_tf.messages import UserError, did_you_mean


class HasUnlistedPairs(Protocol):
    """A vocabulary whose file may leave mirror images out."""

    @property
    def unlisted_pairs(self) -> Sequence[tuple[str, str]]:
        """Pairs of names, left and right, that `flip_pairs` should list."""


Vocabulary = TypeVar("Vocabulary", bound=HasUnlistedPairs)

# What `flip_pairs` may be instead of a list: derive them from the names.
AUTO = "auto"

# A side in a name: as a word; as a letter that stands apart, also by case; or in a pair
# of letters, such as FL for front left or rt for right.
_SIDE = re.compile(
    r"left|Left|LEFT|right|Right|RIGHT|(?<![A-Za-z])[lLrR](?![A-Za-z])"
    r"|(?<![A-Za-z])[lLrR](?=[A-Z][a-z])|(?<=[a-z])[LR](?![A-Za-z])"
    r"|(?<![A-Za-z])[lLrR](?=[bBfFhHtT](?![A-Za-z]))"
    r"|(?<![A-Za-z])[lL](?=[rR](?![A-Za-z]))"
    r"|(?<![A-Za-z][A-Za-z])(?<=[bBfFhHrR])[lL](?![A-Za-z])"
    r"|(?<![A-Za-z][A-Za-z])(?<=[bBfFhH])[rR](?![A-Za-z])"
)
_OPPOSITE = {"left": "right", "Left": "Right", "LEFT": "RIGHT", "l": "r", "L": "R"}
_OPPOSITE |= {right: left for left, right in _OPPOSITE.items()}

# A name that may begin with a side: lhip. Lakes and rakes do, too.
_GLUED = re.compile("[lLrR][A-Za-z]{3,}")
# What a side may stand before without other names of this kind to prove it.
_PARTS = (
    *("arm", "ankle", "ear", "elb", "elbow", "eye", "foot", "hand", "heel", "hip"),
    *("knee", "leg", "paw", "sho", "shoulder", "thumb", "toe", "wri", "wrist"),
)

# Control characters, halves of pairs, and separators of lines and paragraphs.
_NOT_IN_NAMES = ("Cc", "Cs", "Zl", "Zp")

_log = logging.getLogger(__name__)


def load(
    name_or_path: str,
    kind: str,
    built_in: Mapping[str, Vocabulary],
    from_spec: Callable[[Any, str], Vocabulary],
    refuse: Callable[[str], UserError],
) -> Vocabulary:
    """Returns a built-in vocabulary by name, or reads one from a `*.yaml` file.

    `from_spec` makes one from the content of a file and its path, `refuse` an error
    from a sentence, in which it is called a `kind`: "skeleton". A file whose names tell
    of mirror images that it does not list is used, with a warning.
    """
    if name_or_path in built_in:
        return built_in[name_or_path]
    names = ", ".join(built_in)
    if not name_or_path.endswith((".yaml", ".yml")):
        raise refuse(
            f"Unknown {kind} {name_or_path!r}{did_you_mean(name_or_path, built_in)}; "
            f"give one of {names}, or the path of a *.yaml file."
        )
    try:
        spec = read_yaml(preset_files.resolve(name_or_path))
    except InputFileError as error:
        if error.fault == MISSING:
            raise refuse(
                f"There is no {kind} file {name_or_path!r}; give the path of a *.yaml "
                f"file, or one of {names}."
            ) from None
        raise refuse(f"{kind.capitalize()} file {error}") from None
    vocabulary = from_spec(spec, name_or_path)
    if pairs := vocabulary.unlisted_pairs:
        _tell_once(
            f"{kind.capitalize()} {name_or_path}: flip_pairs does not list names that "
            "look like mirror images, so that left and right are confused when images "
            f"are mirrored. Add them:\n  flip_pairs: [{_listed(pairs)}]\nor write "
            f"flip_pairs: {AUTO}. If they are no mirror images, write flip_pairs: [].",
            logging.WARNING,
        )
    return vocabulary


def is_name(value: Any) -> bool:
    """Whether a value is a text to call something by, on one line."""
    return (
        isinstance(value, str)
        and bool(value.strip())
        and not any(unicodedata.category(letter) in _NOT_IN_NAMES for letter in value)
    )


def is_list_of(value: Any, kind: type) -> bool:
    """Whether a value is a list of one kind; true and false are no numbers."""
    return isinstance(value, (list, tuple)) and all(
        isinstance(element, kind) and not isinstance(element, bool) for element in value
    )


def is_color(value: Any) -> bool:
    """Whether a value is a list of red, green and blue in 0 to 255."""
    return (
        is_list_of(value, int)
        and len(value) == 3
        and 0 <= min(value) <= max(value) <= 255
    )


@functools.cache
def _tell_once(sentence: str, level: int = logging.INFO) -> None:
    """A file is read several times in a run: for flags, checks and the work."""
    _log.log(level, "%s", sentence)


def _listed(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"[{left}, {right}]" for left, right in pairs)


def derive_pairs(names: Sequence[str], source: str) -> list[tuple[str, str]]:
    """`mirror_pairs` for the file `source`, which asks for them; logs what they are."""
    pairs = mirror_pairs(names)
    _tell_once(f"{source}: flip_pairs: {AUTO} finds {_listed(pairs) or 'no pair'}.")
    return pairs


def mirror_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of names, left and right, that differ in sides alone: l_eye, r_eye."""
    sides = {name: list(_SIDE.finditer(name)) for name in names}
    lefts = [(n, side) for n in names for side in sides[n] if side.group()[0] in "lL"]
    # A left hand's left thumb becomes a right hand's right thumb, if there is one.
    candidates = [
        *((n, sides[n]) for n, side in lefts if side is sides[n][0]),
        *((name, [side]) for name, side in lefts),
    ]
    pairs: list[tuple[str, str]] = []
    taken: set[str] = set()
    for name, changed in candidates:
        other = _swapped(name, changed)
        if other in names and not taken & {name, other}:
            pairs.append((name, other))
            taken |= {name, other}
    return [*pairs, *_glued_pairs([name for name in names if name not in taken])]


def _swapped(name: str, sides: Iterable[re.Match[str]]) -> str:
    for side in reversed([*sides]):
        opposite = _OPPOSITE[side.group()]
        name = name[: side.start()] + opposite + name[side.end() :]
    return name


def _glued_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs such as lhip, rhip.

    Of other words than parts of a body, a pair alone may be a chance, and so may some
    among many names: most names with such a beginning must have a partner.
    """
    glued = [n for n in names if _GLUED.fullmatch(n[:4]) and not _SIDE.search(n)]
    lefts = [name for name in glued if name[0] in "lL"]
    others = [_OPPOSITE[name[0]] + name[1:] for name in lefts]
    pairs = [pair for pair in zip(lefts, others, strict=True) if pair[1] in glued]
    if len(pairs) > 1 and 4 * len(pairs) > len(glued):
        return pairs
    parts = [re.split("[^a-z]", left[1:].lower())[0] for left, _ in pairs]
    return [pair for pair, part in zip(pairs, parts, strict=True) if part in _PARTS]


def unlisted_pairs(
    names: Sequence[str], flip_pairs: Iterable[tuple[int, int]] | None
) -> tuple[tuple[str, str], ...]:
    """Of `mirror_pairs` those with names in no pair; none if the list is empty.

    Numbers in `flip_pairs` are places in `names`; None: the file does not list any.
    """
    if flip_pairs is not None and not flip_pairs:
        return ()
    paired = {names[index] for pair in flip_pairs or () for index in pair}
    return tuple(pair for pair in mirror_pairs(names) if not paired & {*pair})


def flip_permutation(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """For each place, the number that takes it when the pairs change places."""
    permutation = list(range(count))
    for first, second in pairs:
        permutation[first], permutation[second] = second, first
    return permutation
