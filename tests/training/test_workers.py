"""What a worker says when another one is lost."""

import types

import pytest
import tensorflow as tf

from hrnet_tf.training import workers

RESET = (
    "Collective ops is aborted by: recvmsg:Connection reset by peer\nAdditional GRPC "
    "error information from remote target /job:worker/replica:0/task:2 while calling "
    "/tensorflow.WorkerService/RecvBuf"
)
SILENT = (
    "{{function_node __wrapped__CollectiveReduceV2_device_/job:worker/replica:0/task:1"
    "/device:CPU:0}} Collective ops is aborted by: Error reported from "
    "/job:worker/task:2: The following tasks are unhealthy (stopped sending heartbeats)"
)


@pytest.fixture
def second_of_three(monkeypatch):
    monkeypatch.setattr(workers, "are_several", lambda strategy: True)
    resolver = types.SimpleNamespace(task_type="worker", task_id=1)
    return types.SimpleNamespace(cluster_resolver=resolver)


def fail(strategy, model_dir, error):
    with workers.naming_lost(strategy, str(model_dir)):
        raise error


@pytest.mark.parametrize(
    ("message", "who"),
    [
        (RESET, "worker 2"),
        (SILENT, "worker 2"),
        ("Collective ops is aborted by: it is full", "of this run"),
    ],
)
def test_the_worker_that_is_lost_is_named(message, who, second_of_three, tmp_path):
    error = tf.errors.UnavailableError(None, None, message)
    with pytest.raises(workers.LostWorkerError) as found:
        fail(second_of_three, tmp_path, error)
    assert str(found.value).startswith(f"Another worker ({who}) has ended or cannot")
    assert str(found.value).endswith(
        f"begins anew, since {tmp_path} has no checkpoint yet."
    )


def test_other_errors_stay_what_they_are(second_of_three, tmp_path):
    error = tf.errors.UnavailableError(None, None, "No dispatcher at host:5050")
    with pytest.raises(tf.errors.UnavailableError):
        fail(second_of_three, tmp_path, error)


def test_a_run_of_one_process_loses_no_worker(tmp_path):
    error = tf.errors.UnavailableError(None, None, RESET)
    with pytest.raises(tf.errors.UnavailableError):
        fail(tf.distribute.get_strategy(), tmp_path, error)
