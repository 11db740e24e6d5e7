"""The package's own rules of structure, checked on its source.

Imports run one way (rooms are the sub-packages and top-level modules of hrnet_tf):

    official <- configs, ops <- modeling, losses, data, evaluation <- weights, tasks
             <- training <- serving, inspection <- api <- pipelines,
                command-line modules

Rooms between two arrows do not import each other, except that evaluation reads
annotations with data's readers. Within data: vocabularies <- files <- records <-
inputs, converters <- commands; label_tools needs no more than files; one command,
data/inspect.py, runs the room inspection, and so imports what command-line modules may.
Within serving each kind of model has a folder, which no other module imports but
kinds.py and predictors.py.

`check` reads the source of modules without running it and returns one line per
violation: file, line and rule.
"""

import ast
import importlib.metadata
import re
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
MAX_LINES = 400

BASE = {"configs", "ops"}
# What any room may use; these know nothing of each other but messages.
HELPERS = {"messages", "signals", "input_files", "output_files", "progress"}
HELPERS |= {"value_types", "processes", "preset_files", "optional_packages"}
COMMANDS_TOO = {"beam", "beam_workers", "command_line", "next_steps"}
MIDDLE = {"modeling", "losses", "data", "evaluation"}
# The rooms of hrnet_tf that each room may import, besides itself.
MAY_IMPORT: dict[str, set[str]] = (
    {room: set() for room in ("configs", "messages", "signals", "progress")}
    | {"value_types": set(), "scripts": set(), "preset_files": set()}
    | {"optional_packages": set()}
    | {"ops": {"configs"}}
    | {"input_files": {"messages"}}
    | {"output_files": {"input_files", "messages"}}
    | {"processes": {"messages"}}
    | {"beam": {"command_line", "messages", "optional_packages"}}
    | {"next_steps": set()}
    | {
        "command_line": {"messages", "signals", "input_files", "output_files"}
        | {"preset_files"}
    }
    | {"beam_workers": {"signals"}}
    | {"visualization": HELPERS}
    | dict.fromkeys(("modeling", "losses"), BASE | HELPERS)
    | {"evaluation": BASE | HELPERS | {"data"}}
    | {"data": BASE | HELPERS | COMMANDS_TOO}
    | {"weights": BASE | HELPERS | {"modeling"}}
    | {"tasks": BASE | HELPERS | MIDDLE | {"visualization"}}
    | {"registry_imports": BASE | MIDDLE | {"tasks"}}
    | {"training": BASE | HELPERS | MIDDLE | {"tasks", "weights"}}
    | {"inspection": BASE | HELPERS | {"data", "training", "visualization"}}
    | {"serving": BASE | HELPERS | MIDDLE | {"tasks", "training", "visualization"}}
)
MAY_IMPORT["api"] = set(MAY_IMPORT)
MAY_IMPORT["pipelines"] = set(MAY_IMPORT)
COMMAND_MAY_IMPORT = set(MAY_IMPORT)
# Commands of another room than the one whose folder they lie in, where users look.
OTHER_COMMANDS = {"hrnet_tf.data.inspect"}

# The same for the sub-packages of a room; its other modules may import all of them.
WITHIN: dict[str, dict[str, set[str]]] = {
    "data": {
        "vocabularies": set(),
        "files": {"vocabularies"},
        "records": {"vocabularies", "files"},
        "inputs": {"vocabularies", "files", "records"},
        "converters": {"vocabularies", "files", "records"},
        "label_tools": {"vocabularies", "files"},
        "synthetic": {"vocabularies", "files"},
    },
    "serving": {
        "pose": set(),
        "segmentation": set(),
        "detection": set(),
        "people": {"pose", "detection"},
    },
}
# The modules of serving that know all kinds of models; only what does is above them.
KINDS = ("hrnet_tf.serving.kinds", "hrnet_tf.serving.predictors")
ABOVE_KINDS = {
    f"hrnet_tf.serving.{name}"
    for name in ("configuration", "exporting", "in_memory", "predicting")
}


def read_package(root: Path) -> dict[str, str]:
    """Source text of every module under root/hrnet_tf, by path relative to root."""
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted((root / "hrnet_tf").rglob("*.py"))
    }


def module_name(path: str) -> str:
    """'hrnet_tf/ops/affine.py' -> 'hrnet_tf.ops.affine'; '__init__' names no module."""
    parts = path.removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yields (line, absolute dotted name) of everything a module imports, anywhere.

    `from a import b` is the name 'a.b': b may be a module or something in module a.
    What only a type checker imports is left out.
    """
    package = path.split("/")[:-1]
    unseen = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in unseen:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            yield node.lineno, ast.unparse(node.args[0]).strip("'\"")
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join(base + ([node.module] if node.module else []))
            for alias in node.names:
                yield node.lineno, f"{prefix}.{alias.name}"


def keras_attributes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yields (line, expression) of uses of Keras 3 through TensorFlow: tf.keras."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "keras":
            expression = ast.unparse(node)
            if expression.split(".")[0] in ("tf", "tensorflow"):
                yield node.lineno, expression


def is_command(tree: ast.Module) -> bool:
    """Whether a module is run with python -m: it ends in `if __name__ == ...`."""
    return any(
        isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)
        for node in tree.body
    )


def room_of(module: str) -> str | None:
    """'hrnet_tf.ops.affine' -> 'ops'; None for hrnet_tf itself and other packages."""
    parts = module.split(".")
    return parts[1] if parts[0] == "hrnet_tf" and len(parts) > 1 else None


def part_of(module: str) -> str | None:
    """'hrnet_tf.data.files.media' -> 'files', if its room has rules for its parts."""
    parts = module.split(".")
    within = WITHIN.get(room_of(module) or "", {})
    return parts[2] if len(parts) > 2 and parts[2] in within else None


def check_parts(path: str, tree: ast.Module) -> Iterator[str]:
    """Yields imports against the order within a room, or past the table of kinds."""
    module = module_name(path)
    room, part = room_of(module), part_of(module)
    for line, name in imports(path, tree):
        if room is None or room_of(name) != room:
            continue
        target = part_of(name)
        if part and target not in {None, part, *WITHIN[room][part]}:
            yield f"{path}:{line}: '{room}.{part}' may not import '{room}.{target}'"
        if room == "serving" and target and not part and module not in KINDS:
            yield f"{path}:{line}: only the tables know the kinds ({name})"
        if name.startswith(KINDS) and module not in ABOVE_KINDS:
            yield f"{path}:{line}: '{module}' is below the tables of kinds"


def check_errors(sources: Mapping[str, str]) -> Iterator[str]:
    """Yields errors that a command would not catch, or that share a name."""
    classes = [
        (path, node)
        for path, text in sources.items()
        for node in ast.walk(ast.parse(text, path))
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error")
    ]
    counts = Counter(node.name for _, node in classes)
    for path, node in classes:
        if counts[node.name] > 1:
            yield f"{path}:{node.lineno}: another class is called {node.name}, too"
        bases = {ast.unparse(base) for base in node.bases}
        if node.name not in ("UserError", "UsageError") and "UserError" not in bases:
            yield f"{path}:{node.lineno}: {node.name} must be a UserError"


def find_circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, first one repeated; [] if none."""
    finished: set[str] = set()

    def visit(module: str, trail: list[str]) -> list[str]:
        if module in trail:
            return trail[trail.index(module) :] + [module]
        if module not in finished:
            for imported in sorted(graph[module]):
                if circle := visit(imported, trail + [module]):
                    return circle
            finished.add(module)
        return []

    return next((c for module in sorted(graph) if (c := visit(module, []))), [])


def check_keras(path: str, tree: ast.Module) -> Iterator[str]:
    """Yields uses of Keras 3, whose objects the Garden's tf_keras does not accept."""
    for line, name in imports(path, tree):
        parts = name.split(".")
        if parts[0] == "keras" or (parts[0] == "tensorflow" and "keras" in parts):
            yield f"{path}:{line}: import tf_keras instead of {name}"
    for line, expression in keras_attributes(tree):
        yield f"{path}:{line}: use tf_keras instead of {expression}"


def check(sources: Mapping[str, str]) -> list[str]:
    """Checks modules (source text by path) and returns what is wrong with them."""
    trees = {path: ast.parse(text, path) for path, text in sources.items()}
    modules = {module_name(path) for path in sources}
    commands = {
        room_of(module_name(path))
        for path, tree in trees.items()
        if path.count("/") == 1 and is_command(tree)
    }
    rooms = {room_of(module) for module in modules} | set(MAY_IMPORT)
    graph: dict[str, set[str]] = {module: set() for module in modules}
    violations = []
    for path, tree in trees.items():
        module = module_name(path)
        room = room_of(module)
        is_free = room in commands or module in OTHER_COMMANDS
        may_import = COMMAND_MAY_IMPORT if is_free else MAY_IMPORT.get(room)
        if room is not None and may_import is None:
            violations.append(
                f"{path}:1: '{room}' is neither a command-line module nor a room whose "
                "imports are stated in MAY_IMPORT of tests/test_imports.py"
            )
            continue
        for line, name in imports(path, tree):
            target = room_of(name)
            if target in rooms - {None, room} and target not in (may_import or ()):
                violations.append(
                    f"{path}:{line}: '{room or 'hrnet_tf'}' may not import '{target}' "
                    f"({name})"
                )
            imported = name if name in modules else name.rpartition(".")[0]
            if imported in modules - {module}:
                graph[module].add(imported)
        violations.extend(check_keras(path, tree))
        violations.extend(check_parts(path, tree))
        length = len(sources[path].splitlines())
        if length > MAX_LINES:
            violations.append(
                f"{path}:{length}: a module has at most {MAX_LINES} lines, not {length}"
            )
    violations.extend(check_errors(sources))
    if circle := find_circle(graph):
        violations.append(f"imports in a circle: {' -> '.join(circle)}")
    return violations


def test_the_package_keeps_the_rules():
    violations = check(read_package(REPO))
    assert not violations, "\n" + "\n".join(violations)


def test_every_folder_of_modules_is_a_package():
    """setup.cfg finds packages by __init__.py; a folder without one is not shipped."""
    folders = {path.parent for path in (REPO / "hrnet_tf").rglob("*.py")}
    assert [str(f) for f in folders if not (f / "__init__.py").exists()] == []


def test_importing_the_package_imports_nothing_heavy():
    heavy = "tensorflow tf_keras keras official numpy cv2 matplotlib pycocotools"
    program = f"""
        import sys, hrnet_tf
        print(hrnet_tf.__version__, [m for m in {heavy.split()} if m in sys.modules])
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=REPO,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split(maxsplit=1)[1].strip() == "[]"


def test_types_are_checked_without_what_the_lock_file_leaves_out():
    """`make lint` in a fresh clone has no Beam; mypy skips what may be missing."""
    lock = (REPO / "requirements.lock").read_text()
    locked = set(re.findall(r"^([\w.-]+)(?:\[.*\])?==", lock, re.M))
    skipped = re.findall(r'"(\w+)\.\*"', (REPO / "pyproject.toml").read_text())
    packages = importlib.metadata.packages_distributions()
    for path, text in read_package(REPO).items():
        for node in ast.walk(ast.parse(text)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top in {"hrnet_tf", *sys.stdlib_module_names, *skipped}:
                    continue
                found = {n.lower().replace("_", "-") for n in packages.get(top, [])}
                assert found & locked, f"{path} imports {top}"


# ---- the checker itself ----

COMMAND = "\nif __name__ == '__main__':\n    main()\n"


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (
            "hrnet_tf/ops/affine.py",
            "import numpy\nfrom hrnet_tf.modeling import hrnet\n",
            "hrnet_tf/ops/affine.py:2: 'ops' may not import 'modeling' "
            "(hrnet_tf.modeling.hrnet)",
        ),
        (
            "hrnet_tf/data/reader.py",
            "def read():\n    from hrnet_tf import evaluation\n",
            "hrnet_tf/data/reader.py:2: 'data' may not import 'evaluation' "
            "(hrnet_tf.evaluation)",
        ),
        (
            "hrnet_tf/modeling/heads.py",
            "from ..tasks.pose import PoseTask\n",
            "hrnet_tf/modeling/heads.py:1: 'modeling' may not import 'tasks' "
            "(hrnet_tf.tasks.pose.PoseTask)",
        ),
        (
            "hrnet_tf/tasks/pose.py",
            "import hrnet_tf.registry_imports\n",
            "hrnet_tf/tasks/pose.py:1: 'tasks' may not import 'registry_imports' "
            "(hrnet_tf.registry_imports)",
        ),
        (
            "hrnet_tf/progress.py",
            "from . import visualization\n",
            "hrnet_tf/progress.py:1: 'progress' may not import 'visualization' "
            "(hrnet_tf.visualization)",
        ),
        (
            "hrnet_tf/__init__.py",
            "from hrnet_tf import ops\n",
            "hrnet_tf/__init__.py:1: 'hrnet_tf' may not import 'ops' (hrnet_tf.ops)",
        ),
        (
            "hrnet_tf/training/run.py",
            "from hrnet_tf.serving import kinds\n",
            "hrnet_tf/training/run.py:1: 'training' may not import 'serving' "
            "(hrnet_tf.serving.kinds)",
        ),
        (
            "hrnet_tf/data/files/images.py",
            "from hrnet_tf.data.converters import conversion\n",
            "hrnet_tf/data/files/images.py:1: 'data.files' may not import "
            "'data.converters'",
        ),
        (
            "hrnet_tf/serving/pose/module.py",
            "from hrnet_tf.serving.detection.module import fit\n",
            "hrnet_tf/serving/pose/module.py:1: 'serving.pose' may not import "
            "'serving.detection'",
        ),
        (
            "hrnet_tf/serving/tflite.py",
            "from hrnet_tf.serving.pose.module import PoseModule\n",
            "hrnet_tf/serving/tflite.py:1: only the tables know the kinds "
            "(hrnet_tf.serving.pose.module.PoseModule)",
        ),
        (
            "hrnet_tf/serving/pose/page.py",
            "from hrnet_tf.serving.predictors import load_predictor\n",
            "hrnet_tf/serving/pose/page.py:1: 'hrnet_tf.serving.pose.page' is below "
            "the tables of kinds",
        ),
        (
            "hrnet_tf/data/files/boxes.py",
            "class BoxesError(ValueError):\n    pass\n",
            "hrnet_tf/data/files/boxes.py:1: BoxesError must be a UserError",
        ),
        (
            "hrnet_tf/ops/lazy.py",
            "import importlib\nimportlib.import_module('hrnet_tf.tasks')\n",
            "hrnet_tf/ops/lazy.py:2: 'ops' may not import 'tasks' (hrnet_tf.tasks)",
        ),
        (
            "hrnet_tf/utils.py",
            "",
            "hrnet_tf/utils.py:1: 'utils' is neither a command-line module nor a room "
            "whose imports are stated in MAY_IMPORT of tests/test_imports.py",
        ),
        (
            "hrnet_tf/modeling/blocks.py",
            "from keras import layers\n",
            "hrnet_tf/modeling/blocks.py:1: import tf_keras instead of keras.layers",
        ),
        (
            "hrnet_tf/modeling/blocks.py",
            "from tensorflow import keras\n",
            "hrnet_tf/modeling/blocks.py:1: import tf_keras instead of "
            "tensorflow.keras",
        ),
        (
            "hrnet_tf/modeling/blocks.py",
            "import tensorflow as tf\n\nx = tf.compat.v2.keras.layers.Add()\n",
            "hrnet_tf/modeling/blocks.py:3: use tf_keras instead of tf.compat.v2.keras",
        ),
        (
            "hrnet_tf/ops/long.py",
            "\n" * (MAX_LINES + 1),
            f"hrnet_tf/ops/long.py:{MAX_LINES + 1}: a module has at most {MAX_LINES} "
            f"lines, not {MAX_LINES + 1}",
        ),
    ],
)
def test_checker_names_file_line_and_rule(path, text, expected):
    assert check({path: text}) == [expected]


def test_checker_finds_errors_of_one_name():
    text = "class OutputError(UserError):\n    pass\n"
    sources = {"hrnet_tf/data/a.py": text, "hrnet_tf/serving/b.py": text}
    assert check(sources) == [
        f"{path}:1: another class is called OutputError, too" for path in sources
    ]


def test_checker_finds_circles():
    sources = {
        "hrnet_tf/ops/first.py": "from hrnet_tf.ops.second import f\n",
        "hrnet_tf/ops/second.py": "def f():\n    from hrnet_tf.ops import third\n",
        "hrnet_tf/ops/third.py": "import hrnet_tf.ops.first\n",
    }
    assert check(sources) == [
        "imports in a circle: hrnet_tf.ops.first -> hrnet_tf.ops.second -> "
        "hrnet_tf.ops.third -> hrnet_tf.ops.first"
    ]


def test_checker_keeps_commands_apart():
    sources = {
        "hrnet_tf/train.py": "from hrnet_tf import registry_imports" + COMMAND,
        "hrnet_tf/predict.py": "from hrnet_tf.train import main" + COMMAND,
    }
    assert check(sources) == [
        "hrnet_tf/predict.py:1: 'predict' may not import 'train' (hrnet_tf.train.main)"
    ]


def test_checker_lets_one_command_of_data_use_the_room_above():
    text = "from hrnet_tf.inspection import command" + COMMAND
    sources = {
        "hrnet_tf/data/inspect.py": text,
        "hrnet_tf/data/coco_pose.py": text,
    }
    assert check(sources) == [
        "hrnet_tf/data/coco_pose.py:1: 'data' may not import 'inspection' "
        "(hrnet_tf.inspection.command)"
    ]


def test_checker_passes_what_is_allowed():
    sources = {
        "hrnet_tf/__init__.py": "__version__ = '0'\n",
        "hrnet_tf/configs/pose.py": "from official.core import exp_factory\n",
        "hrnet_tf/data/__init__.py": "",
        "hrnet_tf/data/reader.py": "from hrnet_tf import __version__, progress\n",
        "hrnet_tf/data/converter.py": "from . import reader\nimport tf_keras\n",
        "hrnet_tf/tasks/pose.py": "from hrnet_tf.data.reader import read\n",
        "hrnet_tf/train.py": "import hrnet_tf.tasks.pose" + COMMAND,
    }
    assert check(sources) == []
