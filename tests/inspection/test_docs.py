"""docs/inspect.md: its commands are understood, and its findings are all there are."""

import re
import shlex
from pathlib import Path

import pytest

from hrnet_tf.data import inspect
from hrnet_tf.inspection import (
    boxes,
    detection,
    duplicates,
    pose_statistics,
    samples,
    segmentation,
    sides,
)

REPO = Path(__file__).parents[2]
TEXT = (REPO / "docs/inspect.md").read_text()
COMMANDS = [
    shlex.split(block.replace("\\\n", " "))
    for block in re.findall(
        r"^```sh\n(python -m .*?)^```$", TEXT, re.DOTALL | re.MULTILINE
    )
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[-1])
def test_a_command_is_understood(command):
    assert command[:3] == ["python", "-m", "hrnet_tf.data.inspect"]
    values = inspect.define_flags()
    assert values(command[2:]) == ["hrnet_tf.data.inspect"]
    assert bool(values.records) != bool(values.annotations)
    for path in values.config_file:
        assert (REPO / path).is_file()


def test_there_are_commands():
    assert len(COMMANDS) >= 4


def test_every_kind_of_finding_is_explained():
    rooms = boxes, detection, duplicates, pose_statistics, samples, segmentation, sides
    kinds = {
        value
        for room in rooms
        for name, value in vars(room).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
    }
    assert len(kinds) >= 20
    assert [kind for kind in sorted(kinds) if kind not in TEXT] == []


def test_flags_that_are_named_exist():
    known = {f"--{name}" for name in inspect.define_flags()}
    named = set(re.findall(r"`(--\w+)", TEXT)) - {"--on_error"}
    assert named <= known
