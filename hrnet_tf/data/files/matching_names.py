"""Which names of files agree furthest with a path, compared from their end.

The stems must be the same; then folders count, from the innermost on, and after them
the suffix. However many files have the same name, each path is looked up but once.
"""

import dataclasses
import posixpath
from collections.abc import Iterable


def normalized(name: str) -> str:
    """A file's name with / between folders, and no folders that mean nothing."""
    return posixpath.normpath(name.replace("\\", "/"))


def match(
    names: Iterable[str], paths: Iterable[str]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Finds what agrees further than with any other.

    Returns:
        For each path the names, in no order, that agree furthest with it and with no
        other path further; and for each name the paths that agree furthest with it.
    """
    best_names, best_paths = _best(names, paths), _best(paths, names)
    alike: dict[tuple[int, int], list[str]] = {}
    found = {}
    for path, (agreement, tied) in best_names.items():
        # What is tied is one list for many paths.
        key = id(tied), agreement
        if key not in alike:
            alike[key] = [name for name in tied if best_paths[name][0] == agreement]
        found[path] = alike[key]
    return found, {name: tied for name, (_, tied) in best_paths.items()}


def _best(
    names: Iterable[str], paths: Iterable[str]
) -> dict[str, tuple[int, list[str]]]:
    """For each of `paths`, those of `names` that agree furthest, and how far."""
    root = _Node(0)
    for name in names:
        suffix, *parts = _parts(name)
        node = root
        for part in parts:
            if part not in node.inner:
                node.inner[part] = _Node(node.depth + 1)
            node = node.inner[part]
            node.names.append((name, suffix, len(parts)))
    return {path: _find(root, path) for path in paths}


def _find(node: "_Node", path: str) -> tuple[int, list[str]]:
    suffix, *parts = _parts(path)
    for part in parts:
        if part not in node.inner:
            break
        node = node.inner[part]
    return node.best(suffix, len(parts)) if node.depth else (0, [])


@dataclasses.dataclass(slots=True)
class _Node:
    """Names that agree in so many parts, from the stem on."""

    depth: int
    inner: dict[str, "_Node"] = dataclasses.field(default_factory=dict)
    names: list[tuple[str, str, int]] = dataclasses.field(default_factory=list)
    groups: dict[tuple[str | None, bool], list[str]] = dataclasses.field(
        default_factory=dict
    )

    def best(self, suffix: str, num_parts: int) -> tuple[int, list[str]]:
        """Names most like a path that agrees no further, and how far they agree.

        Each part counts 4, the suffix 2, and that there are no other parts 1.
        """
        if not self.groups:
            for name, known, length in self.names:
                for is_all in {False, length == self.depth}:
                    for key in ((known, is_all), (None, is_all)):
                        self.groups.setdefault(key, []).append(name)
        is_all = num_parts == self.depth
        ranked = [(suffix, True), (suffix, False), (None, True), (None, False)]
        return next(
            (4 * self.depth + 3 - rank, self.groups[key])
            for rank, key in enumerate(ranked)
            if key in self.groups and (is_all or not key[1])
        )


def _parts(name: str) -> list[str]:
    """The suffix, the name without it, and the folders from the innermost on."""
    folder, name = posixpath.split(normalized(name))
    stem, suffix = posixpath.splitext(name)
    return [suffix, stem, *reversed([part for part in folder.split("/") if part])]
