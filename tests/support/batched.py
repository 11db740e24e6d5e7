"""`hrnet_tf.batch` beside `hrnet_tf.predict`: both find the same."""

import filecmp
import json
from pathlib import Path
from typing import Any

import pytest

from hrnet_tf import predict


def same_lines(model: Path, images: Path, folder: Path, *flags: str) -> list[Any]:
    """Runs both on a folder of images; the results of each image, of the same lines.

    Label maps must be the same files. Skips the test without Apache Beam.
    """
    pytest.importorskip("apache_beam")
    from hrnet_tf import batch

    given = ["", f"--model={model}", *flags, f"--input={images}"]
    one, other = folder / "predict", folder / "batch"
    alone = ["--no_pictures", f"--output_dir={one}"]
    assert predict.main([*given, *alone]) == 0
    assert batch.main([*given, f"--output={other}/found"]) == 0
    expected = sorted((one / "results.jsonl").read_text().splitlines())
    shards = [path.read_text() for path in other.glob("found-*.jsonl")]
    assert sorted("".join(shards).splitlines()) == expected
    maps = [path.name for path in one.glob("*.labels.png")]
    assert filecmp.cmpfiles(one, other, maps, shallow=False)[1:] == ([], [])
    return [json.loads(line)["results"] for line in expected]
