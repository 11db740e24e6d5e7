"""People whose left and right look swapped.

Nobody can tell from one pair of keypoints alone: whoever turns their back has the left
shoulder at the viewer's left. But the pairs of one person mostly agree. Each pair gives
a vector, from right to left; along the direction in which a person's vectors lie, each
has a sign. How often the signs of two pairs agree is counted over the whole data set,
and so is how often a pair's left lies at the viewer's right (of two eyes that are both
seen, nearly always).

A person's signs are compared with these shares. Pairs are joined to a tree by their
strongest ties (as by Chow and Liu), so that agreeing evidence is not counted many
times. For a set of pairs, such as the hips, the legs or everything, the score is how
many times likelier the signs are with left and right of these pairs exchanged: its
logarithm is the sum over the ties that the exchange would change. Crossed legs are more
common than exchanged hips, and so score less.
"""

import array
import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from hrnet_tf.data.vocabularies.skeletons import Skeleton
from hrnet_tf.inspection.findings import Finding, Findings, Place

SWAPPED = "left and right look swapped"
MIRRORED = "left and right look swapped in most people"

# Shorter vectors, in parts of the person's longer side, have no sign.
_LEAST_LENGTH = 0.06
# What is known before anything is counted: pairs of keypoints agree in 9 of 10 people.
_AGREEING, _COUNTED = 9.0, 10.0
# A person is doubtful if the exchange makes the signs so many times likelier.
_LEAST_ODDS = 10.0
# So many people with two eyes are needed for a judgement on all.
_LEAST_EYES = 10


@dataclasses.dataclass(frozen=True)
class _Set:
    """Pairs whose left and right may be exchanged, and the logarithm of the odds."""

    pairs: tuple[int, ...]
    score: float


class Sides:
    """Collects the signs of all people; a byte of memory for each pair of a person."""

    def __init__(self, skeleton: Skeleton):
        """Starts without people."""
        self._skeleton = skeleton
        self._pairs = np.array(skeleton.flip_pairs, np.int64).reshape(-1, 2)
        self._signs = bytearray()
        self._upright = bytearray()
        self._numbers = array.array("q")
        self._places: list[Place] = []

    def add(self, place: Place, number: int, keypoints: np.ndarray) -> None:
        """Takes a person's annotation id and keypoints [K, 3]."""
        if not len(self._pairs):
            return
        signs, is_upright = self._read(keypoints)
        if np.count_nonzero(signs):
            self._signs += signs.tobytes()
            self._upright.append(int(is_upright))
            self._numbers.append(number)
            self._places.append(place)

    def _read(self, keypoints: np.ndarray) -> tuple[np.ndarray, bool]:
        """The sign of each pair, int8, 0 for none; whether vectors lie across."""
        is_labelled: np.ndarray = keypoints[:, 2] > 0
        both = np.asarray(is_labelled[self._pairs].all(axis=1))
        if not both.any():
            return np.zeros(len(self._pairs), np.int8), False
        left, right = (keypoints[self._pairs[:, side], :2] for side in (0, 1))
        vectors = np.where(both[:, None], left - right, 0.0)
        side = np.ptp(keypoints[is_labelled, :2], axis=0).max()
        _, directions = np.linalg.eigh(vectors.T @ vectors)
        direction = directions[:, 1] * (1 if directions[0, 1] >= 0 else -1)
        lengths = vectors @ direction / max(side, 1e-9)
        signs = np.sign(lengths) * (np.abs(lengths) > _LEAST_LENGTH)
        return signs.astype(np.int8), bool(abs(direction[0]) > abs(direction[1]))

    def table(self) -> dict[str, dict[str, float | int | str | None]]:
        """For each pair: how often it has a sign, and what is common."""
        shares = self._shares
        signs, ties = shares.signs, shares.ties
        rows: dict[str, dict[str, float | int | str | None]] = {}
        for pair, (left, right) in enumerate(self._pairs):
            compared = np.count_nonzero(signs[:, pair])
            if not compared:
                continue
            upright = shares.upright[:, pair]
            others = np.where(np.arange(len(ties)) == pair, -1, ties[pair])
            strongest = int(others.argmax()) if len(ties) > 1 else pair
            names = self._skeleton.keypoints
            rows[f"{names[left]}, {names[right]}"] = {
                "people": compared,
                "left at viewer's right": _share(upright > 0, upright != 0),
                "agrees with": self._name(strongest) if strongest != pair else None,
                "in": _share(
                    signs[:, pair] * signs[:, strongest] > 0,
                    signs[:, pair] * signs[:, strongest],
                ),
            }
        return rows

    def report(self, findings: Findings) -> None:
        """Adds a finding for each doubtful person, and for eyes on the wrong sides."""
        shares = self._shares
        least = math.log(_LEAST_ODDS)
        for person, signs in enumerate(shares.signs):
            worst = shares.worst_set(person)
            if worst.score < least:
                continue
            place, number = self._places[person], self._numbers[person]
            names = ", ".join(map(self._name, worst.pairs))
            has_all = len(worst.pairs) == np.count_nonzero(signs)
            what = "everything" if has_all else names
            findings.add(
                SWAPPED,
                Finding(
                    f"{place}: annotation {number}: left and right of {what}; "
                    f"{_odds(worst.score)} times likelier exchanged.",
                    place,
                    number,
                    f"left/right of {what}",
                    worst.score,
                ),
            )
        for sentence in self._mirrored():
            findings.add(MIRRORED, Finding(sentence))

    def _mirrored(self) -> Iterator[str]:
        """Two eyes are seen from the front only: the left one at the viewer's right."""
        for pair, (left, _) in enumerate(self._pairs):
            name = self._skeleton.keypoints[left].lower()
            upright = self._shares.upright[:, pair]
            counted = int(np.count_nonzero(upright))
            wrong = int(np.count_nonzero(upright < 0))
            is_eye = "eye" in name and "brow" not in name
            if is_eye and counted >= _LEAST_EYES and 2 * wrong > counted:
                yield (
                    f"Of {counted} people with both eyes, {wrong} have the left one at "
                    "the viewer's left: their own left and right are meant, not those "
                    "of the picture (or pictures are mirrored, as of a phone's front "
                    "camera)."
                )

    def _name(self, pair: int) -> str:
        """Hips, for left_hip and right_hip."""
        left, right = (self._skeleton.keypoints[side] for side in self._pairs[pair])
        common = left
        for side in ("left", "Left", "LEFT"):
            common = common.replace(side, "")
        common = common.strip("_- .")
        return f"{common}s" if common and common != left else f"{left}/{right}"

    @functools.cached_property
    def _shares(self) -> "_Shares":
        shape = len(self._numbers), len(self._pairs)
        signs = np.frombuffer(bytes(self._signs), np.int8).reshape(shape)
        return _Shares(signs, np.frombuffer(bytes(self._upright), np.uint8) > 0)


class _Shares:
    """What is common among N people with M pairs of keypoints.

    Attributes:
        signs: int8 [N, M].
        upright: The signs of those people whose vectors lie across the image.
        ties: [M, M], the logarithm of the odds that two pairs' signs agree.
    """

    def __init__(self, signs: np.ndarray, is_upright: np.ndarray):
        self.signs = signs
        self.upright = signs[is_upright]
        self._is_upright = is_upright
        # In float32, whose products are quick, and exact up to 2^24 people.
        values = signs.astype(np.float32)
        both = (np.abs(values).T @ np.abs(values)).astype(np.float64)
        agreeing = (both + values.T @ values) / 2
        self._agreeing = agreeing + _AGREEING
        self._opposed = both - agreeing + (_COUNTED - _AGREEING)
        self.ties = np.maximum(np.log(self._agreeing / self._opposed), 0.0)
        self._right = np.count_nonzero(self.upright > 0, axis=0) + 1.0
        self._left = np.count_nonzero(self.upright < 0, axis=0) + 1.0

    def worst_set(self, person: int) -> _Set:
        """Of the sets of pairs that come into question, the one of the highest score.

        Nobody is evidence for what is common when it is about themselves.
        """
        signs = self.signs[person]
        present = tuple(np.flatnonzero(signs).tolist())
        edges = _tree(present, self.ties) if len(present) > 1 else ()
        changes = {edge: self._change(signs, *edge) for edge in edges}
        leaning = np.abs(np.log(self._right / self._left))
        root = max(present, key=lambda pair: leaning[pair])
        of_root = self._change_of_side(signs, root) if self._is_upright[person] else 0.0

        def score(pairs: Sequence[int]) -> float:
            chosen = set(pairs)
            changed = sum(
                change
                for (one, other), change in changes.items()
                if (one in chosen) != (other in chosen)
            )
            return changed + (of_root if root in chosen else 0.0)

        candidates = _candidates(present, signs, edges)
        found = [_Set(pairs, score(pairs)) for pairs in candidates]
        # Of sets that explain the same, the smallest.
        return max(found, key=lambda each: (round(each.score, 6), -len(each.pairs)))

    def _change(self, signs: np.ndarray, one: int, other: int) -> float:
        """What the score gains if one pair of two is exchanged, and the other not."""
        is_agreeing = signs[one] == signs[other]
        agreeing = self._agreeing[one, other] - is_agreeing
        opposed = self._opposed[one, other] - (not is_agreeing)
        tie = max(math.log(agreeing / opposed), 0.0)
        return -tie if is_agreeing else tie

    def _change_of_side(self, signs: np.ndarray, pair: int) -> float:
        """What it gains if a pair lies the other way on the image."""
        is_right = signs[pair] > 0
        right, left = self._right[pair] - is_right, self._left[pair] - (not is_right)
        return math.log(left / right) if is_right else math.log(right / left)


def _odds(score: float) -> str:
    return f"{math.exp(score):.0f}" if score < math.log(1e6) else "over a million"


def _share(found: np.ndarray, counted: np.ndarray) -> float | None:
    total = np.count_nonzero(counted)
    return float(round(np.count_nonzero(found) / total, 3)) if total else None


def _candidates(
    present: tuple[int, ...], signs: np.ndarray, edges: Iterable[tuple[int, int]]
) -> Iterator[tuple[int, ...]]:
    """Single pairs, all, those of one sign, and what hangs together of one sign."""
    yield from ((pair,) for pair in present)
    yield present
    groups = {pair: {pair} for pair in present}
    for one, other in edges:
        if signs[one] == signs[other]:
            groups[one] |= groups[other]
            for member in groups[one]:
                groups[member] = groups[one]
    yield from {tuple(sorted(group)) for group in groups.values()}
    for sign in (1, -1):
        if alike := tuple(pair for pair in present if signs[pair] == sign):
            yield alike


def _tree(present: tuple[int, ...], ties: np.ndarray) -> tuple[tuple[int, int], ...]:
    """The pairs' strongest ties that join them all, by Prim's method."""
    strengths = ties[np.ix_(present, present)].copy()
    count = len(present)
    nearest, strength = np.zeros(count, int), strengths[0].copy()
    strength[0] = -1
    is_outside = np.arange(count) > 0
    edges = []
    while is_outside.any():
        new = int(np.where(is_outside, strength, -1).argmax())
        edges.append((present[nearest[new]], present[new]))
        is_outside[new] = False
        closer = is_outside & (strengths[new] > strength)
        nearest[closer], strength[closer] = new, strengths[new][closer]
    return tuple(edges)
