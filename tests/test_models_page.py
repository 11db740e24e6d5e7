"""The tables of docs/models.md are what is counted, and the README's are the same."""

import re

import pages
import pytest

from hrnet_tf.configs.variants import ALL_VARIANTS, RECIPES, is_published

PAGE = pages.REPO / "docs/models.md"
README = pages.REPO / "README.md"


def table(text: str, header: str) -> dict[str, list[str]]:
    """The rows of the table whose header begins so, by the first cell."""
    (body,) = re.findall(
        rf"^\| `model_id` \| {header}.*\n\|[-:| ]+\n((?:\|.*\n)+)", text, re.M
    )
    rows = (line.strip("|").split("|") for line in body.splitlines())
    return {name.strip(): [cell.strip() for cell in row] for name, *row in rows}


def test_the_readme_says_the_same():
    page, readme = PAGE.read_text("utf-8"), README.read_text("utf-8")
    sizes = table(page, "pose")
    accuracies = table(page, "COCO")
    expected = {
        name: [sizes[name][0].split(",")[0], *row] for name, row in accuracies.items()
    }
    assert table(readme, "parameters") == expected
    assert list(expected) == list(ALL_VARIANTS)


@pytest.mark.slow
@pytest.mark.parametrize("model_id", ALL_VARIANTS)
def test_sizes_are_what_is_counted(model_id):
    from hrnet_tf.modeling import summaries

    tasks = ("pose", "classification", "segmentation", "detection")
    columns = [
        f"{task}, {RECIPES[task].input_size[0]}x{RECIPES[task].input_size[1]}"
        for task in tasks
    ]
    page = PAGE.read_text("utf-8")
    assert f"| `model_id` | {' | '.join(columns)} |\n" in page
    for task, cell in zip(tasks, table(page, "pose")[model_id], strict=True):
        if not is_published(task, model_id):
            assert cell == "–"
            continue
        total = summaries.summarize(task, model_id).total
        digits = 2 if task in ("pose", "classification") else 1
        parameters, macs = total.parameters / 1e6, total.macs / 1e9
        assert cell == f"{parameters:.1f} M, {macs:,.{digits}f}", task
