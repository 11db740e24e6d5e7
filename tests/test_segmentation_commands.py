"""Human parsing from the command line: train, evaluate, export, predict."""

import json

import cv2
import numpy as np
import pytest

from hrnet_tf import export, predict, train
from hrnet_tf.data.vocabularies.label_sets import load_label_set
from hrnet_tf.serving.kinds import KINDS, kind_of
from hrnet_tf.serving.predictors import load_predictor
from hrnet_tf.training.experiment import ConfigError, parse_config
from hrnet_tf.training.validation import validate

CLASSES = load_label_set("synthetic_parts").classes


def override(*changes: str) -> str:
    return f"--params_override={','.join(changes)}"


@pytest.fixture(scope="module")
def run_dir(parsing_command, tmp_path_factory):
    """A run of four steps with one evaluation."""
    folder = tmp_path_factory.mktemp("run")
    assert train.main(["train", *parsing_command(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def tflite_file(run_dir, tmp_path_factory):
    """The run as a .tflite file."""
    folder = tmp_path_factory.mktemp("tflite")
    flags = [f"--model_dir={run_dir}", "--format=tflite", "--noverify"]
    assert export.main(["export", *flags, f"--output_dir={folder}"]) == 0
    return folder / "segmentation_custom_96x96.tflite"


def test_training_leaves_scores_and_pictures(run_dir):
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert metrics["step"] == 4
    assert metrics["protocol"] == "single scale, flip test: off, whole images"
    assert 0 <= metrics["mean_iou"] <= 1
    assert {f"iou/{name}" for name in CLASSES} >= {
        name for name in metrics if name.startswith("iou/")
    }
    assert 0 < metrics["validation_loss"] < 100
    for name in ("predictions.png", "confusion.png"):
        assert cv2.imread(str(run_dir / name)).std() > 10
    assert list((run_dir / "best_checkpoint").glob("*.index"))


@pytest.mark.heavy
def test_an_evaluation_prints_every_class(parsing_command, run_dir, tmp_path, capsys):
    flags = parsing_command(
        tmp_path,
        "--mode=eval",
        f"--checkpoint={run_dir}/ckpt-4",
        override("task.evaluation.flip_test=true"),
    )
    assert train.main(["train", *flags]) == 0
    output = capsys.readouterr().out
    assert "Evaluation at step 4" in output
    assert "flip test: on" in output
    lines = [line.split() for line in output.splitlines()]
    names = [line[0] for line in lines if line and line[0] in CLASSES]
    assert names == list(CLASSES)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("task.label_set=lipp", "did you mean 'lip'"),
        ("task.label_set=lip,task.model.num_classes=19", "it must be 20"),
        ("task.resizing.method=short", "one of long_side, fixed"),
        ("task.resizing.method=fixed", "task.resizing.size is []"),
        ("task.resizing.long_side=0", "task.resizing.long_side is 0"),
        ("task.train_data.crop_size=[64]", "task.train_data.crop_size is [64]"),
        ("task.train_data.augmentation.scale_min=3.0", "scale_min must not be above"),
        ("task.evaluation.scales=[]", "task.evaluation.scales is []"),
        ("task.evaluation.window=[64]", "task.evaluation.window is [64]"),
        ("task.evaluation.window_overlap=1.0", "in [0, 0.95]"),
        ("task.evaluation.combine=mean", "exp_logits, probabilities"),
        ("task.losses.class_weights=[1.0]", "has 1 numbers; it must have 20"),
        ("task.losses.ignore_label=3", "it must be in 20 to 255"),
        ("task.losses.ohem=true,task.losses.top_k_percent_pixels=0.5", "must be 1"),
        ("task.model.input_size=[96,96,3]", "it must be [null, null, 3]"),
        ("task.model.backbone.hrnet.fuse_upsampling=nearest", "'nearest'"),
        ("task.model.backbone.hrnet.multi_scale_output=false", "reads all branches"),
        ("task.model.backbone.type=litehrnet", "it must be hrnet for segmentation"),
        ("task.train_data.input_path=/nowhere-*", "no file matches '/nowhere-*'"),
        ("task.validation_data.drop_remainder=true", "are not evaluated"),
        ("trainer.best_checkpoint_eval_metric=miou", "one of mean_iou"),
        ("task.train_data.augmentaton.scale_min=1.0", "augmentation"),
    ],
)
def test_mistakes_are_named_before_the_first_step(
    parsing_command, tmp_path, capsys, change, sentence
):
    folder = tmp_path / "run"
    assert train.main(["train", *parsing_command(folder, override(change))]) == 1
    assert sentence in capsys.readouterr().err
    assert not folder.exists()


def test_records_of_another_label_set_end_the_run_at_its_start(
    parsing_command, tmp_path, capsys
):
    flags = parsing_command(tmp_path / "run", override("task.label_set=cityscapes"))
    assert train.main(["train", *flags]) == 1
    assert "do not hold labels of 19 classes" in capsys.readouterr().err


def test_a_run_is_exported_and_predicts(run_dir, parsing_data, tmp_path, capsys):
    flags = [f"--model_dir={run_dir}", "--format=saved_model"]
    assert export.main(["export", *flags, f"--output_dir={tmp_path}/1"]) == 0
    output = capsys.readouterr().out
    assert "5 images, single scale, flip test: off, whole images" in output
    table = [line.split() for line in output.splitlines()]
    values = {line[0]: line[1] for line in table if len(line) > 3}
    # The same graph on the same images.
    assert values["checkpoint"] == values["saved_model"]
    assert f"Wrote {tmp_path}/1\n" in output

    images = parsing_data / "images/val"
    flags = [f"--model={tmp_path}/1", f"--input={images}"]
    assert predict.main(["predict", *flags, f"--output_dir={tmp_path}/out"]) == 0
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert len(results) == 5
    for row in results:
        image = cv2.imread(str(images / row["file_name"]))
        labels = cv2.imread(
            str(tmp_path / "out" / row["label_map"]), cv2.IMREAD_UNCHANGED
        )
        assert labels.shape == image.shape[:2] and labels.dtype == np.uint8
        picture = cv2.imread(str(tmp_path / "out" / row["file_name"]))
        assert picture.shape[0] == image.shape[0]
        assert picture.shape[1] > image.shape[1]  # The legend.
        shares = {CLASSES[n]: (labels == n).mean() for n in np.unique(labels)}
        assert row["classes"] == pytest.approx(shares, abs=1e-5)

    assert predict.main(["predict", *flags, f"--output_dir={tmp_path}/out"]) == 1
    assert "exists already" in capsys.readouterr().err
    flags += [f"--output_dir={tmp_path}/again"]
    assert predict.main(["predict", *flags, "--box_score_threshold=0.5"]) == 2
    assert "--box_score_threshold changes nothing here" in capsys.readouterr().err
    flags += ["--whole_image"]
    assert predict.main(["predict", *flags]) == 2
    assert "--boxes and --whole_image go with pose models" in capsys.readouterr().err


@pytest.mark.slow  # Calibrates, and evaluates twice.
def test_int8_is_calibrated_and_compared(run_dir, tmp_path, capsys):
    flags = [f"--model_dir={run_dir}", "--format=tflite", "--quantize=int8"]
    flags += ["--calibration_samples=4", "--verification_images=3", "--max_loss=0.1"]
    flags += ["--input_size=96,128", "--logits"]
    assert export.main(["export", *flags, f"--output_dir={tmp_path}"]) == 0
    output = capsys.readouterr().out
    assert "3 images" in output and "mIoU" in output and "with 1 thread" in output
    path = tmp_path / "segmentation_custom_96x128_int8.tflite"
    assert [found.name for found in tmp_path.iterdir()] == [path.name]

    flags = [f"--model_dir={run_dir}", "--format=tflite", f"--output_dir={tmp_path}"]
    assert export.main(["export", *flags, "--input_size=96"]) == 2
    assert "--input_size=96 must be HEIGHT,WIDTH" in capsys.readouterr().err


@pytest.mark.heavy
def test_a_video_gets_a_legend(tflite_file, tmp_path, parsing_data):
    path = str(tmp_path / "film.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 5, (96, 96))
    for name in sorted((parsing_data / "images/val").iterdir())[:3]:
        writer.write(cv2.resize(cv2.imread(str(name)), (96, 96)))
    writer.release()
    flags = [
        f"--model={tflite_file}",
        f"--input={path}",
        f"--output_dir={tmp_path}/out",
    ]
    assert predict.main(["predict", *flags]) == 0
    capture = cv2.VideoCapture(str(tmp_path / "out/film.mp4"))
    frames = 0
    while capture.grab():
        frames += 1
    assert frames == 3
    assert capture.get(cv2.CAP_PROP_FRAME_WIDTH) > 96
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert [row["image_id"] for row in results] == [0, 1, 2]


def test_every_gpu_needs_a_whole_share_of_a_batch(parsing_data):
    params = parse_config(
        "hrnet_seg_custom",
        [str(parsing_data / "parsing.yaml")],
        "runtime.num_gpus=4,runtime.distribution_strategy=mirrored",
    )
    with pytest.raises(ConfigError) as error:
        validate(params, "train_and_eval", kind_of(params.task).mistakes)
    assert "task.validation_data.global_batch_size is 2" in str(error.value)
    assert "task.train_data.global_batch_size" not in str(error.value)


def test_the_page_shows_classes(tflite_file):
    gradio = pytest.importorskip("gradio")
    from hrnet_tf.serving import page

    predictor = load_predictor(str(tflite_file))
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    picture, rows = page.show(predictor, image, 0.3)
    assert picture.shape[0] == 90 and picture.shape[1] > 120  # The legend.
    assert {name for name, _ in rows} <= set(CLASSES)
    assert sum(share for _, share in rows) == pytest.approx(1, abs=1e-3)
    assert isinstance(KINDS[predictor.metadata.task].page(predictor), gradio.Blocks)
    with pytest.raises(gradio.Error, match="Upload a picture first"):
        page.read(None, page.MAX_PIXELS)
