"""Every command answers help and bad usage at once, before TensorFlow is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
HEAVY = ["tensorflow", "tf_keras", "official"]

# Runs in a process of its own: `python -m COMMAND` with several arguments. Says, for
# each case, the exit code, both outputs and which heavy modules were imported so far.
PROGRAM = """
import contextlib, importlib, io, json, runpy, sys
from absl import flags

name, heavy = sys.argv[1], sys.argv[2].split()
answers = {}

def answer(case, run):
    out, err, code = io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run()
        except SystemExit as end:
            code = end.code
    imported = [module for module in heavy if module in sys.modules]
    answers[case] = [code, out.getvalue(), err.getvalue(), imported]

def run(*arguments):
    sys.argv = ["command", *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)

answer("help", lambda: run("--help"))
answer("unknown", lambda: run("--no_such_flag=1"))
module = importlib.import_module(name)
try:
    module.define_flags()(["command"])
except flags.Error:
    answer("required", lambda: module.main(["command"]))
print(json.dumps(answers))
"""


def commands() -> list[str]:
    """The modules that are run with python -m."""
    names = []
    for path in sorted((REPO / "hrnet_tf").rglob("*.py")):
        is_command = '\nif __name__ == "__main__"' in path.read_text(encoding="utf-8")
        if is_command or path.name == "__main__.py":
            parts = path.relative_to(REPO).with_suffix("").parts
            names.append(".".join(parts))
    return names


def answers(command: str) -> dict[str, list]:
    """Runs PROGRAM for a command."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, command, " ".join(HEAVY)],
        cwd=REPO,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_all_commands_are_found():
    assert {"hrnet_tf.train", "hrnet_tf.export", "hrnet_tf.predict"} < set(commands())
    assert "hrnet_tf.data.coco_pose" in commands()
    assert "hrnet_tf.data.synthetic.__main__" in commands()


@pytest.mark.parametrize("command", commands())
def test_help_and_bad_usage_do_not_wait_for_tensorflow(command):
    cases = answers(command)
    for case, (_, _, _, imported) in cases.items():
        assert not imported, f"{case}: imports {', '.join(imported)}"

    code, out, err, _ = cases.pop("help")
    assert code == 0 and not err
    description, _, flags = out.partition("\nFlags:\n")
    assert f"python -m {command.removesuffix('.__main__')}" in description
    assert "\n  --" in flags and "--flagfile" in flags

    for case, (code, out, err, _) in cases.items():
        assert code == 2, case
        assert not out, case
        *told, hint = err.splitlines()
        assert hint == "See --help.", case
        # One sentence, or one for each flag that is missing.
        assert len(told) == 1 or case == "required", case
        assert all(line.startswith("flag --") for line in told) or case == "unknown"
    assert "no_such_flag" in cases["unknown"][2]
