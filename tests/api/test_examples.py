"""The examples in docstrings of what `import hrnet_tf` offers do what they show."""

import doctest
import inspect
import shutil

import pytest

import hrnet_tf
from hrnet_tf.api import creation, loading, registration
from hrnet_tf.serving import boxes, predictor


@pytest.fixture
def working_dir(exported, photos, tmp_path, monkeypatch):
    """A folder with the files that examples name."""
    shutil.copytree(exported, tmp_path / "exported")
    shutil.copy(photos[0], tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("module", [boxes, creation, loading, registration, predictor])
def test_examples_do_what_they_show(module, working_dir):
    failed, tried = doctest.testmod(module)
    assert tried and not failed


@pytest.mark.parametrize("name", ["load", "create_model", "list_models", "register"])
def test_examples_stand_where_the_pages_show_them_as_code(name):
    text = inspect.cleandoc(getattr(hrnet_tf, name).__doc__)
    (before, _) = text.split("    >>> ", 1)
    assert before.endswith("\n\nExamples:\n")
