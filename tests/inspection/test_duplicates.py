"""Copies are found whatever their size and quality; similar pictures are not copies."""

import cv2
import numpy as np
import pytest
from people_folder import jpeg, picture

from hrnet_tf.inspection.duplicates import (
    SAME_BYTES,
    SAME_PICTURE,
    Duplicates,
    fingerprint,
)
from hrnet_tf.inspection.findings import Findings, Place


def find(*files: bytes) -> dict[str, list[str]]:
    duplicates = Duplicates()
    for number, encoded in enumerate(files):
        duplicates.add(Place(number, f"{number}.jpg", number), fingerprint(encoded))
    findings = Findings(20)
    duplicates.report(findings)
    return {
        kind: [finding.sentence for finding in findings.kept(kind)]
        for kind in findings.counts
    }


def test_the_same_bytes_are_found_once_for_each_copy():
    one, other = jpeg(picture(1)), jpeg(picture(2))
    assert find(one, other, one, one) == {
        SAME_BYTES: [
            "2.jpg (image 2) is 0.jpg (image 0) again.",
            "3.jpg (image 3) is 0.jpg (image 0) again.",
        ]
    }


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("quality", [60, 95])
def test_a_copy_of_another_size_and_quality_is_found(scale, quality):
    pixels = cv2.resize(picture(1), None, fx=scale, fy=scale)
    found = find(jpeg(picture(1)), jpeg(picture(2)), jpeg(pixels, quality))
    assert found == {SAME_PICTURE: ["2.jpg (image 2) is 0.jpg (image 0) again."]}


def test_a_png_file_of_a_photo_is_a_copy_of_it():
    """What is fine in it would be noise, if pixels were left out."""
    large = cv2.resize(picture(1), (640, 480), interpolation=cv2.INTER_NEAREST)
    stripes = 60 * (np.arange(640) % 8 == 0)[None, :, None]
    photo = np.clip(large.astype(int) + stripes, 0, 255).astype(np.uint8)
    png = cv2.imencode(".png", photo[..., ::-1])[1].tobytes()
    assert find(jpeg(photo, 95), jpeg(picture(2)), png) == {
        SAME_PICTURE: ["2.jpg (image 2) is 0.jpg (image 0) again."]
    }


def test_other_pictures_are_no_copies():
    assert find(*(jpeg(picture(seed)) for seed in range(60))) == {}


def test_plain_pictures_of_other_colours_are_no_copies():
    colors = [(20, 20, 20), (200, 200, 200), (200, 30, 30), (30, 30, 200)]
    plain = [jpeg(np.full((90, 90, 3), color, np.uint8)) for color in colors]
    assert find(*plain) == {}


def test_what_does_not_decode_has_no_fingerprint():
    assert fingerprint(b"no picture") is None


def test_no_images_have_no_duplicates():
    assert find() == {}
