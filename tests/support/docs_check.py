"""Runs the commands of all pages, in this checkout; `make docs-check`, in a fresh one.

    python3 tests/support/docs_check.py [PAGE ...]

installs the package into .venv, and then runs each page's commands, as printed and in
their order, and its Python. What takes a reader's files has drawn people, and trains on
them for a few steps; official weights are drawn, too. A block with the comment "not
run: ..." above it is skipped; one with "run by tests/..." is run by that test. It
prints a line for each command, with its seconds, and in the end how many of each page
ran, what failed, and what was skipped and why. build/docs_check.log has all that
commands print, as they print it, and build/docs_check.json the lines. The exit code is
1 if something failed.
"""

import collections
import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pages
import process_groups
import reader

# In this order, since one exports what the next one takes. Others follow.
FIRST = (
    "README.md",
    "BUILD.md",
    "docs/quick-start.md",
    "docs/keypoints.md",
    "docs/evaluation.md",
    "docs/segmentation.md",
    "docs/detection.md",
    "docs/inspect.md",
    "docs/weights.md",
    "docs/export.md",
    "docs/predict.md",
    "docs/video.md",
    "docs/python.md",
)
# Targets of the Makefile that `make check-release` makes by itself.
OF_RELEASE = {"lint", "docs", "dist"} | {
    *("test", "test-heavy", "test-slow", "test-xla", "test-faults"),
    *("test-android", "test-all"),
}
# What would change what the commands do: a reader has none of it.
_NOT_A_READERS = re.compile("MAKE|MFLAGS|PYTHON|PYTEST|TF_|VENV|VIRTUAL_ENV")
_MOST_SECONDS = 3600
_LINES = 25  # shown of the output of what failed
LOG = "build/docs_check.log"
ROWS = "build/docs_check.json"
_RUN_BEFORE = (
    "build/docs_check_before.json"  # commands of earlier calls in this checkout
)


@dataclasses.dataclass(frozen=True)
class Row:
    """What became of a command.

    Attributes:
        outcome: "ok", "failed" or "skipped".
        remark: Why it was skipped, or what is worth knowing.
    """

    page: str
    line: int
    command: str
    outcome: str
    seconds: float = 0.0
    remark: str = ""

    def __str__(self) -> str:
        command = self.command.partition("\n")[0]
        if len(command) > 60:
            command = f"{command[:57]}..."
        where = f"{self.page}:{self.line}"
        told = f"{self.outcome}: {self.remark}" if self.remark else self.outcome
        return f"{where:26} {command:60} {self.seconds:6.1f}  {told}"


class Checker:
    """Runs pages in a folder, and nothing twice."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._done: dict[str, Row] = {}
        before = folder / _RUN_BEFORE
        self._before = set(json.loads(before.read_text())) if before.exists() else set()

    def page(self, page: Path) -> Iterator[Row]:
        """Runs a page; its Python comes last, for it takes what the commands make."""
        blocks = list(pages.blocks(page))
        python = []
        for block in blocks:
            if block.reason:
                yield self._row(block, block.text, "skipped", remark=block.reason)
            elif block.test:
                yield self._tested(block)
            elif block.language == "sh":
                for words in block.commands():
                    yield self._command(block, words)
            elif block.language == "python":
                python.append(block)
        if python:
            yield self._python(page, python)

    def run(self, words: Sequence[str]) -> tuple[int, str, float]:
        """Runs a command; returns its exit code, its output and the seconds it took."""
        begin = time.monotonic()
        environment = _environment(self._folder)
        printed, words = " ".join(words), list(words)
        while re.match(r"\w+=", words[0]):
            name, _, value = words.pop(0).partition("=")
            environment[name] = value
        log = self._folder / LOG
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as file:
            file.write(f"$ {printed}\n".encode())
            file.flush()
            start = file.tell()
            try:
                code = process_groups.run(
                    words,
                    _MOST_SECONDS,
                    cwd=self._folder,
                    env=environment,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                )
            except OSError as error:
                code = 127
                file.write(f"{error}\n".encode())
            except subprocess.TimeoutExpired:
                code = 124
                file.write(f"It ran for more than {_MOST_SECONDS} seconds.\n".encode())
        output = log.read_bytes()[start:].decode(errors="replace")
        return code, output, time.monotonic() - begin

    def _row(self, block: pages.Block, command: str, outcome: str, **more) -> Row:
        name = block.page.relative_to(self._folder).as_posix()
        return Row(name, block.line, " ".join(command.split()), outcome, **more)

    def _command(self, block: pages.Block, words: Sequence[str]) -> Row:
        command = " ".join(words)
        targets = {word for word in words[1:] if "=" not in word}
        if words[0] == "make" and targets <= OF_RELEASE:
            remark = "a step of make check-release"
            return self._row(block, command, "skipped", remark=remark)
        short = reader.shortened(words)
        remark = "a few steps of training" if short != list(words) else ""
        return self._once(block, command, short, remark)

    def _tested(self, block: pages.Block) -> Row:
        test = ("python", "-m", "pytest", "-q", "-rs", "-n", "0", block.test)
        row = self._once(block, f"pytest {block.test}", test, "", tests=True)
        return dataclasses.replace(row, line=block.line)

    def _python(self, page: Path, blocks: Sequence[pages.Block]) -> Row:
        """Runs the Python of a page as one program, with the page's line numbers."""
        text = ""
        for block in blocks:
            text += "\n" * (block.line - text.count("\n")) + block.text
        program = self._folder / "build" / f"{page.stem}.py"
        program.parent.mkdir(exist_ok=True)
        program.write_text(text, encoding="utf-8")
        return self._once(blocks[0], f"Python of {page.name}", ("python", str(program)))

    def _once(
        self,
        block: pages.Block,
        command: str,
        words: Sequence[str],
        remark: str = "",
        tests: bool = False,
    ) -> Row:
        if command in self._done:
            row = self._done[command]
            remark = f"as at {row.page}:{row.line}"
            return self._row(block, command, row.outcome, remark=remark)
        code, output, seconds = self.run(words)
        if code and command in self._before and "--overwrite" in output:
            remark = "again, with --overwrite"
            code, output, seconds = self.run([*words, "--overwrite"])
        outcome = "ok" if reader.is_fine(words, code) else "failed"
        if outcome == "failed":
            remark = f"exit code {code}"
            ended = output.splitlines()[-_LINES:]
            told = (f"---- the end of what {command!r} printed:", *ended, "----")
            print(*told, sep="\n", file=sys.stderr)
        elif tests and (skipped := re.findall(r"^SKIPPED .*?: (.+)$", output, re.M)):
            remark = f"skipped there: {'; '.join(sorted(set(skipped)))}"
            if not re.search(r"^\d+ passed", output, re.M):
                outcome = "skipped"
        row = self._row(block, command, outcome, seconds=seconds, remark=remark)
        self._done[command] = row
        if outcome == "ok":
            self._before.add(command)
            (self._folder / _RUN_BEFORE).write_text(json.dumps(sorted(self._before)))
        return row


def _environment(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not _NOT_A_READERS.match(k)}
    return {**kept, "PATH": f"{folder / '.venv/bin'}:{kept['PATH']}"}


def in_order(names: Mapping[str, Path]) -> list[str]:
    """Names of pages, those that others need first."""
    return sorted(
        names,
        key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name),
    )


def summary(rows: Sequence[Row]) -> str:
    """How many commands of each page ended how, and why some were skipped."""
    pages_of: dict[str, list[Row]] = {}
    for row in rows:
        pages_of.setdefault(row.page, []).append(row)
    lines = [f"Commands of the documents: {_counts(rows)}."]
    lines += [f"  {page:26} {_counts(of_page)}" for page, of_page in pages_of.items()]
    lines += [
        f"  failed: {row.page}:{row.line} {row.command}"
        for row in rows
        if row.outcome == "failed"
    ]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.outcome == "skipped":
            reasons.setdefault(row.remark, []).append(f"{row.page}:{row.line}")
    lines += [f"  skipped: {why} ({', '.join(at)})" for why, at in reasons.items()]
    return "\n".join(lines)


def _counts(rows: Sequence[Row]) -> str:
    counts = collections.Counter(row.outcome for row in rows)
    told = ", ".join(f"{counts[name]} {name}" for name in ("ok", "failed", "skipped"))
    return f"{told}; {sum(row.seconds for row in rows):.0f} s"


def _not_run(rows: Sequence[Row]) -> list[str]:
    """The pages of FIRST before one that failed: it may lack what they make."""
    failed = {row.page for row in rows if row.outcome == "failed"}
    last = max((FIRST.index(page) for page in failed if page in FIRST), default=0)
    run = {row.page for row in rows}
    return [page for page in FIRST[:last] if page not in run]


def _install(checker: Checker, folder: Path) -> None:
    # The Python that runs this, which may be another than python3.
    environment = ["make", "env", f"PYTHON={sys.executable}"]
    for words in (environment, *_drawing(folder)):
        code, output, seconds = checker.run(words)
        print(f"{' '.join(words)}: {seconds:.0f} s", flush=True)
        if code:
            sys.exit(output)


def _drawing(folder: Path) -> Iterator[Sequence[str]]:
    if not (folder / "drawn").exists():
        yield ["python", "tests/support/reader.py"]


def main(arguments: Sequence[str]) -> int:
    """Runs pages, or all; returns the exit code."""
    folder = pages.REPO
    known = {page.relative_to(folder).as_posix(): page for page in pages.PAGES}
    for name in arguments:
        if name not in known:
            sys.exit(
                f"{name} is no page with commands: name, for example, docs/export.md."
            )
    names = in_order({name: known[name] for name in arguments} or known)
    process_groups.interrupt_when_terminated()
    (folder / LOG).unlink(missing_ok=True)
    rows: list[Row] = []
    code = 0
    try:
        for row in _check(folder, [(name, known[name]) for name in names]):
            print(row, flush=True)
            rows.append(row)
            code = max(code, int(row.outcome == "failed"))
    except KeyboardInterrupt:
        print("Interrupted: this command and those after it are not told of.")
        code = process_groups.INTERRUPTED
    (folder / ROWS).write_text(
        json.dumps([dataclasses.asdict(row) for row in rows], indent=1)
    )
    print(summary(rows))
    if missing := _not_run(rows):
        print("What failed may take what these pages make first:", *missing)
    return code


def _check(folder: Path, named: Sequence[tuple[str, Path]]) -> Iterator[Row]:
    checker = Checker(folder)
    _install(checker, folder)
    for name, page in named:
        # Where pages before have failed so does this, and the page's commands tell.
        checker.run(["python", "tests/support/reader.py", name])
        yield from checker.page(page)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
