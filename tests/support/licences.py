"""The licences of what requirements.lock installs: `make licences`.

Packages say in their metadata what their licence is, by a name of SPDX, by a classifier
or in words. The lists of docs/licences.md are made of that; those of this environment
alone, so that packages of other Pythons and systems keep what the page says.
"""

import importlib.metadata
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
LOCK = REPO / "requirements.lock"
PAGE = REPO / "docs/licences.md"
BEGIN, END = "<!-- made by make licences -->", "<!-- end -->"

# What packages write for a licence, and its name in SPDX; the first that fits.
_WORDS = (
    ("Mozilla Public License 2.0", "MPL-2.0"),
    ("Artistic License", "Artistic-1.0-Perl OR GPL-2.0-or-later"),
    ("Python Software Foundation License", "PSF-2.0"),
    ("ISC License", "ISC"),
    ("Dual License", "Apache-2.0 OR BSD-3-Clause"),  # python-dateutil
    ("Apache", "Apache-2.0"),
    ("FreeBSD", "BSD-2-Clause"),
    ("BSD-2-Clause", "BSD-2-Clause"),
    ("BSD", "BSD-3-Clause"),
    ("MIT", "MIT"),
)
# Of packages that state none in their metadata: what their LICENSE file holds.
_STATED_ELSEWHERE = {"namex": "Apache-2.0"}


def locked() -> list[str]:
    """The names of requirements.lock, in its order."""
    lines = LOCK.read_text(encoding="utf-8")
    found = re.findall(r"^([\w.-]+)(?:\[.*?\])?==", lines, re.MULTILINE)
    return list(dict.fromkeys(found))


def licence(name: str) -> str | None:
    """The licence of an installed package, by SPDX, or None if it is not installed.

    Raises `ValueError` if its metadata say nothing that is known here.
    """
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    if name in _STATED_ELSEWHERE:
        return _STATED_ELSEWHERE[name]
    if expression := metadata.get("License-Expression"):
        return expression
    written = (metadata.get("License") or "").strip().partition("\n")[0]
    if re.search(r"\b(AND|OR)\b", written):
        return _names(written)
    said = [written, *_classifiers(metadata)]
    for words, spdx in _WORDS:
        if any(words in text for text in said):
            return spdx
    raise ValueError(f"{name} says {said} of its licence: add it to _WORDS.")


def _names(expression: str) -> str:
    return expression.replace("BSD 3-Clause", "BSD-3-Clause")


def _classifiers(metadata: importlib.metadata.PackageMetadata) -> Iterator[str]:
    for classifier in metadata.get_all("Classifier") or ():
        if classifier.startswith("License ::"):
            yield classifier


def listed() -> Mapping[str, str]:
    """The licence of each package on the page."""
    rows = re.findall(r"^\| (.+?) \| (.*) \|$", _table(), re.MULTILINE)[1:]
    return {
        name: spdx for spdx, names in rows for name in re.findall(r"[\w.-]+", names)
    }


def _table() -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text[text.index(BEGIN) : text.index(END)]


def table(licences: Mapping[str, str]) -> str:
    """The packages of each licence, most first, as Markdown."""
    names: dict[str, list[str]] = {}
    for name in sorted(licences):
        names.setdefault(licences[name], []).append(name)
    ordered = sorted(names, key=lambda spdx: (-len(names[spdx]), spdx))
    rows = (f"| {spdx} | {', '.join(names[spdx])} |" for spdx in ordered)
    return "\n".join([BEGIN, "| licence | packages |", "|---|---|", *rows, ""])


def main() -> None:
    """Writes the page's table anew."""
    known = listed()
    found = {name: licence(name) or known.get(name) for name in locked()}
    missing = [name for name, spdx in found.items() if spdx is None]
    if missing:
        sys.exit(f"Not installed here, and not on the page: {', '.join(missing)}.")
    text = PAGE.read_text(encoding="utf-8").replace(_table(), table(found))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
