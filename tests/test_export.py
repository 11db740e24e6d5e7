import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from official.core import train_utils
from official.modeling import optimization

from hrnet_tf import export
from hrnet_tf.data.inputs import normalization
from hrnet_tf.data.inputs import pose as pose_input
from hrnet_tf.messages import UserError
from hrnet_tf.ops.images import decode_image
from hrnet_tf.serving import android, exporting
from hrnet_tf.serving.exporter import Options
from hrnet_tf.serving.kinds import KINDS
from hrnet_tf.serving.pose import verification
from hrnet_tf.serving.pose.exporter import PoseExporter
from hrnet_tf.serving.predictors import load_predictor
from hrnet_tf.serving.tensors import TensorType
from hrnet_tf.tasks.pose import PoseTask
from hrnet_tf.training import checkpoints, devices
from hrnet_tf.training.experiment import ConfigError, parse_config
from tests.conftest import TOY_BACKBONE


@pytest.fixture(scope="module")
def params(toy_data):
    return parse_config("hrnet_pose_coco", [str(toy_data / "toy.yaml")])


def random_model(task: PoseTask, seed: int = 0):
    """A model whose every variable matters: norms have statistics too."""
    return draw(task.build_model(), seed)


def draw(model, seed: int):
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        low, high = (-0.4, 0.4) if "kernel" in variable.name else (0.5, 1.5)
        variable.assign(generator.uniform(low, high, variable.shape))
    return model


@pytest.fixture(scope="module")
def run_dir(params, tmp_path_factory):
    """A run as training leaves it behind, without the training."""
    folder = tmp_path_factory.mktemp("run")
    model = random_model(PoseTask(params.task))
    # Trained on four GPUs, and exported without any.
    trained = params.replace(
        runtime={"distribution_strategy": "mirrored", "num_gpus": 4}
    )
    train_utils.serialize_config(trained, str(folder))
    step = tf.Variable(7, dtype=tf.int64)
    save(folder, 7, global_step=step, model=model, **model.checkpoint_items)
    return folder


def save(folder, number, **parts) -> str:
    checkpoint = tf.train.Checkpoint(**parts)
    return tf.train.CheckpointManager(checkpoint, str(folder), 1).save(number)


def run(*flags) -> int:
    return export.main(["export", *map(str, flags)])


@pytest.fixture(scope="module")
def saved_model(run_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "1"
    flags = ["--format=saved_model", f"--output_dir={folder}", "--flip_test"]
    assert run(f"--model_dir={run_dir}", *flags, "--noverify") == 0
    return folder


def read_first_image(params, task):
    data = pose_input.PoseInput(
        params.task.validation_data,
        params.task.codec,
        params.task.model.input_size,
        task.skeleton,
    )
    return next(iter(data.images()))


def test_the_saved_model_answers_as_an_evaluation_does(params, run_dir, saved_model):
    params = params.replace(task={"evaluation": {"flip_test": True}})
    task = PoseTask(params.task)
    model = task.build_model()
    checkpoints.restore_model(model, tf.train.latest_checkpoint(str(run_dir)))
    record = read_first_image(params, task)
    count = len(record["boxes"])
    inputs = next(iter(task.build_inputs(params.task.validation_data)))
    expected = task.validation_step(inputs, model)["keypoints"][:count].numpy()

    signatures = tf.saved_model.load(str(saved_model)).signatures
    boxes = tf.concat([record["boxes"], tf.zeros([1, 4])], axis=0)[tf.newaxis]
    answer = signatures["serving_default"](
        image_bytes=record["encoded"][tf.newaxis], boxes=boxes
    )
    assert set(answer) == {"keypoints", "scores"}
    np.testing.assert_allclose(answer["keypoints"][0, :count], expected, atol=1e-2)
    assert not answer["keypoints"][0, count:].numpy().any()
    assert answer["scores"].shape == (1, count + 1)

    image = decode_image(record["encoded"])
    same = signatures["image"](images=image[tf.newaxis], boxes=boxes)
    np.testing.assert_array_equal(same["keypoints"], answer["keypoints"])

    crop = normalization.denormalize_image(inputs[0][:1].numpy())
    heatmaps = signatures["crops"](crops=crop)["heatmaps"].numpy()
    expected = task.predict_heatmaps(model, normalization.normalize_image(crop)).numpy()
    assert np.abs(heatmaps - expected).max() < 1e-4 * expected.std()


def test_the_saved_model_is_made_for_inference(saved_model):
    loaded = tf.saved_model.load(str(saved_model))
    operations = set()
    for signature in loaded.signatures.values():
        graph = signature.graph.as_graph_def()
        nodes = [*graph.node]
        for function in graph.library.function:
            nodes += function.node_def
        operations |= {node.op for node in nodes}
    assert "Conv2D" in operations
    forbidden = {"FusedBatchNormV3", "ReadVariableOp", "VarHandleOp", "RandomUniform"}
    assert not operations & forbidden
    assert not [name for name in operations if "Grad" in name or "Assign" in name]


def test_the_saved_model_describes_itself(saved_model):
    description = json.loads((saved_model / "assets/hrnet_tf.json").read_text())
    assert description["task"] == "pose"
    assert description["input"] == {"height": 64, "width": 64, "colors": "RGB"}
    assert description["codec"] == {"name": "msra", "sigma": 2.0}
    assert description["flip_test"] is True
    assert description["skeleton"]["keypoints"][0] == "nose"
    assert ["left_eye", "right_eye"] in description["skeleton"]["flip_pairs"]
    assert (saved_model / "assets.extra/tf_serving_warmup_requests").exists()


@pytest.mark.slow  # Exports and evaluates twice.
def test_says_what_it_measured(run_dir, tmp_path, capsys):
    flags = [f"--model_dir={run_dir}", "--format=tflite", f"--output_dir={tmp_path}"]
    assert run(*flags, "--verification_images=2") == 0
    captured = capsys.readouterr()
    assert f"Checkpoint: {run_dir}/ckpt-7, step 7" in captured.out
    assert "people in 2 images, boxes: ground truth, flip test: off" in captured.out
    (checkpoint,) = re.findall(r"^checkpoint .*", captured.out, re.M)
    assert checkpoint.endswith(" -")  # What a checkpoint computes is less.
    assert re.search(
        r"^The checkpoint's network alone: [0-9.]+ ms per crop$", captured.out, re.M
    )
    (exported,) = re.findall(r"^tflite .*", captured.out, re.M)
    assert "with 1 thread" in exported and exported.endswith("(network, decoding)")
    path = tmp_path / "pose_custom_64x64.tflite"
    assert f"Wrote {path}\nNext, " in captured.out
    assert [p.name for p in tmp_path.iterdir()] == [path.name]

    before = path.read_bytes()
    assert run(*flags, "--noverify") == 1
    assert "exists already" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert run(*flags, "--noverify", "--overwrite", "--heatmaps") == 0
    assert "Accuracy not compared" in capsys.readouterr().out
    assert load_predictor(str(path)).has_heatmaps


@pytest.mark.heavy
def test_int8_is_calibrated_with_training_people(run_dir, tmp_path, capsys):
    flags = [f"--model_dir={run_dir}", "--format=tflite", f"--output_dir={tmp_path}"]
    flags += ["--quantize=int8", "--calibration_samples=4"]
    wrong = "--params_override=task.train_data.input_path=/nowhere-*"
    assert run(*flags, wrong) == 1
    error = capsys.readouterr().err
    assert "task.train_data.input_path: no file matches '/nowhere-*'" in error
    assert run(*flags, "--noverify") == 0
    path = tmp_path / "pose_custom_64x64_int8.tflite"
    assert f"Wrote {path}" in capsys.readouterr().out


@pytest.mark.heavy
def test_a_file_for_several_crops_has_a_name_of_its_own(run_dir, tmp_path, capsys):
    flags = [f"--model_dir={run_dir}", "--format=tflite", f"--output_dir={tmp_path}"]
    assert run(*flags, "--batch_size=3", "--verification_images=3") == 0
    path = tmp_path / "pose_custom_64x64_batch3.tflite"
    assert f"Wrote {path}" in capsys.readouterr().out
    assert load_predictor(str(path)).metadata.batch_size == 3


@pytest.fixture
def app(tmp_path):
    """An Android project without anything in it."""
    folder = tmp_path / "an app"
    main = folder / "app/src/main"
    main.mkdir(parents=True)
    (main / "AndroidManifest.xml").touch()
    return folder


def test_a_file_for_an_app_lies_among_its_assets(run_dir, app, capsys):
    flags = [f"--model_dir={run_dir}", f"--android={app}", "--noverify"]
    assert run(*flags, "--quantize=float16") == 0
    path = app / "app/src/main/assets/pose.tflite"
    told = capsys.readouterr().out
    assert f"Wrote {path}\n" in told and f"open {app} in Android Studio" in told
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    tensors = load_predictor(str(path)).metadata.file_tensors
    assert tensors.inputs == {"image": TensorType([1, 64, 64, 3], "uint8")}
    assert run(*flags) == 1
    assert f"{path} exists already: choose another --android" in capsys.readouterr().err


def test_names_of_an_apps_models_are_those_of_the_example():
    example = Path(__file__).parents[1] / "examples/android"
    android.check_project(str(example))
    source = "app/src/main/kotlin/com/example/hrnet/app/Models.kt"
    for task in ("pose", "detection"):
        path = Path(android.asset_path(str(example), task))
        assert path.parent == example / "app/src/main/assets"
        assert f'"{path.name}"' in (example / source).read_text()


def test_an_app_has_no_use_for_segmentation(app):
    with pytest.raises(UserError, match="for pose, detection models, and not for seg"):
        android.asset_path(str(app), "segmentation")


def test_an_app_has_no_use_for_a_detector_of_things(app):
    for classes in ({7: "person", 9: "dog"}, {1: "head"}, {}):
        assert android.asset_path(str(app), "detection", classes)
    metadata = SimpleNamespace(task="detection", categories={1: "cat", 2: "dog"})
    asked = SimpleNamespace(android=str(app), overwrite=False)
    with pytest.raises(UserError, match=r"This one has 1 \(cat\), 2 \(dog\); leave"):
        exporting._output_path(asked, SimpleNamespace(metadata=metadata))


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        ([], 2, "Neither --output_dir nor --android is given"),
        (["--android="], 2, "Neither --output_dir nor --android is given"),
        (["--android=APP", "--output_dir=x"], 2, "give one of them"),
        (["--android=APP/app"], 1, "is no Android project: there is no "),
        (["--android=APP", "--format=saved_model"], 2, "--android goes with --format"),
        (
            ["--android=APP", "--quantize=int8", "--quantization_report"],
            2,
            "--quantization_report goes with --output_dir",
        ),
    ],
)
def test_places_that_cannot_be_are_told(flags, code, sentence, app, capsys):
    flags = [flag.replace("APP", str(app)) for flag in flags]
    if not any("android" in flag for flag in flags):
        flags.append("--format=tflite")
    assert run("--checkpoint=c", *flags) == code
    assert sentence in capsys.readouterr().err
    assert not (app / "app/src/main/assets").exists()


def test_an_empty_file_of_records_calibrates_nothing(run_dir, tmp_path, capsys):
    empty = tmp_path / "empty-00000-of-00001.tfrecord"
    empty.touch()
    flags = [f"--model_dir={run_dir}", "--format=tflite", "--quantize=int8"]
    given = f"--params_override=task.train_data.input_path={empty}"
    assert run(*flags, given, "--noverify", f"--output_dir={tmp_path / 'x'}") == 1
    error = capsys.readouterr().err
    assert f"task.train_data.input_path: {empty} " in error
    assert not (tmp_path / "x").exists()


def test_data_without_a_crop_calibrates_nothing(run_dir, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(PoseExporter, "read_samples", lambda *_: iter(()))
    flags = [f"--model_dir={run_dir}", "--format=tflite", "--quantize=int8"]
    assert run(*flags, "--noverify", f"--output_dir={tmp_path / 'x'}") == 1
    assert " holds no crop; int8 is" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.slow  # Measures every layer, and evaluates several times.
def test_layers_stay_in_float_until_little_is_lost(
    run_dir, tmp_path, capsys, monkeypatch
):
    score = verification.score_exported

    def worse(task, predictor, *arguments):
        """Loses 0.02 with fewer than 3 layers in float."""
        measured = score(task, predictor, *arguments)
        lost = 0.02 if len(predictor.metadata.float_layers or ()) < 3 else 0
        return dataclasses.replace(measured, value=measured.value - lost)

    monkeypatch.setattr(verification, "score_exported", worse)
    flags = [f"--model_dir={run_dir}", "--format=tflite", f"--output_dir={tmp_path}"]
    flags += ["--quantize=int8", "--calibration_samples=4", "--verification_images=2"]
    assert run(*flags, "--quantization_report") == 1
    assert "nothing was written. --float_layers=auto keeps" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert run(*flags, "--float_layers=auto", "--quantization_report") == 0
    said = capsys.readouterr().out
    assert "0 of" in said and "layers in float: 0.0200 lost." in said
    report = tmp_path / "pose_custom_64x64_int8.layers.json"
    rows = json.loads(report.read_text())
    predictor = load_predictor(str(tmp_path / "pose_custom_64x64_int8.tflite"))
    assert predictor.metadata.float_layers == [row["layer"] for row in rows[:3]]
    assert re.search(
        r"^[0-9]+ operations of [0-9]+ kinds, all built in; GPU: all; ", said, re.M
    )


@pytest.mark.slow
@pytest.mark.parametrize("is_slow", [True, False])
def test_bfloat16_is_computed_with_and_compared(
    is_slow, run_dir, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(devices, "is_slow_on_cpu", lambda precision: is_slow)
    output = tmp_path / "1"
    flags = [f"--model_dir={run_dir}", "--format=saved_model", "--max_loss=1"]
    assert run(*flags, f"--output_dir={output}", "--quantize=bfloat16") == 0
    said = capsys.readouterr().out
    assert ("This CPU has no instructions for bfloat16" in said) is is_slow
    assert re.search(r"^saved_model, bfloat16 +[0-9]", said, re.M)
    difference = float(re.findall(r"differ by at most (\S+) of", said)[0])
    assert 1e-4 < difference < 2
    crops = tf.saved_model.load(str(output)).signatures["crops"]
    assert crops.structured_outputs["heatmaps"].dtype == tf.float32
    library = crops.graph.as_graph_def().library
    kinds = [
        node.attr["T"].type
        for function in library.function
        for node in function.node_def
        if node.op == "Conv2D"
    ]
    # All but the head's.
    assert kinds.count(tf.float32.as_datatype_enum) == 1
    assert kinds.count(tf.bfloat16.as_datatype_enum) == len(kinds) - 1 > 10


def test_bfloat16_is_for_pose(tmp_path):
    params = parse_config("hrnet_seg_custom", [], ["task.label_set=synthetic_parts"])
    wanted = exporting.Export(
        format="saved_model",
        quantize="bfloat16",
        output_dir=str(tmp_path / "1"),
        options=Options(),
        warmup=False,
        calibration_samples=1,
        float_layers=0,
        quantization_report=False,
        verify=False,
        verification_images=0,
        max_loss=None,
        overwrite=False,
    )
    with pytest.raises(UserError, match="bfloat16 is for pose models; leave it out"):
        exporting.export_checkpoint(params, KINDS["segmentation"], wanted, None, "c")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # Exports and evaluates.
def test_nothing_is_written_when_too_much_is_lost(
    run_dir, tmp_path, capsys, monkeypatch
):
    score = verification.score_checkpoint

    def better(*arguments):
        measured = score(*arguments)
        return dataclasses.replace(measured, value=measured.value + 0.003)

    monkeypatch.setattr(verification, "score_checkpoint", better)
    output = tmp_path / "exported" / "1"
    flags = ["--format=saved_model", f"--output_dir={output}"]
    assert run(f"--model_dir={run_dir}", *flags) == 1
    assert "loses 0.0030 AP" in capsys.readouterr().err
    assert list(output.parent.iterdir()) == []
    assert run(f"--model_dir={run_dir}", *flags, "--max_loss=0.01") == 0
    assert [p.name for p in output.parent.iterdir()] == ["1"]


INT8 = ["--checkpoint=c", "--format=tflite", "--quantize=int8"]
# The network is built before its checkpoint is looked for.
TOY = f"--params_override={json.dumps({'task': {'model': {'backbone': TOY_BACKBONE}}})}"


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        (["--format=saved_model"], 2, "Neither --model_dir nor --checkpoint is given"),
        (["--model_dir=/nowhere", "--format=tflite"], 1, "has no params.yaml"),
        (
            ["--checkpoint=/nowhere/ckpt", "--format=tflite", "--noverify", TOY],
            1,
            "there is no file /nowhere/ckpt.index",
        ),
        (
            ["--checkpoint=/nowhere/ckpt", "--format=tflite"],
            1,
            "add --noverify",
        ),
        (
            ["--checkpoint=c", "--format=saved_model", "--quantize=int8"],
            2,
            "--quantize=int8 goes with --format=tflite",
        ),
        (
            ["--checkpoint=c", "--format=tflite", "--quantize=bfloat16"],
            2,
            "--quantize=bfloat16 goes with --format=saved_model",
        ),
        (
            ["--checkpoint=c", "--format=tflite", "--calibration_samples=5"],
            2,
            "--calibration_samples goes with --quantize=int8",
        ),
        (
            ["--checkpoint=c", "--format=tflite", "--quantization_report"],
            2,
            "--quantization_report goes with --quantize=int8",
        ),
        (
            ["--checkpoint=c", "--format=saved_model", "--batch_size=4"],
            2,
            "--batch_size goes with --format=tflite",
        ),
        ([*INT8, "--candidates=0"], 2, "--candidates=0 is too small"),
        ([*INT8, "--candidates=5000"], 2, "--candidates=5000 is too large; it must be"),
        (
            ["--checkpoint=c", "--format=saved_model", "--candidates=256"],
            2,
            "--candidates goes with --format=tflite",
        ),
        ([*INT8, "--batch_size=0"], 2, "--batch_size=0 is too small"),
        ([*INT8, "--batch_size=1000"], 2, "--batch_size=1000 is too large; it must be"),
        (
            [*INT8, "--float_layers=some"],
            2,
            "--float_layers=some must be auto or a whole number, 0 or more",
        ),
        (
            [*INT8, "--float_layers=auto", "--noverify"],
            2,
            "--float_layers=auto measures what is lost on validation data",
        ),
        (
            ["--checkpoint=c", "--format=tflite", "--nowarmup"],
            2,
            "--warmup goes with --format=saved_model",
        ),
        (
            ["--checkpoint=c", "--format=tflite", "--noverify", "--max_loss=1"],
            2,
            "--max_loss goes with --verify",
        ),
        (
            ["--checkpoint=c", "--format=tflite", "--max_loss=-1"],
            2,
            "--max_loss=-1.0 is too small; it must be 0 or more",
        ),
        (
            ["--checkpoint=c", "--format=tflite", "--experiment=hrnet_imagenet"],
            1,
            "only pose, segmentation, detection models can be exported",
        ),
        (
            ["--checkpoint=c", "--format=tflite", "--calibration_samples=0"],
            2,
            "--calibration_samples=0",
        ),
    ],
)
def test_mistakes_are_answered_in_a_sentence(flags, code, sentence, tmp_path, capsys):
    assert run(*flags, f"--output_dir={tmp_path / 'out'}") == code
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_without_checkpoint_is_named(params, tmp_path, capsys):
    train_utils.serialize_config(params, str(tmp_path))
    flags = ["--format=tflite", "--noverify", f"--output_dir={tmp_path / 'out'}"]
    assert run(f"--model_dir={tmp_path}", *flags) == 1
    assert f"{tmp_path} holds no checkpoint" in capsys.readouterr().err


def test_the_best_checkpoint_comes_before_the_latest(params, tmp_path):
    model = PoseTask(params.task).build_model()
    kernels = {}
    for seed, folder in enumerate([".", "best_checkpoint"]):
        draw(model, seed)
        save(tmp_path / folder, seed, model=model, **model.checkpoint_items)
        kernels[folder] = model.variables[0].numpy()
    draw(model, 2)
    path = checkpoints.restore_to_export(model, params, str(tmp_path), None)
    assert path == str(tmp_path / "best_checkpoint/ckpt-1")
    np.testing.assert_array_equal(model.variables[0], kernels["best_checkpoint"])


def test_a_damaged_best_checkpoint_is_named_and_the_latest(params, tmp_path):
    task = PoseTask(params.task)
    model = task.build_model()
    for folder in (tmp_path, tmp_path / "best_checkpoint"):
        save(folder, 3, model=model, **model.checkpoint_items)
    best = tmp_path / "best_checkpoint/ckpt-3"
    best.with_suffix(".index").write_text("")
    with pytest.raises(ConfigError) as error:
        checkpoints.restore_to_export(model, params, str(tmp_path), None)
    text = str(error.value)
    assert f"{best}, is damaged: " in text and "afresh" not in text
    assert f"--checkpoint={tmp_path}/ckpt-3." in text
    for file in tmp_path.glob("ckpt-*"):
        file.unlink()
    with pytest.raises(ConfigError, match="Put back a copy.$"):
        checkpoints.restore_to_export(model, params, str(tmp_path), None)


def test_averages_are_exported_where_there_are_some(params, tmp_path):
    ema = {"average_decay": 0.5, "trainable_weights_only": False}
    params = params.replace(trainer={"optimizer_config": {"ema": ema}})
    task = PoseTask(params.task)
    model = random_model(task)
    optimizer = task.create_optimizer(
        optimization.OptimizationConfig(params.trainer.optimizer_config.as_dict())
    )
    optimizer.shadow_copy(model)
    averages = [variable.numpy() + 1 for variable in model.variables]
    for variable, average in zip(model.variables, averages, strict=True):
        optimizer.get_slot(variable, "average").assign(average)
    path = save(tmp_path, 1, model=model, optimizer=optimizer, **model.checkpoint_items)

    draw(model, 2)
    assert checkpoints.restore_to_export(model, params, str(tmp_path), None) == path
    for variable, average in zip(model.variables, averages, strict=True):
        np.testing.assert_array_equal(variable, average)
