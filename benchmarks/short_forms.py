"""The short forms of all benchmarks in one table: what `make benchmark` runs.

    python benchmarks/short_forms.py --json=benchmarks.json
    python benchmarks/short_forms.py --readme=benchmarks.json

Less than ten minutes on two idle cores. Each line is of two contenders that took turns
in one run; above 1, ours is faster. Their long forms, and what else they print, are in
the files themselves. A benchmark that fails or does not end is named, the others go on,
and the exit code is 1. With --readme nothing is measured: the numbers of an earlier run
become the table of the README.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import flag_values
import measuring

SHORT = {
    "pose_input": ["--rounds=3", "--num_images=128", "--crops=192"],
    "decoding": ["--rounds=3"],
    "training_step": ["--rounds=3", "--variant=w18_small_v1", "--batch=16"],
    "predict": ["--rounds=2", "--images=48"],
    "inference": ["--rounds=5", "--batches=1", "--only=fp32"],
    "startup": ["--rounds=1"],
    "scaling": ["--rounds=1", "--parts=conversion,training", "--images=400"],
}
_CORES = {"scaling": 2}


def main() -> None:
    """Runs them one after the other and prints the table."""
    parser = flag_values.parser(__doc__, rounds=None)
    parser.add_argument("--only", type=flag_values.some_of(SHORT), default=list(SHORT))
    parser.add_argument(
        "--limit",
        type=flag_values.count,
        default=300,
        help="seconds for each benchmark",
    )
    parser.add_argument(
        "--readme", help="numbers of an earlier run, to print as a table"
    )
    arguments = parser.parse_args()
    if arguments.readme:
        try:
            with open(arguments.readme, encoding="utf-8") as file:
                print(readme_table(json.load(file)))
        except (OSError, ValueError, LookupError, TypeError) as error:
            parser.error(
                f"--readme={arguments.readme} holds no numbers of an earlier run: "
                f"{error}"
            )
        return
    measuring.pin(arguments.cores)
    rounds = [f"--rounds={arguments.rounds}"] if arguments.rounds else []
    found = {}
    cores = measuring.num_cores()
    names = [name for name in arguments.only if _CORES.get(name, 1) <= cores]
    for name in {*arguments.only} - {*names}:
        print(
            f"{name}: {measuring.LEFT_OUT}, since it needs more cores.", file=sys.stderr
        )
    for name in names:
        flags = [*SHORT[name], *rounds]
        begin = time.monotonic()
        if (content := run(name, flags, arguments.limit)) is not None:
            found[name] = content
            print(f"{name} took {time.monotonic() - begin:.0f} s.", file=sys.stderr)
    rows = [row for content in found.values() for row in content["summary"]]
    if not rows and len(found) == len(names):
        sys.exit("Nothing was compared: no peer took part.")
    if rows:
        measuring.tell("Benchmarks", rows, {**vars(arguments), "found": found}, rows)
    if failed := [name for name in names if name not in found]:
        sys.exit(f"Without numbers, since they failed: {', '.join(failed)}.")


def run(name: str, flags: Sequence[str], limit: float) -> dict[str, Any] | None:
    """A benchmark's JSON; None, and why on stderr, if it fails."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "numbers.json")
        log = os.path.join(folder, "log.txt")
        with open(log, "w", encoding="utf-8") as output:
            code = end_code([script, *flags, f"--json={path}"], output, limit)
        with open(log, encoding="utf-8", errors="replace") as file:
            told = file.read()
        if code == 0:
            for line in told.splitlines():
                if line.startswith(measuring.LEFT_OUT):
                    print(f"{name}: {line}", file=sys.stderr)
            with open(path, encoding="utf-8") as file:
                return json.load(file)
        print(told, file=sys.stderr)
    end = f"ended with {code}" if code is not None else f"took more than {limit:g} s"
    print(f"{name} {end}.", file=sys.stderr)
    return None


def end_code(arguments: Sequence[str], output: Any, limit: float) -> int | None:
    """Runs a script; its exit code, or None if it was ended since it took too long."""
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=output, stderr=subprocess.STDOUT
    )
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        # Asked to, it ends its contenders first.
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def readme_table(content: dict[str, Any]) -> str:
    """The README's table, and below it on what machine it was measured."""
    rows = [
        {"": row["work"], "hrnet_tf": row["ours"], "beside": row["peer"]}
        | {"times as fast": row["times as fast"]}
        for row in content["summary"]
    ]
    machine = measuring.describe(content["machine"])
    return f"{measuring.markdown(rows)}\n\nMeasured by `make benchmark` on: {machine}."


if __name__ == "__main__":
    measuring.start(main, {})
