"""`make docs-check` and `make check-release`: what they run, and what they tell."""

import json
import re
import subprocess
import sys

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


@pytest.fixture
def check(tmp_path):
    """Returns a function that checks a page's text, and gives its rows."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
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
    told = docs_check.summary(rows)
    assert told.startswith("Commands of the documents: 0 ok, 3 failed, 0 skipped.")
    assert "  failed: page.md:2 no-such-command" in told


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
    assert docs_check.summary(rows).splitlines() == [
        "Commands of the documents: 0 ok, 0 failed, 2 skipped.",
        "  skipped: needs COCO (a.md:3, a.md:9)",
    ]


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
        "test-all:\n\t@echo '$(PYTEST_FLAGS)' > flags.txt; mkdir build; "
        f"cp tests.xml {release_check.TESTS}\n"
        "docs docs-check dist:\n"
    )
    (tmp_path / "tests.xml").write_text(TESTS)
    monkeypatch.setattr(release_check, "REPO", tmp_path)
    monkeypatch.setenv("PYTEST_FLAGS", "-n 2")
    return tmp_path


def test_a_step_that_fails_does_not_end_the_others(release, capfd):
    assert release_check.main([]) == 1
    told = capfd.readouterr().out
    ended = [line.split()[:2] for line in told.partition("summary")[2].splitlines()]
    assert ended[1:6] == [
        ["lint", "failed"],
        ["test-all", "ok"],
        ["docs", "ok"],
        ["docs-check", "ok"],
        ["dist", "ok"],
    ]
    assert told.endswith(
        "Tests: 1 passed, 2 failed, 2 skipped.\n"
        "  failed: tests.test_a::fails\n"
        "  failed: tests.test_a::breaks\n"
        "  skipped: no PyTorch (2)\n"
    )
    flags = (release / "flags.txt").read_text().strip()
    assert flags == f"-n 2 --junitxml={release_check.TESTS}"


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
