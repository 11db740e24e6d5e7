"""The short forms of all benchmarks in one table: what `make benchmark` runs.

    python benchmarks/short_forms.py --json=benchmarks.json

About three minutes on two idle cores. Each line is of two contenders that took turns in
one run; above 1, ours is faster. Their long forms, and what else they print, are in the
files themselves.
"""

import json
import os
import subprocess
import sys
import tempfile

import measuring

SHORT = {
    "pose_input": ["--rounds=3", "--num_images=96", "--crops=320"],
    "decoding": ["--rounds=3"],
    "training_step": ["--rounds=3", "--variant=w18_small_v1", "--batch=16"],
    "predict": ["--rounds=2", "--images=48"],
    "inference": ["--rounds=5", "--batches=1", "--only=SavedModel|fp32"],
    "startup": ["--rounds=2"],
}


def main() -> None:
    """Runs them one after the other and prints the table."""
    parser = measuring.parser(__doc__, rounds=None)
    parser.add_argument("--only", type=measuring.some_of(SHORT), default=list(SHORT))
    arguments = parser.parse_args()
    measuring.pin(arguments.cores)
    rows, found = [], {}
    folder = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as output:
        for name in arguments.only:
            path = os.path.join(output, f"{name}.json")
            rounds = [f"--rounds={arguments.rounds}"] if arguments.rounds else []
            script = os.path.join(folder, f"{name}.py")
            done = subprocess.run(
                [sys.executable, script, *SHORT[name], *rounds, f"--json={path}"],
                check=False,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                sys.exit(f"{done.stderr}\n{script} ended with {done.returncode}.")
            with open(path, encoding="utf-8") as file:
                found[name] = json.load(file)
            rows += found[name]["summary"]
            print(f"{name} is done.", file=sys.stderr)
    measuring.tell("Benchmarks", rows, {**vars(arguments), "found": found}, rows)


if __name__ == "__main__":
    main()
