"""Everything that is checked before a release: `make check-release`.

Each step is a target of the Makefile, and goes on to its end whatever became of those
before. What failed, and what was skipped and why, is told at the end; the exit code is
1 if a step failed. Ctrl-C ends the step, and those after it are not made.
"""

import collections
import itertools
import json
import os
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import docs_check
import process_groups

REPO = Path(__file__).resolve().parents[2]
TEST_STEPS = ("test", "test-heavy", "test-slow", "test-xla")
STEPS = ("lint", *TEST_STEPS, "docs", "docs-check", "dist")
# docs-check writes it in its clone.
DOCUMENTS = ".docs-check/build/docs_check.json"


def run(step: str) -> tuple[bool, float]:
    """Makes a target; returns whether it was made, and the seconds that it took."""
    print(f"==== make {step}", flush=True)
    begin = time.monotonic()
    flags = os.environ.get("PYTEST_FLAGS", "")
    is_test = step in TEST_STEPS
    more = [f"PYTEST_FLAGS={flags} --junitxml={results_of(step)}"] if is_test else []
    code = process_groups.run(["make", "--no-print-directory", step, *more], cwd=REPO)
    return code == 0, time.monotonic() - begin


def results_of(step: str) -> str:
    """Where pytest writes its JUnit file."""
    return f"build/release_{step}.xml"


def tests_told(files: Iterable[Path]) -> Iterator[str]:
    """How many tests passed, failed and were skipped, from pytest's JUnit files."""
    counts: collections.Counter = collections.Counter()
    failed, reasons = [], collections.Counter()
    cases = (ElementTree.parse(file).iter("testcase") for file in files)
    for case in itertools.chain.from_iterable(cases):
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            counts["failed"] += 1
            failed.append(f"{case.get('classname')}::{case.get('name')}")
        elif skipped is not None:
            counts["skipped"] += 1
            reasons[skipped.get("message", "")] += 1
        else:
            counts["passed"] += 1
    told = (f"{counts[name]} {name}" for name in ("passed", "failed", "skipped"))
    yield f"Tests: {', '.join(told)}."
    yield from (f"  failed: {name}" for name in failed)
    yield from (f"  skipped: {why} ({n})" for why, n in reasons.most_common())


def documents_told(file: Path) -> str:
    """The summary that docs-check printed."""
    rows = json.loads(file.read_text(encoding="utf-8"))
    return docs_check.summary([docs_check.Row(**row) for row in rows])


def main(steps: Sequence[str]) -> int:
    """Runs the steps, or all; returns the exit code."""
    process_groups.interrupt_when_terminated()
    results = [REPO / results_of(step) for step in TEST_STEPS]
    for file in (*results, REPO / DOCUMENTS):  # Of an earlier run.
        file.unlink(missing_ok=True)
    steps = steps or STEPS
    made: dict[str, tuple[bool, float]] = {}
    interrupted = False
    try:
        for step in steps:
            made[step] = run(step)
    except KeyboardInterrupt:
        interrupted = True
    print("==== summary")
    for step, (is_made, seconds) in made.items():
        print(f"{step:12} {'ok' if is_made else 'failed':8} {seconds:7.0f} s")
    for step in [step for step in steps if step not in made]:
        print(f"{step:12} not made: interrupted")
    if found := [file for file in results if file.exists()]:
        print(*tests_told(found), sep="\n")
    if (REPO / DOCUMENTS).exists():
        print(documents_told(REPO / DOCUMENTS))
    if interrupted:
        return process_groups.INTERRUPTED
    return int(not all(is_made for is_made, _ in made.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
