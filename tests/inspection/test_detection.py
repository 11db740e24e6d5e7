"""Objects of annotations and records: counts, faults, the sheet."""

import json

import numpy as np
import pytest
import tensorflow as tf
from people_folder import HEIGHT, WIDTH, jpeg, picture, run_inspect

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs.detection import hrnet_fasterrcnn_coco, hrnet_retinanet_coco
from hrnet_tf.data import coco_instances
from hrnet_tf.inspection import detection_sheet
from hrnet_tf.inspection.detection_sources import RecordedObjects
from hrnet_tf.inspection.findings import Findings

BOXES = [[10, 10, 60, 50], [80, 20, 70, 90]]


class Objects:
    """COCO annotations of two objects in each image; tests change `content`."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "images").mkdir()
        names = {1: "cat", 2: "dog", 3: "bird"}
        self.content = {
            "images": [],
            "annotations": [],
            "categories": [{"id": key, "name": name} for key, name in names.items()],
        }
        for number in range(4):
            name = f"{number}.jpg"
            (folder / "images" / name).write_bytes(jpeg(picture(number)))
            self.content["images"].append(
                {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
            )
            for place, (x, y, w, h) in enumerate(BOXES):
                outline = [x, y, x + w, y, x + w, y + h, x, y + h]
                self.content["annotations"].append(
                    {
                        "id": 10 * number + place,
                        "image_id": number,
                        "category_id": 1 + place,
                        "bbox": [x, y, w, h],
                        "area": w * h,
                        "iscrowd": 0,
                        "segmentation": [outline],
                    }
                )

    @property
    def flags(self):
        path = self.folder / "objects.json"
        path.write_text(json.dumps(self.content))
        return [f"--annotations={path}", f"--image_dir={self.folder}/images"]

    def convert(self):
        prefix = f"{self.folder}/records/train"
        flags = [*self.flags, f"--output_prefix={prefix}", "--num_shards=1"]
        assert coco_instances.main(["coco_instances", *flags]) == 0
        return f"{prefix}-*"

    def inspect(self, *flags):
        return run_inspect(self.folder, *self.flags, *flags)


@pytest.fixture
def objects(tmp_path):
    return Objects(tmp_path)


def test_counts_are_by_category(objects):
    objects.content["annotations"][0]["iscrowd"] = 1
    report = objects.inspect()
    assert report["kind"] == "detection" and report["findings"] == {}
    assert report["objects"]["counts"] == {
        "objects": 8,
        "crowds": 1,
        "categories": 3,
        "without an object": 1,
    }
    assert report["objects"]["table"] == {
        "1 cat": {"objects": 4, "images": 4, "crowds": 1},
        "2 dog": {"objects": 4, "images": 4, "crowds": 0},
        "3 bird": {"objects": 0, "images": 0, "crowds": 0},
    }
    assert report["boxes"]["distributions"]["width"]["most"] == 70


def test_records_have_the_numbers_of_their_annotations(objects):
    by_annotations = objects.inspect()
    by_records = run_inspect(objects.folder, f"--records={objects.convert()}")
    # Records do not tell of categories without objects.
    del by_annotations["objects"]["table"]["3 bird"]
    for section in ("images", "boxes"):
        assert by_records[section] == by_annotations[section]
    assert by_records["objects"]["table"] == by_annotations["objects"]["table"]


def test_faults_and_near_duplicates_are_named(objects):
    first, second, third, *_ = objects.content["annotations"]
    first["segmentation"] = []
    objects.content["annotations"].append({**third, "id": 900})
    second["category_id"] = 7
    findings = objects.inspect()["findings"]
    named = {
        kind: finding["examples"][0]["annotation_id"]
        for kind, finding in findings.items()
    }
    assert named == {
        "bad mask": 0,
        "unknown category": 1,
        "two annotations with nearly the same box": 900,
    }
    assert "bad mask" not in objects.inspect("--noinclude_masks")["findings"]


@pytest.mark.parametrize(
    ("feature", "told"),
    [
        ("image/object/class/label", "not as many classes as coordinates"),
        ("image/object/area", "image/object/area is not of as many objects"),
        ("image/object/mask", "not as many classes as masks"),
        ("image/encoded", "image/encoded"),
    ],
)
def test_a_record_that_training_cannot_read_is_named(objects, feature, told):
    assert objects.convert()
    (converted,) = (objects.folder / "records").glob("*.tfrecord")
    examples = [*tf.data.TFRecordDataset(str(converted)).as_numpy_iterator()]
    example = tf.train.Example.FromString(examples[0])
    values = example.features.feature[feature]
    del getattr(values, values.WhichOneof("kind")).value[-1]
    path = str(objects.folder / "edited")
    with tf.io.TFRecordWriter(path) as writer:
        for record in (example.SerializeToString(), *examples[1:]):
            writer.write(record)
    report = run_inspect(objects.folder, f"--records={path}")
    (finding,) = report["findings"]["record that training cannot read"]["examples"]
    assert finding["text"].startswith(f"{path}: record 1: ") and told in finding["text"]
    assert report["objects"]["counts"]["objects"] == 6


def test_categories_beyond_the_model_are_named(objects):
    flags = "--params_override=task.model.num_classes=2"
    findings = objects.inspect(flags)["findings"]
    (finding,) = findings.values()
    assert finding["count"] == 4
    assert "num_classes" in next(iter(findings))
    assert finding["examples"][0]["annotation_id"] == 1


@pytest.mark.parametrize(
    ("number", "configured"),
    [pytest.param(400, 0, marks=pytest.mark.slow), (400, 2), (1, 2)],
)
def test_the_sheet_shows_what_the_model_counts(objects, number, configured):
    """Without a configuration that is any category; COCO's model has 91."""
    for entry in objects.content["annotations"]:
        entry["category_id"] = number
    objects.content["categories"] = [{"id": number, "name": "thing"}]
    folder = objects.folder / "looks"
    override = "--params_override=task.model.input_size=[64,64,3]"
    if configured:
        override += f",task.model.num_classes={configured}"
    flags = [override] if configured else []
    objects.inspect(
        f"--output_dir={folder}", "--num_rows=1", "--num_augmented=1", *flags
    )
    assert (folder / "sheet.png").exists() == (configured != 2 or number == 1)


@pytest.mark.parametrize(
    ("feature", "place", "value", "told"),
    [
        ("image/object/bbox/xmin", 0, 0.99, "xmax is below image/object/bbox/xmin"),
        ("image/object/area", 0, -1.0, "image/object/area is negative"),
        ("image/object/is_crowd", 0, 7, "image/object/is_crowd is neither 0 nor 1"),
    ],
)
def test_what_training_refuses_is_found(objects, feature, place, value, told):
    objects.convert()
    (converted,) = (objects.folder / "records").glob("*.tfrecord")
    examples = [*tf.data.TFRecordDataset(str(converted)).as_numpy_iterator()]
    example = tf.train.Example.FromString(examples[0])
    values = example.features.feature[feature]
    getattr(values, values.WhichOneof("kind")).value[place] = value
    path = str(objects.folder / "edited")
    with tf.io.TFRecordWriter(path) as writer:
        for record in (example.SerializeToString(), *examples[1:]):
            writer.write(record)
    report = run_inspect(objects.folder, f"--records={path}")
    (finding,) = report["findings"]["record that training cannot read"]["examples"]
    assert told in finding["text"]


def test_the_output_has_both_pictures(objects):
    third = objects.content["annotations"][2]
    objects.content["annotations"].append({**third, "id": 900})
    folder = objects.folder / "looks"
    objects.inspect(
        f"--output_dir={folder}",
        "--num_rows=1",
        "--num_augmented=1",
        "--params_override=task.model.input_size=[128,128,3]",
    )
    names = ["doubtful.png", "report.json", "report.txt", "sheet.png"]
    assert sorted(path.name for path in folder.iterdir()) == names


@pytest.mark.parametrize("experiment", [hrnet_fasterrcnn_coco, hrnet_retinanet_coco])
def test_boxes_of_the_sheet_are_those_that_are_learned(objects, experiment):
    task = experiment().task
    task.model.input_size = [256, 256, 3]
    task.train_data.parser.aug_rand_hflip = False
    source = RecordedObjects(objects.convert())
    (sample, *_) = source.samples(Findings(0))
    read = detection_sheet._read_augmented([source.record(sample)], task, 2, seed=0)
    for image, instances in read:
        assert image.shape == (256, 256, 3)
        instances.sort(key=lambda found: found["category_id"])
        assert [found["category_id"] for found in instances] == [1, 2]
        # 160x120 pixels fill 256x192 of the canvas.
        boxes = np.array([found["bbox"] for found in instances])
        np.testing.assert_allclose(boxes, 1.6 * np.array(BOXES), atol=1)
