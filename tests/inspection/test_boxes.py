"""Boxes: sizes, overhang, near duplicates."""

import numpy as np
import pytest

from hrnet_tf.inspection.boxes import (
    AREA_BEYOND_BOX,
    BEYOND_IMAGE,
    NEAR_DUPLICATE,
    BoxStatistics,
    find_doubtful_boxes,
)
from hrnet_tf.inspection.findings import Findings, Place


def find(boxes, areas=None, groups=None):
    boxes = np.array(boxes, float)
    findings = Findings(10)
    find_doubtful_boxes(
        findings,
        Place(0, "a.jpg", 7),
        (100, 200),
        boxes,
        np.array(areas or np.zeros(len(boxes)), float),
        np.array(groups or [1] * len(boxes)),
        [10 + number for number in range(len(boxes))],
    )
    return findings


def test_sizes_follow_coco_and_overhang_is_counted():
    statistics = BoxStatistics()
    boxes = np.array([[0, 0, 20, 10], [-1, 0, 50, 100], [60, 10, 41, 90]], float)
    statistics.add(boxes, np.array([1023.9, 1024, 9216]), (100, 100))
    section = statistics.section().as_json()
    assert list(section["counts"].values()) == [2, 1, 1, 1]
    spreads = section["distributions"]
    assert spreads["width / height"]["most"] == 2.0
    assert spreads["% of the image"]["most"] == 50.0
    assert spreads["area"]["median"] == 1024


def test_near_duplicates_are_found_within_a_category():
    boxes = [[0, 0, 100, 100], [0, 0, 100, 97], [0, 0, 100, 94]]
    found = find(boxes).kept(NEAR_DUPLICATE)
    assert {finding.annotation_id for finding in found} == {11, 12}
    assert "annotations 10 and 11 have boxes" in found[-1].sentence or (
        "annotations 10 and 11 have boxes" in found[0].sentence
    )
    assert find(boxes, groups=[1, 2, 3]).counts == {}


@pytest.mark.parametrize(("height", "count"), [(96, 1), (94, 0)])
def test_the_limit_is_an_iou_of_095(height, count):
    boxes = [[0, 0, 100, 100], [0, 0, 100, height]]
    assert find(boxes).counts[NEAR_DUPLICATE] == count


def test_crowds_are_left_alone():
    boxes = [[0, 0, 100, 100], [0, 0, 100, 100]]
    assert find(boxes, areas=[99999, 5], groups=[-1, -1]).counts == {}


def test_an_area_is_not_larger_than_its_box():
    findings = find([[0, 0, 10, 10], [50, 50, 10, 10]], areas=[100, 200])
    (finding,) = findings.kept(AREA_BEYOND_BOX)
    assert finding.annotation_id == 11
    assert "area 200 and a box of 10x10" in finding.sentence


@pytest.mark.parametrize(
    ("box", "is_found"),
    [
        ([150, 50, 50, 50], False),
        ([-90, 0, 200, 100], False),
        ([-110, 0, 200, 100], True),
        ([150, 50, 200, 100], True),  # corners that were taken for a size
        ([300, 0, 10, 10], True),
    ],
)
def test_boxes_that_are_mostly_beyond_the_image(box, is_found):
    found = find([[0, 0, 9, 9], box]).kept(BEYOND_IMAGE)
    assert [finding.annotation_id for finding in found] == [11] * is_found
    if is_found:
        assert f"at {box[0]}, {box[1]} of 200x100" in found[0].sentence
    assert find([box], groups=[-1]).counts == {}
