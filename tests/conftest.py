"""What every test may rely on: quiet TensorFlow, two CPU devices, float32 to start.

TensorFlow takes seconds to import, so nothing here imports it unless the tests that
were collected do.
"""

import contextlib
import copy
import gc
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# XLA compiles in less than half the time for code that is slower, which is run once.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
)

# Distribution strategies need two devices to spread over; one CPU gives two logical
# ones. TensorFlow allows the split only before it has run its first operation.
NUM_CPUS = 2


def split_cpu() -> None:
    """Makes NUM_CPUS logical devices of the CPU, unless TensorFlow has started."""
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    if tf.config.get_logical_device_configuration(cpu) is None:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * NUM_CPUS
        )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Splits the CPU once the test modules are imported and before the first test."""
    # Python would look through all of TensorFlow for cycles, thousands of times.
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    session.config.pluginmanager.register(_Collector())
    if "tensorflow" in sys.modules:
        # If it is too late, `two_cpus` tells the tests that need them.
        with contextlib.suppress(RuntimeError):
            split_cpu()


class _Collector:
    """Clears what tests leave behind, every few seconds.

    An iterator of tf.data that ends can miss the end of the thread that tunes it, and
    then waits for the thread's next turn, with Python stopped: about as long as it has
    been alive, up to a minute.
    """

    _SECONDS = 10.0

    def __init__(self) -> None:
        self._last = time.monotonic()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self) -> None:
        if time.monotonic() - self._last > self._SECONDS:
            gc.collect()
            self._last = time.monotonic()


@pytest.fixture(scope="session")
def two_cpus() -> list[str]:
    """Names of two logical CPU devices, for tf.distribute.MirroredStrategy."""
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):
        split_cpu()
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    if len(devices) < NUM_CPUS:
        pytest.fail(
            f"TensorFlow started with {len(devices)} CPU device before the CPU could "
            "be split: a test module runs an operation while it is imported, or a test "
            "that imports TensorFlow itself ran first. Import TensorFlow at the top of "
            "the test module and run operations in tests and fixtures only."
        )
    return devices[:NUM_CPUS]


@pytest.fixture(autouse=True)
def float32_policy_again():
    """Takes back the mixed-precision policy that a test may have set."""
    yield
    if "tf_keras" in sys.modules:
        sys.modules["tf_keras"].mixed_precision.set_global_policy("float32")


@pytest.fixture(autouse=True)
def log_as_imported():
    """Takes back what a command did to the package's log: `caplog` sees it again."""
    yield
    log = logging.getLogger("hrnet_tf")
    log.handlers.clear()
    log.propagate = True


@pytest.fixture(scope="session")
def fuzz() -> Callable[..., None]:
    """Returns a function that tries a reader on what Hypothesis makes.

    The reader may refuse it with a `UserError`; what else it raises fails the test. The
    seed is fixed; FUZZ_SEED=7 in the environment takes another.
    """
    import hypothesis

    from hrnet_tf.messages import UserError

    def run(count: int, strategy: Any, read: Callable[[Any], Any]) -> None:
        @hypothesis.settings(
            max_examples=count,
            derandomize="FUZZ_SEED" not in os.environ,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(strategy)
        def attempt(content: Any) -> None:
            with contextlib.suppress(UserError):
                read(content)

        hypothesis.seed(int(os.environ.get("FUZZ_SEED", 0)))(attempt)()

    return run


@pytest.fixture(scope="session")
def network_cache() -> Any:
    """The networks of official weights that were built so far."""
    from network_cache import NetworkCache

    return NetworkCache()


@pytest.fixture
def built_once(network_cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes networks that earlier tests converted, as they were built."""
    network_cache.use_in_this_test(monkeypatch)


TOY_BACKBONE = {
    "hrnet": {
        "model_id": "custom",
        "custom": {
            "width": 4,
            "modules": [1, 1, 1],
            "blocks": 1,
            "layer1_planes": 8,
            "layer1_blocks": 1,
            "stem_width": 8,
        },
        "kernel_initializer": "kaiming",
    }
}
TOY_EXPERIMENT = {
    "task": {
        "model": {"input_size": [64, 64], "backbone": TOY_BACKBONE},
        "train_data": {"global_batch_size": 4, "crop_shuffle_buffer_size": 8},
        "validation_data": {"global_batch_size": 4},
        "evaluation": {"num_pictures": 2},
    },
    "trainer": {
        # Four steps take less time than tracing one.
        "train_tf_while_loop": False,
        "train_tf_function": False,
        "eval_tf_function": False,
        "train_steps": 4,
        "steps_per_loop": 2,
        "summary_interval": 2,
        "checkpoint_interval": 2,
        "validation_interval": 4,
        "optimizer_config": {
            "learning_rate": {
                "type": "cosine",
                "cosine": {"initial_learning_rate": 0.002, "decay_steps": 4},
            }
        },
    },
    "runtime": {"distribution_strategy": "one_device"},
}
# A training in graphs, as those of users are: fields of `trainer`, and the flag.
IN_GRAPHS = dict.fromkeys(
    ("train_tf_while_loop", "train_tf_function", "eval_tf_function"), True
)
TRACED = "--params_override=" + ",".join(f"trainer.{name}=true" for name in IN_GRAPHS)


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory) -> Path:
    """A folder with a few drawn people, their records and toy.yaml to train on them."""
    import yaml

    from hrnet_tf import registry_imports  # noqa: F401
    from hrnet_tf.data.converters import coco_pose
    from hrnet_tf.data.synthetic import dataset as synthetic
    from hrnet_tf.data.vocabularies import skeletons

    folder = tmp_path_factory.mktemp("toy") / "data"
    synthetic.draw_dataset(str(folder), 6, 4, image_size=96, max_people=2)
    for split in synthetic.SPLITS:
        coco_pose.convert(
            str(folder / "images" / split),
            str(folder / f"annotations/person_keypoints_{split}.json"),
            str(folder / "records" / split),
            skeletons.load_skeleton("coco17"),
            num_shards=2,
        )
    experiment = copy.deepcopy(TOY_EXPERIMENT)
    task = experiment["task"]
    task["train_data"]["input_path"] = f"{folder}/records/train-*"
    task["validation_data"]["input_path"] = f"{folder}/records/val-*"
    task["evaluation"]["annotation_file"] = str(
        folder / "annotations/person_keypoints_val.json"
    )
    (folder / "toy.yaml").write_text(yaml.safe_dump(experiment))
    return folder


@pytest.fixture(scope="session")
def toy_command(toy_data) -> Callable[..., list[str]]:
    """Flags of hrnet_tf.train for the toy data; more come after the model directory."""

    def command(model_dir: Path | str, *more: str) -> list[str]:
        return [
            "--experiment=hrnet_pose_coco",
            f"--config_file={toy_data}/toy.yaml",
            f"--model_dir={model_dir}",
            *more,
        ]

    return command


@pytest.fixture(scope="session")
def traced_command(toy_command) -> Callable[..., list[str]]:
    """As `toy_command`, but of a training in graphs."""

    def command(model_dir: Path | str, *more: str) -> list[str]:
        return toy_command(model_dir, TRACED, *more)

    return command


@pytest.fixture(scope="session")
def parsing_data(tmp_path_factory) -> Path:
    """A folder with a few drawn people, records of their parts and parsing.yaml."""
    import functools

    import yaml

    from hrnet_tf import registry_imports  # noqa: F401
    from hrnet_tf.data.converters import segmentation as segmentation_conversion
    from hrnet_tf.data.converters import segmentation_folder
    from hrnet_tf.data.synthetic import dataset as synthetic
    from hrnet_tf.data.vocabularies.label_sets import load_label_set

    folder = tmp_path_factory.mktemp("parsing") / "data"
    synthetic.draw_dataset(str(folder), 6, 5, image_size=96, max_people=2)
    label_set = load_label_set("synthetic_parts")
    for split in synthetic.SPLITS:
        segmentation_conversion.convert(
            segmentation_folder.find_pairs(
                str(folder / "images" / split), str(folder / "parts" / split)
            ),
            functools.partial(segmentation_folder.read_labels, label_set=label_set),
            label_set,
            str(folder / "records" / split),
            num_shards=2,
        )
    experiment = copy.deepcopy(TOY_EXPERIMENT)
    experiment["task"] = {
        "label_set": "synthetic_parts",
        "model": {"backbone": TOY_BACKBONE},
        "resizing": {"long_side": 96},
        "train_data": {
            "input_path": f"{folder}/records/train-*",
            "global_batch_size": 4,
            "crop_size": [64, 64],
        },
        "validation_data": {
            "input_path": f"{folder}/records/val-*",
            "global_batch_size": 2,
        },
        "evaluation": {"num_pictures": 2},
    }
    (folder / "parsing.yaml").write_text(yaml.safe_dump(experiment))
    return folder


@pytest.fixture(scope="session")
def parsing_command(parsing_data) -> Callable[..., list[str]]:
    """Flags of hrnet_tf.train for human parsing, as `toy_command`."""

    def command(model_dir: Path | str, *more: str) -> list[str]:
        return [
            "--experiment=hrnet_seg_custom",
            f"--config_file={parsing_data}/parsing.yaml",
            f"--model_dir={model_dir}",
            *more,
        ]

    return command


TOY_DETECTOR = {
    "num_classes": 5,
    "input_size": [128, 128, 3],
    "backbone": {
        "hrnet": {**TOY_BACKBONE["hrnet"], "freeze_norm_statistics": False},
    },
    "decoder": {"hrnetv2p": {"num_filters": 8}},
}
TOY_RCNN = {
    **TOY_DETECTOR,
    "rpn_head": {"num_filters": 8},
    "roi_generator": {
        "pre_nms_top_k": 50,
        "num_proposals": 20,
        "test_pre_nms_top_k": 50,
        "test_num_proposals": 20,
    },
    "roi_sampler": {"num_sampled_rois": 16},
    "detection_head": {"fc_dims": 16},
    "detection_generator": {"max_num_detections": 12},
}
TOY_MASK_RCNN = {
    **TOY_RCNN,
    "mask_head": {"num_convs": 1, "num_filters": 8},
    "mask_sampler": {"num_sampled_masks": 4},
}


def draw_detector_weights(model: Any) -> None:
    """Gives a detector random weights that let it find objects."""
    import numpy as np

    generator = np.random.default_rng(0)
    for variable in model.variables:
        low, high = 0.5, 1.5
        if "kernel" in variable.name:
            high = np.sqrt(3 / np.prod(variable.shape[:-1]))
            low = -high
        elif "bias" in variable.name:
            low, high = -0.5, 0.5
        variable.assign(generator.uniform(low, high, variable.shape))


@pytest.fixture(scope="session")
def detection_data(toy_data) -> Path:
    """The folder of `toy_data`, with records of objects and detection.yaml."""
    import yaml

    from hrnet_tf.data.converters import coco_instances
    from hrnet_tf.data.synthetic import dataset as synthetic

    for split in synthetic.SPLITS:
        coco_instances.convert(
            str(toy_data / "images" / split),
            str(toy_data / f"annotations/instances_{split}.json"),
            str(toy_data / "objects" / split),
            num_shards=2,
        )
    experiment = copy.deepcopy(TOY_EXPERIMENT)
    experiment["task"] = {
        "annotation_file": str(toy_data / "annotations/instances_val.json"),
        "model": TOY_MASK_RCNN,
        "train_data": {
            "input_path": f"{toy_data}/objects/train-*",
            "global_batch_size": 2,
            "shuffle_buffer_size": 4,
        },
        # Four images: the last batch is not full.
        "validation_data": {
            "input_path": f"{toy_data}/objects/val-*",
            "global_batch_size": 3,
        },
        "evaluation": {"num_pictures": 2},
    }
    experiment["trainer"].update(IN_GRAPHS)
    experiment["trainer"]["optimizer_config"]["warmup"] = {
        "linear": {"warmup_steps": 1, "warmup_learning_rate": 0.0001}
    }
    (toy_data / "detection.yaml").write_text(yaml.safe_dump(experiment))
    return toy_data


@pytest.fixture(scope="session")
def detection_command(detection_data) -> Callable[..., list[str]]:
    """Flags of hrnet_tf.train for a tiny Mask R-CNN, as `toy_command`."""

    def command(model_dir: Path | str, *more: str) -> list[str]:
        return [
            "--experiment=hrnet_maskrcnn_coco",
            f"--config_file={detection_data}/detection.yaml",
            f"--model_dir={model_dir}",
            *more,
        ]

    return command


@pytest.fixture
def log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], str]]:
    """Returns what the package has logged so far."""
    logger = logging.getLogger("hrnet_tf")
    # Commands switch it off; with it, everything would be there twice.
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(caplog.handler)
    yield lambda: caplog.text
    logger.removeHandler(caplog.handler)


# Of a module only: while it is open, playwright's event loop runs in the main thread,
# and nothing that starts a loop of its own, as the page's command does, works there.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser, driven by playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs chromium")
    with playwright.sync_playwright() as driver:
        # A camera that needs no leave, and shows a pattern that moves.
        camera = [f"--use-fake-{what}-for-media-stream" for what in ("ui", "device")]
        options = ["--no-sandbox", *camera]
        launched = driver.chromium.launch(executable_path=path, args=options)
        yield launched
        launched.close()
