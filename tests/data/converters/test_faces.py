"""Lists of faces: what is stored, what is refused."""

import csv
import json
import pathlib
import pickle
import re

import cv2
import h5py
import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf.data import faces as command
from hrnet_tf.data.converters import faces
from hrnet_tf.data.files.cofw_mat import CofwFile
from hrnet_tf.data.files.face_lists import FACE_SETS
from hrnet_tf.data.files.faults import ConversionError
from hrnet_tf.data.records import pose as pose_records
from hrnet_tf.data.vocabularies.skeletons import load_skeleton
from hrnet_tf.evaluation.coco_files import read_people

WIDTH, HEIGHT = 96, 80
CENTER, SCALE = (48.5, 40.0), 0.25


def landmarks(count, seed=0):
    return np.random.default_rng(seed).uniform(20, 70, (count, 2)).round(2)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        image = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "images" / name), image)
    return tmp_path


def write_csv(path: pathlib.Path, dataset: str, rows=(("a.png", 0), ("b.png", 1))):
    """A list as HRNet's authors have it; a row is a name and a seed."""
    kind = FACE_SETS[dataset]
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        names = [f"original_{i}_{axis}" for i in range(kind.count) for axis in "xy"]
        table.writerow([*kind.columns, *names])
        for name, seed in rows:
            size = [50] if kind.has_box_size else []
            points = landmarks(kind.count, seed).ravel()
            table.writerow([name, SCALE, *size, *CENTER, *points])
    return str(path)


def convert(folder, dataset, annotations, **options):
    return faces.convert(
        dataset,
        annotations,
        str(folder / "records/train"),
        image_dir=str(folder / "images"),
        **options,
    )


def records_of(summary, count):
    parsed = tf.data.TFRecordDataset(summary.files).map(
        lambda serialized: pose_records.parse_image_record(serialized, count)
    )
    return {int(record["image_id"]): record for record in parsed.as_numpy_iterator()}


@pytest.mark.parametrize("dataset", ["wflw", "300w", "aflw"])
def test_csv_lists(folder, dataset):
    count = FACE_SETS[dataset].count
    summary = convert(folder, dataset, write_csv(folder / "list.csv", dataset))
    assert (summary.images, summary.people) == (2, 2)
    record = records_of(summary, count)[2]
    expected = landmarks(count, 1)
    np.testing.assert_allclose(record["keypoints"][0, :, :2], expected, rtol=1e-6)
    assert (record["keypoints"][..., 2] == 2).all()
    np.testing.assert_allclose(record["region"], [[*CENTER, 50, 50]])
    np.testing.assert_allclose(record["normalizer"], [50 if dataset == "aflw" else 0])
    low, high = np.floor(expected.min(0)), np.ceil(expected.max(0))
    np.testing.assert_allclose(record["bbox"], [[*low, *(high - low)]])
    truth = read_people(summary.annotations, load_skeleton(FACE_SETS[dataset].skeleton))
    assert truth.content.people[2][0].keypoints[:2] == pytest.approx(expected[0])


def test_wflw_s_own_list(folder):
    """Its faces are cropped as in the list of HRNet's authors, which is made of it."""
    points = landmarks(98)
    numbers = [*points.ravel(), 18, 19, 72, 73, 0, 0, 1, 0, 0, 0]
    path = folder / "list_98pt.txt"
    path.write_text(" ".join(map(str, numbers)) + " a.png\n")
    summary = convert(folder, "wflw", str(path))
    record = records_of(summary, 98)[1]
    np.testing.assert_allclose(record["keypoints"][0, :, :2], points, rtol=1e-6)
    low, high = np.floor(points.min(0)), np.ceil(points.max(0))
    side = (high - low).max()
    np.testing.assert_allclose(record["region"], [[*(low + high) / 2, side, side]])


def write_mat(path: pathlib.Path, images="IsTr", table="phisTr"):
    """A small COFW file: axes in HDF5 are the reverse of MATLAB's."""
    points = landmarks(29)
    hidden = (np.arange(29) % 3 == 0).astype(float)
    row = np.concatenate([points.T.ravel(), hidden])
    grey = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH), np.uint8)
    colored = np.random.default_rng(1).integers(0, 255, (70, 90, 3), np.uint8)
    with h5py.File(path, "w") as file:
        file[table] = np.stack([row, row + 1], axis=1)
        file["refs/a"], file["refs/b"] = grey.T, colored.T
        references = file.create_dataset(images, (1, 2), dtype=h5py.ref_dtype)
        references[0] = [file["refs/a"].ref, file["refs/b"].ref]
    return points, hidden.astype(bool), grey, colored


@pytest.mark.parametrize("names", [("IsTr", "phisTr"), ("IsT", "phisT")])
def test_cofw_has_its_images_in_one_file(folder, names):
    path = folder / "COFW_train_color.mat"
    points, hidden, grey, colored = write_mat(path, *names)
    summary = faces.convert("cofw", str(path), str(folder / "records/train"))
    records = records_of(summary, 29)
    one = records[1]
    np.testing.assert_allclose(one["keypoints"][0, :, :2], points, rtol=1e-6)
    np.testing.assert_array_equal(one["keypoints"][0, :, 2], np.where(hidden, 1, 2))
    assert (one["height"], one["width"]) == (HEIGHT, WIDTH)
    pixels = tf.image.decode_image(one["encoded"], channels=3).numpy()
    np.testing.assert_array_equal(pixels, np.repeat(grey[..., np.newaxis], 3, -1))
    pixels = tf.image.decode_image(records[2]["encoded"]).numpy()
    np.testing.assert_array_equal(pixels, colored)
    low, high = np.floor(points.min(0)), np.ceil(points.max(0))
    side = (high - low).max()
    np.testing.assert_allclose(one["region"], [[*(low + high) / 2, side, side]])


def test_other_processes_open_the_file_of_cofw_themselves(folder):
    path = folder / "COFW_train_color.mat"
    *_, grey, _ = write_mat(path)
    with CofwFile(str(path), FACE_SETS["cofw"]) as file:
        content = pickle.dumps(file)
    with pickle.loads(content) as file:
        (size, turned) = file.look("COFW_train_color_00001.png")
    assert (size, turned) == (grey.shape, [])


def coco(dataset, **changes):
    kind = FACE_SETS[dataset]
    points = np.insert(landmarks(kind.count), 2, 1, axis=1)
    face = {
        "id": 5,
        "image_id": 3,
        "category_id": 1,
        "iscrowd": 0,
        "area": 2500.0,
        "bbox": [15, 15, 60, 60],
        "keypoints": points.ravel().tolist(),
        "center": list(CENTER),
        "scale": SCALE,
        **changes,
    }
    image = {"id": 3, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}
    category = {"id": 1, "name": "face", "keypoints": [], "skeleton": []}
    return {"images": [image], "annotations": [face], "categories": [category]}


def test_coco_s_format_with_centre_and_scale(folder):
    path = folder / "test_aflw.json"
    path.write_text(json.dumps(coco("aflw", box_size=42.0)))
    record = records_of(convert(folder, "aflw", str(path)), 19)[3]
    np.testing.assert_allclose(record["region"], [[*CENTER, 50, 50]])
    np.testing.assert_allclose(record["normalizer"], [42])
    np.testing.assert_allclose(record["bbox"], [[15, 15, 60, 60]])


def test_coco_s_format_without_a_centre(folder):
    path = folder / "test_cofw.json"
    path.write_text(json.dumps(coco("cofw", center=None, scale=None)))
    record = records_of(convert(folder, "cofw", str(path)), 29)[3]
    points = landmarks(29)
    low, high = np.floor(points.min(0)), np.ceil(points.max(0))
    side = (high - low).max()
    np.testing.assert_allclose(record["region"], [[*(low + high) / 2, side, side]])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"scale": 0}, "annotation 6: scale is 0; it must be a number above 0"),
        ({"center": "x"}, r"annotation 6: center is 'x'; it must be \[x, y\]"),
        ({"box_size": -1}, "annotation 6: box_size is -1"),
    ],
)
def test_what_coco_s_format_says_wrongly_is_not_passed_over(folder, changes, sentence):
    path = folder / "test_aflw.json"
    content = coco("aflw", box_size=42.0)
    (face,) = content["annotations"]
    content["annotations"].append({**face, "id": 6, **changes})
    path.write_text(json.dumps(content))
    with pytest.raises(ConversionError, match=sentence):
        convert(folder, "aflw", str(path))
    summary = convert(folder, "aflw", str(path), on_error="skip")
    assert summary.people == 1 and sum(summary.skipped.values()) == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "^The list .*list.csv does not exist"),
        (b"\xff\xfe\x00", "^.*list.csv is not a text in UTF-8.$"),
        (b"", "^.*list.csv has 0 columns; the list of WFLW has 200"),
    ],
)
def test_tables_that_are_none_are_told_in_one_sentence(folder, content, sentence):
    path = folder / "list.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConversionError, match=sentence):
        convert(folder, "wflw", str(path))


def test_landmarks_at_the_origin_are_not_labelled(folder):
    path = write_csv(folder / "list.csv", "aflw", rows=[("a.png", 0)])
    lines = pathlib.Path(path).read_text().splitlines()
    cells = lines[1].split(",")
    cells[5:9] = ["0", "0", "-3", "0"]
    pathlib.Path(path).write_text("\n".join([lines[0], ",".join(cells)]))
    record = records_of(convert(folder, "aflw", path), 19)[1]
    np.testing.assert_array_equal(record["keypoints"][0, :3, 2], [0, 2, 2])


def test_lists_of_other_data_sets_are_told(folder):
    path = write_csv(folder / "list.csv", "300w")
    sentence = (
        r"has 140 columns, those of 300W \(--dataset=300w\); the list of WFLW has"
    )
    with pytest.raises(ConversionError, match=f"{sentence} 200: image_name, scale, c"):
        convert(folder, "wflw", path)
    with pytest.raises(ConversionError, match="list of AFLW has 43: .* box_size,"):
        convert(folder, "aflw", path)
    (folder / "list.txt").write_text("1 2 3\n")
    with pytest.raises(ConversionError, match="3 columns; .* WFLW has 207: x and y of"):
        convert(folder, "wflw", str(folder / "list.txt"))
    (folder / "a.json").write_text(json.dumps(coco("300w")))
    sentence = (
        r"of 68 keypoints, those of 300W \(--dataset=300w\); a face of WFLW has 98"
    )
    with pytest.raises(ConversionError, match=sentence):
        convert(folder, "wflw", str(folder / "a.json"))
    with pytest.raises(
        ConversionError, match="ends in .mat; lists of WFLW end in .csv"
    ):
        convert(folder, "wflw", "COFW_train_color.mat")
    with pytest.raises(
        ConversionError, match="ends in .csv; lists of COFW end in .mat"
    ):
        convert(folder, "cofw", path)
    assert not (folder / "records").exists()


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (1, "0", "face 2: scale is 0; it must be above 0"),
        (1, "big", "face 2: it holds 'big' where a number must be"),
        (2, "0", "face 2: box_size is 0"),
        (7, "nan", "face 2: it must hold finite numbers below 1e9"),
        (7, "1e300", "face 2: it must hold finite numbers below 1e9"),
        (0, "", "face 2: image_name is ''"),
        (0, "c.png", "c.png does not exist"),
        (None, "", "face 2: it has 41 numbers, not 42"),
        (
            3,
            "5000",
            "annotation 2 of b.png: region is .* less than a pixel of it is on",
        ),
    ],
)
def test_faulty_faces_are_named(folder, place, value, sentence):
    path = pathlib.Path(write_csv(folder / "list.csv", "aflw"))
    lines = path.read_text().splitlines()
    cells = lines[2].split(",")
    cells[place if place is not None else -1 :][:0] = []
    if place is None:
        del cells[-1]
    else:
        cells[place] = value
    path.write_text("\n".join([*lines[:2], ",".join(cells)]))
    with pytest.raises(ConversionError) as error:
        convert(folder, "aflw", str(path))
    assert re.search(sentence, str(error.value)), error.value
    assert not list((folder).glob("records/*"))
    summary = convert(folder, "aflw", str(path), on_error="skip")
    assert summary.people == 1 and sum(summary.skipped.values()) == 1


def test_images_of_nothing_but_faults(folder):
    path = write_csv(folder / "list.csv", "aflw", rows=[("x.png", 0), ("y.png", 0)])
    with pytest.raises(ConversionError, match="None of the 2 images that .* lists can"):
        convert(folder, "aflw", path, on_error="skip")
    with pytest.raises(ConversionError, match="--image_dir is missing"):
        faces.convert("aflw", path, str(folder / "records/train"))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda file: file.pop("phisTr"),
            "holds IsTr, refs; COFW's files hold IsTr and",
        ),
        (
            lambda file: _replace(file, "phisTr", np.zeros((86, 2))),
            r"is \[2, 86\]; for 2",
        ),
        (
            lambda file: _replace(file, "phisTr", np.zeros((87, 3))),
            "is \\[3, 87\\]; for 2 images it must",
        ),
        (lambda file: _replace(file, "phisTr", b"text"), "is no table of numbers"),
        (lambda file: _replace(file, "IsTr", np.zeros((1, 2))), "is no list of images"),
        (
            lambda file: _replace(file, "refs/a", np.zeros(3)),
            "image 1 is no picture of 8 bits",
        ),
    ],
)
def test_other_mat_files_are_told_what_was_expected(folder, damage, sentence):
    path = folder / "COFW_train_color.mat"
    write_mat(path)
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(ConversionError, match=sentence):
        faces.convert("cofw", str(path), str(folder / "records/train"))
    path.write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(ConversionError, match="is no HDF5 file, as COFW's"):
        faces.convert("cofw", str(path), str(folder / "records/train"))


def _replace(file, name, value):
    del file[name]
    file[name] = value


def test_command(folder, capsys):
    path = write_csv(folder / "list.csv", "wflw")
    flags = [
        *("--dataset=wflw", f"--image_dir={folder}/images", f"--annotations={path}"),
        f"--output_prefix={folder}/records/train",
    ]
    assert command.main(["faces", *flags]) == 0
    told = capsys.readouterr().out
    assert "--experiment=hrnet_face_wflw" in told
    assert "--config_file=configs/face/wflw_w18_256x256.yaml" in told
    assert f"annotation_file={folder}/records/val.annotations.json" in told
