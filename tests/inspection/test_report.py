"""Numbers in text and JSON; which findings are kept."""

import json

import numpy as np

from hrnet_tf.inspection.findings import Finding, Findings, Place
from hrnet_tf.inspection.report import Distribution, Report, Section
from hrnet_tf.inspection.sampling import Reservoir


def test_a_distribution_tells_percentiles():
    numbers = Distribution()
    numbers.add(np.arange(50))
    numbers.add(range(50, 101))
    told = numbers.as_json()
    assert told == {
        "count": 101,
        "least": 0.0,
        "5 %": 5.0,
        "25 %": 25.0,
        "median": 50.0,
        "75 %": 75.0,
        "95 %": 95.0,
        "most": 100.0,
    }
    assert Distribution().as_json() == {"count": 0}


def test_text_and_json_have_the_same_numbers():
    numbers = Distribution()
    numbers.add([1.5, 250000.4])
    findings = Findings(5)
    place = Place(0, "a.jpg", 7)
    for number in range(3):
        findings.add("odd", Finding(f"Sentence {number}.", place, number))
    section = Section(
        "things",
        {"things": 12},
        {"length": numbers},
        {"first": {"count": 3, "share": 0.25}, "second": {"count": 4, "share": None}},
        ["A note."],
    )
    report = Report("pose", "data/*", [section], findings, num_examples=2)
    content = json.loads(json.dumps(report.as_json()))
    assert content["kind"] == "pose" and content["source"] == "data/*"
    assert content["things"]["counts"] == {"things": 12}
    assert content["things"]["distributions"]["length"]["most"] == 250000
    assert content["things"]["table"]["second"] == {"count": 4, "share": None}
    assert content["findings"]["odd"]["count"] == 3
    assert content["findings"]["odd"]["examples"] == [
        {"text": f"Sentence {n}.", "file": "a.jpg", "image_id": 7, "annotation_id": n}
        for n in range(2)
    ]
    text = str(report)
    lines = text.splitlines()
    assert lines[0] == "data/*: pose"
    assert "       12  things" in lines
    (spread,) = (line.split() for line in lines if line.startswith("  length"))
    assert spread[1:3] == ["2", "1.5"] and spread[-1] == "250000"
    assert [line.split() for line in lines if line.startswith("  second")] == [
        ["second", "4", "-"]
    ]
    assert "  A note." in lines
    assert lines[-4:] == [
        "        3  odd",
        "             Sentence 0.",
        "             Sentence 1.",
        "             and 1 more",
    ]


def test_a_report_without_findings_says_so():
    report = Report("pose", "x", [], Findings(5), 5)
    assert str(report).endswith("\n\nNothing looks wrong.")
    assert report.as_json()["findings"] == {}


def test_the_worst_findings_are_kept_and_the_first_of_equal_ones():
    findings = Findings(3)
    for number in range(1000):
        score = 5.0 if number in (400, 800) else number % 2
        findings.add("odd", Finding(str(number), score=score))
    assert findings.counts["odd"] == 1000
    assert [found.sentence for found in findings.kept("odd")] == ["400", "800", "1"]


def test_pictures_show_all_kinds_of_findings():
    findings, place = Findings(10), Place(0, "a.jpg")
    for kind in ("first", "second"):
        for number in range(4):
            findings.add(kind, Finding(f"{kind} {number}", place, number, "note"))
    findings.add("third", Finding("about the whole data set"))
    shown = [finding.sentence for finding in findings.drawable(3)]
    assert shown == ["first 0", "second 0", "first 1"]


def test_a_reservoir_keeps_each_item_with_the_same_chance():
    counts = np.zeros(10)
    for seed in range(2000):
        reservoir: Reservoir[int] = Reservoir(3, seed)
        for item in range(10):
            reservoir.offer(item)
        kept = reservoir.kept()
        assert kept == sorted(set(kept)) and len(kept) == 3
        counts[kept] += 1
    assert np.abs(counts / 2000 - 0.3).max() < 0.05


def test_a_reservoir_depends_on_its_seed_alone():
    def kept(seed):
        reservoir: Reservoir[int] = Reservoir(3, seed)
        for item in range(100):
            reservoir.offer(item)
        return reservoir.kept()

    assert kept(1) == kept(1) != kept(2)
