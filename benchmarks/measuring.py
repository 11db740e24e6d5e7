"""What the benchmarks share: contenders that take turns, medians, the machine, JSON.

Every contender is a process of its own, with its own threads, settings and peak of
memory. They take turns, round after round, so that whatever else the machine does
affects all of them alike. Whoever has no turn is stopped, with its threads and workers:
nothing is read ahead while another is timed. Ratios are medians of the rounds' ratios.

This module imports neither TensorFlow nor hrnet_tf.
"""

import contextlib
import dataclasses
import glob
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"

# As the commands of hrnet_tf set them, unless somebody has decided.
TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "3", ONEDNN: "1", "TF_USE_LEGACY_KERAS": "1"}
for _name, _value in TENSORFLOW.items():
    os.environ.setdefault(_name, _value)

# A round's work; what it returns is kept with its seconds.
Work = Callable[[], Mapping[str, Any] | None]

# How lines begin that say who does not take part.
LEFT_OUT = "Left out"

_SERVE = "--contender"
_PACKAGES = (
    *("tensorflow", "tf_keras", "numpy", "opencv-python-headless", "ai-edge-litert"),
    *("torch", "openvino", "onnxruntime", "ncnn"),
)
_INSTRUCTIONS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
)


@dataclasses.dataclass(frozen=True)
class Contender:
    """One that takes part.

    Attributes:
        kind: The function that prepares its work, by its name in the script.
        settings: Arguments of that function; ready for JSON.
        environment: Variables of its process, besides those of this one.
    """

    kind: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Rounds:
    """What each contender's rounds measured, by its name: seconds, CPU and peak."""

    of: Mapping[str, Sequence[Mapping[str, Any]]]

    def values(self, name: str, key: str = "seconds") -> list[float]:
        """One number of all rounds of a contender."""
        return [measured[key] for measured in self.of[name]]

    def median(self, name: str, key: str = "seconds") -> float:
        """The median of one number."""
        return statistics.median(self.values(name, key))

    def peak_mib(self, name: str) -> float:
        """The contender's peak of resident memory."""
        return max(self.values(name, "peak_mib"))

    def times_as_fast(self, name: str, peer: str, key: str = "seconds") -> float:
        """How many times as fast as the peer: the median of the rounds' ratios."""
        pairs = zip(self.values(peer, key), self.values(name, key), strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)


def take_turns(script: str, contenders: Mapping[str, Contender], rounds: int) -> Rounds:
    """Prepares all contenders and lets each work once in every round."""
    measured: dict[str, list[Mapping[str, Any]]] = {name: [] for name in contenders}
    with contextlib.ExitStack() as stack:
        players = {}
        for name, contender in contenders.items():
            print(f"Prepares {name}.", file=sys.stderr)
            players[name] = stack.enter_context(_playing(script, name, contender))
        for _ in range(rounds):
            for name, player in players.items():
                measured[name].append(player())
    return Rounds(measured)


def run_once(script: str, kind: str, **settings: Any) -> None:
    """Lets a process prepare a contender, which writes files, and end."""
    take_turns(script, {kind: Contender(kind, settings)}, rounds=0)


@contextlib.contextmanager
def _playing(
    script: str, name: str, contender: Contender
) -> Iterator[Callable[[], Mapping[str, Any]]]:
    """Starts a contender; yields what gives it a turn."""
    process = subprocess.Popen(
        [sys.executable, script, _SERVE, json.dumps(dataclasses.asdict(contender))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **contender.environment},
    )
    assert process.stdin and process.stdout

    def answer() -> Mapping[str, Any]:
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"{name} ended with exit code {process.wait()}.")
        os.killpg(process.pid, signal.SIGSTOP)
        return json.loads(line)

    def take_turn() -> Mapping[str, Any]:
        os.killpg(process.pid, signal.SIGCONT)
        process.stdin.write("\n")
        process.stdin.flush()
        return answer()

    try:
        answer()
        yield take_turn
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def start(main: Callable[[], None], kinds: Mapping[str, Callable[..., Work]]) -> None:
    """Runs a script: `main`, or one contender if that is what it was started as."""
    if sys.argv[1:2] == [_SERVE]:
        contender = Contender(**json.loads(sys.argv[2]))
        _serve(lambda: kinds[contender.kind](**contender.settings))
        return
    # Ended by `timeout` or `kill`, it ends its contenders, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    main()


def _serve(prepare: Callable[[], Work]) -> None:
    """Does the work once to warm up, then once for every line of stdin."""
    # A group, since workers must stop with it. It stays in the session of who started
    # it: if that is killed, the kernel ends a group that is stopped.
    os.setpgrp()
    # Whatever libraries print goes to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    work = prepare()
    work()
    print("{}", file=answers, flush=True)
    for _ in sys.stdin:
        cpu, begin = cpu_seconds(), time.perf_counter()
        told = work() or {}
        measured = {
            "seconds": time.perf_counter() - begin,
            "cpu_seconds": cpu_seconds() - cpu,
            "peak_mib": peak_mib(),
            **told,
        }
        print(json.dumps(measured), file=answers, flush=True)


def cpu_seconds() -> float:
    """What all threads of this process have used so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def group_cpu_seconds() -> float:
    """What this process, its group and those of it that have ended used; Linux alone.

    Workers are of the group of the contender that started them.
    """
    ticks = 0
    for process in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError), open(process, encoding="utf-8") as file:
            # Names in parentheses may hold anything.
            fields = file.read().rpartition(")")[2].split()
            if int(fields[2]) == os.getpgrp():
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_mib() -> float:
    """The peak of this process's resident memory."""
    # Linux counts in KiB, macOS in bytes.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def pin(cores: int | None) -> None:
    """Keeps this process, and all that it starts, on so many cores, where it can."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def num_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_installed(*packages: str) -> bool:
    """Whether all packages are there; says on stderr what is missing."""
    found = {name: importlib.util.find_spec(name) for name in packages}
    # A folder that pip left behind is found without a file.
    missing = [name for name, spec in found.items() if not (spec and spec.origin)]
    if missing:
        print(
            f"{LEFT_OUT}, since it is not installed: {', '.join(missing)}.",
            file=sys.stderr,
        )
    return not missing


def machine() -> dict[str, Any]:
    """The processor, what is installed, and what else is running."""
    name, has = processor()
    load = os.getloadavg()[0]
    if load > num_cores() + 0.5:
        print(
            f"Other work is running (load {load:.1f}): take ratios as preliminary.",
            file=sys.stderr,
        )
    return {
        "processor": name,
        "cores": num_cores(),
        "instructions": has,
        "onednn": os.environ[ONEDNN],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": dict(_versions()),
        "load": round(load, 1),
    }


def processor() -> tuple[str, list[str]]:
    """The processor's name, and which of the instructions that matter it has."""
    name, text = platform.processor() or platform.machine(), ""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        text = file.read()
    names = re.findall(r"model name\s*: (.*)", text)
    has = set(" ".join(re.findall(r"flags\s*: (.*)", text)).split())
    return names[0] if names else name, [item for item in _INSTRUCTIONS if item in has]


def _versions() -> Iterator[tuple[str, str]]:
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield package, importlib.metadata.version(package)


def describe(found: Mapping[str, Any]) -> str:
    """A machine in one line."""
    return (
        f"{found['processor']}, {cores(found['cores'])}, "
        f"{', '.join(found['instructions']) or 'no AVX2'}; oneDNN "
        f"{'on' if found['onednn'] == '1' else 'off'}; "
        + ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    )


def cores(number: int) -> str:
    """A number of cores in words."""
    return f"{number} core{'s' if number > 1 else ''}"


def in_seconds(
    work: str, rounds: Rounds, name: str, peer: str, digits: int = 2
) -> dict[str, Any]:
    """A line of the summary, of seconds."""
    return {
        "work": work,
        "ours": f"{rounds.median(name):.{digits}f} s",
        "peer": f"{peer} {rounds.median(peer):.{digits}f} s",
        "times as fast": rounds.times_as_fast(name, peer),
    }


def tell(
    title: str,
    rows: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    summary: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Prints a table, and writes it as JSON if the settings name a file.

    `summary` are lines for the table of all benchmarks: work, ours, peer, and
    times_as_fast.
    """
    found = machine()
    print(f"{title}\n{describe(found)}\n\n{markdown(rows)}\n")
    if settings.get("json"):
        content = {
            "title": title,
            "machine": found,
            "settings": dict(settings),
            "rows": list(rows),
            "summary": list(summary),
        }
        with open(settings["json"], "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.write("\n")


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table; the first row has all columns."""
    head = list(rows[0])
    lines: list[Iterable[str]] = [head, ["---", *["---:"] * (len(head) - 1)]]
    lines += [[_cell(row.get(name)) for name in head] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if not isinstance(value, float):
        return str(value)
    if value and abs(value) < 0.01:
        return f"{value:.0e}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"
