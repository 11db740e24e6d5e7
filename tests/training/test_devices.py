"""Runs use the GPUs that are there, and say what they run on."""

import logging

import pytest
import tensorflow as tf

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.training import devices
from hrnet_tf.training.experiment import ConfigError, parse_config
from hrnet_tf.training.validation import pose, trainer, validate


def gpus(monkeypatch, count: int) -> None:
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    monkeypatch.setattr(
        tf.config,
        "list_physical_devices",
        lambda kind=None: [object()] * count if kind == "GPU" else [],
    )


def parse(*changes: str):
    return parse_config("hrnet_pose_coco", [], changes)


@pytest.mark.parametrize(
    "strategy, there, used, resolved, sentence",
    [
        ("mirrored", 0, 0, "one_device", "Runs on the CPU: TensorFlow sees no GPU."),
        ("mirrored", 1, 1, "mirrored", "Runs on one GPU."),
        ("Mirrored", 4, 4, "mirrored", "Runs on 4 GPUs."),
        ("one_device", 0, 0, "one_device", "Runs on the CPU: TensorFlow sees no GPU."),
        ("one_device", 4, 1, "one_device", "Runs on one GPU."),
        ("off", 4, 1, "off", "Runs on one GPU."),
        ("multi_worker_mirrored", 4, 4, "multi_worker_mirrored", ""),
        ("tpu", 0, 0, "tpu", ""),
    ],
)
def test_all_gpus_that_are_there(
    strategy, there, used, resolved, sentence, monkeypatch, caplog
):
    caplog.set_level(logging.INFO, "hrnet_tf")
    gpus(monkeypatch, there)
    params = parse(f"runtime.distribution_strategy='{strategy}'")
    assert params.runtime.num_gpus == devices.ALL_GPUS  # The experiments' default.
    devices.use_gpus(params, "train_and_eval")
    assert params.runtime.num_gpus == used
    assert params.runtime.distribution_strategy == resolved
    devices.log_devices(params.runtime)
    assert caplog.messages == [sentence] * bool(sentence)


@pytest.mark.parametrize(
    "mode, train, validation, used",
    [
        ("train", 32, 4, 8),
        ("eval", 32, 4, 4),
        ("train_and_eval", 32, 4, 4),
        ("continuous_eval", 32, 6, 6),
        ("train_and_eval", 12, 4, 4),
        ("train_and_eval", 9, 4, 1),
        ("train_and_eval", 64, 8, 8),
    ],
)
def test_as_many_gpus_as_divide_the_batches(
    mode, train, validation, used, monkeypatch, caplog
):
    caplog.set_level(logging.INFO, "hrnet_tf")
    gpus(monkeypatch, 8)
    sizes = {"train_data": train, "validation_data": validation}
    params = parse(
        *(f"task.{name}.global_batch_size={size}" for name, size in sizes.items())
    )
    devices.use_gpus(params, mode)
    assert params.runtime.num_gpus == used
    assert not list(trainer.runtime_mistakes(params, "train" in mode, "eval" in mode))
    told = [f"Uses {used} of 8 GPUs, the most that divide"] * (used < 8)
    assert [message[: len(told[0])] for message in caplog.messages] == told
    if mode == "eval":
        assert caplog.messages[0].endswith(" task.validation_data.global_batch_size 4.")


def test_a_strategy_that_is_no_text_is_left_to_the_checks():
    params = parse("runtime.distribution_strategy=off")  # To YAML, false.
    devices.use_gpus(params, "train_and_eval")
    assert params.runtime.distribution_strategy is False
    with pytest.raises(ConfigError, match="distribution_strategy is false.*quotes"):
        validate(params, None, pose.mistakes)


def test_a_given_number_of_gpus_stays(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "hrnet_tf")
    gpus(monkeypatch, 4)
    for count in (0, 2):
        params = parse(f"runtime.num_gpus={count}")
        devices.use_gpus(params, "train_and_eval")
        assert params.runtime.num_gpus == count
        assert params.runtime.distribution_strategy == "mirrored"
        devices.log_devices(params.runtime)
    assert caplog.messages == [
        "Runs on the CPU, as runtime.num_gpus says; -1 takes all GPUs (4).",
        "Runs on 2 GPUs.",
    ]


def test_onednn_is_named_where_it_is_on(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "hrnet_tf")
    gpus(monkeypatch, 0)
    params = parse("runtime.num_gpus=0")
    for value in ("1", "0"):
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", value)
        devices.log_devices(params.runtime)
    first, second = caplog.messages
    assert "(with oneDNN; TF_ENABLE_ONEDNN_OPTS=0 goes without)" in first
    assert "oneDNN" not in second


def test_batches_are_checked_against_the_gpus_that_are_there(monkeypatch, tmp_path):
    (tmp_path / "people").write_text("x")
    gpus(monkeypatch, 3)
    files = [
        f"task.train_data.input_path={tmp_path}/people",
        f"task.validation_data.input_path={tmp_path}/people",
        f"task.evaluation.annotation_file={tmp_path}/people",
    ]
    params = parse(
        *files, "task.train_data.global_batch_size=128", "runtime.num_gpus=3"
    )
    with pytest.raises(ConfigError) as error:
        validate(params, "train", pose.mistakes)
    # The people's file is none of records, which is another mistake.
    assert str(error.value).splitlines()[0] == (
        "task.train_data.global_batch_size is 128; it must be a multiple of "
        "runtime.num_gpus, 3, or use fewer: runtime.num_gpus=2."
    )
    # One number for both batches, or for the one that is used.
    params.runtime.num_gpus = 3
    params.task.validation_data.global_batch_size = 5
    mistakes = list(trainer.runtime_mistakes(params, trains=True, evaluates=True))
    assert [mistake[-19:] for mistake in mistakes] == ["runtime.num_gpus=1."] * 2
    mistakes = list(trainer.runtime_mistakes(params, trains=False, evaluates=True))
    assert ["validation_data" in mistake for mistake in mistakes] == [True]


X86 = "processor\t: 0\nflags\t\t: fpu sse avx2 avx512f {}\nbugs\t: none\n"


@pytest.mark.parametrize(
    "content, slow",
    [
        (X86.format(""), True),
        (X86.format("avx512_bf16x"), True),
        (X86.format("avx512_bf16 sha"), False),
        (X86.format("amx_bf16"), False),
        ("processor : 0\nFeatures : fp asimd\n", False),  # ARM tells otherwise.
        ("", False),
        (None, False),
    ],
)
def test_bfloat16_on_cpus(content, slow, monkeypatch, tmp_path, caplog):
    info = tmp_path / "cpuinfo"
    if content is not None:
        info.write_text(content)
    monkeypatch.setattr(devices, "CPU_INFO", str(info))
    assert devices.is_slow_on_cpu("bfloat16") is slow
    assert not devices.is_slow_on_cpu("float32")
    assert not devices.is_slow_on_cpu(None)

    gpus(monkeypatch, 0)
    params = parse("runtime.num_gpus=0", "runtime.mixed_precision_dtype=bfloat16")
    assert not list(trainer.runtime_mistakes(params, True, True))
    assert len(caplog.messages) == slow
    if slow:
        assert "mixed_precision_dtype is bfloat16, but this CPU" in caplog.text
    caplog.clear()
    # On a GPU, and where nothing is computed, it does not matter.
    gpus(monkeypatch, 1)
    params.runtime.num_gpus = 1
    assert not list(trainer.runtime_mistakes(params, True, True))
    params.runtime.num_gpus = 0
    assert not list(trainer.runtime_mistakes(params, False, False))
    assert not caplog.messages


def test_float16_needs_instructions_of_its_own(monkeypatch, tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text(X86.format("avx512_bf16"))
    monkeypatch.setattr(devices, "CPU_INFO", str(info))
    assert devices.is_slow_on_cpu("float16")
    info.write_text(X86.format("avx512_fp16"))
    assert not devices.is_slow_on_cpu("float16")
