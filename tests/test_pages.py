"""What the documents print works as printed, or stands below the reason why not.

Here all commands, also those that are not run, have flags that exist, name files of
this repository that exist and make configurations that can be parsed; blocks of YAML
are configurations. tests/test_walks.py runs commands, tests/api/test_page_examples.py
runs Python.
"""

import configparser
import re

import pages
import pytest

from hrnet_tf import registry_imports  # noqa: F401
from hrnet_tf.configs import stock
from hrnet_tf.training.experiment import ConfigError, parse_config

REPO = pages.REPO

# What a block may be in. Nothing but what commands print or hold is "text".
LANGUAGES = {"python", "sh", "yaml", "kotlin", "protobuf", "text"}
EXPERIMENTS = (
    "hrnet_pose_coco",
    "hrnet_seg_custom",
    "hrnet_maskrcnn_coco",
    "hrnet_imagenet",
    *(f"{name}_with_hrnet" for name in stock.STOCK),
)


def test_the_readme_is_short():
    assert (REPO / "README.md").stat().st_size <= 8192


def test_every_block_has_a_language():
    for block in pages.all_blocks():
        assert block.language in LANGUAGES, block
        if block.language == "text":
            assert not re.search(r"^(python3?|make|pip) ", block.text, re.M), block


def test_what_no_test_can_run_stands_below_a_reason():
    for block in pages.all_blocks("kotlin", "protobuf"):
        assert block.reason, block


def test_a_test_that_is_named_above_a_block_knows_the_page():
    named = [b for b in pages.all_blocks() if b.test]
    assert named
    for block in named:
        file, _, name = block.test.partition("::")
        test = (REPO / file).read_text(encoding="utf-8")
        assert str(block.page.relative_to(REPO).with_suffix("")) in test, block
        assert not name or f"\ndef {name}(" in test, block


def test_tests_that_notes_name_exist():
    for block in pages.all_blocks():
        for name in re.findall(r"\btests/[\w/.]+", block.note):
            assert (REPO / name).exists(), block


@pytest.fixture
def working_dir(tmp_path, monkeypatch):
    """A folder with the configurations, and with the reader's files of these pages."""
    (tmp_path / "configs").symlink_to(REPO / "configs")
    (tmp_path / "my").mkdir()
    for name, example in (
        ("classes", "segmentation/classes_example"),
        ("skeleton", "pose/skeleton_example"),
    ):
        (tmp_path / f"my/{name}.yaml").symlink_to(REPO / f"configs/{example}.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "block",
    [b for b in pages.all_blocks("sh") if not b.test],
    ids=str,
)
def test_commands_are_understood(block, working_dir):
    """Also those that no test runs, if they are this package's."""
    commands = block.commands()
    assert commands
    for words in commands:
        if words[0] == "make":
            check_targets(words[1:])
        elif words[0].endswith("python") and words[2].startswith("hrnet_tf."):
            check_command(words[2], words[3:], working_dir)
        else:
            assert block.note, f"{' '.join(words)}: say above why no test runs it."


def check_targets(words: list[str]) -> None:
    makefile = (REPO / "Makefile").read_text()
    for word in words:
        if "=" not in word:
            assert re.search(rf"^{word}:", makefile, re.MULTILINE), word


def check_command(name: str, flags: list[str], folder) -> None:
    values = pages.command(name).define_flags()
    assert values([name, *flags]) == [name]  # An unknown flag raises.
    if "config_file" not in values:
        return
    files = values.config_file
    known = [file for file in files if file.startswith("configs/")]
    assert all((folder / file).exists() for file in known)
    experiment = values.experiment or "hrnet_pose_coco"
    parse_config(experiment, known, values.params_override)


@pytest.mark.parametrize("block", pages.all_blocks("yaml"), ids=str)
def test_yaml_is_a_configuration(block, tmp_path):
    file = tmp_path / "page.yaml"
    file.write_text(block.text)
    refused = []
    for experiment in EXPERIMENTS:
        try:
            parse_config(experiment, [str(file)])
            return
        except ConfigError as error:
            refused.append(str(error))
    pytest.fail("\n".join(refused))


def test_links_and_files_that_the_documents_name_exist():
    rooms = "configs|tests|hrnet_tf|benchmarks|docs|examples"
    path = re.compile(rf"`((?:{rooms})/[\w./-]+\.(?:py|yaml|flags|ipynb))`")
    link = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
    for page in pages.PAGES:
        text = page.read_text(encoding="utf-8")
        for name in path.findall(text):
            if "KIND" in name:  # A name for the reader to choose.
                continue
            assert (REPO / name).exists(), f"{page.name}: {name}"
        for name, anchor in link.findall(text):
            target = page.parent / name if name else page
            assert target.exists(), f"{page.name}: {name}"
            assert not anchor or anchor in anchors(target), f"{page.name}: #{anchor}"


def anchors(page) -> set[str]:
    """The names of a page's headings, as links have them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    letters = (re.sub(r"[^\w\s-]", "", heading.lower()) for heading in headings)
    return {re.sub(r"\s+", "-", text.strip()) for text in letters}


def test_extras_that_the_documents_install_exist():
    setup = configparser.ConfigParser()
    setup.read(REPO / "setup.cfg")
    for page in pages.PAGES:
        for extra in re.findall(r"'\.\[(\w+)\]'", page.read_text(encoding="utf-8")):
            assert extra in setup["options.extras_require"], page.name
