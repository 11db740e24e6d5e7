"""DeepLabCut's tables in HDF5, as pandas writes them, read without pickled objects.

pandas keeps the names of columns and rows as levels (the different names) and labels
(which of them each column has). Some kinds of tables hold pickled objects, which could
run any program; these are refused, since DeepLabCut writes a CSV file besides.
"""

import io
from typing import Any

import h5py
import numpy as np

from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.input_files import read_bytes

_KIND = "unreadable label file"
_USE_CSV = "give the CollectedData_*.csv that lies beside it"
# More than anybody labels; each becomes a text.
_MOST_CELLS = 10**7
_CELL = 8  # bytes


def read_h5(path: str) -> list[list[str]]:
    """The table as the rows of the CSV file. Raises `Unusable`."""
    content = read_bytes(path)
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            tables = [item for item in file.values() if isinstance(item, h5py.Group)]
            if len(tables) != 1:
                raise Unusable(
                    _KIND, f"it holds {len(tables)} tables, not one; {_USE_CSV}."
                )
            return _read_table(tables[0])
    except Unusable:
        raise
    except MemoryError:
        raise Unusable(_KIND, f"it does not fit into memory; {_USE_CSV}.") from None
    except Exception:  # h5py raises all kinds at damaged files.
        raise Unusable(
            _KIND, f"it is not a table as pandas writes it; {_USE_CSV}."
        ) from None


def _read_table(table: h5py.Group) -> list[list[str]]:
    if "block0_values" not in table or "block1_values" in table:
        raise Unusable(
            _KIND, f"it is not a plain table of one kind of numbers; {_USE_CSV}."
        )
    columns, names = _read_axis(table, "axis0")
    of_values, _ = _read_axis(table, "block0_items")
    rows, _ = _read_axis(table, "axis1")
    numbers = _array(table["block0_values"])
    is_table = numbers.shape == (len(rows), len(columns)) and columns == of_values
    if not is_table or numbers.dtype.kind != "f":
        raise ValueError("The numbers are not those of the columns.")
    width = max(map(len, rows), default=1)
    header = [
        [name, *[""] * (width - 1), *(column[level] for column in columns)]
        for level, name in enumerate(names)
    ]
    body = [
        [
            *row,
            *("" if np.isnan(value) else repr(float(value)) for value in line),
        ]
        for row, line in zip(rows, numbers, strict=True)
    ]
    return header + body


def _read_axis(table: h5py.Group, axis: str) -> tuple[list[tuple[str, ...]], list[str]]:
    """The names of each column or row, and what each level of them is called."""
    if axis in table:
        return [(text,) for text in _texts(table[axis])], [""]
    levels: list[np.ndarray] = []
    names: list[str] = []
    while f"{axis}_level{len(levels)}" in table:
        level = table[f"{axis}_level{len(levels)}"]
        labels = _array(table[f"{axis}_label{len(levels)}"])
        texts = np.array([*_texts(level), ""], object)
        levels.append(texts[labels])  # -1 is none
        names.append(_text(level.attrs.get("name", b"")))
    return list(zip(*levels, strict=True)), names


def _texts(data: h5py.Dataset) -> list[str]:
    if data.dtype.kind != "S":
        raise Unusable(_KIND, f"names are not stored as plain text; {_USE_CSV}.")
    return [_text(text) for text in _array(data)]


def _text(text: Any) -> str:
    return text.decode("utf-8") if isinstance(text, bytes) else str(text)


def _array(data: h5py.Dataset) -> np.ndarray:
    if data.external or data.is_virtual:  # A pipe would keep us waiting.
        raise Unusable(_KIND, f"its numbers are in other files; {_USE_CSV}.")
    # Numbers that are not written count, too: a small file may have many.
    if max(data.size, data.nbytes // _CELL) > _MOST_CELLS:
        raise Unusable(_KIND, f"it says that it has {data.nbytes} bytes; {_USE_CSV}.")
    return data[()]
