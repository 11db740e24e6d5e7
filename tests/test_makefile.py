"""What the Makefile installs with."""

import re
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]


def installing(tmp_path, pip: str, uv: str) -> list[str]:
    """Makes the environment with a Python and uv that only note how they are called."""
    binaries = tmp_path / "venv/bin"
    binaries.mkdir(parents=True)
    calls = tmp_path / "calls"
    for name, does in (("python", pip), ("uv", uv)):
        program = f'#!/bin/sh\necho "{name} $*" >> {calls}\n{does}\n'
        (binaries / name).write_text(program)
        (binaries / name).chmod(0o755)
    make = ["make", "env", f"VENV={tmp_path}/venv"]
    subprocess.run(make, cwd=REPO, check=True, capture_output=True)
    assert (tmp_path / "venv/.installed").exists()
    named = (tmp_path / "venv/uv.txt").read_text()
    assert re.fullmatch(r"uv==[\d.]+ \\\n(    --hash=sha256:\w{64}( \\)?\n)+", named)
    return calls.read_text().splitlines()


def installs_lock(call: str) -> bool:
    return "--require-hashes --no-deps -r requirements.lock" in call


def test_uv_installs_what_the_lock_file_names(tmp_path):
    calls = installing(tmp_path, pip="", uv="")
    (call,) = (call for call in calls if installs_lock(call))
    assert call.startswith("uv pip install --no-config --python=")


def test_pip_does_where_uv_fails(tmp_path):
    calls = installing(tmp_path, pip="", uv="exit 2")
    first, second = (call for call in calls if installs_lock(call))
    assert first.startswith("uv ") and second.startswith("python -m pip install ")


def test_pip_does_where_it_has_an_index_of_its_own(tmp_path):
    tells = """[ "$3" != config ] || echo "global.index-url='https://mirror/simple'" """
    calls = installing(tmp_path, pip=tells, uv="")
    (call,) = (call for call in calls if installs_lock(call))
    assert call.startswith("python -m pip install ")


def test_other_settings_of_pip_are_no_index(tmp_path):
    tells = """[ "$3" != config ] || echo "global.extra-index-url='https://more'" """
    calls = installing(tmp_path, pip=tells, uv="")
    assert any(call.startswith("uv ") for call in calls)


@pytest.mark.parametrize("folder", ["", "my venv"])
def test_a_folder_that_make_cannot_name_is_refused(folder):
    make = ["make", "--dry-run", "clean", f"VENV={folder}"]
    done = subprocess.run(make, cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"VENV='{folder}': name one folder, without blanks" in done.stderr
