import pytest

from hrnet_tf import messages


@pytest.mark.parametrize(
    ("received", "told"),
    [
        ("crps", " (did you mean 'crops'?)"),
        ("CROPS", " (did you mean 'crops'?)"),
        ("something", ""),
        (7, ""),
    ],
)
def test_did_you_mean(received, told):
    assert messages.did_you_mean(received, ["crops", "images", 3]) == told


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), ("a\nb", r"'a\nb'"), (1.5, "1.5"), ([1], "[1]")],
)
def test_shown(value, text):
    assert messages.shown(value) == text


def test_what_is_shown_is_short():
    text = messages.shown("x" * 1000)
    assert len(text) == 80 and text.endswith("...")
    assert messages.shown(None, none="missing") == "missing"


def test_what_is_missing_is_not_null():
    assert messages.shown_at("id", {}) == "missing"
    assert messages.shown_at("id", {"id": None}) == "null"
    assert messages.shown_at("id", {"id": "7"}) == "'7'"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (list("abc"), "a, b, c"),
        (list("abcde"), "a, b, c and 2 more"),
    ],
)
def test_listed(names, text):
    assert messages.listed(names) == text


def test_listed_with_another_limit():
    assert messages.listed(["a", "b"], most=1) == "a and 1 more"


def test_numbered():
    assert messages.numbered({1: "person", 2: "bicycle"}) == "1 (person), 2 (bicycle)"


def test_one_line():
    assert messages.one_line(ValueError("first\n\n  second")) == "first second"
