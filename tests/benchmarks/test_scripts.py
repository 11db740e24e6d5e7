"""Every benchmark runs, at a toy's size, and tells numbers that can be true."""

import json
import re
import subprocess
import sys
from pathlib import Path

import growth
import inference
import measuring
import pose_input
import pytest
import runners
import short_forms

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script, folder, *flags):
    """The script's JSON."""
    path = folder / "numbers.json"
    done = subprocess.run(
        [sys.executable, BENCHMARKS / f"{script}.py", *flags, f"--json={path}"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "| --- |" in done.stdout
    content = json.loads(path.read_text())
    for line in content["summary"]:
        assert set(line) == {"work", "ours", "peer", "times as fast"}
        assert line["times as fast"] > 0
    return content


TOY = ["--rounds=1", "--variant=w18_small_v1", "--size=64x64"]


@pytest.mark.slow
def test_pose_input(tmp_path):
    flags = ["--num_images=40", "--crops=32", "--people_per_image=1.5", "--cores=1"]
    content = run("pose_input", tmp_path, "--rounds=1", *flags)
    (row,) = content["rows"]
    assert row["cores"] == 1
    assert row["hrnet_tf, people/s"] > 0
    (stages,) = content["settings"]["stages"]
    together = sum(stages[name] for name in ("record", "JPEG", "augmentation", "warp"))
    assert stages["rest"] == pytest.approx(stages["whole"] - together)
    assert len(content["summary"]) == 2


@pytest.mark.slow
def test_decoding(tmp_path):
    flags = ["--people=3", "--batch=2", "--codecs=msra"]
    content = run("decoding", tmp_path, "--rounds=1", *flags)
    assert [row["reader"] for row in content["rows"]] == ["Gathers", "Masks"]
    for row in content["rows"]:
        assert row["same within 0.01 pixels"] == "100.0 %"


@pytest.mark.slow
def test_training_step(tmp_path):
    content = run("training_step", tmp_path, *TOY, "--batch=2", "--onednn=1")
    ours, *_ = content["rows"]
    assert ours["step"] == "hrnet_tf"
    assert ours["MiB for each crop"] > 0
    assert content["machine"]["onednn"] == "1"


@pytest.mark.slow
def test_predict(tmp_path):
    content = run("predict", tmp_path, *TOY, "--images=2", "--formats=tflite")
    (row,) = content["rows"]
    assert row["hrnet_tf, images/s"] > 0
    assert row["OpenCV loop, images/s"] > 0


@pytest.mark.slow
def test_inference(tmp_path):
    flags = ["--batches=1,2", "--only=SavedModel fp32|TFLite fp32"]
    rows = run("inference", tmp_path, *TOY, *flags)["rows"]
    assert [row[""] for row in rows] == ["SavedModel fp32", "TFLite fp32"]
    assert all(row["difference"] < 1e-3 for row in rows)
    assert all(row["2 at once"] > 0 for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "packages"),
    [
        ("ONNX Runtime", ["onnxruntime", "tf2onnx"]),
        ("OpenVINO", ["openvino", "nncf"]),
        ("ncnn", ["ncnn", "pnnx"]),
    ],
)
def test_peers_see_the_same_heatmaps(engine, packages, tmp_path):
    for package in packages:
        pytest.importorskip(package, reason="needs hrnet_tf[benchmark]")
    flags = ["--batches=1,2", f"--only=SavedModel fp32|{engine} fp32"]
    content = run("inference", tmp_path, *TOY, *flags)
    ours, peer = content["rows"]
    assert peer[""] == f"{engine} fp32"
    assert peer["difference"] < 1e-3
    assert ours["times as fast, 2"] > 0
    assert len(content["summary"]) == 2


@pytest.mark.slow
def test_startup(tmp_path):
    content = run("startup", tmp_path, *TOY)
    seconds = {row[""]: row["wall, s"] for row in content["rows"]}
    assert seconds["python -c pass"] < seconds["import tensorflow"]
    assert seconds["first prediction, SavedModel"] > seconds["import tensorflow"]


@pytest.mark.slow
def test_growth(tmp_path):
    content = run("growth", tmp_path, "--people=64", "--factors=1,2")
    people = {}
    for row in content["rows"]:
        people.setdefault(row["step"], []).append(row["people"])
        assert row["seconds"] > 0
    assert people == dict.fromkeys(
        ("convert", "read", "evaluate", "predict", "batch"), [64, 128]
    )


def test_tracking(tmp_path):
    flags = ["--rates=5", "--scenes=standing,crossing"]
    content = run("tracking", tmp_path, "--rounds=1", *flags)
    standing, crossing = content["rows"]
    assert standing["jitter, px"] < standing["jitter, untracked"]
    assert crossing["IDF1"] > crossing["IDF1, untracked"]
    assert crossing["switches"] < crossing["switches, untracked"]
    assert abs(crossing["lag, frames"]) < 2


@pytest.mark.slow
@pytest.mark.parametrize("part", ["conversion", "prediction", "service", "training"])
def test_scaling(part, tmp_path):
    if part == "prediction":
        pytest.importorskip("apache_beam")
    if measuring.num_cores() < 2:
        pytest.skip("needs two cores")
    # Predictions are timed against those of 64 images, start of the workers included.
    images = 400 if part == "prediction" else 96
    flags = [f"--parts={part}", f"--images={images}", "--crops=32"]
    flags += ["--batch=4", "--steps=1"]
    try:
        content = run("scaling", tmp_path, *TOY, *flags)
    except AssertionError as error:
        if "images more took no longer" in str(error):
            pytest.skip("too much else runs to time so few images")
        raise
    (line,) = content["summary"]
    assert line["work"].endswith(", 2 processes")
    one, two = content["rows"][:2]
    assert (one["processes"], two["processes"]) == (1, 2)
    assert one["times as fast"] == 1


@pytest.mark.slow
def test_short_forms_are_one_table(tmp_path):
    content = run("short_forms", tmp_path, "--only=decoding", "--rounds=1")
    work = [line["work"] for line in content["rows"]]
    assert work == [f"decode 1000 people, {codec}" for codec in ("msra", "dark", "udp")]
    assert content["settings"]["found"]["decoding"]["rows"]


NUMBERS = """
import json, sys
path = sys.argv[-1].removeprefix("--json=")
row = {"work": "it", "ours": "1 s", "peer": "loop 2 s", "times as fast": 2.0}
with open(path, "w") as file:
    json.dump({"summary": [row]}, file)
"""


def run_short(monkeypatch, tmp_path, **scripts):
    """The short forms, with scripts instead of the benchmarks."""
    for name, text in scripts.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(short_forms, "__file__", str(tmp_path / "short_forms.py"))
    monkeypatch.setattr(short_forms, "SHORT", dict.fromkeys(scripts, []))
    path = tmp_path / "numbers.json"
    flags = ["--limit=20", f"--json={path}", f"--only={','.join(scripts)}"]
    monkeypatch.setattr(sys, "argv", ["short_forms.py", *flags])
    return path


def test_a_benchmark_that_fails_is_named_and_the_others_go_on(
    monkeypatch, tmp_path, capsys
):
    failing = "import sys; sys.exit('no such peer')"
    path = run_short(monkeypatch, tmp_path, first=failing, second=NUMBERS)
    with pytest.raises(SystemExit, match="Without numbers, .* first") as ended:
        short_forms.main()
    assert ended.value.code != 0
    told = capsys.readouterr()
    assert "no such peer\n\nfirst ended with 1." in told.err
    assert "| it | 1 s | loop 2 s | 2.00 |" in told.out
    assert json.loads(path.read_text())["rows"][0]["work"] == "it"


def test_peers_that_are_left_out_are_named(monkeypatch, tmp_path, capsys):
    missing = "import measuring; measuring.is_installed('no_such_peer')\n"
    path = [f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"]
    run_short(monkeypatch, tmp_path, first="".join([*path, missing, NUMBERS]))
    short_forms.main()
    told = capsys.readouterr().err
    assert "first: Left out, since it is not installed: no_such_peer.\n" in told


def test_what_needs_more_cores_is_left_out(monkeypatch, tmp_path, capsys):
    path = run_short(monkeypatch, tmp_path, scaling="import fail", second=NUMBERS)
    monkeypatch.setattr(measuring, "num_cores", lambda: 1)
    short_forms.main()
    told = capsys.readouterr().err
    assert "scaling: Left out, since it needs more cores.\n" in told
    assert len(json.loads(path.read_text())["rows"]) == 1


def test_a_run_without_any_peer_says_so(monkeypatch, tmp_path):
    path = run_short(monkeypatch, tmp_path, first=NUMBERS.replace("[row]", "[]"))
    with pytest.raises(SystemExit, match="Nothing was compared: no peer took part"):
        short_forms.main()
    assert not path.exists()


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"summary": []}'])
def test_what_holds_no_numbers_is_refused(content, monkeypatch, tmp_path, capsys):
    path = tmp_path / "numbers.json"
    if content is not None:
        path.write_text(content)
    monkeypatch.setattr(sys, "argv", ["short_forms.py", f"--readme={path}"])
    with pytest.raises(SystemExit) as ended:
        short_forms.main()
    assert ended.value.code == 2
    assert f"--readme={path} holds no numbers of an" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--only=nothing"], "--only=nothing is in none of the names SavedModel fp32,"),
        (["--only=nobody", "--model=m.tflite"], "--only=nobody is in none of the"),
        (["--model=nowhere"], "there is no file or folder 'nowhere'"),
        (["--only=("], "'[(]' is no regular expression"),
    ],
)
def test_inference_refuses_what_measures_nothing(
    flags, sentence, monkeypatch, tmp_path, capsys
):
    def start(*arguments, **settings):
        raise AssertionError("Nothing is to be started.")

    (tmp_path / "m.tflite").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measuring, "take_turns", start)
    monkeypatch.setattr(sys, "argv", ["inference.py", *flags])
    with pytest.raises(SystemExit) as ended:
        inference.main()
    assert re.search(sentence, f"{ended.value.code} {capsys.readouterr().err}")


@pytest.mark.parametrize(
    ("takes", "sizes"), [(None, [1, 1, 4, 4]), (1, [1] * 10), (3, [3] * 6)]
)
def test_batches_are_of_as_many_images_as_a_model_takes(takes, sizes, tmp_path):
    shown = []

    def run(images):
        shown.append(images.shape)
        return {}

    shape = [takes, 32, 64, 3]
    work = runners._timed(run, str(tmp_path), [64, 32], [1, 4], takes=shape)
    assert shown == [(takes or 1, 32, 64, 3)]
    shown.clear()
    told = work()
    # Each batch is run once to warm up, and once more.
    assert shown == [(size, 32, 64, 3) for size in sizes]
    assert told["1"] > 0 and told["4"] > 0


def test_records_are_written_before_they_are_read(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["growth.py", "--steps=predict,read"])
    with pytest.raises(SystemExit):
        growth.main()
    assert "--steps: read needs convert, which writes its" in capsys.readouterr().err


def test_a_round_of_training_input_is_whole_batches():
    assert list(map(pose_input.whole_batches, ["1", "32", "33"])) == [32, 32, 64]


def test_a_benchmark_that_does_not_end_is_ended(tmp_path):
    log = tmp_path / "log.txt"
    sleeping = tmp_path / "sleeping.py"
    sleeping.write_text("import time; time.sleep(600)")
    with log.open("w") as output:
        assert short_forms.end_code([str(sleeping)], output, limit=0.5) is None


def test_table_of_the_readme_names_the_machine(monkeypatch, tmp_path, capsys):
    path = run_short(monkeypatch, tmp_path, first=NUMBERS)
    short_forms.main()
    monkeypatch.setattr(sys, "argv", ["short_forms.py", f"--readme={path}"])
    capsys.readouterr()
    short_forms.main()
    table, machine = capsys.readouterr().out.split("\n\n")
    assert "| it | 1 s | loop 2 s | 2.00 |" in table
    assert measuring.processor()[0] in machine


def test_ours_is_compared_with_the_fastest_peer_of_its_precision():
    def told(seconds):
        return [{"1": seconds, "peak_mib": 1.0, "difference": 0.0}]

    def entry(name, precision, is_peer):
        contender = measuring.Contender("onnx")
        return inference.Entry(name, precision, is_peer, contender)

    entries = {
        "ours": entry("ours", "fp32", False),
        "slow": entry("slow", "fp32", True),
        "fast": entry("fast", "fp32", True),
        "other": entry("other", "int8", True),
    }
    seconds = {"ours": 2.0, "slow": 8.0, "fast": 4.0, "other": 0.1}
    rounds = measuring.Rounds({n: told(s) for n, s in seconds.items()})
    row = inference._row(rounds, entries, "ours", [1])
    assert row["times as fast, 1"] == 2
    (line,) = inference._summary(rounds, entries, [1], "it")
    assert line["peer"] == "fast 4000.0 ms"
    assert line["times as fast"] == 2
