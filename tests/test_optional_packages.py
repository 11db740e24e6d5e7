"""Packages that are missing, or of which pip left a folder behind."""

import pytest

from hrnet_tf.optional_packages import import_package


def test_a_package_is_imported():
    assert import_package("json").loads("1") == 1


def test_a_library_of_the_system_may_be_missing(tmp_path, monkeypatch):
    (tmp_path / "linked_extra.py").write_text("raise OSError('libgone.so: not found')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="libgone.so: not found"):
        import_package("linked_extra")


def test_a_folder_that_was_left_behind_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "an_extra" / "cache").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="only a folder of an_extra is left"):
        import_package("an_extra")
    with pytest.raises(ImportError, match="another_extra"):
        import_package("another_extra")
