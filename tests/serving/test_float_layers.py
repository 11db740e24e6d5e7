"""Which layers stay in float: those that lose most by 8 bits, as many as it takes."""

import json

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from hrnet_tf.messages import UserError
from hrnet_tf.serving import (
    float_layers,
    tflite,
    tflite_operators,
    tflite_quantization,
)
from hrnet_tf.serving.float_layers import AUTO, Int8, choose
from hrnet_tf.serving.predictors import load_predictor
from hrnet_tf.serving.tflite_metadata import read_description
from hrnet_tf.serving.tflite_quantization import Layer, Quantizer
from hrnet_tf.serving.verification import VerificationError

CROPS = np.random.default_rng(2).integers(0, 256, (4, 64, 32, 3), np.uint8)
LAYERS = [Layer(f"layer{number};", "CONV_2D") for number in range(100)]


@pytest.fixture(scope="module")
def quantizer(build_module) -> Quantizer:
    module, _ = build_module()
    return tflite.quantizer(module, False, CROPS)


@pytest.mark.parametrize("needed", [0, 1, 2, 3, 17, 64, 99, 100])
def test_hardly_more_layers_are_kept_than_needed(needed):
    tried = []

    def loss_with(in_float):
        tried.append(len(in_float))
        return 0.02 if len(in_float) < needed else 0.01

    kept = choose(LAYERS, loss_with, 0.01)
    assert kept == LAYERS[: len(kept)]
    assert needed <= len(kept) <= needed + max(needed // 8, 0)
    assert len(tried) < 13 and tried[0] == 0


def test_a_loss_without_8_bits_is_an_error():
    with pytest.raises(VerificationError, match="8 bits are not to blame"):
        choose(LAYERS, lambda in_float: 0.02, 0.01)


def fragile(image: tf.Tensor) -> dict[str, tf.Tensor]:
    """Two branches; 8 bits cannot hold the channels of one, of sizes far apart."""
    generator = np.random.default_rng(0)

    def conv(x, name, scale):
        kernel = generator.uniform(0.5, 1, (1, 1, x.shape[-1], 4)) * scale
        return tf.nn.conv2d(x, kernel.astype(np.float32), 1, "SAME", name=name)

    x = tf.cast(image, tf.float32) / 255.0
    sizes = np.array([1e4, 1, 1, 1])
    with tf.name_scope("net"):
        sturdy = tf.nn.relu(conv(x, "sturdy", 1.0))
        frail = tf.nn.relu(conv(x, "frail", sizes))
        frail = conv(frail, "after", 1 / sizes[:, np.newaxis])
        features = sturdy + frail
    return {"keypoints": tf.reduce_sum(features, [1, 2])}


def quantizer_of(function, images=CROPS) -> Quantizer:
    graph = tf.function(
        function, input_signature=[tf.TensorSpec([1, 64, 32, 3], tf.uint8, "image")]
    )
    module = tf.Module()
    module.function = graph
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [graph.get_concrete_function()], module
    )
    return Quantizer(converter.convert(), "net/", images)


def test_the_layer_that_loses_most_is_first():
    damage = quantizer_of(fragile).damage(CROPS)
    # What quantises the output of the frail one: itself and who reads it.
    assert all("frail" in name or "after" in name for (name, *_), _ in damage[:2])
    assert damage[1].error > 5 * damage[2].error > 0


def test_maps_without_deviation_have_an_error_all_the_same():
    zeros, ones = np.zeros([1, 2], np.float32), np.ones([1, 2], np.float32)
    assert tflite_quantization._error([zeros], [zeros]) == 0
    assert np.isfinite(tflite_quantization._error([zeros], [ones]))


def with_a_dead_layer(image: tf.Tensor) -> dict[str, tf.Tensor]:
    """A ReLU lets nothing pass, so that nothing tells its range."""
    x = tf.cast(image, tf.float32) / 255.0
    with tf.name_scope("net"):
        alive = tf.nn.relu(tf.nn.conv2d(x, tf.ones([1, 1, 3, 4]), 1, "SAME"))
        squeezed = tf.nn.conv2d(alive, -tf.ones([1, 1, 4, 2]), 1, "SAME")
        excited = tf.nn.conv2d(tf.nn.relu(squeezed), tf.ones([1, 1, 2, 4]), 1, "SAME")
        features = alive + tf.nn.relu(excited + 1.0)
    return {"keypoints": tf.reduce_mean(features, [1, 2])}


def test_a_dead_layer_has_8_bits_that_run():
    content = quantizer_of(with_a_dead_layer).quantized()
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    run = interpreter.get_signature_runner("serving_default")
    expected = 1 + np.mean(CROPS[:1] / 255, axis=(1, 2)).sum()
    found = run(image=CROPS[:1])["keypoints"]
    np.testing.assert_allclose(found, np.full([1, 4], expected), rtol=0.01)


def test_what_only_moves_numbers_belongs_to_who_made_them(quantizer):
    kinds = {layer.kind for layer in quantizer.layers}
    assert {"CONV_2D", "ADD"} <= kinds
    # The first has nothing before it that has 8 bits.
    pads = [layer for layer in quantizer.layers if layer.kind == "PAD"]
    assert pads == [quantizer.layers[0]]
    assert "CONCATENATION" not in kinds  # Copies side by side: nearest neighbours.
    assert sum(len(layer.moves) for layer in quantizer.layers) > 5


def test_layers_in_float_do_not_lose_anything(quantizer):
    everything = tflite_operators.of_content(quantizer.quantized())
    some = tflite_operators.of_content(quantizer.quantized(quantizer.layers[:5]))
    none = tflite_operators.of_content(quantizer.quantized(quantizer.layers))
    sizes = [1 + len(layer.moves) for layer in quantizer.layers]
    assert everything.in_8_bits == sum(sizes) > len(sizes) > 10
    assert some.in_8_bits == sum(sizes[5:])
    assert none.in_8_bits == 0


@pytest.mark.heavy
def test_the_file_says_what_is_in_float(quantizer, build_module, tmp_path, capsys):
    _, metadata = build_module()
    path, report = tmp_path / "m.tflite", tmp_path / "m.layers.json"
    wanted = Int8(CROPS, 2, is_reported=True)
    damage = float_layers.write(
        str(path), quantizer, metadata, wanted, lambda: 0.0, 0.01
    )
    float_layers.write_report(str(report), damage)
    rows = json.loads(report.read_text())
    assert [row["layer"] for row in rows] != [name for name, *_ in quantizer.layers]
    assert {row["layer"] for row in rows} == {name for name, *_ in quantizer.layers}
    errors = [row["error"] for row in rows]
    assert errors == sorted(errors, reverse=True) and errors[0] > 0
    assert rows[0]["layer"].split(";")[0] in capsys.readouterr().out
    predictor = load_predictor(str(path))
    assert predictor.metadata.float_layers == [row["layer"] for row in rows[:2]]
    assert predictor.metadata.operators.in_8_bits < sum(
        1 + len(layer.moves) for layer in quantizer.layers
    )


@pytest.mark.slow  # Measures every layer.
def test_as_many_as_it_takes(quantizer, build_module, tmp_path, capsys):
    _, metadata = build_module()
    path = tmp_path / "m.tflite"

    def loss():
        description = read_description(path.read_bytes(), "m")
        return 0.02 if len(description.get("float_layers", [])) < 3 else 0.001

    wanted = Int8(CROPS, AUTO)
    float_layers.write(str(path), quantizer, metadata, wanted, loss, 0.01)
    assert len(load_predictor(str(path)).metadata.float_layers) == 3
    assert "3 of" in capsys.readouterr().out


def test_without_layers_in_float_nothing_is_said(quantizer, build_module, tmp_path):
    _, metadata = build_module()
    path = tmp_path / "m.tflite"
    float_layers.write(str(path), quantizer, metadata, Int8(CROPS), lambda: 1.0, 0.0)
    assert "float_layers" not in read_description(path.read_bytes(), "m")


def test_mistakes_are_named(quantizer, build_module, tmp_path):
    _, metadata = build_module()
    path = str(tmp_path / "m.tflite")
    with pytest.raises(UserError, match="--float_layers=9999 is too large; [0-9]+ lay"):
        float_layers.write(
            path, quantizer, metadata, Int8(CROPS, 9999), lambda: 0.0, 0.01
        )
    with pytest.raises(
        UserError, match="HRNet and Lite-HRNet, and this model has none"
    ):
        Quantizer(quantizer._content, "nothing/", CROPS)
