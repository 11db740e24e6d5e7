"""A few of many, each with the same chance, without knowing how many there are."""

from typing import Generic, TypeVar

import numpy as np

Item = TypeVar("Item")


class Reservoir(Generic[Item]):
    """Keeps `size` of the items that it is offered (Vitter's algorithm R)."""

    def __init__(self, size: int, seed: int):
        """Starts empty."""
        self._size = size
        self._random = np.random.default_rng(seed)
        self._offered = 0
        self._kept: list[tuple[int, Item]] = []

    def offer(self, item: Item) -> None:
        """Keeps an item, perhaps in place of another."""
        place = self._offered
        self._offered += 1
        if place < self._size:
            self._kept.append((place, item))
        elif (chosen := int(self._random.integers(self._offered))) < self._size:
            self._kept[chosen] = place, item

    def kept(self) -> list[Item]:
        """Those that were kept, in the order in which they came."""
        ordered = sorted(self._kept, key=lambda pair: pair[0])
        return [item for _, item in ordered]
