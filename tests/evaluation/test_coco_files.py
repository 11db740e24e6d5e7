"""Annotation files are read by one set of rules: converted, checked and evaluated."""

import json
import logging
import shutil
import types

import cv2
import numpy as np
import pytest
import tensorflow as tf
from pycocotools import mask as coco_mask

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.data.converters import coco_instances, coco_pose
from hrnet_tf.data.files.faults import ConversionError
from hrnet_tf.data.records import conversions, image_ids
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.evaluation import coco_files
from hrnet_tf.evaluation.coco_files import AnnotationFileError
from hrnet_tf.evaluation.coco_instances import COCOInstanceEvaluator
from hrnet_tf.evaluation.coco_keypoints import COCOKeypointEvaluator
from hrnet_tf.training.experiment import ConfigError, parse_config
from hrnet_tf.training.validation import detection, pose, validate

WIDTH, HEIGHT = 64, 48
NAMES = ("top", "left", "right")
SKELETON_YAML = """
name: stick
keypoints: [top, left, right]
flip_pairs: [[left, right]]
"""
COMPRESSED = coco_mask.encode(np.asfortranarray(np.eye(HEIGHT, WIDTH, dtype=np.uint8)))
COUNTS = COMPRESSED["counts"].decode()


def a_person(annotation_id, image_id, **changes):
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [8, 4, 40, 40],
        "area": 1200,
        "iscrowd": 0,
        "num_keypoints": 3,
        "keypoints": [10, 5, 2, 12, 30, 1, 40, 30, 2],
        "segmentation": [[8, 4, 48, 4, 48, 44, 8, 44]],
        **changes,
    }


class Data:
    """Three images with a person, who is an object too, each; annotations to change."""

    def __init__(self, folder):
        self.folder = folder
        self.annotations = str(folder / "annotations.json")
        self.prefix = str(folder / "records" / "val")
        self.encoding = "utf-8"
        (folder / "images").mkdir()
        (folder / "stick.yaml").write_text(SKELETON_YAML)
        self.skeleton = load_skeleton(str(folder / "stick.yaml"))
        for number in range(3):
            pixels = np.full((HEIGHT, WIDTH, 3), 80 * number, np.uint8)
            cv2.imwrite(str(folder / f"images/{number}.png"), pixels)
        self.content = {
            "images": [
                {"id": n, "file_name": f"{n}.png", "width": WIDTH, "height": HEIGHT}
                for n in range(3)
            ],
            "categories": [{"id": 1, "name": "person", "keypoints": list(NAMES)}],
            "annotations": [a_person(100 + n, n) for n in range(3)],
        }

    def write(self):
        with open(self.annotations, "w", encoding=self.encoding) as file:
            json.dump(self.content, file)

    def have_records(self):
        """Makes records of clean annotations, without a description."""
        clean = self.folder / "clean"
        if not clean.exists():
            clean.mkdir()
            data = type(self)(clean)
            data.convert(num_shards=1)
            (shard,) = clean.glob("records/*.tfrecord")
            (self.folder / "records").mkdir(exist_ok=True)
            shutil.copy(shard, self.folder / "records" / "val-x")

    def add(self, **changes):
        self.content["annotations"].append(a_person(500, 1) | changes)
        return self


class Pose(Data):
    def convert(self, **options):
        self.write()
        return coco_pose.convert(
            str(self.folder / "images"),
            self.annotations,
            self.prefix,
            self.skeleton,
            **options,
        )

    def read(self, category_id=None, area_from=""):
        return coco_files.read_people(
            self.annotations,
            self.skeleton,
            category_id,
            area_from,
            f"{self.prefix}-*",
        )

    def validate(self, *overrides):
        """Checks an evaluation; records that are not there are another mistake."""
        self.have_records()
        settings = [
            f"task.skeleton={self.folder}/stick.yaml",
            f"task.evaluation.annotation_file={self.annotations}",
            f"task.validation_data.input_path={self.prefix}-*",
            *overrides,
        ]
        params = parse_config("hrnet_pose_coco", [], settings)
        validate(params, "eval", pose.mistakes)

    def perfect(self, truth):
        """AP of the annotated people as predictions."""
        evaluator = COCOKeypointEvaluator(truth, self.skeleton.sigmas)
        for image_id, people in truth.content.people.items():
            for person in people:
                if person.counts:
                    keypoints = np.reshape(person.keypoints, (1, len(NAMES), 3))
                    evaluator.update(
                        {
                            "image_id": np.array([image_id]),
                            "keypoints": np.where([False, False, True], 1, keypoints),
                            "box_score": np.ones(1),
                            "area": np.array([40.0 * 40]),
                        }
                    )
        return evaluator.evaluate()["keypoint_AP"]


class Objects(Data):
    def convert(self, **options):
        self.write()
        return coco_instances.convert(
            str(self.folder / "images"), self.annotations, self.prefix, **options
        )

    def read(self):
        return coco_files.read_objects(self.annotations, True, f"{self.prefix}-*")

    def validate(self, *overrides):
        self.have_records()
        settings = [
            f"task.annotation_file={self.annotations}",
            f"task.validation_data.input_path={self.prefix}-*",
            *overrides,
        ]
        params = parse_config("hrnet_maskrcnn_coco", [], settings)
        validate(params, "eval", detection.mistakes)

    def perfect(self, truth):
        """AP and mask AP of the annotated objects as detections, the lower one."""
        evaluator = COCOInstanceEvaluator(truth, with_masks=True)
        evaluator.results = [
            {
                "image_id": image_id,
                "category_id": found.category_id,
                "bbox": found.annotated_bbox,
                "score": 0.9,
                "segmentation": found.rle,
            }
            for image_id, objects in truth.content.objects.items()
            for found in objects
        ]
        metrics = evaluator.evaluate()
        return min(metrics["AP"], metrics["mask_AP"])


BAD_ANNOTATIONS = {
    "no object": "annotations[3]: it is 7",
    "id text": ({"id": "a"}, "id is 'a'"),
    "id float": ({"id": 7.0}, "id is 7.0"),
    "id true": ({"id": True}, "id is true"),
    "id beyond int64": ({"id": 2**63}, "from -9223372036854775808 to 922337203685477"),
    "id twice": ({"id": 101}, "the id is used twice"),
    "unknown image": ({"image_id": 77}, "image_id 77 is not in 'images'"),
    "image text": ({"image_id": "1"}, "image_id is '1'"),
    "no category": ({"category_id": None}, "category_id is null"),
    "box NaN": ({"bbox": [1, 2, 3, float("nan")]}, "four finite numbers"),
    "box null": ({"bbox": [1, 2, 3, None]}, "four finite numbers"),
    "box text": ({"bbox": "1 2 3 4"}, "four finite numbers"),
    "box empty": ({"bbox": [1, 2, 0, 4]}, "must be positive"),
    "box outside": ({"bbox": [99, 2, 4, 4]}, "wholly outside the 64x48 image"),
    "crowd": ({"iscrowd": "no"}, "iscrowd is 'no'"),
    "area text": ({"area": "12"}, "area is '12'"),
    "area NaN": ({"area": float("nan")}, "area is nan"),
    "area negative": ({"area": -3}, "area is -3"),
}
BAD_PEOPLE = {
    "NaN": ({"keypoints": [float("nan"), 5, 2, *[9] * 6]}, "finite numbers"),
    "NaN, not labelled": ({"keypoints": [float("nan"), 0, 0, *[0] * 6]}, "finite"),
    "infinite": ({"keypoints": [float("inf"), 5, 2, *[0] * 6]}, "finite numbers"),
    "null": ({"keypoints": [None, 0, 0, *[0] * 6]}, "finite numbers"),
    "text": ({"keypoints": ["9", 5, 2, *[0] * 6]}, "finite numbers"),
    "visibility": ({"keypoints": [9, 5, 3, *[0] * 6]}, "visibility 3"),
    "too few": ({"keypoints": [9, 5, 2]}, "has 3 numbers; .* need 9"),
    "keypoints null": ({"keypoints": None}, "keypoints is null"),
    "area 0": ({"area": 0}, "area is 0 .*area_from"),
    "area missing": ({"area": None}, "area is null; .*area_from"),
    "nothing to crop": ({"bbox": [63.5, 2, 9, 9]}, "nothing to crop"),
    "a pixel": ({"bbox": [3, 2, 1, 1]}, "nothing to crop"),
}
BAD_MASKS = {
    "missing": (None, "segmentation is null"),
    "empty list": ([], r"segmentation is \[\]"),
    "empty polygon": ([[]], r"the polygon \[\]"),
    "empty and whole": ([[], [1, 1, 9, 1, 9, 9]], r"the polygon \[\]"),
    "two points": ([[1, 1, 5, 5], [1, 1, 9, 1, 9, 9]], r"the polygon \[1, 1, 5, 5\]"),
    "numbers": ([1, 1, 9, 1, 9, 9], "the polygon 1;"),
    "empty object": ({}, "segmentation is {}"),
    "list of object": ([{"size": [48, 64], "counts": COUNTS}], "the polygon {"),
    "cut off": ({"size": [48, 64], "counts": COUNTS[:-1] + "k"}, "cut off"),
    "bytes": ({"size": [48, 64], "counts": f"b'{COUNTS}'"}, "Python prints bytes"),
    "null": ({"size": [48, 64], "counts": None}, "counts are null"),
    "no size": ({"size": None, "counts": COUNTS}, "the size null"),
    "turned": ({"size": [64, 48], "counts": COUNTS}, r"the size \[64, 48\]"),
    "other size": ({"size": [48, 64], "counts": COUNTS + COUNTS}, "do not add up"),
    "negative": ({"size": [48, 64], "counts": [3080, -8]}, "do not add up"),
    "off the image": ([[1000, 1000, 1010, 1000, 1010, 1010]], "covers no pixel"),
    "line": ([[1, 1, 5, 1, 9, 1]], "covers no pixel of the 64x48 image"),
    "background": ({"size": [48, 64], "counts": [3072]}, "covers no pixel"),
}
CASES = [
    *((kind, case) for kind in (Pose, Objects) for case in BAD_ANNOTATIONS.items()),
    *((Pose, case) for case in BAD_PEOPLE.items()),
    *(
        (Objects, (name, ({"segmentation": mask}, message)))
        for name, (mask, message) in BAD_MASKS.items()
    ),
]


@pytest.mark.parametrize(
    ("kind", "case"),
    CASES,
    ids=[f"{kind.__name__}-{name}" for kind, (name, _) in CASES],
)
def test_what_the_converter_refuses_no_evaluation_accepts(tmp_path, kind, case):
    _, fault = case
    data = kind(tmp_path)
    if isinstance(fault, str):
        data.content["annotations"].append(7)
        message = "it is 7; it must be an object"
    else:
        changes, message = fault
        data.add(**changes)
    with pytest.raises(ConversionError, match=message) as refusal:
        data.convert()
    sentence = str(refusal.value).split(" Nothing was written")[0]
    sentence = sentence.split("; correct it")[0]
    with pytest.raises(AnnotationFileError) as refusal:
        data.read()
    assert sentence in str(refusal.value)
    assert "--on_error=skip" in str(refusal.value)
    with pytest.raises(ConfigError) as refusal:
        data.validate()
    assert sentence in str(refusal.value)

    summary = data.convert(on_error="skip")
    assert sum(summary.skipped.values()) == 1
    assert f"{data.prefix}.conversion.json" in str(summary)
    truth = data.read()
    assert truth.left_out.startswith("1 annotation that")
    assert data.perfect(truth) == pytest.approx(1)
    data.validate()


@pytest.mark.parametrize("kind", [Pose, Objects])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": -5}, "id is -5; it must be a whole number from 0 to"),
        ({"id": 2**63}, "id is 9223372036854775808; it must be a whole number from 0"),
        ({"id": True}, "id is true; it must be a whole number"),
        ({"id": 1.0}, "id is 1.0; it must be a whole number"),
        ({"id": "1"}, "id is '1'; it must be a whole number"),
        ({"width": 2**40}, "less than 2.31 pixels"),
        ({"height": None}, "height is null"),
        ({"file_name": 3}, "file_name is 3"),
        ({"file_name": "\ud800.jpg"}, r"file_name is '\\ud800.jpg'; .* name a file"),
        ({"file_name": "1\0.png"}, r"file_name is '1\\x00.png'; .* name a file"),
    ],
)
def test_images_are_read_by_one_rule(tmp_path, kind, changes, message):
    data = kind(tmp_path)
    data.content["images"][1].update(changes)
    data.content["annotations"][1]["image_id"] = data.content["images"][1]["id"]
    with pytest.raises(ConversionError, match=message):
        data.convert()
    with pytest.raises(AnnotationFileError, match=message):
        data.read()
    data.convert(on_error="skip")
    truth = data.read()
    assert [image.id for image in truth.content.images] == [0, 2]
    assert "1 image" in truth.left_out
    assert data.perfect(truth) == pytest.approx(1)


@pytest.mark.parametrize("kind", [Pose, Objects])
@pytest.mark.parametrize("changes", [{}, {"width": None}])
def test_nobody_is_put_on_an_image_whose_id_is_used_twice(tmp_path, kind, changes):
    data = kind(tmp_path)
    data.content["images"][1]["id"] = 0
    data.content["images"][0].update(changes)
    data.content["annotations"][1]["image_id"] = 0
    data.write()
    for refuse in (data.convert, data.read):
        with pytest.raises((ConversionError, AnnotationFileError), match="image 0: "):
            refuse()
    summary = data.convert(on_error="skip")
    assert sum(summary.skipped.values()) == 2 and summary.images == 1
    assert any("the id is used twice" in fault for fault in summary.faults)
    truth = data.read()
    assert [image.id for image in truth.content.images] == [2]
    assert "2 images that" in truth.left_out
    assert data.perfect(truth) == pytest.approx(1)


@pytest.mark.parametrize("kind", [Pose, Objects])
def test_images_without_a_file_are_left_out_with_their_annotations(tmp_path, kind):
    data = kind(tmp_path).add(bbox=None)
    (tmp_path / "images" / "2.png").unlink()
    data.convert(on_error="skip")
    truth = data.read()
    assert [image.id for image in truth.content.images] == [0, 1]
    assert truth.left_out == (
        f"1 annotation and 1 image that the conversion left out ({data.prefix}."
        "conversion.json)"
    )
    assert data.perfect(truth) == pytest.approx(1)


def test_the_log_and_metrics_tell_of_what_was_left_out(tmp_path, caplog):
    data = Pose(tmp_path).add(keypoints=None, num_keypoints=9)
    data.content["annotations"][0]["num_keypoints"] = "3"
    summary = data.convert(on_error="skip")
    assert "1    num_keypoints wrong, counted instead" in str(summary)
    task = types.SimpleNamespace(truth=data.read())
    with caplog.at_level(logging.WARNING):
        task.truth.log()
    assert "without 1 annotation that the conversion left out" in caplog.text
    assert "num_keypoints of 1 of 3 people" in caplog.text
    assert coco_files.facts(task) == {"left_out": task.truth.left_out}


# ---- the file beside the records ----


def description(data):
    return data.folder / "records" / "val.conversion.json"


def test_a_clean_conversion_leaves_out_nothing(tmp_path):
    data = Pose(tmp_path).add(area=-1)
    data.convert(on_error="skip")
    content = json.loads(description(data).read_text())
    assert content["left_out"][0]["id"] == 500
    assert "area is -1" in content["left_out"][0]["reason"]
    assert str(description(data)) not in tf.io.gfile.glob(f"{data.prefix}-*")
    del data.content["annotations"][-1]
    summary = data.convert(overwrite=True)
    assert json.loads(description(data).read_text())["left_out"] == []
    assert "Choices and what was left out" not in str(summary)
    assert data.read().left_out == ""


def test_a_failed_conversion_keeps_the_old_description(tmp_path):
    data = Pose(tmp_path).add(area=-1)
    data.convert(on_error="skip")
    before = description(data).read_text()
    with pytest.raises(ConversionError):
        data.convert(overwrite=True)
    assert description(data).read_text() == before


def test_another_file_than_the_converted_one_is_noticed(tmp_path):
    data = Pose(tmp_path).add(area=-1)
    data.convert(on_error="skip")
    data.content["annotations"].insert(0, a_person(900, 0))
    data.write()
    with pytest.raises(AnnotationFileError, match=r"annotations\[3\] with the id 500"):
        data.read()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "is damaged"),
        ('{"left_out": 3}', "is damaged"),
        ({"area_from": "bocks"}, "is damaged .*area_from is 'bocks'"),
        ({"area_from": ["box"]}, r"is damaged .*area_from is \['box'\]"),
        ({"category_ids": ["1"]}, r"is damaged .*category_ids is \['1'\]"),
        ({"category_ids": [True]}, "is damaged"),
        ({"category_ids": "1"}, "is damaged"),
        ({"category_ids": 1}, "is damaged"),
        ({"category_ids": {}}, "is damaged"),
        ({"left_out": None}, "is damaged"),
        ({"left_out": [3]}, "is damaged"),
        ({"left_out": [{"group": "dogs", "place": 3, "id": 500}]}, "is damaged"),
        ({"left_out": [{"group": "images", "place": "3", "id": 5}]}, "is damaged"),
        ({"left_out": [{"group": "images", "place": -1, "id": 5}]}, "is damaged"),
        ({"left_out": [{"group": "images", "place": 1, "id": "5"}]}, "is damaged"),
        ({"left_out": [{"group": [], "place": 1, "id": 5}]}, "is damaged"),
        ({"left_out": [{"place": 1, "id": 5}]}, "is damaged"),
    ],
    ids=str,
)
def test_a_damaged_description_is_named(tmp_path, changes, message):
    data = Pose(tmp_path).add(area=-1)
    data.convert(on_error="skip")
    path = description(data)
    if isinstance(changes, dict):
        changes = json.dumps(json.loads(path.read_text()) | changes)
    path.write_text(changes)
    with pytest.raises(
        AnnotationFileError, match=f"val.conversion.json {message}.*onvert the"
    ):
        data.read()


@pytest.mark.parametrize("kind", [Pose, Objects])
@pytest.mark.parametrize(("group", "length"), [("annotations", 4), ("images", 3)])
def test_what_was_left_out_is_in_the_file(tmp_path, kind, group, length):
    data = kind(tmp_path).add(area=-1)
    data.convert(on_error="skip")
    content = json.loads(description(data).read_text())
    content["left_out"].append({"group": group, "place": length, "id": None})
    description(data).write_text(json.dumps(content))
    with pytest.raises(
        AnnotationFileError, match=rf"{group}\[{length}\].* only {length} {group} here"
    ):
        data.read()


def test_several_conversions_lack_what_all_of_them_left_out(tmp_path):
    data = Pose(tmp_path)
    data.convert(num_shards=1)
    (tmp_path / "images" / "0.png").rename(tmp_path / "0.png")
    data.prefix = str(tmp_path / "records" / "more")
    data.convert(on_error="skip", num_shards=1)
    assert conversions.find(f"{data.prefix}-*").left_out
    both = [f"{tmp_path}/records/val-*", f"{tmp_path}/records/more-*"]
    assert not conversions.find(both).left_out
    assert not conversions.find(",".join(both)).left_out


# ---- categories, areas, encodings, ids ----


def test_categories_that_share_the_skeleton_become_one(tmp_path):
    data = Pose(tmp_path)
    data.content["categories"].append({**data.content["categories"][0], "id": 2})
    data.content["categories"][1]["name"] = "child"
    data.content["annotations"][1]["category_id"] = 2
    with pytest.raises(ConversionError, match="--category=A,B .*out of: person, child"):
        data.convert()
    with pytest.raises(
        AnnotationFileError, match=r"task\.evaluation\.category_id.*1 \(person\), 2"
    ):
        data.read()
    for category, number, people in (
        ("all", [1, 2], 3),
        ("child, person", [1, 2], 3),
        ("child", 2, 1),
    ):
        summary = data.convert(category=category, overwrite=True)
        assert summary.people == people
        truth = data.read()
        assert sum(map(len, truth.content.people.values())) == people
        assert data.perfect(truth) == pytest.approx(1)
        assert data.perfect(data.read(number)) == pytest.approx(1)
        data.validate()
        data.validate(f"task.evaluation.category_id={number}")
    with pytest.raises(AnnotationFileError, match="category_id is .1.*converted with"):
        data.read(1)
    with pytest.raises(ConfigError, match="task.evaluation.category_id"):
        data.validate("task.evaluation.category_id=1")
    description(data).unlink()
    assert data.read([1, 2]).content.category_ids == [1, 2]
    with pytest.raises(AnnotationFileError, match="0 categories with the id 9"):
        data.read(9)


def test_an_empty_list_of_names_is_as_good_as_none(tmp_path):
    data = Pose(tmp_path)
    data.content["categories"][0]["keypoints"] = []
    data.convert()
    assert data.perfect(data.read()) == pytest.approx(1)


def test_categories_of_another_skeleton_are_refused_together(tmp_path):
    data = Pose(tmp_path)
    other = {"id": 2, "name": "dog", "keypoints": ["nose"]}
    data.content["categories"].append(other)
    with pytest.raises(ConversionError, match="lists 1 keypoints for category 'dog'"):
        data.convert(category="all")


@pytest.mark.parametrize(("source", "area"), [("box", 1600), ("segmentation", 800)])
@pytest.mark.parametrize("given", [0, None])
def test_areas_may_come_from_elsewhere(tmp_path, source, area, given):
    data = Pose(tmp_path)
    data.content["annotations"][1].update(
        area=given, segmentation=[[8, 4, 48, 4, 48, 24, 8, 24]]
    )
    summary = data.convert(area_from=source)
    assert summary.measured_areas == 1
    assert f"1    area missing or 0, taken from the {source}" in str(summary)
    truth = data.read()
    assert truth.content.people[1][0].area == area
    assert data.perfect(truth) == pytest.approx(1)
    data.validate()
    description(data).unlink()
    with pytest.raises(AnnotationFileError, match="task.evaluation.area_from"):
        data.read()
    assert data.read(area_from=source).content.people[1][0].area == area
    data.validate(f"task.evaluation.area_from={source}")
    with pytest.raises(
        ConfigError,
        match="area_from is 'boxes'.*; it must be one of box, segmentation, crowdpose, "
        "or empty",
    ):
        data.validate("task.evaluation.area_from=boxes")


@pytest.mark.parametrize("kind", [Pose, Objects])
@pytest.mark.parametrize("changes", [None, {"segmentation": [[1, 1, 5, 1, 9, 1]]}])
def test_areas_of_objects_without_a_mask(tmp_path, kind, changes):
    """Pose has no masks to leave out; without masks, there are none to leave out."""
    data = kind(tmp_path)
    data.content["annotations"][1].update(changes or {}, area=0)
    if changes is None:
        del data.content["annotations"][1]["segmentation"]
    options = {} if kind is Pose else {"include_masks": False}
    with pytest.raises(ConversionError, match="--area_from=box") as refusal:
        data.convert(area_from="segmentation", **options)
    assert "--noinclude_masks" not in str(refusal.value)
    assert data.convert(area_from="box", **options).measured_areas == 1


def test_a_missing_key_is_not_null(tmp_path):
    data = Pose(tmp_path)
    del data.content["annotations"][1]["area"]
    with pytest.raises(ConversionError, match="area is missing; correct it"):
        data.convert()


def test_areas_of_objects(tmp_path):
    data = Objects(tmp_path)
    mask = [[8, 4, 48, 4, 48, 24, 8, 24]]
    data.content["annotations"][1].update(area=None, segmentation=mask)
    data.content["annotations"][2].update(area=0, segmentation=mask)
    for source, areas in ((None, (800, 0)), ("box", (1600,) * 2)):
        summary = data.convert(area_from=source, overwrite=True)
        found = data.read().content.objects
        assert (found[1][0].area, found[2][0].area) == areas
        assert summary.measured_areas == (2 if source else 1)
        assert data.perfect(data.read()) == pytest.approx(1)


@pytest.mark.parametrize("wrong", [0, 17, "3", None, [], 2.5, True])
def test_num_keypoints_is_counted(tmp_path, wrong):
    data = Pose(tmp_path)
    for annotation in data.content["annotations"]:
        annotation["num_keypoints"] = wrong
    data.add(keypoints=[9, 9, 2, *[0] * 6], num_keypoints=1)
    assert data.convert().miscounted_people == 3
    assert data.perfect(data.read()) == pytest.approx(1)
    data.validate()


@pytest.mark.parametrize("kind", [Pose, Objects])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_no_fault(tmp_path, kind, encoding):
    data = kind(tmp_path)
    data.encoding = encoding
    data.convert()
    assert data.perfect(data.read()) == pytest.approx(1)
    data.validate()


@pytest.mark.parametrize("kind", [Pose, Objects])
def test_large_ids_stay_apart(tmp_path, kind):
    """As float64, all of these would be the same number."""
    data = kind(tmp_path)
    ids = [2**60, 2**60 + 1, 2**63 - 1]
    for number, image in enumerate(data.content["images"]):
        image["id"] = ids[number]
        data.content["annotations"][number]["image_id"] = ids[number]
    data.convert()
    truth = data.read()
    assert [image.id for image in truth.content.images] == ids
    assert data.perfect(truth) == pytest.approx(1)


@pytest.mark.parametrize("kind", [Pose, Objects])
@pytest.mark.parametrize(
    "categories", [[], None, "missing", [{"id": 0, "name": "bg"}]], ids=str
)
def test_images_of_nothing_need_no_categories(tmp_path, caplog, kind, categories):
    data = kind(tmp_path)
    data.content |= {"annotations": [], "categories": categories}
    if categories == "missing":
        del data.content["categories"]
    summary = data.convert()
    assert summary.images == 3
    if kind is Pose:
        assert summary.images_without_people == 3
        with pytest.raises(AnnotationFileError, match="has a labelled keypoint"):
            data.read()
    else:
        assert summary.images_without_objects == 3
        assert "num_classes" not in str(summary)
        assert len(summary.warnings) == (categories == [{"id": 0, "name": "bg"}])
        data.read().log()
        assert "has no object" in caplog.text


@pytest.mark.parametrize("kind", [Pose, Objects])
@pytest.mark.parametrize("categories", [None, "missing"])
def test_annotations_need_categories(tmp_path, kind, categories):
    data = kind(tmp_path)
    data.content["categories"] = categories
    if categories == "missing":
        del data.content["categories"]
    with pytest.raises(ConversionError, match="no list 'categories'"):
        data.convert()


@pytest.mark.parametrize("kind", [Pose, Objects])
def test_two_categories_of_one_id_are_refused(tmp_path, kind):
    data = kind(tmp_path)
    data.content["categories"].append({**data.content["categories"][0], "name": "dog"})
    options = [{"category": name} for name in ("all", "person", None)]
    for some in options if kind is Pose else [{}]:
        with pytest.raises(ConversionError, match="'person' and 'dog' have the same"):
            data.convert(**some)
    with pytest.raises(AnnotationFileError, match="'dog' have the same id 1"):
        data.read()


def test_a_category_0_that_nothing_uses_is_ignored(tmp_path):
    data = Objects(tmp_path)
    data.content["categories"].insert(0, {"id": 0, "name": "things"})
    summary = data.convert()
    assert "'things' with the id 0, which no annotation uses" in summary.warnings[0]
    assert data.read().content.categories == {1: "person"}
    data.validate("task.model.num_classes=2")
    data.add(category_id=0)
    with pytest.raises(ConversionError, match="'things' has the id 0"):
        data.convert(overwrite=True)
    with pytest.raises(AnnotationFileError, match="'things' has the id 0"):
        data.read()


def test_object_files_are_no_keypoint_files(tmp_path):
    data = Pose(tmp_path)
    for annotation in data.content["annotations"]:
        del annotation["keypoints"]
    with pytest.raises(ConversionError, match="has a labelled keypoint"):
        data.convert()
    del data.content["categories"][0]["keypoints"]
    with pytest.raises(ConversionError, match="No category .* has keypoints"):
        data.convert()


# ---- other files of a run: detections, another split's annotations ----


def a_detection(image_id, category_id=1, **changes):
    box = {"bbox": [8, 4, 40, 40], "score": 0.5}
    return {"image_id": image_id, "category_id": category_id, **box, **changes}


def detections_file(data, detections):
    path = data.folder / "detections.json"
    path.write_text(json.dumps(detections))
    return f"task.validation_data.detections_file={path}"


def test_detections_follow_the_category_of_the_records(tmp_path):
    data = Pose(tmp_path)
    data.content["categories"] += [
        {**data.content["categories"][0], "id": number, "name": name}
        for number, name in ((2, "zebra"), (3, "antelope"))
    ]
    data.content["annotations"][1]["category_id"] = 2
    data.convert(category="zebra")
    data.validate(detections_file(data, [a_detection(1, 2)]))
    others = detections_file(data, [a_detection(1, 1), a_detection(2, 3)])
    with pytest.raises(ConfigError, match="no box of category 2: .* category 1 or 3;"):
        data.validate(others)
    data.validate(others, "task.validation_data.detections_category_id=3")
    data.validate(others, "task.validation_data.detections_category_id=[1, 3]")


def test_boxes_of_other_images_are_told(tmp_path, caplog):
    data = Pose(tmp_path)
    data.convert()
    boxes = [a_detection(image_id) for image_id in (0, 1, 7, 8)]
    data.validate(detections_file(data, boxes))
    assert "not in the records, and so not used: 2 of 4." in caplog.text
    caplog.clear()
    data.validate(detections_file(data, boxes[:2]))
    assert "not in the records" not in caplog.text
    with pytest.raises(ConfigError, match="none of its 2 boxes is on an image of task"):
        data.validate(detections_file(data, boxes[2:]))


@pytest.mark.parametrize("kind", [Pose, Objects])
@pytest.mark.parametrize("most_records", [5000, 1])
def test_annotations_of_another_split_are_found_before_the_first_step(
    tmp_path, monkeypatch, kind, most_records
):
    monkeypatch.setattr(image_ids, "_MOST_RECORDS", most_records)
    data = kind(tmp_path)
    data.convert(num_shards=1)
    data.validate()
    for number, image in enumerate(data.content["images"]):
        image["id"] = 50 + number
        data.content["annotations"][number]["image_id"] = 50 + number
    data.write()
    with pytest.raises(
        ConfigError, match="annotation_file: The validation records have image 0, which"
    ):
        data.validate()


def test_a_detector_s_category_must_be_annotated(tmp_path):
    data = Objects(tmp_path)
    data.content["categories"].append({"id": 2, "name": "dog"})
    data.convert()
    data.validate()
    data.validate("task.evaluation.category_id=[1]")
    with pytest.raises(
        ConfigError, match=r"category 2 \(task.evaluation.category_id\).*: 1 \(person\)"
    ):
        data.validate("task.evaluation.category_id=2")


def test_how_crowded_images_are_is_read_where_it_is_told(tmp_path):
    data = Data(tmp_path)
    for image, index in zip(data.content["images"], (0.05, 1, "many"), strict=True):
        image["crowdIndex"] = index
    data.write()
    truth = coco_files.read_people(data.annotations, data.skeleton)
    assert truth.content.crowd_index == {0: 0.05, 1: 1.0}
    (warning,) = truth.content.warnings
    assert "crowdIndex of 1 images" in warning and data.annotations in warning
    for image in data.content["images"]:
        del image["crowdIndex"]
    data.write()
    truth = coco_files.read_people(data.annotations, data.skeleton)
    assert not truth.content.crowd_index and not truth.content.warnings
