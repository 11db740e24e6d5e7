import numpy as np
import pytest

from hrnet_tf.data.synthetic import people as synthetic_people
from hrnet_tf.data.vocabularies.label_sets import (
    BUILT_IN,
    LabelSetError,
    label_set_from_spec,
    load_label_set,
)


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("cityscapes", 19, "road", "bicycle"),
        ("pascal_context", 59, "aeroplane", "wood"),
        ("pascal_context_60", 60, "background", "wood"),
        ("lip", 20, "background", "right_shoe"),
        ("synthetic_parts", 20, "background", "right_foot"),
    ],
)
def test_built_in_sets(name, count, first, last):
    label_set = load_label_set(name)
    assert label_set.num_classes == count == len(set(label_set.classes))
    assert (label_set.classes[0], label_set.classes[-1]) == (first, last)
    assert len(label_set.colors) == len(set(label_set.colors)) == count


@pytest.mark.parametrize("name", BUILT_IN)
def test_left_and_right_change_places_and_nothing_else_does(name):
    label_set = load_label_set(name)
    permutation = label_set.flip_permutation
    for index, mirrored in enumerate(permutation):
        side, _, rest = label_set.classes[index].partition("_")
        opposite = {"left": "right", "right": "left"}.get(side)
        expected = f"{opposite}_{rest}" if opposite else label_set.classes[index]
        assert label_set.classes[mirrored] == expected
    # FACTS of LIP: 14 and 15, 16 and 17, 18 and 19.
    if name == "lip":
        assert permutation[14:] == [15, 14, 17, 16, 19, 18]


def test_the_drawn_parts_are_a_label_set():
    assert BUILT_IN["synthetic_parts"].classes == synthetic_people.PART_NAMES


def test_a_file_is_read_and_written_again(tmp_path):
    path = tmp_path / "rooms.yaml"
    path.write_text(
        "classes: [floor, left_door, right_door]\n"
        "flip_pairs: [[right_door, left_door]]\n"
        "colors: [[1, 2, 3], [4, 5, 6], [7, 8, 9]]\n"
        "values: [7, 0, 300]\n"
    )
    rooms = load_label_set(str(path))
    assert rooms.name == "rooms"
    assert rooms.flip_permutation == [0, 2, 1]
    assert rooms.colors[2] == (7, 8, 9)
    assert rooms.values == (7, 0, 300)
    again = label_set_from_spec(rooms.to_spec(), "again")
    assert again.classes == rooms.classes
    assert again.colors == rooms.colors
    assert again.flip_permutation == rooms.flip_permutation


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("classes: [a]", "2 to 255 names"),
        ("classes: [a, a]", "'a' is listed twice"),
        ("classes: [a, 1]", "list of 2 to 255 names"),
        ("- a", "must be a mapping"),
        ("classes: [a, b]\ncolours: []", "unknown key 'colours'"),
        ("classes: [a, b]\nflip_pairs: [[a, c]]", "'c', which is not a class"),
        ("classes: [a, b, c]\nflip_pairs: [[a, b], [b, c]]", "'b' twice"),
        ("classes: [a, b]\ncolors: [[0, 0, 0]]", "list of 2 lists of red"),
        ("classes: [a, b]\ncolors: [[0, 0, 0], [0, 0, 256]]", "0 to 255"),
        ("classes: [a, b]\nvalues: [1, 1]", "different whole numbers"),
        ("classes: [a, b]\nvalues: [1]", "2 numbers"),
        ("classes: [a, b]\nflip_pairs: 3", "must be a list of pairs"),
        ("classes: [a, b]\nignore: x", "ignore must be a list of pixel values"),
        ("classes: [a, b]\nignore: [70000]", "ignore must be a list of pixel values"),
        ("classes: [a, b]\nignore: [[0, 0]]", "ignore must be a list of pixel values"),
        ("classes: [a, b]\nignore: [1]", "the value 1, which is that of a class"),
        ("classes: [a, b]\nvalues: [0, 9]\nignore: 9", "the value 9"),
        (
            "classes: [a, b]\ncolors: [[0, 0, 0], [1, 1, 1]]\nignore: [[1, 1, 1]]",
            "ignore has the colour [1, 1, 1], that of a class",
        ),
        (
            "classes: [a, b]\nignore: [[1, 1, 1]]",
            "ignore has the colour [1, 1, 1], but without colors",
        ),
        ("classes: [a, b]\ncolor: []", "did you mean 'colors'"),
        ("classes: [a, b", "is not valid YAML"),
        ("classes: [a, ' ']", "a class is called ' '"),
        ('classes: [a, "b\\nc"]', r"a class is called 'b\nc'"),
        ('classes: [a, "\\ud800"]', r"a class is called '\ud800'"),
        ("classes: [a, b]\nname: [c]", "name is ['c']"),
        ("classes: [a, b]\nname: ''", "name is ''"),
        ("classes: [a, b]\nflip_pairs: {a: b}", "flip_pairs is {'a': 'b'}"),
        ("classes: [a, b]\nflip_pairs: false", "flip_pairs is false"),
        ("classes: [a, b]\nflip_pairs: ''", "flip_pairs is ''"),
        ("classes: [a, b]\nflip_pairs: ab", "flip_pairs is 'ab'"),
        (
            "classes: [a, b]\ncolors: [[9, 9, 9], [9, 9, 9]]",
            "'a' and 'b' the same colour",
        ),
        ("classes: [a, b]\ncolors: [[0, 0, 0.5], [1, 1, 1]]", "list of 2 lists of red"),
        (
            "classes: [a, b]\ncolors: [[0, 0, true], [1, 1, 1]]",
            "list of 2 lists of red",
        ),
        ("classes: [a, b]\ncolors: ''", "list of 2 lists of red"),
        ("classes: [a, b]\nvalues: [0, -1]", "2 numbers in 0 to 65535"),
        ("classes: [a, b]\nvalues: [0, 1.5]", "different whole numbers"),
        ("classes: [a, b]\nvalues: [0, 255]\nignore: 255", "ignore has the value 255"),
        (f"classes: {[f'c{i}' for i in range(256)]}", "2 to 255 names"),
        (f"classes: {[f'c{i}' for i in range(5_000)]}", "2 to 255 names"),
        ("classes: [a, b]\nclasses: [c, d]", "'classes' is given twice"),
    ],
)
def test_mistakes_are_named(text, sentence, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(LabelSetError, match="bad.yaml") as error:
        load_label_set(str(path))
    assert sentence in str(error.value)


def test_unknown_names_get_a_suggestion():
    with pytest.raises(LabelSetError, match="did you mean 'cityscapes'"):
        load_label_set("cityscape")
    with pytest.raises(LabelSetError, match="no label set file 'nowhere.yaml'"):
        load_label_set("nowhere.yaml")


def test_colours_of_many_classes_differ():
    many = label_set_from_spec({"classes": [f"c{i}" for i in range(60)]}, "many")
    colors = np.array(many.colors, int)
    distances = np.abs(colors[:, None] - colors[None]).sum(-1)
    np.fill_diagonal(distances, 999)
    assert distances.min() > 8


def test_ignored_values_and_colours():
    colors = [[0, 0, 0], [9, 9, 9]]
    spec = {"classes": ["a", "b"], "colors": colors, "ignore": [255, [1, 2, 3], 7]}
    label_set = label_set_from_spec(spec, "mine")
    assert label_set.ignored_values == (255, 7)
    assert label_set.ignored_colors == ((1, 2, 3),)
    assert label_set_from_spec({**spec, "ignore": 9}, "mine").ignored_values == (9,)
    assert label_set.ignoring(None) == label_set == label_set.ignoring(7)
    assert label_set.ignoring(8).ignored_values == (255, 7, 8)
    with pytest.raises(LabelSetError, match="--ignore_value=1 is the value of a class"):
        label_set.ignoring(1)


def test_mirror_images_that_are_not_listed_are_told_of(tmp_path, log, caplog):
    caplog.set_level("INFO", "hrnet_tf")
    path = tmp_path / "parts.yaml"
    path.write_text("classes: [skin, left_arm, right_arm, leg_l, leg_r]\n")
    label_set = load_label_set(str(path))
    assert label_set.flip_pairs == ()
    advice = "flip_pairs: [[left_arm, right_arm], [leg_l, leg_r]]"
    assert str(path) in log() and advice in log() and "flip_pairs: auto" in log()
    load_label_set(str(path))
    assert log().count(advice) == 1  # Files are read several times in a run.

    path = tmp_path / "listed.yaml"
    path.write_text(f"classes: [skin, left_arm, right_arm, leg_l, leg_r]\n{advice}\n")
    assert load_label_set(str(path)).flip_permutation == [0, 2, 1, 4, 3]
    derived = tmp_path / "derived.yaml"
    derived.write_text(path.read_text().replace(advice, "flip_pairs: auto"))
    assert load_label_set(str(derived)).flip_permutation == [0, 2, 1, 4, 3]
    none = tmp_path / "none.yaml"
    none.write_text(path.read_text().replace(advice, "flip_pairs: []"))
    assert load_label_set(str(none)).flip_permutation == [0, 1, 2, 3, 4]
    found = "finds [left_arm, right_arm], [leg_l, leg_r]."
    assert f"{derived}: flip_pairs: auto {found}" in log()
    for quiet in (path, none):
        assert str(quiet) not in log()
    some = tmp_path / "some.yaml"
    some.write_text(path.read_text().replace(", [leg_l, leg_r]", ""))
    load_label_set(str(some))
    assert f"{some}: flip_pairs does not" in log() and "[[leg_l, leg_r]]" in log()
