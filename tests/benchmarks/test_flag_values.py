"""Flags of the benchmarks refuse what cannot be used."""

import argparse

import flag_values
import pytest


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", ""])
def test_what_is_no_count_is_refused(text, capsys):
    parser = flag_values.parser("What it does.", rounds=3)
    with pytest.raises(SystemExit):
        parser.parse_args([f"--rounds={text}"])
    assert "is not a whole number from 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["256", "256x", "0x0", "100x96", "256x192x3", "axb", "256x192xa", "ax32x32"]
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="HEIGHTxWIDTH"):
        flag_values.size(text)


def test_size_is_height_and_width():
    assert flag_values.size("256x192") == [256, 192]


@pytest.mark.parametrize("text", ["0.9", "nan", "inf", "-2", "two", "", "101"])
def test_what_is_no_average_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number from 1 to"):
        flag_values.average(text)
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number from 1 to"):
        flag_values.averages(f"1.5,{text}")


def test_averages_are_numbers_with_commas():
    assert flag_values.averages("1,2.65") == [1, 2.65]


def test_numbers_go_where_a_file_can_be(tmp_path, capsys):
    parser = flag_values.parser("What it does.", rounds=3)
    (tmp_path / "there.json").write_text("{}")
    for name in ("there.json", "new.json"):
        path = str(tmp_path / name)
        assert parser.parse_args([f"--json={path}"]).json == path
    for path in (tmp_path, tmp_path / "nowhere/new.json"):
        with pytest.raises(SystemExit):
            parser.parse_args([f"--json={path}"])
        told = capsys.readouterr().err
        assert f"'{path}' is no file that can be written" in told


def test_what_is_not_there_is_named(tmp_path):
    assert flag_values.existing(str(tmp_path)) == str(tmp_path)
    with pytest.raises(argparse.ArgumentTypeError, match="no file or folder 'nothing'"):
        flag_values.existing("nothing")


def test_what_is_no_expression_is_refused():
    assert flag_values.pattern("fp32|int8") == "fp32|int8"
    with pytest.raises(argparse.ArgumentTypeError, match="'[(]' is no regular expr"):
        flag_values.pattern("(")
