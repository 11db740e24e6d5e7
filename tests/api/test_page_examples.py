"""Python in the documents runs as printed, page by page, in a folder with its files."""

import shutil

import pages
import pytest


@pytest.fixture
def working_dir(exported, detector_dir, photos, tmp_path, monkeypatch):
    """A folder with the files that the pages name."""
    shutil.copytree(exported, tmp_path / "exported")
    shutil.copytree(detector_dir, tmp_path / "exported/detector/1")
    shutil.copy(photos[0], tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def runnable(page) -> list[pages.Block]:
    return [b for b in pages.blocks(page) if b.language == "python" and not b.note]


@pytest.mark.parametrize(
    "page", [page for page in pages.PAGES if runnable(page)], ids=lambda page: page.name
)
def test_a_page_runs(page, working_dir):
    names: dict = {}
    for block in runnable(page):
        exec(compile(block.text, str(block), "exec"), names)
    if "drawn.png" in page.read_text(encoding="utf-8"):
        assert (working_dir / "drawn.png").exists()


def test_the_readme_and_the_page_on_python_are_among_them():
    named = {page.name for page in pages.PAGES if runnable(page)}
    assert {"README.md", "python.md"} <= named
