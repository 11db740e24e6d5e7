"""MATLAB's files against SciPy, which writes and reads them."""

import io

import numpy as np
import pytest
import scipy.io

from hrnet_tf.data.files.matlab import read_arrays

ARRAYS = {
    "doubles": np.linspace(-3, 9, 24).reshape(2, 3, 4),
    "bytes": np.arange(6, dtype=np.uint8).reshape(3, 2),
    "halves": np.array([[1.5, -2.5]], np.float32),
    "labels": np.arange(300, dtype=np.uint16).reshape(20, 15),
    "whole": np.array([[-5, 2**40]], np.int64),
    "small": np.array([[1, 2, 3]], np.int8),
    "none": np.zeros([0, 4]),
    "a_name_that_is_longer_than_a_tag": np.ones([1, 1], np.int32),
}
OTHERS = {
    "text": "left",
    "cells": np.array([["head", "neck"]], object),
    "complex": np.ones([2, 2]) * 1j,
    "struct": {"a": 1.0},
}


def written(do_compression):
    file = io.BytesIO()
    scipy.io.savemat(file, {**ARRAYS, **OTHERS}, do_compression=do_compression)
    return file.getvalue()


@pytest.mark.parametrize("do_compression", [False, True])
def test_arrays_are_as_scipy_reads_them(do_compression):
    content = written(do_compression)
    found = read_arrays(content, [*ARRAYS, *OTHERS], 10**6)
    assert set(found) == set(ARRAYS)
    expected = scipy.io.loadmat(io.BytesIO(content))
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])
        assert array.shape == ARRAYS[name].shape
    assert set(read_arrays(content, ["labels", "x"], 10**6)) == {"labels"}


def test_what_is_no_such_file_or_too_large_is_refused():
    with pytest.raises(ValueError, match="does not begin as MATLAB's"):
        read_arrays(b"MATLAB", ["a"], 100)
    with pytest.raises(ValueError, match="cut, or larger than it may be"):
        read_arrays(written(True), ["doubles"], 100)
    content = written(False)
    with pytest.raises(ValueError, match="ends within an element"):
        read_arrays(content[:300], ["doubles"], 10**6)
    wrong = content.replace(np.array([2, 3, 4], "<i4").tobytes(), b"\1\0\0\0" * 3)
    with pytest.raises(ValueError, match="doubles has not as many numbers as its sh"):
        read_arrays(wrong, ["doubles"], 10**6)
