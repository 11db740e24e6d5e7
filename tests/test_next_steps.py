"""Commands end by saying what to type next, and what they say is understood."""

import importlib
import json
import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from hrnet_tf import (
    convert_weights,
    export,
    next_steps,
    predict,
    registry_imports,  # noqa: F401
    train,
)
from hrnet_tf.data import (
    coco_instances,
    coco_pose,
    import_annotations,
    inspect,
    segmentation_folder,
)
from hrnet_tf.data.synthetic import __main__ as synthetic
from hrnet_tf.training.experiment import parse_config

REPO = Path(__file__).parents[1]


@pytest.fixture
def say(capfd):
    """Runs a command; returns the last commands that it says, as words."""

    def run(module, *flags: str) -> list[list[str]]:
        capfd.readouterr()
        assert module.main(["command", *flags]) == 0
        lines = capfd.readouterr().out.splitlines()
        said = []
        while lines and " -m hrnet_tf." in lines[-1]:
            said.insert(0, shlex.split(lines.pop()))
            assert lines.pop().startswith("Next, ")
        assert said
        for _, _, name, *more in said:
            values = importlib.import_module(name).define_flags()
            assert values([name, *more]) == [name]
        return said

    return run


def test_a_command_is_printed_as_a_shell_takes_it(capsys, monkeypatch):
    monkeypatch.setattr(next_steps, "_python", lambda: "python")
    next_steps.tell("do it", "train", "--model_dir=my runs", "--x=a-*")
    assert capsys.readouterr().out == (
        "Next, do it:\n  python -m hrnet_tf.train '--model_dir=my runs' '--x=a-*'\n"
    )


def test_python_is_the_one_that_runs(tmp_path, monkeypatch):
    program = tmp_path / ".venv/bin/python"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.chdir(tmp_path)
    assert next_steps._python() == ".venv/bin/python"
    monkeypatch.chdir("/")
    monkeypatch.setattr(sys, "executable", "/opt/env/bin/python")
    assert next_steps._python() == "opt/env/bin/python"
    monkeypatch.chdir(tmp_path)
    assert next_steps._python() == "/opt/env/bin/python"
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    assert next_steps._python() == "python"


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("a/train", "a/val"),
        ("train/val2017", "train/train2017"),
        ("train/mine", None),
        ("my/training", "my/validation"),
        ("my/validation.json", "my/training.json"),
        ("my/valid.json", "my/train.json"),
        ("my/Train_set.json", "my/val_set.json"),
        # Words that have one of these within.
        ("my/constraints.json", None),
        ("my/interval", None),
    ],
)
def test_the_other_split(path, other):
    assert next_steps.other_split(path) == other


@pytest.mark.parametrize("folder", ["mine", "my photos", "a, b", "a: b #1", "{a}", "*"])
def test_a_change_is_read_as_it_was_meant(folder):
    flag = next_steps.change("task.train_data.input_path", f"{folder}/train-*")
    override = flag.removeprefix("--params_override=")
    config = parse_config("hrnet_pose_coco", [], [override])
    assert config.task.train_data.input_path == f"{folder}/train-*"


def test_flags_that_were_given_are_typed_again():
    values = train.define_flags()
    flags = ["--config_file=a", "--config_file=b", "--params_override=x=1,y=2"]
    values(["train", "--experiment=e", "--model_dir=m d", "--mode=train", *flags])
    again = train.define_flags()
    again(["train", *next_steps.given(values, "mode")])
    assert again.config_file == ["a", "b"] and again.params_override == ["x=1,y=2"]
    assert (again.experiment, again.model_dir) == ("e", "m d")
    assert not again["mode"].present


def test_an_unverified_model_is_opened_unverified(say, toy_data, tmp_path, monkeypatch):
    from hrnet_tf.api import loading
    from hrnet_tf.serving import predicting

    class Predictor:
        needs_boxes = False
        style_fields = ()

    monkeypatch.setattr(loading, "load", lambda *args, **flags: Predictor())
    monkeypatch.setattr(predicting, "predict_all", lambda *args: None)
    files = (f"--input={toy_data}/images/val", f"--output_dir={tmp_path}/out")
    (command,) = say(predict, "--model=m", "--unverified", *files)
    assert command[2:] == ["hrnet_tf.demo", "--model=m", "--unverified"]


@pytest.mark.heavy
def test_annotations_that_were_looked_at_are_converted(say, toy_data, tmp_path):
    people = toy_data / "annotations/person_keypoints_val.json"
    data = (f"--annotations={people}", f"--image_dir={toy_data}/images/val")
    small = ("--num_rows=1", "--num_augmented=1", "--num_doubtful=1")
    (command,) = say(inspect, *data, "--exif=apply", *small)
    assert command[2] == "hrnet_tf.data.inspect" and set(small) < set(command)
    looks = f"--output_dir={tmp_path}/looks"
    (command,) = say(inspect, *command[3:-1], looks)
    assert command[2] == "hrnet_tf.data.coco_pose"
    assert set(command[3:]) == {*data, "--exif=apply", "--output_prefix=records/train"}
    objects = toy_data / "annotations/instances_val.json"
    data = (f"--annotations={objects}", data[1], "--noinclude_masks")
    (command,) = say(inspect, *data, *small, f"--output_dir={tmp_path}/objects")
    assert command[2] == "hrnet_tf.data.coco_instances" and set(data) < set(command)


def test_drawn_people_are_converted_and_trained_on(say, tmp_path):
    folder = tmp_path / "drawn"
    numbers = ("--num_train=2", "--num_val=2", "--image_size=96")
    (command,) = say(synthetic, f"--output_dir={folder}", *numbers)
    assert command[2] == "hrnet_tf.data.coco_pose"
    (command,) = say(coco_pose, *command[3:])
    config = config_of(command)
    assert config.task.train_data.input_path == f"{folder}/tfrecords/train-*"
    assert config.task.validation_data.input_path == f"{folder}/tfrecords/val-*"
    annotations = folder / "annotations"
    assert config.task.evaluation.annotation_file == str(
        annotations / "person_keypoints_val.json"
    )

    (command,) = say(
        coco_instances,
        f"--image_dir={folder}/images/val",
        f"--annotations={annotations}/instances_val.json",
        f"--output_prefix={folder}/objects/val",
        "--noinclude_masks",
    )
    config = config_of(command)
    assert config.task.train_data.input_path == f"{folder}/objects/train-*"
    assert config.task.annotation_file == f"{annotations}/instances_val.json"
    assert config.task.model.num_classes == 5 and not config.task.model.include_mask

    (command,) = say(
        segmentation_folder,
        f"--image_dir={folder}/images/train",
        f"--label_dir={folder}/parts/train",
        "--label_set=synthetic_parts",
        f"--output_prefix={folder}/parts_of/mine",
    )
    config = config_of(command)
    assert config.task.label_set == "synthetic_parts"
    assert config.task.train_data.input_path == f"{folder}/parts_of/mine-*"


@pytest.fixture
def imported(say, tmp_path, monkeypatch):
    """What is said after an import: how to look at the labels, and to convert them."""
    monkeypatch.chdir(tmp_path)
    labels = tmp_path / "labels"
    shutil.copytree(REPO / "tests/testdata/label_tools", labels)
    flags = ["--from=labelme", f"--input={labels}/labelme", "--exif=apply"]
    flags += ["--area_from=box", "--box_from=segmentation"]
    return say(import_annotations, *flags, "--output=people.json")


def test_imported_labels_are_looked_at_and_converted(say, imported, tmp_path):
    looking, converting = imported
    described = [f"--image_dir={tmp_path}/labels", "--annotations=people.json"]
    described += ["--exif=apply", "--skeleton=people.skeleton.yaml"]
    assert looking[2:-1] == ["hrnet_tf.data.inspect", *described]
    assert looking[-1] == "--output_dir=looks/people"
    assert converting[2:-1] == ["hrnet_tf.data.coco_pose", *described]
    (again,) = say(inspect, *described)
    assert again[2] == "hrnet_tf.data.inspect"
    assert {*again[3:]} == {*looking[3:]}
    (training,) = say(coco_pose, *converting[3:])
    assert training[2] == "hrnet_tf.train"


@pytest.mark.slow
def test_after_the_pictures_data_are_converted_or_trained_on(say, imported, tmp_path):
    looking, converting = imported
    few = ["--num_rows=1", "--num_augmented=1"]
    (after,) = say(inspect, *looking[3:], *few)
    assert (tmp_path / "looks/people/sheet.png").exists()
    assert after[2] == converting[2] and {*after[3:]} == {*converting[3:]}
    say(coco_pose, *after[3:])
    configured = ["--experiment=hrnet_pose_coco", "--config_file=a.yaml"]
    configured += ["--params_override=task.skeleton=people.skeleton.yaml"]
    Path("a.yaml").write_text("task:\n  model:\n    input_size: [64, 64]\n")
    (training,) = say(
        inspect, "--records=records/train-*", *configured, *few, "--output_dir=looks/b"
    )
    assert training[2:-1] == [
        "hrnet_tf.train",
        *configured,
        "--params_override=task.train_data.input_path=records/train-*",
    ]


def config_of(command: list[str]):
    """The configuration that a training would have."""
    values = train.define_flags()
    values(command[2:])
    files = [str(REPO / file) for file in values.config_file]
    return parse_config(values.experiment, files, values.params_override)


@pytest.mark.parametrize("name", ["cityscapes", "pascal_context", "lip"])
def test_published_data_sets_have_their_experiments(name, monkeypatch):
    module = importlib.import_module(f"hrnet_tf.data.{name}")
    told = []
    monkeypatch.setattr(
        module.command,
        "run",
        lambda convert, values, argv, training: told.append(training),
    )
    module.main([name])
    flags = told[0](None, None)
    assert config_of(["python", "-m", "hrnet_tf.train", *flags, "--model_dir=x"])


@pytest.mark.slow  # Exports a network twice.
def test_a_trained_network_is_exported_and_tried(say, toy_command, toy_data, tmp_path):
    run_dir = tmp_path / "run"
    (command,) = say(train, *toy_command(run_dir, "--mode=train"))
    assert command[2] == "hrnet_tf.train" and "--mode=eval" in command
    commands = say(train, *command[3:])
    assert [command[2] for command in commands] == ["hrnet_tf.export", "hrnet_tf.demo"]
    assert f"--model_dir={run_dir}" in commands[0]

    commands = say(
        export,
        *commands[0][3:-1],
        *("--noverify", f"--output_dir={tmp_path}/exported"),
    )
    assert [c[2] for c in commands] == ["hrnet_tf.predict", "hrnet_tf.demo"]
    photos = tmp_path / "photos"
    shutil.copytree(toy_data / "images/val", photos)
    flags = [f.replace("=photos", f"={photos}") for f in commands[0][3:]]
    (command,) = say(predict, *flags[:-1], f"--output_dir={tmp_path}/predicted")
    assert command[2:] == ["hrnet_tf.demo", f"--model={tmp_path}/exported"]
    # What programs read has no words between.
    assert json.loads((tmp_path / "predicted/results.json").read_text())


@pytest.mark.slow
def test_a_checkpoint_of_elsewhere_is_exported_with_its_configuration(
    say, toy_command, tmp_path
):
    say(train, *toy_command(tmp_path / "run", "--mode=train"))
    checkpoint = f"--checkpoint={tmp_path}/run/ckpt-4"
    flags = toy_command(tmp_path / "evaluated", "--mode=eval", checkpoint)
    command, _ = say(train, *flags)
    assert say(export, *command[3:-1], "--noverify", f"--output_dir={tmp_path}/1")


def test_the_picture_to_look_at_is_named(capsys):
    next_steps.tell_of_run("pose", "runs/a/predictions.png", "--model_dir=runs/a")
    out = capsys.readouterr().out
    assert out.startswith("Next, look at runs/a/predictions.png, and export the model:")


@pytest.mark.parametrize("skeleton", ["coco17", *coco_pose._RECIPES])
def test_published_data_are_trained_on_as_published(skeleton):
    values = coco_pose.define_flags()
    needed = ("--image_dir=a", "--annotations=a.json", "--output_prefix=records/train")
    values(["command", f"--skeleton={skeleton}", *needed])
    parsed = train.define_flags()
    parsed(["command", "--model_dir=runs/a", *coco_pose.training(values, None)])
    task = parse_config(
        parsed.experiment, parsed.config_file, parsed.params_override
    ).task
    assert task.skeleton == skeleton


def test_runs_that_are_not_exported_have_curves(capsys):
    next_steps.tell_of_curves("runs/a")
    assert capsys.readouterr().out.endswith(" -m tensorboard.main --logdir=runs/a\n")


def test_converted_weights_are_exported(capsys):
    values = convert_weights.define_flags()
    flags = ("--checkpoint=pose_hrnet_w32_384x288.pth", "--output=w/ckpt")
    values(["command", *flags])

    class Model:
        output_shape = (None, 96, 72, 16)

    convert_weights._tell_what_is_next(values, "pose", Model)
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    parsed = export.define_flags()
    parsed(words[2:])
    config = parse_config("hrnet_pose_coco", [], parsed.params_override)
    assert config.task.skeleton == "mpii16"
    assert config.task.model.input_size == [384, 288]


@pytest.mark.parametrize("task", convert_weights._EXPERIMENTS)
def test_other_converted_weights_are_trained_from(task, capsys):
    values = convert_weights.define_flags()
    values(["command", "--checkpoint=a.pth", "--output=w/ckpt"])
    convert_weights._tell_what_is_next(values, task, None)
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    parsed = train.define_flags()
    parsed(words[2:])
    assert parsed.config_file == ["w/ckpt.yaml"]
    assert parse_config(parsed.experiment)
