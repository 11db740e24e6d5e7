"""The converters of segmentation data sets, on layouts like the published ones."""

import json
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
import scipy.io
import tensorflow as tf
from PIL import Image
from pycocotools import mask as coco_mask

from hrnet_tf.data import cityscapes, lip, pascal_context, segmentation_folder
from hrnet_tf.data.converters import cityscapes as cityscapes_layout
from hrnet_tf.data.converters import lip as lip_layout
from hrnet_tf.data.converters import pascal_context as context_layout
from hrnet_tf.data.converters import segmentation
from hrnet_tf.data.converters.label_images import read_label_image
from hrnet_tf.data.converters.segmentation import Labels, Pair
from hrnet_tf.data.converters.segmentation_folder import FolderLabels
from hrnet_tf.data.files import pictures
from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.records import segmentation as segmentation_records
from hrnet_tf.data.vocabularies.label_sets import BUILT_IN, load_label_set
from hrnet_tf.ops import images

HEIGHT, WIDTH = 12, 20
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def write_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), PIXELS)


def write_labels(path, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(labels)).save(path)


def label_block(*values, dtype=np.uint8):
    """Labels with a column for each value, the last as wide as is left."""
    labels = np.full((HEIGHT, WIDTH), values[-1], dtype)
    for column, value in enumerate(values):
        labels[:, column] = value
    return labels


def read_records(prefix, num_classes):
    """Labels by the images' file names, and the images' pixels alike."""
    labels, images = {}, {}
    files = sorted(tf.io.gfile.glob(f"{prefix}-*"))
    for serialized in tf.data.TFRecordDataset(files):
        record = segmentation_records.parse_image_record(serialized, num_classes)
        example = tf.train.Example.FromString(serialized.numpy())
        features = example.features.feature
        name = features["image/filename"].bytes_list.value[0].decode()
        assert features["image/height"].int64_list.value[:] == [HEIGHT]
        assert features["image/width"].int64_list.value[:] == [WIDTH]
        labels[name] = tf.io.decode_png(record["labels_encoded"])[..., 0].numpy()
        images[name] = record["encoded"].numpy()
    return labels, images


def nothing_is_left(folder):
    return not folder.exists() or not list(folder.iterdir())


# ---- Cityscapes ----


@pytest.fixture
def cityscapes_dir(tmp_path):
    ids = [*range(34)]
    for split, city in (("train", "ulm"), ("train", "bonn"), ("val", "jena")):
        stem = f"{city}/{city}_000000_000019"
        write_image(tmp_path / f"leftImg8bit/{split}/{stem}_leftImg8bit.png")
        half = ids[:20] if city == "ulm" else ids[14:]
        path = tmp_path / f"gtFine/{split}/{stem}_gtFine_labelIds.png"
        write_labels(path, np.tile(np.uint8(half), (HEIGHT, 1)))
    return tmp_path


def test_cityscapes_ids_become_classes(cityscapes_dir, run):
    prefix = cityscapes_dir / "records/train"
    flags = [f"--data_dir={cityscapes_dir}", f"--output_prefix={prefix}"]
    code, output, _ = run(cityscapes, *flags, "--split=train")
    assert code == 0
    assert "2  images" in output and "road" in output
    labels, images = read_records(prefix, 19)
    assert sorted(labels) == [
        f"{city}_000000_000019_leftImg8bit.png" for city in ("bonn", "ulm")
    ]
    by_id = np.concatenate(
        [
            labels["ulm_000000_000019_leftImg8bit.png"][0],
            labels["bonn_000000_000019_leftImg8bit.png"][0][6:],
        ]
    )
    # The published table of train ids; 29 and 30, caravan and trailer, are ignored.
    expected = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9}
    expected |= {23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}
    assert by_id.tolist() == [expected.get(number, 255) for number in range(34)]
    stored = cityscapes_dir / "leftImg8bit/train/ulm/ulm_000000_000019_leftImg8bit.png"
    assert images["ulm_000000_000019_leftImg8bit.png"] == stored.read_bytes()

    code, output, _ = run(
        cityscapes, *flags[:1], "--split=trainval", f"--output_prefix={prefix}val"
    )
    assert code == 0 and "3  images" in output


def test_cityscapes_says_what_it_expected_and_found(cityscapes_dir, tmp_path, run):
    records = tmp_path / "out"
    flags = ["--split=train", f"--output_prefix={records}/train"]
    code, _, error = run(cityscapes, f"--data_dir={tmp_path}/gtFine", *flags)
    assert code == 1
    assert "leftImg8bit/SPLIT/CITY" in error and "holds train, val" in error
    path = tmp_path / "gtFine/train/ulm/ulm_000000_000019_gtFine_labelIds.png"
    write_labels(path, label_block(7, 34))
    code, _, error = run(cityscapes, f"--data_dir={tmp_path}", *flags)
    assert code == 1
    assert str(path) in error and "value 34" in error
    path.unlink()
    code, _, error = run(cityscapes, f"--data_dir={tmp_path}", *flags)
    assert code == 1 and f"{path} does not exist" in error
    assert nothing_is_left(records)
    code, output, error = run(
        cityscapes, f"--data_dir={tmp_path}", *flags, "--on_error=skip"
    )
    assert code == 0
    assert "1  images" in output and "1  skipped: missing labels" in output
    assert f"{path} does not exist" in error


# ---- LIP ----


@pytest.mark.parametrize("nested", [False, True])
def test_lip_by_its_lists(nested, tmp_path, run):
    twice = "TrainVal_images/" if nested else ""
    images = tmp_path / f"TrainVal_images/{twice}train_images"
    labels = tmp_path / "TrainVal_parsing_annotations/train_segmentations"
    for name in ("1_2", "3_4", "5_6"):
        write_image(images / f"{name}.jpg")
        write_labels(labels / f"{name}.png", np.tile(np.uint8(range(20)), (HEIGHT, 1)))
    (images.parent / "train_id.txt").write_text("5_6\n1_2\n")
    flags = [f"--data_dir={tmp_path}", f"--output_prefix={tmp_path}/records/train"]
    code, output, _ = run(lip, *flags, "--split=train", "--num_shards=1")
    assert code == 0 and "2  images" in output
    found, _ = read_records(tmp_path / "records/train", 20)
    assert list(found) == ["5_6.jpg", "1_2.jpg"]
    assert found["1_2.jpg"][0].tolist() == list(range(20))

    code, _, error = run(lip, *flags, "--split=val", "--overwrite")
    assert code == 1 and "TrainVal_images/val_images" in error
    assert (
        "holds TrainVal_images" if nested else "train_id.txt, train_images"
    ) in error
    (images.parent / "train_id.txt").unlink()
    code, _, error = run(lip, *flags, "--split=train", "--overwrite")
    assert code == 1 and "--id_list" in error
    (tmp_path / "list.txt").write_text("1_2 3_4\n")
    flags += ["--split=train", "--overwrite", f"--id_list={tmp_path}/list.txt"]
    code, _, error = run(lip, *flags)
    assert code == 1 and "one ID per line; got '1_2 3_4'" in error


# ---- PASCAL-Context ----


@pytest.fixture
def voc_dir(tmp_path):
    for name in ("2008_000002", "2008_000003"):
        write_image(tmp_path / f"VOC2010/JPEGImages/{name}.jpg")
    lists = tmp_path / "VOC2010/ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2008_000002\n")
    (lists / "val.txt").write_text("2008_000003\n")
    return tmp_path / "VOC2010"


# Labels of the 459, and their class among 60 by name.
KNOWN_LABELS = {
    2: "aeroplane",
    9: "bag",
    18: "bed",
    23: "bicycle",
    59: "car",
    113: "dog",
    207: "horse",
    284: "person",
    308: "pottedplant",
    360: "sky",
    420: "tree",
    427: "tvmonitor",
    458: "wood",
    1: "background",
    459: "background",
    0: "background",
}


def check_context(prefix, name):
    labels, _ = read_records(prefix, 60)
    assert list(labels) == [name]
    classes = [BUILT_IN["pascal_context_60"].classes[i] for i in labels[name][0]]
    assert classes[: len(KNOWN_LABELS)] == list(KNOWN_LABELS.values())


def test_pascal_context_from_mat_files(voc_dir, tmp_path, run):
    (tmp_path / "trainval").mkdir()
    labels = label_block(*KNOWN_LABELS, dtype=np.uint16)
    path = tmp_path / "trainval/2008_000002.mat"
    scipy.io.savemat(path, {"LabelMap": labels})
    flags = [f"--data_dir={voc_dir}", f"--annotations={tmp_path}/trainval"]
    flags += ["--split=train", "--output_prefix", tmp_path / "records/train"]
    assert run(pascal_context, *flags)[0] == 0
    check_context(tmp_path / "records/train", "2008_000002.jpg")
    scipy.io.savemat(path, {"Labels": labels})
    code, _, error = run(pascal_context, *flags, "--overwrite")
    assert code == 1 and f"{path} holds no LabelMap" in error
    scipy.io.savemat(path, {"LabelMap": labels.astype(float)})
    assert run(pascal_context, *flags, "--overwrite")[0] == 0
    check_context(tmp_path / "records/train", "2008_000002.jpg")
    scipy.io.savemat(path, {"LabelMap": labels * 0.5})
    code, _, error = run(pascal_context, *flags, "--overwrite")
    assert code == 1 and "it is float64 [12, 20]" in error
    for content in (b"", b"x" * 200, path.read_bytes()[:150]):
        path.write_bytes(content)
        code, _, error = run(pascal_context, *flags, "--overwrite")
        assert code == 1 and f"{path} holds no LabelMap" in error


def test_pascal_context_from_json(voc_dir, tmp_path, run):
    labels = label_block(*KNOWN_LABELS, dtype=np.uint16)
    annotations = []
    for value in KNOWN_LABELS:
        inside = np.asfortranarray(labels == value, np.uint8)
        rle = coco_mask.encode(inside)
        segmentation = {"size": rle["size"], "counts": rle["counts"].decode()}
        annotations.append(
            {"image_id": 5, "category_id": value, "segmentation": segmentation}
        )
    size = {"height": HEIGHT, "width": WIDTH}
    content = {
        "images": [
            {"image_id": 5, "file_name": "2008_000003.jpg", "phase": "val", **size},
            {"image_id": 6, "file_name": "2008_000002.jpg", "phase": "train", **size},
        ],
        "annos_segmentation": annotations,
    }
    path = tmp_path / "trainval_merged.json"
    path.write_text(json.dumps(content))
    flags = [f"--data_dir={voc_dir}", f"--annotations={path}", "--output_prefix"]
    assert run(pascal_context, *flags, tmp_path / "records/val", "--split=val")[0] == 0
    check_context(tmp_path / "records/val", "2008_000003.jpg")

    for mistake in ({"counts": "0"}, {"size": [3, 3]}, None):
        broken = annotations[0]["segmentation"] | mistake if mistake else None
        first = {**annotations[0], "segmentation": broken}
        changed = {**content, "annos_segmentation": [first, *annotations[1:]]}
        path.write_text(json.dumps(changed))
        code, _, error = run(pascal_context, *flags, tmp_path / "bad/v", "--split=val")
        assert code == 1
        assert "/2008_000003.jpg (image_id 5) cannot be drawn" in error

    for name, shown in (("\ud800.jpg", r"'\ud800.jpg'"), (3, "3"), (None, "null")):
        images = [{**content["images"][0], "file_name": name}]
        path.write_text(json.dumps({**content, "images": images}))
        code, _, error = run(pascal_context, *flags, tmp_path / "r/v", "--split=val")
        assert code == 1 and f"{path}: file_name is {shown}; it must be" in error

    path.write_text(json.dumps({"images": []}))
    code, _, error = run(pascal_context, *flags, tmp_path / "r/v", "--split=val")
    assert code == 1 and "is unlike PASCAL in Detail's trainval_merged.json" in error
    assert not (tmp_path / "r").exists()


def test_pascal_context_from_label_images(voc_dir, tmp_path, run):
    labels = label_block(0, 1, 59)
    path = tmp_path / "labels/2008_000003.png"
    write_labels(path, labels)
    flags = [f"--data_dir={voc_dir}", f"--annotations={tmp_path}/labels"]
    flags += ["--split=val", "--output_prefix", tmp_path / "records/val"]
    assert run(pascal_context, *flags)[0] == 0
    found, _ = read_records(tmp_path / "records/val", 60)
    np.testing.assert_array_equal(found["2008_000003.jpg"], labels)
    write_labels(path, label_block(0, 60))
    code, _, error = run(pascal_context, *flags, "--overwrite")
    assert code == 1 and "value 60" in error


# ---- folders ----


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "classes.yaml").write_text(
        "classes: [sky, road, car]\n"
        "values: [0, 7, 26]\n"
        "colors: [[0, 0, 0], [128, 64, 128], [0, 0, 142]]\n"
    )
    for name in ("a.jpg", "deep/b.png"):
        write_image(tmp_path / "images" / name)
    write_labels(tmp_path / "labels/a.png", label_block(26, 7, 255, 0))
    write_labels(tmp_path / "labels/deep/b.png", label_block(0))
    return tmp_path


def folder_flags(folder, *more):
    return [
        f"--image_dir={folder}/images",
        f"--label_dir={folder}/labels",
        f"--label_set={folder}/classes.yaml",
        f"--output_prefix={folder}/records/train",
        *more,
    ]


def test_folders_are_paired_by_name(folder, run):
    code, output, _ = run(segmentation_folder, *folder_flags(folder))
    assert code == 0
    assert "2  images" in output and "(ignored)" in output
    labels, _ = read_records(folder / "records/train", 3)
    np.testing.assert_array_equal(labels["a.jpg"], label_block(2, 1, 255, 0))
    np.testing.assert_array_equal(labels["b.png"], label_block(0))


def colored(labels):
    colors = {0: (0, 0, 0), 7: (128, 64, 128), 26: (0, 0, 142)}
    return np.array([[colors[value] for value in row] for row in labels], np.uint8)


def test_labels_may_be_a_palette_colours_or_wide_numbers(folder, run):
    labels = label_block(26, 7, 0)
    palette = Image.fromarray(labels)
    palette = Image.frombytes("P", palette.size, palette.tobytes())
    palette.putpalette([255, 0, 0] * 256)
    for image in (palette, colored(labels), labels.astype(np.uint16)):
        if isinstance(image, np.ndarray):
            write_labels(folder / "labels/a.png", image)
        else:
            image.save(folder / "labels/a.png")
        assert run(segmentation_folder, *folder_flags(folder, "--overwrite"))[0] == 0
        found, _ = read_records(folder / "records/train", 3)
        np.testing.assert_array_equal(found["a.jpg"], label_block(2, 1, 0))


def wrong_color(folder):
    labels = colored(label_block(26, 7))
    labels[3, 5] = 9
    write_labels(folder / "labels/a.png", labels)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda f: write_labels(f / "labels/a.png", label_block(0, 3)),
            "labels/a.png holds the value 3",
        ),
        (
            lambda f: write_labels(f / "labels/a.png", label_block(0)[:, 1:]),
            "labels/a.png is 19x12 pixels, but its image",
        ),
        (lambda f: (f / "labels/a.png").unlink(), "labels/a.png does not exist"),
        (
            lambda f: (f / "labels/a.png").write_bytes(b"nothing"),
            "labels/a.png is not an image, or of a format that",
        ),
        (wrong_color, "[9, 9, 9] at row 3, column 5"),
        (
            lambda f: (f / "images/a.jpg").write_bytes(b"\xff\xd8\xff" + 9 * b"x"),
            "images/a.jpg is not an image, or a damaged one",
        ),
        (
            lambda f: (f / "classes.yaml").write_text("classes: [a]"),
            "classes.yaml: Label set",
        ),
    ],
)
def test_faults_are_named_and_nothing_is_written(folder, run, change, sentence):
    change(folder)
    code, _, error = run(segmentation_folder, *folder_flags(folder))
    assert code in (1, 2)
    assert sentence in error
    assert nothing_is_left(folder / "records")


def test_other_names_of_labels_are_explained(folder, run):
    (folder / "labels/a.png").rename(folder / "labels/a_mask.png")
    (folder / "labels/deep/b.png").rename(folder / "labels/deep/b_mask.png")
    code, _, error = run(segmentation_folder, *folder_flags(folder))
    assert code == 1
    assert "a.png is expected" in error and "holds a_mask.png, deep" in error
    flags = folder_flags(folder, "--label_suffix=_mask.png")
    assert run(segmentation_folder, *flags)[0] == 0


def test_a_folder_without_images_is_named(folder, run):
    (folder / "empty").mkdir()
    flags = [f"--image_dir={folder}/empty", *folder_flags(folder)[1:]]
    code, _, error = run(segmentation_folder, *flags)
    assert code == 1 and "empty holds no image" in error


def test_earlier_records_are_kept_unless_told(folder, run):
    assert run(segmentation_folder, *folder_flags(folder))[0] == 0
    code, _, error = run(segmentation_folder, *folder_flags(folder))
    assert code == 1 and "--overwrite" in error


# ---- masks as people store them ----


def classes(folder, text):
    (folder / "classes.yaml").write_text(text)


def write_both(folder, first, second=None):
    """The same label image for both images, or one for each."""
    first.save(folder / "labels/a.png")
    (second or first).save(folder / "labels/deep/b.png")


def palette_image(labels, colors, **options):
    image = Image.frombytes("P", labels.shape[::-1], labels.tobytes())
    image.putpalette([value for color in colors for value in color])
    image.info.update(options)
    return image


def converted(folder, run, *flags):
    code, output, error = run(
        segmentation_folder, *folder_flags(folder, "--overwrite", *flags)
    )
    assert code == 0, error
    num_classes = output.count("% of pixels") - 1
    return read_records(folder / "records/train", num_classes)[0], output, error


def refused(folder, run, *flags):
    code, _, error = run(segmentation_folder, *folder_flags(folder, *flags))
    assert code == 1
    assert nothing_is_left(folder / "records")
    return error


BINARY = label_block(0, 255)


def test_a_class_without_pixels_while_255_occurs_is_refused(folder, run):
    classes(folder, "classes: [background, tumour]")
    write_both(folder, Image.fromarray(BINARY), Image.fromarray(label_block(0)))
    error = refused(folder, run)
    assert "None of 2 label images has a pixel of the class tumour" in error
    assert f"1 of them hold the value 255 ({(BINARY == 255).sum()} pixels)" in error
    for advice in ("values: [0, 255]", "ignore: [255]", "--ignore_value=255"):
        assert advice in error

    labels, output, error = converted(folder, run, "--ignore_value=255")
    np.testing.assert_array_equal(labels["a.jpg"], BINARY)
    assert "No pixel has the class tumour." in error
    classes(folder, "classes: [background, tumour]\nignore: [255]")
    np.testing.assert_array_equal(converted(folder, run)[0]["a.jpg"], BINARY)
    classes(folder, "classes: [background, tumour]\nvalues: [0, 255]")
    np.testing.assert_array_equal(converted(folder, run)[0]["a.jpg"], BINARY // 255)


def test_a_class_without_pixels_alone_is_told_of(folder, run):
    classes(folder, "classes: [background, tumour, bone]")
    write_both(folder, Image.fromarray(label_block(0, 2)))
    _, _, error = converted(folder, run)
    assert error.splitlines()[-1] == "No pixel has the class tumour."


def test_other_values_and_colours_can_be_ignored(folder, run):
    classes(folder, "classes: [sky, road]\nignore: [9, 77]")
    write_both(folder, Image.fromarray(label_block(9, 1, 77, 0)))
    expected = label_block(255, 1, 255, 0)
    np.testing.assert_array_equal(converted(folder, run)[0]["a.jpg"], expected)
    classes(folder, "classes: [sky, road]\nignore: [9]")
    np.testing.assert_array_equal(
        converted(folder, run, "--ignore_value=77")[0]["a.jpg"], expected
    )
    classes(
        folder,
        "classes: [sky, road]\ncolors: [[5, 5, 5], [6, 6, 6]]\n"
        "ignore: [[0, 0, 0], [9, 9, 9]]",
    )
    grey = label_block(0, 6, 9, 5)
    write_both(folder, Image.fromarray(np.repeat(grey[..., np.newaxis], 3, -1)))
    np.testing.assert_array_equal(converted(folder, run)[0]["a.jpg"], expected)


def test_unknown_colours_are_counted_and_can_be_ignored(folder, run):
    labels = colored(label_block(26, 7, 0))
    labels[:2] = [9, 8, 7]
    write_both(folder, Image.fromarray(labels))
    error = refused(folder, run)
    assert f"the colour [9, 8, 7] at row 0, column 0 ({2 * WIDTH} pixels)" in error
    assert "add ignore: [[9, 8, 7]]" in error
    assert "instead of a built-in label set, give a file" in error


COLORS = [(0, 0, 0), (128, 64, 128), (0, 0, 142)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_palettes_are_read_by_colour(folder, run, order):
    classes(folder, f"classes: [a, b, c]\ncolors: {[list(c) for c in COLORS]}")
    colors = [COLORS[place] for place in order]
    write_both(
        folder,
        palette_image(label_block(2, 1, 0), colors),
        palette_image(label_block(2, 1, 0), COLORS),
    )
    labels, _, _ = converted(folder, run)
    np.testing.assert_array_equal(labels["a.jpg"], label_block(*order[::-1]))
    np.testing.assert_array_equal(labels["b.png"], label_block(2, 1, 0))


def test_what_palettes_have_besides_colours_of_classes(folder, run):
    text = f"classes: [a, b, c]\ncolors: {[list(c) for c in COLORS]}"
    classes(folder, text)
    # The index 255 of PASCAL VOC has a colour of its own.
    colors = [*COLORS, *[(1, 1, 1)] * 252, (224, 224, 192)]
    void = label_block(255, 2, 1, 0)
    write_both(folder, palette_image(void, colors))
    np.testing.assert_array_equal(converted(folder, run)[0]["a.jpg"], void)
    # Grey images may be stored with a palette, too.
    write_both(folder, palette_image(void, [(v, v, v) for v in range(256)]))
    np.testing.assert_array_equal(converted(folder, run)[0]["a.jpg"], void)
    # An unknown colour that occurs is refused, and may be ignored.
    other = palette_image(label_block(3, 2, 1, 0), [*COLORS, (7, 8, 9)])
    write_both(folder, other)
    (folder / "records/train-00000-of-00002.tfrecord").unlink()
    (folder / "records/train-00001-of-00002.tfrecord").unlink()
    (folder / "records/train.conversion.json").unlink()
    error = refused(folder, run)
    assert f"the colour [7, 8, 9] as palette index 3 ({HEIGHT} pixels)" in error
    classes(folder, f"{text}\nignore: [[7, 8, 9]]")
    np.testing.assert_array_equal(converted(folder, run)[0]["a.jpg"], void)


def test_palettes_that_contradict_each_other_are_refused(folder, run):
    classes(folder, "classes: [a, b, c]")
    one = palette_image(label_block(2, 1, 0), COLORS)
    write_both(folder, one)
    np.testing.assert_array_equal(
        converted(folder, run)[0]["a.jpg"], label_block(2, 1, 0)
    )
    write_both(folder, one, palette_image(label_block(2, 1, 0), COLORS[::-1]))
    code, _, error = run(
        segmentation_folder, *folder_flags(folder, "--overwrite", "--on_error=skip")
    )
    assert code == 1
    assert "The palettes of label images contradict each other: index" in error
    assert "labels/a.png" in error and "labels/deep/b.png" in error
    assert "colors: ..." in error
    # Indices that do not occur may have any colour.
    write_both(folder, one, palette_image(label_block(2, 1), [(9, 9, 9), *COLORS[1:]]))
    converted(folder, run)


def test_alpha_is_dropped_if_all_is_opaque(folder, run):
    classes(folder, f"classes: [a, b, c]\ncolors: {[list(c) for c in COLORS]}")
    labels = label_block(2, 1, 0)
    opaque = np.full_like(labels, 255)
    write_both(folder, Image.fromarray(np.dstack([labels, opaque]), "LA"))
    np.testing.assert_array_equal(converted(folder, run)[0]["a.jpg"], labels)
    rgb = np.array(COLORS, np.uint8)[labels]
    write_both(folder, Image.fromarray(np.dstack([rgb, opaque])))
    np.testing.assert_array_equal(converted(folder, run)[0]["a.jpg"], labels)

    opaque[2, 3:5] = 254
    for file in (folder / "records").iterdir():
        file.unlink()
    for pixels in ([labels, opaque], [rgb, opaque]):
        write_both(folder, Image.fromarray(np.dstack(pixels)))
        assert "a.png has 2 pixels that are not opaque" in refused(folder, run)
    write_both(folder, palette_image(labels, COLORS))
    path = folder / "labels/a.png"
    sentence = f"a.png has {HEIGHT} pixels that are not opaque"
    for colors in (f"\ncolors: {[list(c) for c in COLORS]}", ""):
        classes(folder, f"classes: [a, b, c]{colors}")
        for transparency in (1, b"\xff\x80"):
            palette_image(labels, COLORS).save(path, transparency=transparency)
            assert sentence in refused(folder, run)
    classes(folder, f"classes: [a, b, c]\ncolors: {[list(c) for c in COLORS]}")
    Image.fromarray(labels).save(path, transparency=1)
    assert sentence in refused(folder, run)
    Image.fromarray(rgb).save(path, transparency=COLORS[1])
    assert sentence in refused(folder, run)
    Image.fromarray(labels == 1).save(path, transparency=255)
    assert sentence in refused(folder, run)
    # Transparent values that do not occur change nothing.
    Image.fromarray(labels).save(path, transparency=7)
    converted(folder, run)


def void_last(colors):
    """A palette whose index 255 has the last of the colours, and all unused ones."""
    return [*colors, *[colors[-1]] * (256 - len(colors))]


@pytest.mark.parametrize("ignore", ["", "ignore: [255]"])
def test_index_255_of_palettes_has_no_class(folder, run, ignore):
    colors = [COLORS[2], COLORS[1], COLORS[0]]  # unused entries are black
    text = f"classes: [c, b, a]\ncolors: {[list(c) for c in colors]}\n"
    classes(folder, text + ignore)
    labels = label_block(255, 2, 1, 0)
    write_both(folder, palette_image(labels, void_last(colors)))
    np.testing.assert_array_equal(converted(folder, run)[0]["a.jpg"], labels)


def test_index_255_may_be_a_class_by_its_colour_alone(folder, run):
    classes(folder, "classes: [a, b]\ncolors: [[255, 255, 255], [0, 0, 0]]")
    write_both(folder, palette_image(BINARY, [(v, v, v) for v in range(256)]))
    np.testing.assert_array_equal(
        converted(folder, run)[0]["a.jpg"], np.where(BINARY, 0, 1)
    )
    labels, _, _ = converted(folder, run, "--ignore_value=255")
    np.testing.assert_array_equal(labels["a.jpg"], np.where(BINARY, 255, 1))


@pytest.mark.parametrize("lost", [[(v, v, v) for v in range(256)], [(0, 0, 0)] * 256])
def test_palettes_that_were_lost_are_read_by_index_throughout(folder, run, lost):
    classes(
        folder,
        "classes: [road, car, bg]\ncolors: [[128, 64, 128], [0, 0, 142], [0, 0, 0]]",
    )
    write_both(
        folder,
        palette_image(label_block(2, 1, 0), lost),
        palette_image(label_block(0), lost),
    )
    labels, _, _ = converted(folder, run)
    np.testing.assert_array_equal(labels["a.jpg"], label_block(2, 1, 0))
    np.testing.assert_array_equal(labels["b.png"], label_block(0))
    if lost[0] == lost[1]:
        classes(folder, "classes: [a, b, c]\ncolors: [[9, 9, 9], [8, 8, 8], [0, 0, 0]]")
        np.testing.assert_array_equal(
            converted(folder, run)[0]["a.jpg"], label_block(2, 1, 0)
        )


def test_palettes_with_an_undeclared_255_lack_no_class(folder, run):
    text = "classes: [bg, x]\ncolors: [[0, 0, 0], [255, 0, 0]]\n"
    classes(folder, text)
    colors = [(0, 0, 0), (255, 0, 0), *[(1, 1, 1)] * 253, (255, 255, 255)]
    write_both(folder, palette_image(BINARY, colors))
    error = refused(folder, run)
    assert "has a pixel of the class x" in error
    assert f"2 of them hold the value 255 ({2 * (BINARY == 255).sum()} pixels)" in error
    classes(folder, f"{text}ignore: [[255, 255, 255]]")
    np.testing.assert_array_equal(converted(folder, run)[0]["a.jpg"], BINARY)
    # As a class's value it is no longer one without a class.
    classes(folder, f"{text}values: [0, 255]")
    flags = folder_flags(folder, "--overwrite")
    code, _, error = run(segmentation_folder, *flags)
    assert code == 1 and "[255, 255, 255] as palette index 255" in error


@pytest.mark.parametrize(
    ("colors", "expected"),
    [
        ("[[255, 255, 255], [0, 0, 0]]", (1, 0)),
        ("[[0, 0, 0], [255, 255, 255]]", (0, 1)),
        ("[[0, 0, 0], [255, 0, 0]]", (0, 1)),
        ("[[9, 0, 0], [255, 0, 0]]", (0, 1)),
        ("[[9, 9, 9], [0, 0, 0]]\nignore: [[255, 255, 255]]", (1, 255)),
        ("[[255, 255, 255], [0, 0, 0]]\nvalues: [0, 1]", (0, 1)),
        ("[[255, 255, 255], [255, 0, 0]]", None),
        ("[[255, 0, 0], [0, 0, 0]]", None),
    ],
)
def test_black_and_white_of_1_bit_are_colours(folder, run, colors, expected):
    classes(folder, f"classes: [a, b]\ncolors: {colors}")
    write_both(folder, Image.fromarray(label_block(0, 1) == 1))
    if expected is None:
        assert "only one of black and white is a colour" in refused(folder, run)
    else:
        labels, _, _ = converted(folder, run)
        np.testing.assert_array_equal(labels["a.jpg"], label_block(*expected))


@pytest.mark.parametrize(
    ("values", "bits", "expected"),
    [
        ("", 1, (0, 1)),
        ("values: [0, 1]", 1, (0, 1)),
        ("values: [0, 255]", 1, (0, 1)),
        ("values: [255, 0]", 1, (1, 0)),
        ("", 2, (0, 1)),
        ("values: [0, 85]", 2, (0, 1)),
        ("values: [0, 17]", 4, (0, 1)),
        ("values: [17, 1, 0]", 4, (2, 1)),
        ("values: [7, 1, 0]", 1, (2, 1)),
        ("values: [0, 1, 255]", 1, (0, 2)),
    ],
)
def test_values_of_few_bits(folder, run, values, bits, expected):
    names = "abc"[: max(2, values.count(",") + 1)]
    classes(folder, f"classes: {list(names)}\n{values}")
    # OpenCV and Pillow write 1 bit only.
    content = png_of_few_bits(label_block(0, 1), bits)
    for name in ("a", "deep/b"):
        (folder / f"labels/{name}.png").write_bytes(content)
    labels, _, _ = converted(folder, run)
    np.testing.assert_array_equal(labels["a.jpg"], label_block(*expected))


@pytest.mark.parametrize(
    ("text", "bits", "stored", "expected"),
    [
        ("values: [0, 1]\nignore: [3]", 2, (0, 1, 3), (0, 1, 255)),
        ("values: [0, 17]", 4, (0, 1, 15), (0, 1, 255)),
        ("values: [0, 17]\nignore: [34]", 4, (0, 1, 2), (0, 1, 255)),
        ("values: [0, 2]\nignore: [1]", 1, (0, 1), (0, 255)),
        ("values: [0, 2]\nignore: [255]", 1, (0, 1), (0, 255)),
        ("values: [0, 1]", 4, (0, 1, 7), "value 7"),
        ("values: [0, 1]", 2, (0, 1, 3), "value 3"),
        ("values: [0, 2]", 1, (0, 1), "value 1"),
    ],
)
def test_ignored_and_wrong_values_of_few_bits(
    folder, run, text, bits, stored, expected
):
    classes(folder, f"classes: [a, b]\n{text}")
    for name in ("a", "deep/b"):
        content = png_of_few_bits(label_block(*stored), bits)
        (folder / f"labels/{name}.png").write_bytes(content)
    if isinstance(expected, str):
        assert f"a.png holds the {expected}, which is not" in refused(folder, run)
    else:
        labels, _, _ = converted(folder, run)
        np.testing.assert_array_equal(labels["a.jpg"], label_block(*expected))


def png_of_few_bits(samples, bits):
    weights = 2 ** np.arange(8 - bits, -1, -bits)
    per_byte = 8 // bits
    padded = np.pad(samples, ((0, 0), (0, -WIDTH % per_byte)))
    packed = (padded.reshape(HEIGHT, -1, per_byte) * weights).sum(-1).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, 0, 0, 0, 0)
    pixels = zlib.compress(rows)
    signature = b"\x89PNG\r\n\x1a\n"
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return signature + b"".join(chunks)


def test_colours_of_16_bits_are_refused(folder, run):
    cv2.imwrite(str(folder / "labels/a.png"), np.ones((HEIGHT, WIDTH, 3), np.uint16))
    assert "a.png has 16 bits per channel" in refused(folder, run)


def test_labels_and_images_are_turned_alike(folder, run):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.jpg", "deep/b.png"):
        Image.fromarray(PIXELS).save(folder / "images" / name, exif=exif)
    error = refused(folder, run)
    assert "2 image files have an EXIF orientation" in error and "a.jpg (6)" in error

    stored, shown = label_block(26, 7, 0), np.rot90(label_block(26, 7, 0), 3)
    expected = label_block(2, 1, 0)
    write_both(folder, Image.fromarray(stored))
    labels, output, _ = converted(folder, run, "--exif=ignore")
    np.testing.assert_array_equal(labels["a.jpg"], expected)
    assert "2  image files with an EXIF orientation, ignored" in output
    for file in (folder / "records").iterdir():
        file.unlink()
    assert "20x12 pixels, but its image" in refused(folder, run, "--exif=apply")
    # Labels drawn on what viewers show; and labels that viewers turn, too.
    write_both(folder, Image.fromarray(shown))
    Image.fromarray(stored).save(folder / "labels/deep/b.png", exif=exif)
    code, output, _ = run(segmentation_folder, *folder_flags(folder, "--exif=apply"))
    assert code == 0 and "3  image files turned" in output
    files = sorted(map(str, (folder / "records").glob("*.tfrecord")))
    for serialized in tf.data.TFRecordDataset(files):
        record = segmentation_records.parse_image_record(serialized, 3)
        found = tf.io.decode_png(record["labels_encoded"])[..., 0].numpy()
        np.testing.assert_array_equal(found, np.rot90(expected, 3))
        image = tf.io.decode_image(record["encoded"]).numpy()
        if b"JFIF" not in record["encoded"].numpy():
            np.testing.assert_array_equal(image, np.rot90(PIXELS, 3))
        assert image.shape == (WIDTH, HEIGHT, 3)


@pytest.mark.parametrize("big_tiff", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_labels_are_turned_once(folder, run, orientation, big_tiff):
    classes(folder, "classes: [a, b, c]")
    labels = label_block(2, 1, 0)
    labels[0] = 1
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a", "deep/b"):
        Image.fromarray(PIXELS).save(folder / f"images/{name}.png", exif=exif)
        Image.fromarray(labels).save(
            folder / f"labels/{name}.tif",
            tiffinfo={0x0112: orientation},
            big_tiff=big_tiff,
        )
    (folder / "images/a.jpg").unlink()
    for rule, expected in (
        ("ignore", labels),
        ("apply", pictures.turned(labels, orientation)),
    ):
        flags = ("--label_suffix=.tif", "--overwrite", f"--exif={rule}")
        code, _, error = run(segmentation_folder, *folder_flags(folder, *flags))
        assert code == 0, error
        files = sorted(map(str, (folder / "records").glob("*.tfrecord")))
        for serialized in tf.data.TFRecordDataset(files):
            record = segmentation_records.parse_image_record(serialized, 3)
            found = tf.io.decode_png(record["labels_encoded"])[..., 0].numpy()
            np.testing.assert_array_equal(found, expected)


def test_the_reason_why_an_image_cannot_be_used(folder, run, monkeypatch):
    content = bytearray((folder / "images/deep/b.png").read_bytes())
    content[16:24] = (33000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    for name in ("images/a.jpg", "labels/deep/b.png"):
        (folder / name).write_bytes(content)
    (folder / "images/c.jpg").write_bytes(b"")
    (folder / "images/._d.jpg").write_bytes(b"of a Mac")
    (folder / "images/e.heic").write_bytes(b"of a phone")
    error = refused(folder, run, "--on_error=skip")
    assert "All 3 images were skipped" in error
    write_both(folder, Image.fromarray(label_block(26, 7, 0)))
    (folder / "labels/c.png").write_bytes(b"")
    _, output, error = converted(folder, run, "--on_error=skip")
    assert "images/a.jpg is too large: it has 1089000000 pixels" in error
    assert "images/c.jpg is not an image, or a damaged one: the file is empty" in error
    assert "2  skipped: unreadable image" in output

    def fail(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(images, "decode_image", fail)
    (folder / "images/a.jpg").unlink()
    (folder / "images/c.jpg").unlink()
    flags = folder_flags(folder, "--on_error=skip", "--overwrite")
    _, _, error = run(segmentation_folder, *flags)
    assert "deep/b.png: there is not enough memory to decode it" in error


def test_records_tell_which_classes_they_lack(folder, run):
    classes(folder, "classes: [sky, road, car, tree]\nignore: 255")
    write_both(folder, *(Image.fromarray(label_block(*v)) for v in ((0, 2), (0, 255))))
    converted(folder, run)
    files = sorted(map(str, (folder / "records").glob("*.tfrecord")))
    assert segmentation_records.missing_classes(files, 4) == [1, 3]
    assert segmentation_records.missing_classes(files, 5) == []
    assert segmentation_records.missing_classes([str(folder / "classes.yaml")], 4) == []
    old = tf.train.Example()
    with tf.io.TFRecordWriter(str(folder / "old.tfrecord")) as writer:
        writer.write(old.SerializeToString())
    assert segmentation_records.missing_classes([str(folder / "old.tfrecord")], 4) == []


def test_labels_larger_than_their_image_are_not_decoded(folder, run, monkeypatch):
    """A small file may hold more pixels than the memory."""
    Image.new("L", (2000, 3000)).save(folder / "labels/a.png")
    monkeypatch.setattr(pictures, "open_with_pillow", None)
    error = refused(folder, run)
    assert "labels/a.png is 2000x3000 pixels, but its image" in error


def test_images_and_labels_have_a_limit(folder, run):
    error = refused(folder, run, f"--max_pixels={WIDTH * HEIGHT - 1}")
    assert f"images/a.jpg is too large: it has {WIDTH * HEIGHT} pixels" in error


def test_labels_have_a_limit(folder):
    path = str(folder / "labels/a.png")
    assert read_label_image(path, WIDTH * HEIGHT).values.shape == (HEIGHT, WIDTH)
    with pytest.raises(Unusable, match=f"at most {WIDTH * HEIGHT - 1};"):
        read_label_image(path, WIDTH * HEIGHT - 1)


def test_a_pipe_among_labels_is_named(folder, run):
    (folder / "labels/a.png").unlink()
    os.mkfifo(folder / "labels/a.png")
    assert "labels/a.png is a pipe, not a file" in refused(folder, run)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"file_name": "../a.jpg"}, "which leads out of JPEGImages"),
        ({"width": "9"}, "width is '9'"),
        ({"height": 10**400}, "height is 1000"),
        ({"width": 2**31, "height": 2**31}, "must have less than 2^31 pixels"),
        ({"image_id": []}, "is unlike PASCAL in Detail's"),
    ],
)
def test_images_of_pascal_context_are_checked(tmp_path, run, change, sentence):
    (tmp_path / "JPEGImages").mkdir()
    entry = {"file_name": "a.jpg", "phase": "val", "image_id": 1} | {
        **dict.fromkeys(("width", "height"), 9),
        **change,
    }
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"images": [entry], "annos_segmentation": []}))
    code, _, error = run(
        *(pascal_context, f"--data_dir={tmp_path}", f"--annotations={path}"),
        *("--split=val", f"--output_prefix={tmp_path}/records/val"),
    )
    assert code == 1
    assert sentence in error


def test_readers_of_labels_have_the_limit_of_images(folder):
    limit = WIDTH * HEIGHT - 1
    label_set = load_label_set(str(folder / "classes.yaml"))
    readers = {
        "folder": FolderLabels(label_set).read,
        "lip": lip_layout.read_labels,
        "cityscapes": cityscapes_layout.read_labels,
        "pascal": context_layout._read_png,
    }
    for reader in readers.values():
        with pytest.raises(Unusable, match=f"at most {limit}; .*--max_pixels"):
            reader(Pair("", str(folder / "labels/a.png")), limit)
    path = folder / "labels/a.mat"
    scipy.io.savemat(path, {"LabelMap": label_block(0)})
    with pytest.raises(Unusable, match=f"at most {limit} are read; .*--max_pixels"):
        context_layout._read_mat(Pair("", str(path)), limit)
    regions = context_layout._RegionPair("", "x.json", HEIGHT, WIDTH, 5, [])
    with pytest.raises(Unusable, match=f"at most {limit} are read; .*--max_pixels"):
        context_layout._read_regions(regions, limit)


def test_a_higher_limit_holds_for_labels_too(folder):
    limits = []

    def read(pair, max_pixels):
        limits.append(max_pixels)
        return Labels(np.zeros((HEIGHT, WIDTH), np.uint8))

    pairs = [Pair(str(folder / "images/a.jpg"), str(folder / "labels/a.png"))]
    segmentation.convert(
        pairs,
        read,
        load_label_set(str(folder / "classes.yaml")),
        str(folder / "records/train"),
        max_pixels=300_000_000,
    )
    assert limits == [300_000_000]
