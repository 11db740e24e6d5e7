"""A tf.data service, for benchmarks/scaling.py: workers on a core each, one trainer."""

import os
import subprocess
import sys

import measuring
import pose_input


def records(data: dict[str, str]) -> measuring.Work:
    """Writes the records that the service reads."""
    pose_input.pipeline(data)
    return lambda: None


def serve(data: dict[str, str], workers: int, crops: int) -> measuring.Work:
    """Takes batches from a service whose workers have a core each."""
    import tensorflow as tf

    dispatcher = tf.data.experimental.service.DispatchServer()
    address = dispatcher.target.partition("://")[2]
    cores = sorted(os.sched_getaffinity(0))
    for index in range(workers):
        command = [__file__, address, str(cores[index])]
        # It is of this process's group, which is ended as a whole.
        subprocess.Popen([sys.executable, *command])
    reader = pose_input.pipeline(
        data, enable_tf_data_service=True, tf_data_service_address=dispatcher.target
    )
    # Without a context the Garden's reader takes no service.
    batches = iter(reader.dataset(tf.distribute.InputContext(1, 0, 1)))

    def work() -> None:
        assert dispatcher
        pose_input.take(batches, crops)

    return work


def main(address: str, core: str) -> None:
    """A worker of the service."""
    os.sched_setaffinity(0, {int(core)})
    import tensorflow as tf

    config = tf.data.experimental.service.WorkerConfig(address)
    tf.data.experimental.service.WorkerServer(config).join()


if __name__ == "__main__":
    main(*sys.argv[1:])
