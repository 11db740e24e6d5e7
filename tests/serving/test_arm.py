"""Exported models on a phone's processor, which QEMU makes up, and on this one."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.conftest import CROP_SIZE

ARM_PYTHON = Path(sys.prefix, "arm/bin/python3")
PROGRAM = Path(__file__).parents[2] / "docs/arm/run_tflite.py"
CROPS = np.random.default_rng(2).integers(0, 256, (16, 1, *CROP_SIZE, 3), np.uint8)

Outputs = dict[str, np.ndarray]

needs_arm = pytest.mark.skipif(
    not ARM_PYTHON.is_file(), reason="there is no Python for ARM: make env-arm"
)


def run_program(*arguments: str | Path, processor: str | None = None) -> str:
    """Runs the program on a processor that QEMU makes up, or here; what it prints."""
    done = subprocess.run(
        [ARM_PYTHON if processor else sys.executable, PROGRAM, *arguments],
        env={**os.environ, "QEMU_CPU": processor or ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def run(tmp_path) -> Callable[..., Outputs]:
    """Returns a function of a .tflite file and a processor: outputs of all crops."""
    crops, outputs = tmp_path / "crops.npz", tmp_path / "outputs.npz"
    np.savez(crops, image=CROPS)

    def run(model: Path, processor: str | None = None) -> Outputs:
        run_program(model, outputs, f"--inputs={crops}", processor=processor)
        return dict(np.load(outputs))

    return run


def assert_same(there: Outputs, here: Outputs, pixels: float) -> None:
    """Compares outputs, coordinates to so many pixels of the crop.

    The rest may be rounded otherwise. One step of an 8-bit number would be seen.
    """
    assert set(there) == set(here) == {"keypoints", "heatmaps"}
    height, width = CROP_SIZE
    coordinates = [outputs["keypoints"][..., :2] for outputs in (there, here)]
    assert np.ptp(coordinates[1]) > 0.5
    differences = np.abs(np.subtract(*coordinates)) * [width, height]
    assert differences.max() <= pixels
    for values, expected in (
        (there["heatmaps"], here["heatmaps"]),
        (there["keypoints"][..., 2], here["keypoints"][..., 2]),
    ):
        assert np.abs(values - expected).max() < 1e-5 * expected.std()


@needs_arm
@pytest.mark.parametrize(
    ("backbone", "quantize"),
    [
        ("hrnet", "none"),
        pytest.param("lite", "int8", marks=pytest.mark.heavy),
        # QEMU takes seconds for each, and every operation of these is in those above.
        pytest.param("hrnet", "int8", marks=pytest.mark.slow),
        pytest.param("lite", "none", marks=pytest.mark.slow),
        pytest.param("naive", "none", marks=pytest.mark.slow),
        pytest.param("naive", "int8", marks=pytest.mark.slow),
    ],
)
def test_keypoints_are_the_same_to_the_bit(
    backbone, quantize, mobile_file, run, tmp_path
):
    path = tmp_path / "pose.tflite"
    path.write_bytes(mobile_file(quantize, backbone=backbone))
    assert_same(run(path, "cortex-a53"), run(path), 0)


@needs_arm
@pytest.mark.slow
@pytest.mark.parametrize(
    ("codec", "quantize", "pixels"),
    [
        *(("msra", quantize, 0) for quantize in ("none", "float16", "dynamic", "int8")),
        # The logarithms of these codecs are rounded otherwise, too.
        ("dark", "none", 0.01),
        ("udp", "int8", 0.01),
    ],
)
def test_all_processors_agree(codec, quantize, pixels, mobile_file, run, tmp_path):
    path = tmp_path / "pose.tflite"
    path.write_bytes(mobile_file(quantize, codec=codec))
    here = run(path)
    # By what XNNPACK finds in them: nothing beyond ARMv8.0; fp16 and dot products; also
    # products of 8-bit matrices, and SVE2; also SME.
    for processor in ("cortex-a53", "cortex-a76", "cortex-a710", "max"):
        assert_same(run(path, processor), here, pixels)


def test_the_installer_empties_no_folder_of_others(tmp_path):
    (tmp_path / "mine.txt").touch()
    script = PROGRAM.with_name("install.sh")
    done = subprocess.run(
        ["sh", script, tmp_path, sys.executable], capture_output=True, text=True
    )
    assert done.returncode == 1 and "holds something else" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_classes_differ_by_their_distance(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([1, 4, 4, 3], tf.uint8, "image")])
    def darken(image):
        return {"label_map": tf.cast(tf.cast(image, tf.float32) / 128.0, tf.uint8)}

    module = tf.Module()
    module.function = darken
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [darken.get_concrete_function()], module
    )
    model, outputs = tmp_path / "m.tflite", tmp_path / "outputs.npz"
    model.write_bytes(converter.convert())
    run_program(model, outputs)
    labels = dict(np.load(outputs))["label_map"]
    np.savez(outputs, label_map=labels + np.uint8(2))
    printed = run_program(model, tmp_path / "again.npz", f"--compare={outputs}")
    assert "384 of 384 numbers differ, by at most 2;" in printed


def test_the_program_says_what_differs(tflite_file, tmp_path):
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    run_program(tflite_file, first)
    outputs = dict(np.load(first))
    assert outputs["keypoints"].shape == (8, 1, 17, 3)
    outputs["keypoints"][3, 0, 5] += 2
    np.savez(first, **outputs)
    printed = run_program(tflite_file, second, f"--compare={first}")
    assert "heatmaps: 0 of 17408 numbers differ, by at most 0;" in printed
    assert "keypoints: 3 of 408 numbers differ, by at most 2;" in printed
