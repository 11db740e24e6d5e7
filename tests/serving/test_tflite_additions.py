"""A sum that is needed with and without ReLU is computed twice, to the bit the same."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from hrnet_tf.serving.tflite_additions import activate_additions
from hrnet_tf.serving.tflite_graphs import kind_of, unpack


@pytest.fixture(scope="module")
def content() -> bytes:
    @tf.function(input_signature=[tf.TensorSpec([1, 4, 4, 3])] * 2)
    def add(x, y):
        total = x + y
        return tf.nn.relu(total), tf.abs(total), tf.nn.relu(tf.abs(x) - y)

    module = tf.Module()
    module.function = add
    return tf.lite.TFLiteConverter.from_concrete_functions(
        [add.get_concrete_function()], module
    ).convert()


def kinds(content: bytes) -> list[str]:
    model = unpack(content)
    return [kind_of(model, operation) for operation in model.subgraphs[0].operators]


def run(content: bytes) -> list[np.ndarray]:
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    generator = np.random.default_rng(0)
    for tensor in interpreter.get_input_details():
        numbers = generator.normal(size=tensor["shape"]).astype(np.float32)
        interpreter.set_tensor(tensor["index"], numbers)
    interpreter.invoke()
    return [
        interpreter.get_tensor(tensor["index"])
        for tensor in interpreter.get_output_details()
    ]


def test_the_relu_becomes_an_addition(content):
    assert kinds(content).count("ADD") == 1 and "RELU" in kinds(content)
    changed = activate_additions(content)
    assert kinds(changed).count("ADD") == 2 and "RELU" not in kinds(changed)
    for expected, received in zip(run(content), run(changed), strict=True):
        np.testing.assert_array_equal(received, expected)
