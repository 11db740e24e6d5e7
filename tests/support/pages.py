"""The documents' blocks of code, and what is said above them.

A comment in the line above a block tells why nothing runs it, or what does:

    <!-- not run: needs Docker -->
    <!-- run by tests/test_garden.py -->
    <!-- run by tests/serving/test_saved_model.py::test_a_client -->
    <!-- run by make docs-check: takes minutes -->

Blocks without one are run by tests/test_walks.py and tests/api/test_page_examples.py.
`make docs-check` (tests/support/docs_check.py) runs the blocks of all three kinds.
"""

import dataclasses
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for path in (*REPO.glob("*.md"), *(REPO / "docs").glob("*.md"))
    if path.name != "CHANGELOG.md"
)

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_NOTE = re.compile(
    r"<!-- (not run: .+|run by tests/\S+|run by make docs-check: .+) -->"
)


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    note: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPO)}:{self.line}"

    @property
    def reason(self) -> str:
        """Why nothing runs it, or no text."""
        return self._after("not run: ")

    @property
    def test(self) -> str:
        """The file of the tests that run it, or one of these; or no text."""
        return "" if self.is_checked_alone else self._after("run by ")

    @property
    def is_checked_alone(self) -> bool:
        """Whether no test but `make docs-check` runs it."""
        return self.note.startswith("run by make docs-check: ")

    def _after(self, start: str) -> str:
        return self.note[len(start) :] if self.note.startswith(start) else ""

    def commands(self) -> list[list[str]]:
        """The words of each command of a shell; a loop is all of its rounds."""
        found: list[list[str]] = []
        name, values, start = "", [], 0
        for words in self._lines():
            if words[0] == "for":  # NAME in A B; do
                name, values = (
                    words[1],
                    " ".join(words[3:]).removesuffix("; do").split(),
                )
                start = len(found)
            elif words[0] == "done":
                body = found[start:]
                found[start:] = [
                    [word.replace(f"${name}", value) for word in command]
                    for value in values
                    for command in body
                ]
            else:
                found.append(words)
        return found

    def _lines(self) -> Iterator[list[str]]:
        pending = ""
        for line in self.text.replace("\\\n", " ").splitlines():
            pending += line + "\n"
            try:
                words = shlex.split(pending, comments=True)
            except ValueError:  # A quotation goes on in the next line.
                continue
            pending = ""
            if words:
                yield words


def blocks(page: Path) -> Iterator[Block]:
    """Yields the blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        above = text[: match.start()].rstrip("\n").rsplit("\n", 1)[-1].strip()
        note = _NOTE.fullmatch(above)
        yield Block(
            page,
            text.count("\n", 0, match.start()) + 1,
            match[2],
            match[3],
            note[1] if note else "",
        )


def command(name: str) -> Any:
    """The module that `python -m NAME` runs."""
    module = importlib.import_module(name)
    is_package = hasattr(module, "__path__")
    return importlib.import_module(f"{name}.__main__") if is_package else module


def all_blocks(*languages: str) -> list[Block]:
    """The blocks of all pages, in some languages or in all."""
    return [
        block
        for page in PAGES
        for block in blocks(page)
        if not languages or block.language in languages
    ]
