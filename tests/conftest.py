"""What every test may rely on: quiet TensorFlow, two CPU devices, float32 to start.

TensorFlow takes seconds to import, so nothing here imports it unless the tests that
were collected do.
"""

import os
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

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
    if "tensorflow" in sys.modules:
        try:
            split_cpu()
        except RuntimeError:
            pass  # `two_cpus` says so, to the tests that it concerns.


@pytest.fixture(scope="session")
def two_cpus() -> list[str]:
    """Names of two logical CPU devices, for tf.distribute.MirroredStrategy."""
    import tensorflow as tf

    try:
        split_cpu()
    except RuntimeError:
        pass
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
