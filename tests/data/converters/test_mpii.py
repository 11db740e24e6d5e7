"""MPII's official lists: what is stored and cropped, what is refused."""

import dataclasses
import json
import pathlib
import re

import cv2
import numpy as np
import pytest
import scipy.io
import tensorflow as tf

from hrnet_tf.configs.pose import Codec, PoseData
from hrnet_tf.data import mpii as command
from hrnet_tf.data.converters import mpii
from hrnet_tf.data.files import pictures
from hrnet_tf.data.files.faults import ConversionError
from hrnet_tf.data.inputs.pose import PoseInput
from hrnet_tf.data.records import pose as pose_records
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.evaluation.coco_files import read_people
from hrnet_tf.evaluation.pck import PCKhEvaluator
from hrnet_tf.output_files import OutputError

SKELETON = load_skeleton("mpii16")
WIDTH, HEIGHT = 160, 120


class Dataset:
    """Images, a list of people and ground truth; tests change them before writing."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        (folder / "images").mkdir()
        (folder / "annot").mkdir()
        rng = np.random.default_rng(0)
        for number in range(2):
            image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
            cv2.imwrite(str(folder / f"images/{number}.png"), image)
        self.entries = [self.person(rng, name) for name in ("0.png", "0.png", "1.png")]
        joints = np.array([entry["joints"] for entry in self.entries])
        self.truth = {
            "pos_gt_src": np.moveaxis(joints, 0, -1),
            "jnt_missing": 1 - np.array([e["joints_vis"] for e in self.entries]).T,
            # x and y of two corners, 3 and 4 pixels apart, 6 and 8, 9 and 12.
            "headboxes_src": np.array(
                [[[1, 1, 1], [2, 2, 2]], [[4, 7, 10], [6, 10, 14]]]
            ),
            "dataset_joints": np.array([["head", "neck"]], object),
        }

    def person(self, rng, name):
        visible = (rng.random(16) < 0.8).astype(int)
        joints = rng.uniform(20, 100, (16, 2)).round(1)
        joints[visible == 0] = -1
        return {
            "image": name,
            "center": [80.5, 60.0],
            "scale": 0.4,
            "joints": joints.tolist(),
            "joints_vis": visible.tolist(),
        }

    @property
    def annotations(self) -> str:
        return str(self.folder / "annot/valid.json")

    def write(self, with_truth=True):
        pathlib.Path(self.annotations).write_text(json.dumps(self.entries))
        if with_truth:
            scipy.io.savemat(self.folder / "annot/gt_valid.mat", self.truth)

    def convert(self, with_truth=True, **options):
        self.write(with_truth)
        return mpii.convert(
            str(self.folder / "images"),
            self.annotations,
            str(self.folder / "records/valid"),
            **options,
        )

    def refused(self, **options) -> str:
        with pytest.raises(ConversionError) as error:
            self.convert(**options)
        folder = self.folder / "records"
        assert not folder.exists() or not list(folder.iterdir())
        return str(error.value)


@pytest.fixture
def dataset(tmp_path):
    return Dataset(tmp_path)


def records_of(files):
    return {
        int(record["image_id"]): record
        for record in tf.data.TFRecordDataset(files)
        .map(lambda serialized: pose_records.parse_image_record(serialized, 16))
        .as_numpy_iterator()
    }


def test_people_become_records_and_annotations(dataset):
    summary = dataset.convert()
    assert (summary.images, summary.people, summary.normalized_people) == (2, 3, 3)
    records = records_of(summary.files)
    one = records[1]
    np.testing.assert_array_equal(one["person_id"], [1, 2])
    # Six tenths of 5, 10 and 15 pixels.
    np.testing.assert_allclose(one["normalizer"], [3, 6])
    np.testing.assert_allclose(records[2]["normalizer"], [9])
    for number, entry in enumerate(dataset.entries[:2]):
        visible = np.array(entry["joints_vis"], bool)
        expected = np.where(visible[:, None], np.array(entry["joints"]) - 1, 0)
        np.testing.assert_allclose(one["keypoints"][number, :, :2], expected, atol=1e-5)
        np.testing.assert_array_equal(one["keypoints"][number, :, 2], 2 * visible)
    # The centre is lowered by 15 scales, and counted from 0.
    np.testing.assert_allclose(one["region"], [[79.5, 65, 80, 80]] * 2, rtol=1e-6)

    truth = read_people(summary.annotations, SKELETON, input_path=f"{summary.files[0]}")
    people = [p for some in truth.content.people.values() for p in some]
    assert [person.id for person in people] == [1, 2, 3]
    assert [person.normalizer for person in people] == pytest.approx([3, 6, 9])
    names = [image.file_name for image in truth.content.images]
    assert names == ["0.png", "1.png"]
    assert "annotation_file: " + summary.annotations in str(summary)


def test_pckh_of_the_written_annotations_is_that_of_the_mat(dataset):
    """From official files to the official score, of predictions that are partly off."""
    summary = dataset.convert()
    truth = read_people(summary.annotations, SKELETON, input_path=f"{summary.files[0]}")
    mat = dataset.truth
    places = np.moveaxis(mat["pos_gt_src"], -1, 0)
    rng = np.random.default_rng(3)
    offsets = rng.uniform(-4, 4, places.shape)
    evaluator = PCKhEvaluator(truth, SKELETON)
    evaluator.update(
        {
            "image_id": np.array([1, 1, 2]),
            "person_id": np.array([1, 2, 3]),
            # The official evaluation adds 1 to what a network says.
            "keypoints": np.dstack([places + offsets - 1, np.ones((3, 16))]),
            "box_score": np.ones(3),
            "area": np.ones(3),
        }
    )
    heads = 0.6 * np.linalg.norm(
        mat["headboxes_src"][1] - mat["headboxes_src"][0], axis=0
    )
    is_right = np.linalg.norm(offsets, axis=-1) <= 0.5 * heads[:, np.newaxis]
    counted = mat["jnt_missing"].T == 0
    counted[:, 6:8] = False
    assert evaluator.evaluate()["PCKh@0.5"] == pytest.approx(is_right[counted].mean())
    assert 0.1 < is_right[counted].mean() < 0.9


def test_people_are_cropped_as_official_code_does(dataset):
    """Official lib/dataset/mpii.py and lib/utils/transforms.py, of 256x256."""
    summary = dataset.convert()
    data = PoseData(
        is_training=False,
        input_path=summary.files,
        global_batch_size=4,
        drop_remainder=False,
    )
    ((_, labels),) = PoseInput(data, Codec(), [256, 256], SKELETON).dataset()
    order = np.argsort(labels["person_id"].numpy())[1:]  # -1 fills the batch.
    np.testing.assert_array_equal(labels["person_id"].numpy()[order], [1, 2, 3])
    assert sorted(labels["person_id"].numpy())[0] == -1
    for row in order:
        center, scale = np.array([80.5, 60.0]), 0.4
        center[1] += 15 * scale
        scale, center = scale * 1.25, center - 1
        expected = np.array([[scale * 200 / 256, 0, 0], [0, scale * 200 / 256, 0]])
        expected[:, 2] = center - expected[:, :2] @ [128, 128]
        matrix = labels["crop_to_image"].numpy()[row]
        np.testing.assert_allclose(matrix, expected, atol=1e-4)
        points = labels["keypoints"].numpy()[row] @ matrix[:, :2].T + matrix[:, 2]
        entry = dataset.entries[labels["person_id"].numpy()[row] - 1]
        visible = np.array(entry["joints_vis"], bool)
        joints = np.array(entry["joints"])[visible] - 1
        np.testing.assert_allclose(points[visible], joints, atol=1e-3)


def test_the_header_of_an_image_is_read_once(dataset, monkeypatch):
    read = []

    def look_at(path):
        read.append(path.rpartition("/")[2])
        return dataclasses.replace(found(path), orientation=3)

    found = pictures.look_at
    monkeypatch.setattr(pictures, "look_at", look_at)
    summary = dataset.convert(exif="ignore")
    assert sorted(read) == ["0.png", "1.png"]
    assert summary.not_turned == 2


def test_without_ground_truth_heads_are_not_known(dataset):
    summary = dataset.convert(with_truth=False)
    assert summary.normalized_people == 0
    np.testing.assert_array_equal(records_of(summary.files)[1]["normalizer"], [0, 0])
    assert "normalizer" not in pathlib.Path(summary.annotations).read_text()
    assert dataset.convert(gt_mat="", overwrite=True).normalized_people == 0


def test_missing_joints_are_those_of_the_ground_truth(dataset):
    """The official evaluation scores by its `jnt_missing`."""
    dataset.truth["jnt_missing"][:, 0] = 1
    dataset.truth["jnt_missing"][3:, 0] = 0
    keypoints = records_of(dataset.convert().files)[1]["keypoints"]
    np.testing.assert_array_equal(keypoints[0, :, 2] > 0, [False] * 3 + [True] * 13)


def test_what_is_there_already_is_kept(dataset):
    dataset.convert()
    before = (dataset.folder / "records/valid.annotations.json").read_text()
    with pytest.raises(OutputError, match="--overwrite"):
        dataset.convert()
    for path in (dataset.folder / "records").glob("*.tfrecord"):
        path.unlink()
    (dataset.folder / "records/valid.conversion.json").unlink()
    with pytest.raises(OutputError, match="annotations.json exists.*--output_prefix"):
        dataset.convert()
    (dataset.folder / "images/1.png").unlink()
    with pytest.raises(ConversionError):
        dataset.convert(overwrite=True)
    after = (dataset.folder / "records/valid.annotations.json").read_text()
    assert after == before


def test_faulty_people_and_images_can_be_skipped(dataset):
    dataset.entries[0]["center"] = [-1, -1]
    dataset.entries.append({**dataset.entries[1], "image": "none.png"})
    dataset.entries.append({**dataset.entries[1], "image": "broken.png"})
    broken = (dataset.folder / "images/0.png").read_bytes()[:-200]
    (dataset.folder / "images/broken.png").write_bytes(broken)
    summary = dataset.convert(with_truth=False, on_error="skip")
    assert summary.skipped == {
        "no centre or scale": 1,
        "missing image": 1,
        "corrupt image": 1,
    }
    assert (summary.people, summary.people_of_skipped_images) == (2, 2)
    records = ",".join(summary.files)
    truth = read_people(summary.annotations, SKELETON, input_path=records)
    assert truth.left_out.startswith("1 image that the conversion left out")
    assert sum(map(len, truth.content.people.values())) == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{}", "holds a dict; MPII's annotations are a list of objects with image, c"),
        ("[]", "holds an empty list; MPII's annotations are"),
        ("[1]", "holds a list of ints; MPII's"),
        ('{"images": [], "annotations": []}', "is in COCO's format; .*data.coco_pose"),
        ('[{"image": "a", "center": [], "scale": 1}]', "has no joints, as MPII's test"),
        (
            '[{"img_paths": "a"}]',
            "without image, center, scale and 2 more; they have i",
        ),
        ("[", "annotation file .* is not valid JSON"),
    ],
)
def test_other_files_are_told_what_was_expected(dataset, content, sentence):
    dataset.write()
    pathlib.Path(dataset.annotations).write_text(content)
    folder = dataset.folder
    with pytest.raises(ConversionError, match=sentence):
        mpii.convert(
            str(folder / "images"), dataset.annotations, str(folder / "records/a")
        )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"center": [1]}, r"person 2: center is \[1\]; it must be \[x, y\]"),
        ({"scale": 0}, "person 2: center is .* and scale is 0; nobody can be cropped"),
        ({"scale": -1.0}, "scale is -1.0"),
        ({"joints": [[1, 2]]}, "joints has 1 pairs of numbers; MPII has 16"),
        ({"joints": "x"}, "joints is no list of pairs"),
        ({"joints_vis": [2] * 16}, "joints_vis is .* must hold 16 numbers, 0 or 1"),
        ({"image": ""}, "person 2: image is ''; it must be a text"),
        ({"image": "../a.png"}, "leads out of .*--allow_outside"),
        ({"center": [9000, 60]}, "annotation 2 of 0.png: bbox is .*wholly outside"),
    ],
)
def test_faulty_people_are_named(dataset, changes, sentence):
    dataset.entries[1].update(changes)
    told = dataset.refused(with_truth=False)
    assert re.search(sentence, told), told
    assert dataset.annotations in told or "allow_outside" in told


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda t: t.update(pos_gt_src=t["pos_gt_src"][..., :2]),
            "pos_gt_src is float",
        ),
        (
            lambda t: t.pop("headboxes_src"),
            "headboxes_src is missing; for the 3 people",
        ),
        (lambda t: t.update(pos_gt_src=t["pos_gt_src"] + 9.0), "joints of 3 of 3 lie"),
        (lambda t: t.update(pos_gt_src=t["pos_gt_src"] * np.nan), "holds NaN"),
    ],
)
def test_ground_truth_of_other_people_is_refused(dataset, change, sentence):
    change(dataset.truth)
    assert sentence in dataset.refused()


def test_a_file_that_is_no_ground_truth_is_refused(dataset):
    told = dataset.refused(gt_mat=str(dataset.folder / "images/0.png"))
    assert "is not MPII's ground truth, such as gt_valid.mat: it does not begin" in told
    assert "does not exist" in dataset.refused(gt_mat="none.mat")


def test_command(dataset, capsys):
    dataset.write()
    folder = dataset.folder
    flags = [
        f"--image_dir={folder}/images",
        f"--annotations={dataset.annotations}",
        f"--output_prefix={folder}/records/valid",
    ]
    assert command.main(["mpii", *flags]) == 0
    told = capsys.readouterr().out
    assert "3    with a length that errors are divided by" in told
    assert "--experiment=hrnet_pose_mpii" in told
    file = f"task.evaluation.annotation_file={folder}/records/valid.annotations.json"
    assert file in told
    assert command.main(["mpii", *flags]) == 1
