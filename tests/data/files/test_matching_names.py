"""Names and paths are matched from their end, however many there are."""

import random
import time

import pytest

from hrnet_tf.data.files.matching_names import match, normalized


def agreement(name, path):
    """What is meant, pair by pair."""
    (one, suffix), (other, other_suffix) = map(parts, (name, path))
    if one[0] != other[0]:
        return 0
    count = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    return 4 * count + 2 * (suffix == other_suffix) + (one == other)


def parts(name):
    *folders, last = normalized(name).split("/")
    stem, dot, suffix = last.rpartition(".")
    return [stem, *reversed(folders)], dot + suffix


def best(names, path):
    most = max((agreement(name, path) for name in names), default=0)
    return [name for name in names if most and agreement(name, path) == most]


@pytest.mark.parametrize("seed", range(200))
def test_what_is_matched_is_what_is_meant(seed):
    choose = random.Random(seed)

    def some():
        folders = [choose.choice("ab") for _ in range(choose.randrange(4))]
        return "/".join([*folders, choose.choice("xy") + choose.choice([".j", ".p"])])

    names = {some() for _ in range(choose.randrange(9))}
    paths = {some() for _ in range(choose.randrange(9))}
    found, best_paths = match(names, paths)
    for name in names:
        assert sorted(best_paths[name]) == sorted(best(paths, name))
    for path in paths:
        expected = [n for n in best(names, path) if path in best(paths, n)]
        assert sorted(found[path]) == sorted(expected)


@pytest.mark.parametrize("name", ["cam{0}/{1}.jpg", "{0}/cam/{1}.png", "{0}.{1}"])
@pytest.mark.parametrize("path", ["cam{0}/{1}.jpg", "a/{0}/b/{1}.jpg", "f{0}/0.{1}"])
def test_many_files_of_one_name(name, path):
    start = time.monotonic()
    match(
        *(
            [form.format(i, j) for i in range(100) for j in range(200)]
            for form in (name, path)
        )
    )
    assert time.monotonic() - start < 10
