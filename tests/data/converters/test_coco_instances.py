"""Object annotations become records that the Garden's decoder reads."""

import hashlib
import json

import cv2
import numpy as np
import pytest
import tensorflow as tf
from official.vision.dataloaders import tf_example_decoder
from PIL import Image
from pycocotools import mask as coco_mask

from hrnet_tf.data import coco_instances as command
from hrnet_tf.data.converters import coco_instances
from hrnet_tf.data.files.faults import ConversionError
from hrnet_tf.data.records.instances import check_records, read_images
from hrnet_tf.data.records.shards import RecordError

HEIGHT, WIDTH = 40, 60
SQUARE = [[10, 5, 30, 5, 30, 25, 10, 25]]


@pytest.fixture
def dataset(tmp_path):
    """Two images, one without objects; the function writes their annotations."""
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / "images" / name), pixels)

    def write(annotations, categories=({"id": 1, "name": "cat"},)):
        images = [
            {"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH}
            for number, name in ((7, "a.png"), (9, "b.png"))
        ]
        content = {
            "images": images,
            "categories": list(categories),
            "annotations": annotations,
        }
        (tmp_path / "instances.json").write_text(json.dumps(content))
        return tmp_path

    return write


def annotation(**changes):
    return {
        "id": 1,
        "image_id": 7,
        "category_id": 1,
        "bbox": [10, 5, 20, 20],
        "area": 400,
        "iscrowd": 0,
        "segmentation": SQUARE,
        **changes,
    }


def convert(folder, **options):
    return coco_instances.convert(
        str(folder / "images"),
        str(folder / "instances.json"),
        str(folder / "records" / "train"),
        **{"num_shards": 1, **options},
    )


def decode(summary, include_mask=True):
    decoder = tf_example_decoder.TfExampleDecoder(include_mask=include_mask)
    return [
        {name: value.numpy() for name, value in decoder.decode(serialized).items()}
        for serialized in tf.data.TFRecordDataset(summary.files)
    ]


def run_lengths(mask, compressed):
    if compressed:
        rle = coco_mask.encode(np.asfortranarray(mask))
        return {"size": rle["size"], "counts": rle["counts"].decode()}
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat, append=2)) + 1
    counts = np.diff(ends, prepend=0).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def test_the_garden_reads_what_was_annotated(dataset):
    thing = annotation(id=2, category_id=3, bbox=[0, 0, 60, 40], area=9, iscrowd=1)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:9, 50:] = 1
    thing["segmentation"] = run_lengths(mask, compressed=False)
    categories = [{"id": 1, "name": "cat"}, {"id": 3, "name": "dog"}]
    summary = convert(dataset([annotation(), thing], categories))
    first, second = decode(summary)
    assert int(first["source_id"]) == 7 and int(second["source_id"]) == 9
    assert (first["height"], first["width"]) == (HEIGHT, WIDTH)
    expected = [[5 / 40, 10 / 60, 25 / 40, 30 / 60], [0, 0, 1, 1]]
    np.testing.assert_allclose(first["groundtruth_boxes"], expected, atol=1e-7)
    assert first["groundtruth_classes"].tolist() == [1, 3]
    assert first["groundtruth_is_crowd"].tolist() == [False, True]
    assert first["groundtruth_area"].tolist() == [400, 9]
    square, corner = first["groundtruth_instance_masks"]
    assert square.sum() == 400 and square[5:25, 10:30].all()
    np.testing.assert_array_equal(corner, mask)
    assert second["groundtruth_classes"].size == 0
    text = str(summary)
    assert "task.model.num_classes=4" in text and "dog (class 3)" in text
    assert (summary.images, summary.images_without_objects, summary.crowds) == (2, 1, 1)


@pytest.mark.parametrize("compressed", [True, False])
def test_run_lengths_of_both_kinds(dataset, compressed):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:7, :11] = 1
    found = annotation(segmentation=run_lengths(mask, compressed))
    (masks,) = decode(convert(dataset([found])))[0]["groundtruth_instance_masks"]
    np.testing.assert_array_equal(masks, mask)


def test_boxes_are_clipped_where_the_garden_leaves_the_object_out(dataset):
    found = annotation(bbox=[-5.3, 30.1, 70.7, 20.2])
    summary = convert(dataset([found]))
    (box,) = decode(summary)[0]["groundtruth_boxes"]
    np.testing.assert_allclose(box, [30.1 / 40, 0, 1, 1], atol=1e-6)
    assert summary.clipped_boxes == 1


def test_large_masks_are_stored_smaller(dataset):
    record = decode(convert(dataset([annotation()]), max_mask_side=30))[0]
    (mask,) = record["groundtruth_instance_masks"]
    assert mask.shape == (20, 30) and record["image"].shape == (HEIGHT, WIDTH, 3)
    assert mask[3:12, 5:15].all() and abs(mask.sum() - 100) <= 12
    np.testing.assert_allclose(
        record["groundtruth_boxes"], [[5 / 40, 10 / 60, 25 / 40, 30 / 60]], atol=1e-6
    )


def test_masks_can_be_left_out(dataset):
    found = annotation(area=None)
    del found["segmentation"]
    summary = convert(dataset([found]), include_masks=False)
    assert decode(summary, include_mask=False)[0]["groundtruth_area"] == [400]
    with pytest.raises(RecordError, match="no masks; .*--include_masks"):
        check_records(summary.files, with_masks=True)
    check_records(summary.files, with_masks=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"category_id": 5}, "annotation 1 of a.png: category_id 5 is not in"),
        ({"bbox": [1, 2, 3]}, "bbox is .* four finite numbers"),
        ({"bbox": [70, 2, 3, 4]}, "wholly outside the 60x40 image"),
        ({"segmentation": None}, "segmentation is null; .*--noinclude_masks"),
        ({"segmentation": [[1, 2, 3]]}, r"the polygon \[1, 2, 3\]"),
        (
            {"segmentation": {"size": [4, 4], "counts": [16]}},
            r"size \[4, 4\]; the image has \[40, 60\]",
        ),
        (
            {"segmentation": {"size": [40, 60], "counts": [3, 4]}},
            "do not add up",
        ),
        ({"area": -1}, "area is -1"),
        ({"image_id": 8}, "image_id 8 is not in 'images'"),
    ],
)
def test_faults_are_named_and_nothing_is_written(dataset, changes, message):
    folder = dataset([annotation(**changes)])
    with pytest.raises(ConversionError, match=message):
        convert(folder)
    records = folder / "records"
    assert not records.exists() or not any(records.iterdir())
    summary = convert(folder, on_error="skip")
    assert sum(summary.skipped.values()) == 1 and summary.objects == {}


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ([{"id": 0, "name": "cat"}], "'cat' has the id 0; .*number categories from 1"),
        ([{"id": 1}], r"categories\[0\] is {'id': 1}; it needs an id, .* and a name"),
        ([{"id": 1, "name": "\ud800"}], r"'\\ud800'}; it needs an id, .* and a name"),
        (
            [{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}],
            "'cat' and 'dog' have the same id 1",
        ),
    ],
)
def test_impossible_categories(dataset, categories, message):
    with pytest.raises(ConversionError, match=message):
        convert(dataset([annotation()], categories))


def test_pictures_are_turned_if_their_annotations_are(dataset):
    folder = dataset([annotation()])
    shown = cv2.imread(str(folder / "images/b.png"))[..., ::-1]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(shown)).save(folder / "images/a.png", exif=exif)
    with pytest.raises(ConversionError, match="1 image files have an EXIF orientation"):
        convert(folder)
    with pytest.raises(ConversionError, match="40x60 pixels, but its annotations say"):
        convert(folder, exif="ignore")
    summary = convert(folder, exif="apply")
    assert "1  image files turned by their EXIF orientation" in str(summary)
    for record in decode(summary):
        np.testing.assert_array_equal(record["image"], shown)
        assert (record["height"], record["width"]) == (HEIGHT, WIDTH)
    (serialized, _) = tf.data.TFRecordDataset(summary.files)
    features = tf.train.Example.FromString(serialized.numpy()).features.feature
    (encoded,) = features["image/encoded"].bytes_list.value
    (digest,) = features["image/key/sha256"].bytes_list.value
    assert digest.decode() == hashlib.sha256(encoded).hexdigest()


def test_a_missing_image_is_a_fault(dataset):
    folder = dataset([annotation()])
    (folder / "images" / "a.png").unlink()
    with pytest.raises(ConversionError, match=r"a\.png \(image 7\) does not exist"):
        convert(folder)
    summary = convert(folder, on_error="skip")
    assert (summary.images, summary.objects_of_skipped_images) == (1, 1)


def test_command(dataset, capsys):
    folder = dataset([annotation()])
    flags = [
        "coco_instances",
        f"--image_dir={folder}/images",
        f"--annotations={folder}/instances.json",
        f"--output_prefix={folder}/records/train",
    ]
    assert command.main(flags) == 0
    assert "cat (class 1)" in capsys.readouterr().out
    assert command.main(flags) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert command.main(flags[:2]) == 2


def test_records_of_another_kind_are_refused(toy_data):
    files = tf.io.gfile.glob(f"{toy_data}/records/train-*")
    with pytest.raises(RecordError, match="image/source_id; .*coco_instances"):
        check_records(files, with_masks=False)


def test_images_are_read_as_stored(dataset):
    from official.vision.configs import maskrcnn

    folder = dataset([annotation()])
    convert(folder)
    data = maskrcnn.DataConfig(input_path=f"{folder}/records/train-*")
    first, second = read_images(data)
    pixels = cv2.imread(str(folder / "images" / "a.png"))[..., ::-1]
    np.testing.assert_array_equal(first["image"], pixels)
    assert [int(first["image_id"]), int(second["image_id"])] == [7, 9]
