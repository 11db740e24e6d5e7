"""People of two files are paired best first, by boxes and by keypoints."""

import pytest

from hrnet_tf.data.files.coco_annotations import ImageEntry
from hrnet_tf.data.files.coco_people import CocoPeople, Person
from hrnet_tf.data.files.double_annotations import DoubleAnnotationError, find_pairs


def a_person(number, box, points):
    x, y, width, height = box
    keypoints = [v for px, py in points for v in (x + px, y + py, 2)]
    return Person(number, box, width * height / 2, False, keypoints)


def a_file(*people, name="a.jpg", image_id=1):
    images = [ImageEntry(image_id, name, 640, 480)]
    return CocoPeople(images, {image_id: list(people)}, [1], 0, 0, [])


def pairs_of(first, second):
    found = find_pairs(first, second, ("a.json", "b.json"))
    return {(pair.first.id, pair.second.id) for pair in found.pairs}, found


POINTS = [(20, 20), (80, 30), (50, 150)]


def test_neighbours_whose_boxes_overlap_are_told_apart():
    """Each overlaps both others by more than half; the nearest is the same."""
    first = a_file(
        a_person(1, [100, 100, 100, 200], POINTS),
        a_person(2, [120, 100, 100, 200], POINTS),
    )
    second = a_file(
        a_person(8, [119, 101, 100, 200], POINTS),
        a_person(9, [101, 99, 100, 200], POINTS),
        image_id=77,
    )
    pairs, found = pairs_of(first, second)
    assert pairs == {(1, 9), (2, 8)}
    assert (found.num_images, found.num_alone) == (1, 0)


def test_keypoints_pair_people_whose_boxes_do_not():
    """One annotator draws boxes around keypoints, another around the whole."""
    low = a_person(1, [100, 100, 100, 200], POINTS)
    tight = Person(5, [118, 118, 64, 20], 900, False, low.keypoints)
    other = a_person(6, [400, 100, 100, 200], POINTS)
    pairs, found = pairs_of(a_file(low), a_file(other, tight))
    assert pairs == {(1, 5)} and found.num_alone == 1
    assert found.pairs[0].area == (low.area + tight.area) / 2


def test_people_with_the_same_box_are_told_apart_by_keypoints():
    box, turned = [100, 100, 100, 200], [(80, 20), (20, 30), (50, 150)]
    first = a_file(a_person(1, box, POINTS), a_person(2, box, turned))
    second = a_file(a_person(8, box, turned), a_person(9, box, POINTS))
    pairs, _ = pairs_of(first, second)
    assert pairs == {(1, 9), (2, 8)}


def test_crowds_and_people_without_keypoints_are_nobody():
    person = a_person(1, [100, 100, 100, 200], POINTS)
    crowd = Person(2, person.bbox, person.area, True, person.keypoints)
    bare = Person(3, person.bbox, person.area, False, [0] * 9)
    nobody = a_file(crowd, bare)
    for files in ((a_file(person), nobody), (nobody, a_file(person))):
        with pytest.raises(DoubleAnnotationError, match="nobody in them"):
            pairs_of(*files)


def test_files_are_the_same_by_their_names():
    person = a_person(1, [100, 100, 100, 200], POINTS)
    pairs, _ = pairs_of(
        a_file(person, name="x/a.jpg"), a_file(person, name="./x/a.jpg")
    )
    assert pairs == {(1, 1)}
    with pytest.raises(DoubleAnnotationError, match="no image in common"):
        pairs_of(a_file(person), a_file(person, name="b.jpg"))
