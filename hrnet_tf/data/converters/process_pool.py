"""The pieces of a conversion, each done by one of several processes of this machine."""

import concurrent.futures
import itertools

import cv2
import tensorflow as tf

from hrnet_tf import processes
from hrnet_tf.data.converters.command import PRELOAD
from hrnet_tf.data.converters.shard_work import ShardWork
from hrnet_tf.progress import Progress


def run(work: ShardWork, num_processes: int, num_items: int) -> None:
    """Does all pieces, but for items that come after what ends the conversion.

    Raises `WorkerError` if a process was killed.
    """
    count = min(num_processes, work.num_shards)
    with (
        processes.pool(count, "--num_processes", _start, preload=PRELOAD) as pool,
        Progress(num_items, "Converting") as progress,
    ):
        shards = iter(range(work.num_shards))
        pending = {pool.submit(work.write, n) for n in itertools.islice(shards, count)}
        end = num_items
        skipped = 0
        while pending:
            done, pending = concurrent.futures.wait(
                pending, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for piece in (future.result() for future in done):
                skipped += piece.num_faults
                status = {"skipped": skipped} if skipped else {}
                progress.advance(piece.num_items, **status)
                end = min(end, piece.end)
            # Those that are not begun: of all faults the first one is to be named.
            pending |= {
                pool.submit(work.write, shard, end)
                for shard in itertools.islice(shards, len(done))
            }


def _start() -> None:
    """The processes themselves use all cores."""
    cv2.setNumThreads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    # Decoding needs no accelerator.
    tf.config.set_visible_devices([], "GPU")
