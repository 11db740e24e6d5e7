"""Exported segmentation models answer as the checkpoint does, through every door."""

import dataclasses
import functools

import cv2
import numpy as np
import pytest
import tensorflow as tf
from batched import same_lines
from signature_page import TFLITE, assert_documented

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs import segmentation
from hrnet_tf.data.inputs.normalization import normalize_image
from hrnet_tf.data.vocabularies.label_sets import label_set_from_spec
from hrnet_tf.modeling.segmentation_model import build_segmentation_model
from hrnet_tf.serving import saved_model, tflite
from hrnet_tf.serving.loading import load_model
from hrnet_tf.serving.metadata import parse
from hrnet_tf.serving.predictors import load_predictor
from hrnet_tf.serving.segmentation.metadata import SegmentationMetadata
from hrnet_tf.serving.segmentation.module import SegmentationModule
from hrnet_tf.serving.segmentation.predictor import fit_image
from hrnet_tf.serving.tflite_metadata import read_description
from tests.conftest import TOY_BACKBONE

LABELS = label_set_from_spec(
    {"classes": ["none", "left", "right", "up"], "flip_pairs": [["left", "right"]]},
    "test",
)


def noise(height, width, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def build(decoder, upsampling="bilinear"):
    """A network, always with the same weights."""
    task = segmentation.SegmentationTask()
    backbone = {**TOY_BACKBONE["hrnet"], "fuse_upsampling": upsampling}
    task.model.override(
        {
            "num_classes": 4,
            "backbone": {"hrnet": backbone},
            "decoder": {"type": decoder, decoder: {"upsampling": upsampling}},
        }
    )
    if decoder == "hrnetv2_ocr":
        task.model.decoder.hrnetv2_ocr.override({"num_filters": 8, "key_filters": 4})
    model = build_segmentation_model(task.model)
    generator = np.random.default_rng(0)
    for variable in model.variables:
        if "kernel" in variable.name:
            scale = 1.2 / np.sqrt(np.prod(variable.shape[:-1]))
            variable.assign(generator.normal(0, scale, variable.shape))
        elif "variance" in variable.name or "gamma" in variable.name:
            variable.assign(generator.uniform(0.7, 1.4, variable.shape))
    # Every class is the greatest somewhere.
    images = normalize_image(np.stack([noise(64, 96, seed) for seed in range(8)]))
    logits = model(images, training=False)["logits"].numpy()
    bias = next(v for v in model.head.variables if "bias" in v.name)
    bias.assign(-logits.mean(axis=(0, 1, 2)))
    return model


def make_metadata(
    method="long_side",
    flip_test=False,
    decoder="hrnetv2",
    upsampling="bilinear",
    input_size=None,
):
    task = segmentation.SegmentationTask()
    task.resizing.override({"method": method, "long_side": 96, "size": [73, 73]})
    task.model.decoder.override({"type": decoder, decoder: {"upsampling": upsampling}})
    return SegmentationMetadata.of_task(task, LABELS, flip_test, input_size)


# As it was trained: modules fold the norms of theirs.
trained = functools.cache(build)


@functools.cache
def make(decoder="hrnetv2", upsampling="bilinear", **options):
    """A module, its metadata and the network that it is made of."""
    metadata = make_metadata(decoder=decoder, upsampling=upsampling, **options)
    module = SegmentationModule(build(decoder, upsampling), metadata)
    return module, metadata, trained(decoder, upsampling)


@functools.cache
def mobile_file(quantize):
    """The content of a .tflite file for images of 64x96 pixels."""
    module, metadata, _ = make(input_size=(64, 96))
    images = [noise(64, 96, seed) for seed in range(8)]
    return tflite.convert(module, metadata, quantize, False, images)


def test_signatures_are_those_of_the_page():
    module, _, _ = make(input_size=(64, 96))
    graphs = module.signatures()
    assert_documented("Segmentation", {**graphs, TFLITE: module.mobile_function(True)})


def expected_logits(model, metadata, image):
    """At the image's size, by OpenCV and the network as it was trained."""
    height, width = image.shape[:2]
    if metadata.resizing.method == "fixed":
        size = padded = metadata.resizing.size
    else:
        longer = max(height, width)
        size = [int(side * 96 / longer + 0.5) for side in (height, width)]
        padded = [-(-side // 32) * 32 for side in size]
    pixels = np.zeros((*padded, 3), np.float32)
    resized = cv2.resize(image.astype(np.float32), (size[1], size[0]))
    pixels[: size[0], : size[1]] = resized

    def logits(pixels):
        inputs = normalize_image(pixels)[tf.newaxis]
        found = model(inputs, training=False)["logits"][0].numpy()
        return cv2.resize(found, (pixels.shape[1], pixels.shape[0]))

    found = logits(pixels)
    if metadata.flip_test:
        found = (found + logits(pixels[:, ::-1])[:, ::-1][..., [0, 2, 1, 3]]) / 2
    found = found[: size[0], : size[1]]
    return cv2.resize(found, (width, height))


def assert_same_classes(found, logits):
    """Classes whose logits are all but equal may be either."""
    ordered = np.sort(logits, axis=-1)
    is_clear = ordered[..., -1] - ordered[..., -2] > 1e-3 * logits.std()
    assert is_clear.mean() > 0.95
    np.testing.assert_array_equal(found[is_clear], logits.argmax(-1)[is_clear])


@pytest.mark.parametrize(
    ("method", "flip_test"),
    [
        ("long_side", True),
        ("fixed", False),
        # Each makes and traces a network of its own.
        pytest.param("long_side", False, marks=pytest.mark.slow),
        pytest.param("fixed", True, marks=pytest.mark.slow),
    ],
)
def test_bytes_of_images_of_any_sizes(method, flip_test):
    module, metadata, model = make(method=method, flip_test=flip_test)
    images = [noise(60, 80), noise(130, 90, 1), noise(33, 47, 2)]
    encoded = [cv2.imencode(".png", image[..., ::-1])[1].tobytes() for image in images]
    answer = module.signatures()["serving_default"](image_bytes=tf.constant(encoded))
    scored = module.signatures()["logits"](image_bytes=tf.constant(encoded))
    assert answer["label_map"].shape == (3, 130, 90)
    assert scored["logits"].shape == (3, 130, 90, 4)
    for index, image in enumerate(images):
        height, width = image.shape[:2]
        assert answer["image_sizes"][index].numpy().tolist() == [height, width]
        label_map = answer["label_map"][index].numpy()
        logits = expected_logits(model, metadata, image)
        assert_same_classes(label_map[:height, :width], logits)
        assert (label_map[height:] == 255).all() and (label_map[:, width:] == 255).all()
        found = scored["logits"][index].numpy()
        assert np.abs(found[:height, :width] - logits).max() < 1e-3 * logits.std()
        assert not found[height:].any() and not found[:, width:].any()
    assert len(np.unique(answer["label_map"])) > 2


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("decoder", "upsampling"),
    [("hrnetv2", "bilinear_align_corners"), ("hrnetv2_ocr", "bilinear")],
)
def test_other_networks(decoder, upsampling):
    module, _, model = make(decoder=decoder, upsampling=upsampling)
    images = np.stack([noise(64, 96), noise(64, 96, 1)])
    found = module.predict_maps(tf.constant(images)).numpy()
    expected = model(normalize_image(images), training=False)["logits"].numpy()
    assert np.abs(found - expected).max() < 1e-3 * expected.std()


def test_no_images_and_no_image(tmp_path):
    module, *_ = make(method="long_side")
    signatures = module.signatures()
    empty = signatures["serving_default"](image_bytes=tf.constant([], tf.string))
    assert empty["label_map"].shape == (0, 0, 0)
    assert empty["image_sizes"].shape == (0, 2)
    none = signatures["image"](images=tf.zeros([0, 20, 30, 3], tf.uint8))
    assert none["label_map"].shape == (0, 20, 30)
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["serving_default"](image_bytes=tf.constant([b"nothing"]))


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """Returns a function that writes 1/ and m.tflite, once for each way of resizing."""

    @functools.cache
    def written(method):
        folder = tmp_path_factory.mktemp(method)
        module, metadata, _ = make(method=method)
        saved_model.write_saved_model(module, metadata, str(folder / "1"))
        (folder / "m.tflite").write_bytes(tflite.convert(module, metadata))
        return folder

    return written


@pytest.mark.parametrize(
    # Another network to make and to convert.
    "method",
    ["long_side", pytest.param("fixed", marks=pytest.mark.slow)],
)
def test_a_saved_model_and_a_tflite_file_agree(method, export):
    _, metadata, model = make(method=method)
    folder = export(method)
    served = load_predictor(str(folder))
    mobile = load_predictor(str(folder / "m.tflite"))
    described = [
        dataclasses.replace(predictor.metadata, operators=None, file_tensors=None)
        for predictor in (served, mobile)
    ]
    assert described[0] == described[1]
    assert described[1].to_json() == metadata.to_json()
    image = noise(72, 96, 5)
    whole = served.predict_image(image).labels
    assert_same_classes(whole, expected_logits(model, metadata, image))
    found = mobile.predict_image(image).labels
    assert found.shape == whole.shape and found.dtype == np.uint8
    # The file's image is padded to a square, or enlarged by nearest classes.
    assert (found == whole).mean() > 0.9


@pytest.mark.parametrize(
    # A SavedModel is loaded twice.
    "name",
    ["m.tflite", pytest.param("1", marks=pytest.mark.slow)],
)
def test_batches_find_the_same(name, export, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number, size in enumerate([(72, 96), (60, 50), (72, 96)]):
        cv2.imwrite(str(folder / f"{number}.png"), noise(*size, number))
    rows = same_lines(export("long_side") / name, folder, tmp_path)
    labels = [f"{number}.png.labels.png" for number in range(3)]
    assert [row["label_map"] for (row,) in rows] == labels


def test_a_tflite_file_of_another_size_gives_logits_too(tmp_path):
    module, metadata, model = make(input_size=(64, 96))
    assert metadata.input_size == (64, 96)
    path = tmp_path / "m.tflite"
    path.write_bytes(tflite.convert(module, metadata, with_maps=True))
    run = load_model(str(path)).run
    image = noise(64, 96)
    outputs = run(image=image[np.newaxis])
    assert outputs["label_map"].shape == (1, 64, 96)
    expected = model(normalize_image(image)[np.newaxis], training=False)["logits"]
    difference = np.abs(outputs["logits"] - expected.numpy()).max()
    assert difference < 1e-3 * np.std(expected)
    large = cv2.resize(outputs["logits"][0], (96, 64))
    assert_same_classes(outputs["label_map"][0], large)


@pytest.mark.parametrize(
    # Of three conversions that differ by a flag of the converter, one is enough here.
    "quantize",
    [
        "int8",
        pytest.param("float16", marks=pytest.mark.slow),
        pytest.param("dynamic", marks=pytest.mark.slow),
    ],
)
def test_quantised_files_are_close(quantize, tmp_path):
    images = [noise(64, 96, seed) for seed in range(8)]
    answers = {}
    for kind in ("none", quantize):
        path = tmp_path / f"{kind}.tflite"
        path.write_bytes(mobile_file(kind))
        predictor = load_predictor(str(path))
        answers[kind] = np.stack(
            [predictor.predict_image(image).labels for image in images]
        )
    assert (answers["none"] == answers[quantize]).mean() > 0.9
    assert len(np.unique(answers[quantize])) > 2
    sizes = [(tmp_path / f"{kind}.tflite").stat().st_size for kind in answers]
    assert sizes[1] < sizes[0]


def test_metadata_survive(tmp_path):
    metadata = make_metadata("fixed", flip_test=True)
    description = parse(metadata.to_json(), "somewhere")
    again = SegmentationMetadata.from_dict(description, "somewhere")
    assert again.to_json() == metadata.to_json()
    assert again.label_set.flip_permutation == [0, 2, 1, 3]
    assert again.input_size == (73, 73)


def test_a_tflite_file_names_its_classes():
    content = mobile_file("none")
    assert read_description(content, "here")["label_set"]["classes"] == list(
        LABELS.classes
    )
    assert b"none\nleft\nright\nup\n" in content


@pytest.mark.parametrize(
    ("shape", "size", "taken"),
    [
        ((60, 80), (96, 96), (72, 96)),
        ((80, 60), (96, 96), (96, 72)),
        ((500, 400), (50, 100), (50, 40)),
        ((96, 96), (96, 96), (96, 96)),
    ],
)
def test_images_fit_into_what_a_file_takes(shape, size, taken):
    metadata = make_metadata(input_size=size)
    image = noise(*shape) // 2 + 50
    canvas, found = fit_image(image, metadata)
    assert canvas.shape == (*size, 3) and found == taken
    assert canvas[: taken[0], : taken[1]].min() > 0
    assert not canvas[taken[0] :].any() and not canvas[:, taken[1] :].any()


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("decoder", "upsampling", "flip_test", "quantize"),
    [
        ("hrnetv2", "bilinear_align_corners", False, "float16"),
        # More networks to make, to convert and to run in a process of their own.
        pytest.param("hrnetv2", "bilinear", True, "none", marks=pytest.mark.slow),
        pytest.param("hrnetv2_ocr", "bilinear", False, "none", marks=pytest.mark.slow),
    ],
)
def test_a_gpu_takes_the_whole_graph(
    decoder, upsampling, flip_test, quantize, run_on_gpu
):
    module, metadata, _ = make(
        decoder=decoder,
        upsampling=upsampling,
        flip_test=flip_test,
        input_size=(64, 96),
    )
    content = tflite.convert(module, metadata, quantize, with_maps=True)
    answer = run_on_gpu(content, 64, 96, "float32", "uint8")
    assert answer["accelerated"] is True
    logits, label_map = answer["differences"]
    assert logits < 1e-2 and label_map <= len(LABELS.classes)
    if quantize == "none":
        assert label_map == 0
