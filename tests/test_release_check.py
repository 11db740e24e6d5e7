"""`make docs-check` and `make check-release`: what they run, and what they tell."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import docs_check
import pages
import pytest
import reader
import release_check

import hrnet_tf

PAGE = """
```sh
sh -c 'echo made > made.txt'
for name in one two; do
  sh -c 'echo $name >> names.txt'
done
```

<!-- not run: needs the moon -->
```sh
false moon
```

```python
words = open("made.txt").read()
```

```sh
sh -c 'echo made > made.txt'
make test PYTEST_FLAGS=-x
```
"""


def make_python(folder):
    """Makes an environment that has what this one has."""
    python = folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)


@pytest.fixture
def check(tmp_path):
    """Returns a function that checks a page's text, and gives its rows."""
    make_python(tmp_path)
    checker = docs_check.Checker(tmp_path)

    def check(text: str) -> list[docs_check.Row]:
        page = tmp_path / "page.md"
        page.write_text(text)
        return list(checker.page(page))

    return check


def outcomes(rows):
    return [(row.line, row.outcome, row.remark) for row in rows]


def test_a_page_runs_once_as_printed(check, tmp_path):
    rows = check(PAGE)
    assert outcomes(rows) == [
        (2, "ok", ""),
        (2, "ok", ""),
        (2, "ok", ""),
        (10, "skipped", "needs the moon"),
        (18, "ok", "as at page.md:2"),
        (18, "skipped", "a step of make check-release"),
        (14, "ok", ""),
    ]
    assert (tmp_path / "names.txt").read_text().split() == ["one", "two"]


def test_what_fails_is_told(check, capfd):
    python = "\n```python\nraise ValueError('no')\n```\n"
    rows = check(f"\n```sh\nls no/such/file\nno-such-command\n```\n{python}")
    assert [row.outcome for row in rows] == ["failed"] * 3
    told = capfd.readouterr().err
    assert "no/such/file" in told
    assert "---- the end of what 'no-such-command' printed:" in told
    told = docs_check.summary(rows)
    assert told.startswith("Commands of the documents: 0 ok, 3 failed, 0 skipped;")
    assert "  failed: page.md:2 no-such-command" in told


def test_the_log_has_what_commands_print_in_their_order(check, tmp_path):
    check("```sh\nGREETING=hi sh -c 'echo $GREETING'\nls no/such/file\n```\n")
    lines = (tmp_path / docs_check.LOG).read_text().splitlines()
    assert lines[:2] == ["$ GREETING=hi sh -c echo $GREETING", "hi"]
    assert lines[2] == "$ ls no/such/file"
    assert "no/such/file" in lines[3]


def test_python_that_no_other_test_runs_is_run(check, tmp_path):
    note = "<!-- run by make docs-check: takes minutes -->"
    (row,) = check(f"{note}\n```python\nopen('made.txt', 'w')\n```\n")
    assert row.outcome == "ok"
    assert (tmp_path / "made.txt").exists()


def test_blocks_of_any_language_that_are_not_run_are_told(check):
    (row,) = check("<!-- not run: needs Kotlin -->\n```kotlin\nval x = 1\n```\n")
    assert (row.outcome, row.remark) == ("skipped", "needs Kotlin")


def test_a_test_that_is_skipped_as_a_whole_has_run_nothing(check, tmp_path):
    tests = tmp_path / "tests"
    tests.mkdir()
    skipped = "import pytest\ndef test_a():\n    pytest.skip('no server')\n"
    (tests / "test_skipped.py").write_text(skipped)
    (tests / "test_some.py").write_text(f"{skipped}def test_b():\n    pass\n")
    block = "```sh\nserve\n```\n"
    rows = check(
        f"<!-- run by tests/test_skipped.py -->\n{block}\n"
        f"<!-- run by tests/test_some.py -->\n{block}"
    )
    assert outcomes(rows) == [
        (2, "skipped", "skipped there: no server"),
        (7, "ok", "skipped there: no server"),
    ]


def test_python_has_the_numbers_of_the_page_s_lines(check, capfd):
    (row,) = check("words\n\n```python\n\nraise ValueError('no')\n```\n")
    assert row.outcome == "failed"
    assert "line 5" in capfd.readouterr().err


def test_a_reader_has_none_of_our_settings(check, monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", "s")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    names = "test -z $MAKEFLAGS$TF_ENABLE_ONEDNN_OPTS$PYTHONPATH && test $GREETING = hi"
    (row,) = check(f"```sh\nGREETING=hi sh -c '{names}'\n```\n")
    assert row.outcome == "ok"


def test_it_installs_with_the_python_that_runs_it(check, tmp_path, monkeypatch):
    (tmp_path / "Makefile").write_text("env:\n\techo '$(PYTHON)' > python.txt\n")
    (tmp_path / "drawn").mkdir()
    monkeypatch.setattr(docs_check.pages, "REPO", tmp_path)
    monkeypatch.setattr(docs_check.pages, "PAGES", [])
    assert docs_check.main([]) == 0
    assert (tmp_path / "python.txt").read_text().strip() == sys.executable


def test_an_environment_that_is_not_made_ends_it(tmp_path, monkeypatch):
    (tmp_path / "Makefile").write_text("env:\n\t@echo no network; false\n")
    monkeypatch.setattr(docs_check.pages, "REPO", tmp_path)
    monkeypatch.setattr(docs_check.pages, "PAGES", [])
    with pytest.raises(SystemExit, match="no network"):
        docs_check.main([])


def test_trainings_on_a_reader_s_files_are_short():
    words = ["python", "-m", "hrnet_tf.train", "--experiment=hrnet_seg_custom"]
    ours = [*words, "--model_dir=runs/synthetic"]
    assert reader.shortened(ours) == ours
    *same, override = reader.shortened([*words, "--model_dir=runs/mine"])
    assert same == [*words, "--model_dir=runs/mine"]
    steps = json.loads(override.partition("=")[2])["trainer"]["train_steps"]
    assert steps == 4


def test_pages_that_make_what_others_take_come_first():
    names = {str(p.relative_to(pages.REPO)): p for p in pages.PAGES}
    order = docs_check.in_order(names)
    assert order[: len(docs_check.FIRST)] == list(docs_check.FIRST)
    assert sorted(order) == sorted(names)


def test_skipped_commands_are_grouped_by_reason():
    rows = [
        docs_check.Row("a.md", line, "make x", "skipped", remark="needs COCO")
        for line in (3, 9)
    ]
    rows.append(docs_check.Row("b.md", 1, "make y", "ok", seconds=2.4))
    rows.append(docs_check.Row("b.md", 4, "make z", "failed", seconds=60.2))
    assert docs_check.summary(rows).splitlines() == [
        "Commands of the documents: 1 ok, 1 failed, 2 skipped; 63 s.",
        "  a.md                       0 ok, 0 failed, 2 skipped; 0 s",
        "  b.md                       1 ok, 1 failed, 0 skipped; 63 s",
        "  failed: b.md:4 make z",
        "  skipped: needs COCO (a.md:3, a.md:9)",
    ]


@pytest.fixture
def documents(tmp_path, monkeypatch):
    """A checkout with two pages, of which the second takes what the first makes."""
    make_python(tmp_path)
    (tmp_path / "Makefile").write_text("env:\n")
    (tmp_path / "tests/support").mkdir(parents=True)
    (tmp_path / "tests/support/reader.py").touch()
    (tmp_path / "README.md").write_text("```sh\nsh -c 'echo 1 > made'\n```\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/export.md").write_text("```sh\ncat made\nls\n```\n")
    monkeypatch.setattr(pages, "REPO", tmp_path)
    monkeypatch.setattr(
        pages, "PAGES", [tmp_path / "docs/export.md", tmp_path / "README.md"]
    )
    return tmp_path


def test_all_pages_run_and_the_exit_code_tells(documents, capfd):
    assert docs_check.main([]) == 0
    assert "Commands of the documents: 3 ok, 0 failed" in capfd.readouterr().out
    rows = json.loads((documents / docs_check.ROWS).read_text())
    assert [row["command"] for row in rows] == ["sh -c echo 1 > made", "cat made", "ls"]


def test_a_page_that_fails_alone_is_told_what_may_be_missing(documents, capfd):
    assert docs_check.main(["docs/export.md"]) == 1
    told = capfd.readouterr().out
    *before, _ = docs_check.FIRST[: docs_check.FIRST.index("docs/export.md") + 1]
    missing = "What failed may take what these pages make first:"
    assert told.endswith(f"{missing} {' '.join(before)}\n")
    assert docs_check.main(["docs/export.md", "README.md"]) == 0
    assert missing not in capfd.readouterr().out
    (documents / "docs/export.md").write_text("```sh\nfalse\n```\n")
    assert docs_check.main(["docs/export.md", "README.md"]) == 1
    assert f"{missing} BUILD.md" in capfd.readouterr().out


def test_a_page_runs_again_where_it_has_run_before(documents, capfd):
    write = "import pathlib, sys; file = pathlib.Path(sys.argv[1]); "
    write += "told = '--overwrite' in sys.argv; "
    write += "file.exists() and not told and sys.exit('There: --overwrite?'); "
    write += "file.touch()"
    (documents / "write.py").write_text(write)
    page = documents / "README.md"
    page.write_text("```sh\npython write.py one\npython write.py  one\n```\n")
    assert docs_check.main(["README.md"]) == 0
    assert docs_check.main(["README.md"]) == 0
    assert "ok: again, with --overwrite" in capfd.readouterr().out
    page.write_text("```sh\npython -u write.py one\n```\n")
    assert docs_check.main(["README.md"]) == 1  # Another command's, and never asked.


def test_a_page_that_is_not_there_is_told(documents):
    with pytest.raises(SystemExit, match="docs/no.md is no page with commands"):
        docs_check.main(["docs/no.md"])


SLEEP = "sh -c 'sleep 77 & echo $! > sleeper; touch begun; wait'"


def gone(pid: int) -> bool:
    """Whether a process has ended, within some seconds."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def interrupted(folder, program: str, number: int) -> subprocess.CompletedProcess:
    """Runs a program of tests/support, and signals to it once `begun` is there."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(pages.REPO / "tests/support")},
    )
    while not (folder / "begun").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    process.send_signal(number)
    told, _ = process.communicate(timeout=60)
    return subprocess.CompletedProcess([], process.returncode, told)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_docs_check_ends_its_command_and_tells(
    number, documents, tmp_path, monkeypatch
):
    monkeypatch.undo()
    (documents / "docs/export.md").write_text(f"```sh\n{SLEEP}\nls\n```\n")
    done = interrupted(
        documents,
        "import sys, pathlib, docs_check, pages; "
        f"pages.REPO = pathlib.Path({str(documents)!r}); "
        "pages.PAGES = [pages.REPO / 'README.md', pages.REPO / 'docs/export.md']; "
        "sys.exit(docs_check.main([]))",
        number,
    )
    assert done.returncode == 130
    assert "Traceback" not in done.stdout
    assert "Interrupted" in done.stdout
    assert "Commands of the documents: 1 ok, 0 failed, 0 skipped" in done.stdout
    rows = json.loads((documents / docs_check.ROWS).read_text())
    assert [row["page"] for row in rows] == ["README.md"]
    assert gone(int((documents / "sleeper").read_text()))


def test_what_takes_too_long_is_ended_with_all_that_it_started(
    check, tmp_path, monkeypatch
):
    monkeypatch.setattr(docs_check, "_MOST_SECONDS", 1)
    begin = time.monotonic()
    (row,) = check(f"```sh\n{SLEEP}\n```\n")
    assert time.monotonic() - begin < 20
    assert (row.outcome, row.remark) == ("failed", "exit code 124")
    assert gone(int((tmp_path / "sleeper").read_text()))


TESTS = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="tests.test_a" name="passes"/>
<testcase classname="tests.test_a" name="fails"><failure message="no"/></testcase>
<testcase classname="tests.test_a" name="breaks"><error message="no"/></testcase>
<testcase classname="tests.test_a" name="b"><skipped message="no PyTorch"/></testcase>
<testcase classname="tests.test_a" name="c"><skipped message="no PyTorch"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def release(tmp_path, monkeypatch):
    """A folder in which `make lint` fails and what stands after it goes well."""
    (tmp_path / "Makefile").write_text(
        "lint:\n\tfalse\n"
        "test:\n\t@echo '$(PYTEST_FLAGS)' > flags.txt; mkdir build; "
        f"cp tests.xml {release_check.results_of('test')}\n"
        f"test-xla:\n\tcp tests.xml {release_check.results_of('test-xla')}\n"
        "test-heavy test-slow docs docs-check dist:\n"
    )
    (tmp_path / "tests.xml").write_text(TESTS)
    monkeypatch.setattr(release_check, "REPO", tmp_path)
    monkeypatch.setenv("PYTEST_FLAGS", "-n 2")
    return tmp_path


def test_a_step_that_fails_does_not_end_the_others(release, capfd):
    assert release_check.main([]) == 1
    told = capfd.readouterr().out
    ended = [line.split()[:2] for line in told.partition("summary")[2].splitlines()]
    assert ended[1:9] == [
        ["lint", "failed"],
        ["test", "ok"],
        ["test-heavy", "ok"],
        ["test-slow", "ok"],
        ["test-xla", "ok"],
        ["docs", "ok"],
        ["docs-check", "ok"],
        ["dist", "ok"],
    ]
    failed = "  failed: tests.test_a::fails\n  failed: tests.test_a::breaks\n"
    assert told.endswith(
        "Tests: 2 passed, 4 failed, 4 skipped.\n"
        f"{failed}{failed}  skipped: no PyTorch (4)\n"
    )
    flags = (release / "flags.txt").read_text().strip()
    assert flags == f"-n 2 --junitxml={release_check.results_of('test')}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_release_check_ends_its_step_and_tells(
    number, release, monkeypatch
):
    monkeypatch.undo()
    (release / "Makefile").write_text(
        f"lint:\n\tfalse\ndocs:\n\t{SLEEP.replace('$', '$$')}\ndist:\n\ttouch dist\n"
    )
    done = interrupted(
        release,
        "import sys, pathlib, release_check; "
        f"release_check.REPO = pathlib.Path({str(release)!r}); "
        "import os; os.chdir(release_check.REPO); "
        "sys.exit(release_check.main(['lint', 'docs', 'dist']))",
        number,
    )
    assert done.returncode == 130
    assert "Traceback" not in done.stdout
    lines = done.stdout.partition("==== summary\n")[2].splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["lint", "failed"],
        ["docs", "not"],
        ["dist", "not"],
    ]
    assert not (release / "dist").exists()
    assert gone(int((release / "sleeper").read_text()))


def test_all_steps_are_targets_and_the_exit_code_tells(release, capfd):
    makefile = (pages.REPO / "Makefile").read_text()
    for step in release_check.STEPS:
        assert f"\n{step}:" in makefile
    assert release_check.main(["docs", "dist"]) == 0


def test_targets_that_a_release_checks_exist():
    for target in docs_check.OF_RELEASE:
        done = subprocess.run(
            ["make", "--dry-run", target], cwd=pages.REPO, capture_output=True
        )
        assert done.returncode == 0, target


def test_the_version_is_the_same_everywhere():
    changes = (pages.REPO / "CHANGELOG.md").read_text()
    citation = (pages.REPO / "CITATION.cff").read_text()
    assert re.search(r"^## (.+)$", changes, re.M)[1] == hrnet_tf.__version__
    assert re.search(r"^version: (.+)$", citation, re.M)[1] == hrnet_tf.__version__
