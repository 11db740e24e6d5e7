"""docs/signatures.md, the contract of exported models, as the tests compare it."""

import re
from collections.abc import Mapping
from typing import Any

import pages

TEXT = (pages.REPO / "docs/signatures.md").read_text(encoding="utf-8")
_TENSOR = re.compile(r"`(\w+)` (string|float32|uint8|int32) \[(.*?)\]")
TFLITE = ".tflite"

# Types and numbers of dimensions, by name.
Tensors = dict[str, tuple[str, int]]


def documented(section: str) -> dict[str, tuple[Tensors, Tensors]]:
    """Inputs and outputs of each signature in the table of a section."""
    (text,) = re.findall(rf"^## {section}$(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.M)
    rows: dict[str, tuple[Tensors, Tensors]] = {}
    for name, *cells in re.findall(r"^\| `(.+?)` \| (.*) \| (.*) \|$", text, re.M):
        found = []
        for place, cell in enumerate(cells):
            other = re.match(r"as `(\w+)`", cell)
            tensors = {
                name: (kind, shape.count(",") + 1)
                for name, kind, shape in _TENSOR.findall(cell)
            }
            found.append(rows[other[1]][place] if other else tensors)
        rows[name] = (found[0], found[1])
    return rows


def assert_documented(section: str, graphs: Mapping[str, Any]) -> None:
    """The signatures of a module are those of a section, no more and no less."""
    expected = documented(section)
    assert set(graphs) == set(expected)
    for name, graph in graphs.items():
        # What is loaded from a file is concrete already.
        concrete = getattr(graph, "get_concrete_function", lambda graph=graph: graph)()
        positional, named = concrete.structured_input_signature
        inputs = {spec.name: spec for spec in (*positional, *named.values())}
        assert _kinds(inputs) == expected[name][0], name
        assert _kinds(concrete.structured_outputs) == expected[name][1], name


def _kinds(tensors: Mapping[str, Any]) -> Tensors:
    return {
        name: (value.dtype.name, value.shape.rank) for name, value in tensors.items()
    }
