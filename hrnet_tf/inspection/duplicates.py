"""Images that a data set has more than once: the same bytes, or the same picture.

A picture's difference hash (dHash) has a bit for each of 8x8 neighbouring patches:
whether the right one is brighter. Copies of another size or quality differ in few
bits. Pictures without much in them have similar hashes, too, so that small thumbnails
have to agree as well. 224 bytes of memory for each image, and its name.
"""

import array
import hashlib
from collections.abc import Iterator

import cv2
import numpy as np

from hrnet_tf.inspection.findings import Finding, Findings, Place

SAME_BYTES = "duplicate image: the same file"
SAME_PICTURE = "duplicate image: the same picture in another file"

# Bytes; larger JPEG files are decoded to an eighth of their size, which is quick and
# as good: others would not be averaged, but leave out seven of eight pixels.
_LARGE_FILE = 20_000
_JPEG = b"\xff\xd8"
_SIDE = 8
_WORD_BITS = 16
# At most so many of 64 bits differ, and one of 4 words is nearly always the same.
_MOST_BITS = 6
# Of 255, between the thumbnails' values; in the mean of all and for any of them.
_MEAN_DIFFERENCE, _GREATEST_DIFFERENCE = 4.0, 24
# Images with the same word that are looked at, on from each in order of their hashes.
_NEIGHBOURS = 16


def fingerprint(encoded: bytes) -> tuple[bytes, int, bytes] | None:
    """A digest of the bytes, the hash and the thumbnail of an image file.

    None if OpenCV does not decode it.
    """
    is_large = len(encoded) > _LARGE_FILE and encoded.startswith(_JPEG)
    color = cv2.IMREAD_REDUCED_COLOR_8 if is_large else cv2.IMREAD_COLOR
    try:
        pixels = cv2.imdecode(
            np.frombuffer(encoded, np.uint8), color | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error:
        return None
    if pixels is None:
        return None
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    patches = cv2.resize(grey, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA)
    bits = np.packbits(patches[:, 1:] > patches[:, :-1])
    thumbnail = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    digest = hashlib.blake2b(encoded, digest_size=16).digest()
    return digest, int.from_bytes(bits.tobytes(), "big"), thumbnail.tobytes()


class Duplicates:
    """Collects fingerprints and finds those that agree."""

    def __init__(self) -> None:
        """Starts without images."""
        self._digests = bytearray()
        self._hashes = array.array("Q")
        self._thumbnails = bytearray()
        self._places: list[Place] = []

    def add(self, place: Place, encoded_as: tuple[bytes, int, bytes]) -> None:
        """Takes the fingerprint of one more image."""
        digest, bits, thumbnail = encoded_as
        self._digests += digest
        self._hashes.append(bits)
        self._thumbnails += thumbnail
        self._places.append(place)

    def report(self, findings: Findings) -> None:
        """Adds a finding for each copy, beside the first image that it is like."""
        seen: dict[int, int] = {}  # the first image that each copy is like
        for kind, pairs in (
            (SAME_BYTES, self._same_bytes()),
            (SAME_PICTURE, self._same_pictures()),
        ):
            for original, copy in sorted(pairs):
                first = seen.get(original, original)
                if copy in seen:
                    continue
                seen[copy] = first
                findings.add(
                    kind,
                    Finding(
                        f"{self._places[copy]} is {self._places[first]} again.",
                        self._places[copy],
                    ),
                )

    def _same_bytes(self) -> Iterator[tuple[int, int]]:
        digests = np.frombuffer(bytes(self._digests), "S16")
        order = np.argsort(digests, kind="stable")
        same = digests[order[1:]] == digests[order[:-1]]
        first = 0
        for place in np.flatnonzero(same):
            if not place or not same[place - 1]:
                first = int(order[place])
            yield first, int(order[place + 1])

    def _same_pictures(self) -> set[tuple[int, int]]:
        hashes = np.frombuffer(self._hashes.tobytes(), np.uint64)
        shape = len(hashes), -1
        thumbnails = np.frombuffer(bytes(self._thumbnails), np.uint8)
        thumbnails = thumbnails.reshape(shape) if len(hashes) else thumbnails
        pairs: set[tuple[int, int]] = set()
        for shift in range(0, 64, _WORD_BITS):
            words = hashes >> np.uint64(shift) & np.uint64(2**_WORD_BITS - 1)
            order = np.lexsort((hashes, words))
            for step in range(1, min(_NEIGHBOURS, len(order) - 1) + 1):
                one, other = order[:-step], order[step:]
                different = _count_bits(hashes[one] ^ hashes[other])
                alike = (words[one] == words[other]) & (different <= _MOST_BITS)
                found = one[alike].tolist(), other[alike].tolist()
                for pair in zip(*found, strict=True):
                    if _look_alike(*thumbnails[[*pair]]):
                        pairs.add((min(pair), max(pair)))
        return pairs


def _count_bits(numbers: np.ndarray) -> np.ndarray:
    """How many bits of each of N numbers of 64 bits are set."""
    return np.unpackbits(numbers.view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1)


def _look_alike(one: np.ndarray, other: np.ndarray) -> bool:
    difference = np.abs(one.astype(np.int16) - other)
    return bool(
        difference.mean() <= _MEAN_DIFFERENCE
        and difference.max() <= _GREATEST_DIFFERENCE
    )
