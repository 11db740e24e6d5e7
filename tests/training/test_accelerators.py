"""What XLA does not compile, and what a TPU needs, is said before the first step."""

import re
import socket
import threading
import types

import pytest

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.training import devices, run, tpus
from hrnet_tf.training.experiment import ConfigError, parse_config
from hrnet_tf.training.validation import accelerators, validate

ON_TPU = "runtime.distribution_strategy=tpu,runtime.num_gpus=0,runtime.tpu="
ON_CPU = "runtime.enable_xla=true,runtime.num_gpus=0,runtime.distribution_strategy="
# With what a TPU needs for an evaluation.
SEGMENTS = (
    "task.resizing.method=fixed,task.validation_data.padded_size=[64, 96],"
    "task.label_set=synthetic_parts"
)
BUCKETS = (
    "task.train_data.input_path=gs://b/train*,task.validation_data.input_path=gs://b/v*,"
    "task.train_data.crop_with_opencv=false"
)
HERE = "task.train_data.input_path=t*,task.validation_data.input_path=v*"


@pytest.fixture(autouse=True)
def nameless(monkeypatch):
    for name in tpus.NAMES:
        monkeypatch.delenv(name, raising=False)


def told(experiment, *overrides, mode="train_and_eval"):
    params = parse_config(f"hrnet_{experiment}", [], overrides)
    return list(accelerators.mistakes(params, "train" in mode, "eval" in mode))


@pytest.mark.parametrize(
    "experiment, overrides",
    [
        ("pose_coco", [f"{ON_TPU}local"]),
        ("pose_coco", [f"{ON_TPU}my-tpu", BUCKETS]),
        ("pose_coco", [f"{ON_CPU}one_device"]),
        ("pose_coco", ["runtime.enable_xla=true,runtime.num_gpus=2"]),
        ("pose_coco", [f"{ON_TPU}my-tpu", BUCKETS, "task.init_checkpoint=gs://b/c-1"]),
        # A service crops people without Python, unless it is told otherwise.
        (
            "pose_coco",
            [
                f"{ON_TPU}my-tpu",
                BUCKETS,
                "task.train_data.crop_with_opencv=null,"
                "task.train_data.enable_tf_data_service=true",
            ],
        ),
        # On a TPU VM, files are here.
        ("pose_coco", [f"{ON_TPU}local", HERE, "task.init_checkpoint=runs/w32"]),
        (
            "pose_coco",
            [
                "runtime.enable_xla=true,runtime.distribution_strategy=mirrored,"
                "runtime.num_gpus=2"
            ],
        ),
        ("seg_custom", [f"{ON_TPU}local", SEGMENTS]),
        ("seg_custom", [f"{ON_CPU}one_device"]),
        ("maskrcnn_coco", [f"{ON_TPU}local"]),
        ("retinanet_coco", [f"{ON_TPU}local"]),
        ("imagenet", [f"{ON_TPU}local", "task.validation_data.drop_remainder=true"]),
        # Without XLA, nothing of it counts.
        ("maskrcnn_coco", ["task.model.roi_generator.use_batched_nms=true"]),
        ("pose_coco", ["task.train_data.drop_remainder=false"]),
    ],
)
def test_what_works_is_not_refused(experiment, overrides):
    assert told(experiment, *overrides) == []


@pytest.mark.parametrize(
    "experiment, overrides, words",
    [
        (
            "pose_coco",
            [f"{ON_CPU}mirrored"],
            ["enable_xla", "merge_call", "one_device"],
        ),
        (
            "maskrcnn_coco",
            [
                f"{ON_CPU}one_device",
                "task.model.roi_generator.use_batched_nms=true",
            ],
            [
                "roi_generator.use_batched_nms",
                "CombinedNonMaxSuppression",
                "enable_xla",
            ],
        ),
        ("pose_coco", [f"{ON_TPU}null"], ["runtime.tpu (--tpu) is empty", "local"]),
        (
            "pose_coco",
            [f"{ON_TPU}local", "runtime.mixed_precision_dtype=float16"],
            ["mixed_precision_dtype is 'float16'", "bfloat16"],
        ),
        (
            "pose_coco",
            [f"{ON_TPU}local", "trainer.eval_tf_function=false"],
            ["trainer.eval_tf_function is false", "must be true"],
        ),
        (
            "pose_coco",
            [f"{ON_TPU}local", "task.train_data.drop_remainder=false"],
            ["task.train_data.drop_remainder is false", "one shape"],
        ),
        (
            "pose_coco",
            [f"{ON_TPU}my-tpu", BUCKETS, "task.train_data.input_path=records/train*"],
            ["task.train_data.input_path is 'records/train*'", "gs://"],
        ),
        (
            "pose_coco",
            [f"{ON_TPU}my-tpu", BUCKETS, "task.train_data.crop_with_opencv=null"],
            ["crop_with_opencv is null", "must be false", "cannot call OpenCV"],
        ),
        (
            "pose_coco",
            [f"{ON_TPU}my-tpu", BUCKETS, "task.init_checkpoint=runs/w32"],
            ["task.init_checkpoint is 'runs/w32'", "on this machine", "gs://"],
        ),
        ("pose_coco", [f"{ON_TPU}'10.0.0.2:8470'", BUCKETS], ["grpc://HOST:PORT"]),
        (
            "retinanet_coco",
            [
                f"{ON_TPU}my-tpu",
                "task.train_data.input_path=gs://b/t*",
                "task.validation_data.input_path=[gs://b/v*, v*]",
            ],
            ["task.validation_data.input_path is 'v*'", "gs://"],
        ),
        (
            "imagenet",
            [
                f"{ON_TPU}my-tpu",
                "task.validation_data.drop_remainder=true",
                "task.train_data.input_path={b: t*}",
                "task.validation_data.input_path=gs://b/v*",
            ],
            ["task.train_data.input_path is 't*'", "gs://"],
        ),
        (
            "seg_custom",
            [f"{ON_TPU}local", SEGMENTS, "task.resizing.method=long_side"],
            ["task.resizing.method is 'long_side'", "ResizeBilinear", "must be fixed"],
        ),
        (
            "seg_custom",
            [f"{ON_TPU}local", SEGMENTS, "task.evaluation.window=[32, 32]"],
            ["task.evaluation.window is [32, 32]", "Pad", "must be []"],
        ),
        (
            "seg_custom",
            [f"{ON_TPU}local", SEGMENTS, "task.validation_data.padded_size=[]"],
            ["task.validation_data.padded_size is []", "[height, width]"],
        ),
        (
            "retinanet_coco",
            [f"{ON_TPU}local", "task.model.detection_generator.nms_version=batched"],
            ["nms_version is 'batched'", "CombinedNonMaxSuppression", "must be v2"],
        ),
        (
            "maskrcnn_coco",
            [
                f"{ON_TPU}local",
                "task.model.detection_generator.nms_version=v1",
                "task.model.detection_generator.soft_nms_sigma=0.5",
            ],
            ["soft_nms_sigma is 0.5", "NonMaxSuppressionV5", "must be null"],
        ),
        (
            "imagenet",
            [f"{ON_TPU}local"],
            ["task.validation_data.drop_remainder is false", "divides the number"],
        ),
    ],
)
def test_what_fails_is_named_in_one_sentence(experiment, overrides, words):
    (sentence,) = told(experiment, *overrides)
    assert "\n" not in sentence and sentence.endswith(".")
    for word in words:
        assert word in sentence


def test_only_what_a_mode_does_is_checked():
    overrides = [f"{ON_TPU}local", "trainer.eval_tf_function=false"]
    assert told("seg_custom", *overrides, mode="train") == []
    assert told("maskrcnn_coco", f"{ON_CPU}mirrored", mode="eval") == []
    batched = "task.model.roi_generator.use_batched_nms=true"
    assert len(told("maskrcnn_coco", f"{ON_TPU}local", batched, mode="eval")) == 1
    remainder = "task.train_data.drop_remainder=false"
    assert told("pose_coco", f"{ON_TPU}local", remainder, mode="eval") == []


@pytest.mark.parametrize("part, mode", [("train", "train"), ("validation", "eval")])
def test_only_what_a_mode_reads_is_in_buckets(part, mode):
    """Neither the records of the other mode, nor weights to begin with."""
    changes = [f"{ON_TPU}my-tpu", HERE, f"task.{part}_data.input_path=gs://b/t*"]
    if mode == "eval":
        changes.append("task.init_checkpoint=runs/w32")
    else:
        changes.append("task.train_data.crop_with_opencv=false")
    assert told("pose_coco", *changes, mode=mode) == []
    (sentence,) = told("pose_coco", *changes, HERE, mode=mode)
    assert f"task.{part}_data.input_path" in sentence


def test_experiments_of_the_garden_mean_xla_on_gpus():
    """They ask for it by default, and the Garden passes over it on a CPU."""
    batched = "task.model.roi_generator.use_batched_nms="
    for num_gpus, mistakes in ((0, 0), (1, 1)):
        changes = [f"runtime.num_gpus={num_gpus}", f"{batched}true"]
        params = parse_config("maskrcnn_resnetfpn_coco", [], changes)
        assert params.runtime.enable_xla
        assert devices.are_steps_compiled(params) == (num_gpus > 0)
        found = accelerators.mistakes(params, trains=True, evaluates=False)
        assert len(list(found)) == mistakes
    assert devices.are_steps_compiled(
        parse_config("hrnet_pose_coco", [], [f"{ON_CPU}one_device"])
    )


def test_a_tpu_compiles_by_itself():
    changes = [f"{ON_TPU}local", "runtime.enable_xla=true"]
    assert not devices.are_steps_compiled(parse_config("hrnet_pose_coco", [], changes))


def test_a_name_may_be_in_the_environment(monkeypatch):
    monkeypatch.setenv("TPU_NAME", "mine")
    assert told("pose_coco", f"{ON_TPU}null", BUCKETS) == []
    assert len(told("pose_coco", f"{ON_TPU}null", BUCKETS, HERE)) == 2


def test_the_whole_check_asks_it():
    wrong = [f"{ON_TPU}local", "runtime.mixed_precision_dtype=float16"]
    params = parse_config("hrnet_pose_coco", [], wrong)
    with pytest.raises(ConfigError, match="on a TPU it must be bfloat16"):
        validate(params, None, lambda *arguments: ())


# ---- a TPU that is not there ----


def connect(address, model_dir="gs://b/run", checkpoint=None):
    params = parse_config("hrnet_pose_coco", [], [f"{ON_TPU}{address}", BUCKETS])
    with pytest.raises(ConfigError) as error:
        run._make_strategy(params, "train", model_dir, checkpoint)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_no_tpu_in_this_machine(tmp_path):
    sentence = connect("local", str(tmp_path), checkpoint=str(tmp_path / "ckpt-1"))
    assert sentence.startswith("The TPU 'local' of --tpu (runtime.tpu) is not there")
    # TensorFlow's reason, and that its list of kernels was cut.
    assert "(TPUs not found in the cluster. Failed in initialization: No" in sentence
    assert "...): correct its name" in sentence
    assert "install tensorflow-tpu on a TPU VM" in sentence


def test_no_tpu_of_that_name(monkeypatch):
    # Where Google's machines ask who they are, nobody answers.
    monkeypatch.setenv("GCE_METADATA_IP", "127.0.0.1:9")
    assert re.match("The TPU 'my-tpu' of --tpu .* is not there", connect("my-tpu"))
    monkeypatch.setenv("TPU_CONFIG", "theirs")
    sentence = connect("null")
    assert sentence.startswith("The TPU of the environment's TPU_CONFIG is not there")


def test_no_tpu_at_that_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        sentence = connect(f"'grpc://127.0.0.1:{port}'")
    assert "is not there" in sentence and "refused" in sentence


@pytest.mark.parametrize(
    "address, is_right",
    [
        ("grpc://10.0.0.2:8470", True),
        ("grpc://host,grpc://[::1]:8470", True),
        ("my-tpu", True),
        ("grpc://", False),
        ("grpc://host:port", False),
        ("grpc://host:99999", False),
        ("10.0.0.2:8470", False),
        ("http://host:80", False),
    ],
)
def test_addresses(address, is_right):
    found = list(tpus.address_mistakes(address))
    assert ["must be grpc://HOST:PORT" in one for one in found] == [True] * (
        not is_right
    )


def test_what_answers_there_is_no_tpu():
    """TensorFlow would wait for ever for one that does not speak gRPC."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        answer = threading.Thread(
            target=lambda: server.accept()[0].sendall(b"HTTP/1.1 400 Bad Request\r\n")
        )
        answer.start()
        sentence = connect(f"'grpc://127.0.0.1:{server.getsockname()[1]}'")
        answer.join()
    assert "(what answers there does not speak gRPC)" in sentence


def test_a_tpu_elsewhere_needs_a_bucket(tmp_path):
    sentence = connect("my-tpu", str(tmp_path))
    assert f"--model_dir={tmp_path} is on this machine" in sentence
    assert "gs://BUCKET/run" in sentence
    sentence = connect("my-tpu", checkpoint=str(tmp_path / "ckpt-1"))
    assert f"--checkpoint={tmp_path}/ckpt-1 is on this machine" in sentence


def test_an_address_without_a_port_is_at_tensorflows(monkeypatch):
    asked = []

    def nobody(address, patience):
        asked.append(address)
        raise OSError("nobody.\nAnd more of it") if "host" in address else OSError()

    monkeypatch.setattr(socket, "create_connection", nobody)
    for address in ("grpc://host", "grpc://host:99"):
        assert "(nobody): " in connect(f"'{address}'")
    assert "(OSError): " in connect("'grpc://[::1]'")
    assert asked == [("host", 8470), ("host", 99), ("::1", 8470)]


@pytest.mark.parametrize("mode, wrong", [("train", "train"), ("eval", "validation")])
def test_the_cores_of_a_tpu_that_answers_divide_the_batches(mode, wrong, monkeypatch):
    """Only those of the mode; a stand-in with the number of cores answers."""
    sizes = {"train": 8, "validation": 8, wrong: 12}
    changes = [
        f"task.{part}_data.global_batch_size={size}" for part, size in sizes.items()
    ]
    params = parse_config("hrnet_pose_coco", [], [f"{ON_TPU}local", *changes])
    answers = []

    def found(strategy, tpu_address):
        answers.append((strategy, tpu_address))
        return types.SimpleNamespace(num_replicas_in_sync=8)

    monkeypatch.setattr(tpus.distribute_utils, "get_distribution_strategy", found)
    with pytest.raises(ConfigError) as error:
        run._make_strategy(params, mode, "run", None)
    assert str(error.value) == (
        f"task.{wrong}_data.global_batch_size is 12; it must be a multiple of 8, the "
        "cores of the TPU."
    )
    other = "eval" if mode == "train" else "train"
    assert run._make_strategy(params, other, "run", None).num_replicas_in_sync == 8
    assert answers == [("tpu", "local")] * 2


def test_batches_are_shared_by_all_cores():
    overrides = ["task.train_data.global_batch_size=32"]
    params = parse_config("hrnet_pose_coco", [], overrides)
    assert list(tpus.batch_mistakes(params, "train", 8)) == []
    (sentence,) = tpus.batch_mistakes(params, "train", 64)
    assert sentence.startswith("task.train_data.global_batch_size is 32; it must be a")
    assert "64, the cores" in sentence
