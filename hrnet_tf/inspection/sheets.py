"""Cells put together to pictures: samples in rows, and findings one after the other."""

from collections.abc import Sequence

import numpy as np

from hrnet_tf import visualization

_DOUBTFUL_COLUMNS = 4
Cell = tuple[str, np.ndarray]  # a caption and what is below it


def row_of_sample(
    name: str, plain: np.ndarray, augmented: Sequence[np.ndarray]
) -> list[Cell]:
    """A sample as it is stored, or not augmented, and as training changes it."""
    return [(name, plain), *(("augmented", each) for each in augmented)]


def draw_rows(rows: Sequence[Sequence[Cell]], cell_size: tuple[int, int]) -> np.ndarray:
    """All rows are as long as the first, but for the last."""
    cells = [cell for row in rows for cell in row]
    return _draw(cells, len(rows[0]), cell_size)


def draw_findings(cells: Sequence[Cell], cell_size: tuple[int, int]) -> np.ndarray:
    """A few columns of them."""
    return _draw(cells, min(_DOUBTFUL_COLUMNS, len(cells)), cell_size)


def _draw(
    cells: Sequence[Cell], columns: int, cell_size: tuple[int, int]
) -> np.ndarray:
    captions = [caption for caption, _ in cells]
    return visualization.image_grid(
        [pixels for _, pixels in cells], columns, cell_size, captions
    )
