"""A converted official segmentation network is evaluated by the training command."""

import json

import cv2
import numpy as np
import pytest
import tensorflow as tf
import yaml

from hrnet_tf import convert_weights, train
from hrnet_tf.data.records.segmentation import encode_image_record


def write_data(folder, pixels, labels, num_classes):
    """A record of one image, and the YAML of a label set."""
    encoded = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
    with tf.io.TFRecordWriter(str(folder / "val-0.tfrecord")) as writer:
        writer.write(encode_image_record(encoded, "a.png", labels, num_classes))
    classes = [f"class{number}" for number in range(num_classes)]
    (folder / "classes.yaml").write_text(yaml.safe_dump({"classes": classes}))


@pytest.mark.heavy
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("seg_hrnetv2_c4_align_false", marks=pytest.mark.slow),
        pytest.param("seg_hrnetv2_c4_align_true", marks=pytest.mark.slow),
        "seg_hrnetv2_ocr_c4_align_true",
    ],
)
def test_a_converted_checkpoint_is_evaluated(name, official, tmp_path):
    expected = official(name)
    logits = expected.outputs["logits"][0]
    num_classes = logits.shape[-1]
    align = "true" in name
    prefix = tmp_path / "weights/ckpt"
    flags = [f"--checkpoint={expected.path}", f"--output={prefix}"]
    flags += ["--align_corners" if align else "--noalign_corners"]
    assert convert_weights.main(["convert_weights", *flags]) == 0

    # An image that, normalised, is what the official network was shown.
    std, mean = np.array([0.229, 0.224, 0.225]), np.array([0.485, 0.456, 0.406])
    image = (expected.images[0] * std + mean) * 255
    pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    height, width = pixels.shape[:2]
    if align:
        # OpenCV has no aligned corners: one linear map per axis.
        large = tf.raw_ops.ResizeBilinear(
            images=logits[np.newaxis], size=[height, width], align_corners=True
        )[0].numpy()
    else:
        large = cv2.resize(logits, (width, height))
    labels = large.argmax(axis=-1).astype(np.uint8)
    write_data(tmp_path, pixels, labels, num_classes)
    code = train.main(
        [
            "train",
            "--experiment=hrnet_seg_custom",
            f"--config_file={prefix}.yaml",
            f"--checkpoint={prefix}",
            "--mode=eval",
            f"--model_dir={tmp_path / 'run'}",
            "--params_override="
            + yaml.safe_dump(
                {
                    "task": {
                        "label_set": str(tmp_path / "classes.yaml"),
                        "resizing": {"long_side": max(height, width)},
                        "validation_data": {"input_path": f"{tmp_path}/val-*"},
                    }
                }
            ),
        ]
    )
    assert code == 0
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    # Rounding an image of noise to whole numbers, and clipping it, changes it a little.
    clipped = np.mean((image < 0) | (image > 255))
    assert metrics["pixel_accuracy"] > 0.9 - clipped
    assert metrics["mean_iou"] > 0.5
