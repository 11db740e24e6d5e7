"""report.html: whole in itself, with pictures out of the records."""

import base64
import dataclasses
import json
import re

import cv2
import numpy as np
import pytest
import tensorflow as tf
from posed_people import AWAY, MUG, drop, make_scene, of_the_other, repeat

from hrnet_tf.data.records.pose import encode_image_record
from hrnet_tf.data.records.pose_images import find_images
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.tasks import pose_report


def picture(image_id, height=300, width=400):
    """A picture of one colour, which tells its id."""
    return np.full((height, width, 3), 20 * image_id % 256, np.uint8)


def write_records(path, image_ids, encode=None):
    """Records of pictures without people, as PNG."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for image_id in image_ids:
            encoded = cv2.imencode(".png", picture(image_id))[1].tobytes()
            writer.write(
                encode_image_record(
                    encoded=(encode or {}).get(image_id, encoded),
                    image_id=image_id,
                    filename=f"{image_id}.png",
                    height=300,
                    width=400,
                    people=[],
                    keypoints_per_person=3,
                )
            )
    return str(path)


def test_images_are_found_by_their_ids(tmp_path):
    write_records(tmp_path / "val-0", range(4), {2: b"no image"})
    write_records(tmp_path / "val-1", range(4, 8))
    found = dict(find_images(str(tmp_path / "val-*"), {1, 2, 5, 99}))
    assert sorted(found) == [1, 5]
    for image_id, image in found.items():
        np.testing.assert_array_equal(image, picture(image_id))


def test_no_record_is_read_for_no_image(tmp_path):
    assert list(find_images(str(tmp_path / "nothing-*"), set())) == []


def test_records_behind_the_last_image_are_not_read(tmp_path):
    path = write_records(tmp_path / "val", range(3))
    with open(path, "ab") as file:
        file.write(b"damage")
    assert [image_id for image_id, _ in find_images(path, {0, 2})] == [0, 2]


def spoiled(skeleton, num_images=12):
    """People with errors of every kind."""
    scene = make_scene(skeleton, num_images)
    place = np.arange(skeleton.num_keypoints)
    for rows, points in (
        (slice(0, 6), scene.truth + [AWAY, 0]),
        (slice(6, 12), scene.truth[:, scene.mirror]),
        (slice(12, 18), of_the_other(scene)),
        (slice(18, 22), scene.truth + [9, 0]),
    ):
        wrong = np.zeros(scene.truth.shape[:2], bool)
        wrong[rows, place % 3 == 0] = True
        scene.spoil(wrong, points)
    repeat(scene, np.array([22, 23]), AWAY, 0.9)
    drop(scene, np.array([20, 21]))
    return scene


def write(scene, folder, records):
    page = pose_report.write_report(
        str(folder),
        pose_report.EvaluatedModel(1500, "a/<people> & co.json", "AP 0.5 <table>"),
        scene.explain(),
        scene.skeleton,
        records,
    )
    with open(page, encoding="utf-8") as file:
        return file.read()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page about a mug whose name is no tag, and its folder."""
    folder = tmp_path_factory.mktemp("report")
    records = write_records(folder / "val", range(1, 12))
    named = dataclasses.replace(MUG, keypoints=("<b>rim", "rim_right", "handle"))
    return write(spoiled(named), folder, records), folder


def test_the_page_loads_nothing(page):
    content, _ = page
    assert "http:" not in content and "https:" not in content
    addresses = re.findall(r'(?:src|href)="([^"]*)"', content)
    assert len(addresses) > 10
    for address in addresses:
        kind, encoded = address.split(",")
        assert kind == "data:image/jpeg;base64"
        pixels = np.frombuffer(base64.b64decode(encoded), np.uint8)
        assert cv2.imdecode(pixels, cv2.IMREAD_COLOR).shape[1] > 500
    assert "default-src 'none'" in content
    assert len(content) < 3_000_000


def test_the_page_has_tables_and_cases(page):
    content, folder = page
    title = "Evaluation at step 1,500 on &lt;people&gt; &amp; co.json"
    assert f"<h1>{title}</h1>" in content
    assert "AP 0.5 &lt;table&gt;" in content and "&lt;b&gt;rim" in content
    assert "<b>" not in content
    for kind in pose_report._MEANINGS:
        assert f"Worst cases: {kind}" in content
    for name in ("Errors", "Keypoints", "Confidence"):
        assert f"<h2>{name}</h2>" in content
    numbers = json.loads((folder / "report.json").read_text())
    assert numbers["step"] == 1500
    assert numbers["errors"]["false negative"]["number"] == 2
    assert {path.name for path in folder.iterdir()} == {
        "val",
        "report.html",
        "report.json",
    }


def test_cases_without_an_image_are_told_all_the_same(page):
    content, _ = page
    # Image 0 is not in the records.
    captions = re.findall(r"<figcaption>(image 0:.*?)</figcaption>", content)
    assert captions and all(text.endswith("(without its picture)") for text in captions)
    with_picture = re.findall(r'alt="(image \d+): ', content)
    assert with_picture and "image 0" not in with_picture


def test_pictures_stay_below_the_limit(tmp_path, monkeypatch):
    records = write_records(tmp_path / "val", range(12))
    scene = spoiled(load_skeleton("coco17"))
    whole = write(scene, tmp_path, records)
    length = max(map(len, re.findall(r'src="([^"]*)"', whole)))
    monkeypatch.setattr(pose_report, "_MOST_OF_PICTURES", 3 * length)
    fewer = write(scene, tmp_path, records)
    assert 3 <= fewer.count("src=") < whole.count("src=")
    assert fewer.count("<figcaption>") == whole.count("<figcaption>")


def test_a_perfect_network_has_no_case(tmp_path):
    content = write(make_scene(MUG), tmp_path, str(tmp_path / "nothing-*"))
    assert "Worst cases" not in content


def test_reports_are_written_to_addresses_too(tmp_path):
    records = write_records(tmp_path / "val", range(2))
    model = pose_report.EvaluatedModel(None, "a.json", "AP 0.5")
    page = pose_report.write_report(
        "ram://run", model, make_scene(MUG, 2).explain(), MUG, records
    )
    assert page == "ram://run/report.html"
    with tf.io.gfile.GFile(page) as file:
        assert "<h1>Evaluation on a.json</h1>" in file.read()
    assert tf.io.gfile.exists("ram://run/report.json")
    assert not tf.io.gfile.glob("ram://run/.*")
