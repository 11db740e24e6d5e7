"""The pieces of a conversion as the elements of an Apache Beam pipeline."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from hrnet_tf import beam_workers
from hrnet_tf.beam import BeamOptions
from hrnet_tf.data.converters.shard_work import ShardWork
from hrnet_tf.progress import Progress

_LOOKS = 2.0  # seconds between two looks at what is done


def run(work: ShardWork, options: BeamOptions, clean: Callable[[], None]) -> None:
    """Does all pieces. Raises `BeamError` if the pipeline fails.

    `clean` removes what there is of them if that ends this process.
    """
    import apache_beam

    def build(pipeline: apache_beam.Pipeline) -> None:
        # Reshuffled, since runners fuse what follows with who makes the numbers.
        _ = (
            pipeline
            | "Shards" >> apache_beam.Create(range(work.num_shards))
            | "Deal out" >> apache_beam.Reshuffle()
            | "Write records" >> apache_beam.Map(work.write)
        )

    with beam_workers.watched(clean), _progress(work):
        options.with_quiet_workers().run(build)


@contextlib.contextmanager
def _progress(work: ShardWork) -> Iterator[None]:
    """Shows how many files are written, which runners tell in ways of their own."""
    ended = threading.Event()

    def look() -> None:
        with Progress(work.num_shards, "Converting", "file") as progress:
            told = 0
            is_last = False
            while not is_last:
                is_last = ended.wait(_LOOKS)
                done = work.num_done()
                progress.advance(done - told)
                told = done

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
