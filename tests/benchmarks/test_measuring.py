import json
import subprocess
import sys
import time
from pathlib import Path

import measuring
import pytest

SCRIPT = """
import os, sys, threading, time
sys.path.insert(0, {benchmarks!r})
import measuring

def main():
    contenders = {{
        "first": measuring.Contender("counting", {{"seconds": 0.01}}),
        "second": measuring.Contender(
            "counting", {{"seconds": 0.03}}, {{"SECRET": "7"}}
        ),
    }}
    print("noise of the script")
    rounds = measuring.take_turns(__file__, contenders, rounds=3)
    print(measuring.json.dumps({{
        "first": rounds.of["first"], "second": rounds.of["second"],
        "ratio": rounds.times_as_fast("first", "second"),
    }}))

def counting(seconds):
    beats = []
    def beat():
        while True:
            beats.append(time.monotonic())
            time.sleep(0.001)
    threading.Thread(target=beat, daemon=True).start()
    def work():
        print("noise of a contender")
        begin = time.monotonic()
        time.sleep(seconds)
        return {{"turn": [begin, time.monotonic()], "beats": beats[-200:],
                 "secret": os.environ.get("SECRET"), "pid": os.getpid()}}
    return work

def failing():
    raise ValueError("no such data")

measuring.start(main, {{"counting": counting, "failing": failing}})
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    script = tmp_path_factory.mktemp("script") / "script.py"
    script.write_text(SCRIPT.format(benchmarks=str(Path(measuring.__file__).parent)))
    done = subprocess.run(
        [sys.executable, script], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_contenders_take_turns_in_processes_of_their_own(played):
    turns = [
        measured["turn"]
        for pair in zip(played["first"], played["second"], strict=True)
        for measured in pair
    ]
    assert all(
        end <= begin for (_, end), (begin, _) in zip(turns, turns[1:], strict=False)
    )
    assert played["first"][0]["pid"] != played["second"][0]["pid"]
    assert played["first"][0]["secret"] is None
    assert played["second"][0]["secret"] == "7"


def test_who_has_no_turn_is_stopped_with_its_threads(played):
    others = [measured["turn"] for measured in played["second"][:-1]]
    beats = played["first"][-1]["beats"]
    # Both may be awake for a moment while an answer is on its way.
    middles = [(0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b) for a, b in others]
    assert not [t for t in beats if any(a < t < b for a, b in middles)]
    assert beats


def test_ratio_is_the_median_of_the_rounds():
    def told(*seconds):
        return [{"seconds": value, "peak_mib": value} for value in seconds]

    rounds = measuring.Rounds({"ours": told(1, 2, 4), "peer": told(2, 2, 40)})
    assert rounds.times_as_fast("ours", "peer") == 2
    assert rounds.median("ours") == 2
    assert rounds.peak_mib("ours") == 4


def test_failure_of_a_contender_ends_the_run(tmp_path):
    script = tmp_path / "script.py"
    text = SCRIPT.format(benchmarks=str(Path(measuring.__file__).parent))
    script.write_text(
        text.replace('"counting", {{', '"failing", {{').replace(
            'Contender("counting", {"seconds": 0.01})', 'Contender("failing")'
        )
    )
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "first ended with exit code 1."
    assert time.monotonic() - begin < 60


def test_table_is_markdown_and_json_has_everything(tmp_path, capsys):
    path = tmp_path / "numbers.json"
    rows = [{"": "ours", "seconds": 0.125}, {"": "peer", "seconds": None}]
    summary = [{"work": "it", "times as fast": 2.0}]
    measuring.tell("Title", rows, {"json": str(path), "rounds": 3}, summary)
    assert "| ours | 0.12 |\n| peer | – |" in capsys.readouterr().out
    content = json.loads(path.read_text())
    assert content["rows"] == rows
    assert content["summary"] == summary
    assert content["settings"]["rounds"] == 3
    assert {"processor", "cores", "instructions", "onednn", "versions", "load"} <= set(
        content["machine"]
    )
