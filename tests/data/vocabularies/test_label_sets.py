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
        ("classes: [a, b]\ncolor: []", "did you mean 'colors'"),
        ("classes: [a, b", "could not be read as YAML"),
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
