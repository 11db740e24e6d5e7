"""docs/licences.md names the licence of everything that is installed."""

import configparser
import re

import licences
import pytest

INSTALLED = [name for name in licences.locked() if licences.licence(name)]


def direct(*extras: str) -> set[str]:
    """The packages that setup.cfg names, with some extras."""
    setup = configparser.ConfigParser()
    setup.read(licences.REPO / "setup.cfg")
    texts = [setup["options"]["install_requires"]]
    texts += [setup["options.extras_require"][extra] for extra in extras]
    names = (re.match(r"[\w.-]+", line) for text in texts for line in text.split())
    return {name[0].lower().replace("_", "-") for name in names if name}


def test_direct_dependencies_are_in_the_lock_file_and_on_the_page():
    named = direct("dev", "demo", "video")
    assert {"tensorflow", "pyyaml", "av", "gradio"} <= named
    assert not named - set(licences.locked())
    assert not named - licences.listed().keys()


def test_the_page_lists_what_the_lock_file_does():
    assert set(licences.listed()) == set(licences.locked())
    assert len(INSTALLED) > 100


def test_the_page_says_what_the_packages_say():
    listed = licences.listed()
    said = {name: licences.licence(name) for name in INSTALLED}
    assert {name: listed[name] for name in INSTALLED} == said, "make licences"


def test_other_extras_are_on_the_page():
    text = licences.PAGE.read_text(encoding="utf-8")
    for name in direct("beam", "benchmark", "convert"):
        assert re.search(rf"\b{name}\b", text), name


def test_what_the_videos_wheel_holds_is_told():
    text = licences.PAGE.read_text(encoding="utf-8")
    assert "**av**" in text and "x264" in text and "GPL" in text


def test_a_licence_that_is_not_known_is_refused(monkeypatch):
    monkeypatch.setattr(
        licences.importlib.metadata, "metadata", lambda name: EmptyMetadata()
    )
    with pytest.raises(ValueError, match="strange says"):
        licences.licence("strange")


class EmptyMetadata(dict):
    def get_all(self, name):
        return []


def test_the_table_is_made_anew_and_the_same(monkeypatch, tmp_path):
    page = tmp_path / "licences.md"
    page.write_text(licences.PAGE.read_text(encoding="utf-8"))
    before = page.read_text()
    monkeypatch.setattr(licences, "PAGE", page)
    licences.main()
    assert page.read_text() == before
