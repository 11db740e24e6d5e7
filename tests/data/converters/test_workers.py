"""Several processes, and Apache Beam, write the very files of one process."""

import concurrent.futures
import contextlib
import filecmp
import importlib.util
import json
import os
import pickle
import re
import sys
import types

import cv2
import numpy as np
import pytest
import tensorflow as tf

from hrnet_tf import beam, beam_workers, processes
from hrnet_tf.data import coco_instances, coco_pose, pascal_context, segmentation_folder
from hrnet_tf.data.converters import beam_pipeline, shard_work
from hrnet_tf.data.converters.encoder import Encoded, RecordEncoder
from hrnet_tf.data.files.faults import Unusable
from hrnet_tf.data.files.images import ImageRules
from hrnet_tf.data.records.examples import serialize
from hrnet_tf.data.records.shards import read_serialized
from hrnet_tf.data.synthetic import dataset as synthetic

NUM_IMAGES = 10


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Images, people, objects and parts, and a JSON file of PASCAL-Context's kind."""
    folder = tmp_path_factory.mktemp("drawn") / "data"
    synthetic.draw_dataset(str(folder), NUM_IMAGES, 1, image_size=96, max_people=2)
    (folder / "VOC2010").mkdir()
    (folder / "VOC2010/JPEGImages").symlink_to(folder / "images/train")
    instances = json.loads((folder / "annotations/instances_train.json").read_text())
    content = {
        "images": [
            {**image, "image_id": image["id"], "phase": "train"}
            for image in instances["images"]
        ],
        "annos_segmentation": instances["annotations"],
    }
    (folder / "VOC2010/trainval_merged.json").write_text(json.dumps(content))
    return folder


def flags_of(module, drawn):
    """What a converter of each kind is told about the drawn data."""
    return {
        coco_pose: [
            f"--image_dir={drawn}/images/train",
            f"--annotations={drawn}/annotations/person_keypoints_train.json",
        ],
        coco_instances: [
            f"--image_dir={drawn}/images/train",
            f"--annotations={drawn}/annotations/instances_train.json",
        ],
        segmentation_folder: [
            f"--image_dir={drawn}/images/train",
            f"--label_dir={drawn}/parts/train",
            "--label_set=synthetic_parts",
        ],
        pascal_context: [
            f"--data_dir={drawn}/VOC2010",
            f"--annotations={drawn}/VOC2010/trainval_merged.json",
            "--split=train",
        ],
    }[module]


KINDS = (coco_pose, coco_instances, segmentation_folder, pascal_context)


class Pickling(concurrent.futures.ThreadPoolExecutor):
    """Threads to which all goes as it does to processes."""

    def submit(self, *task):
        return super().submit(lambda: pickled(run)(pickled(task)))


def run(task):
    function, *arguments = task
    try:
        return pickled(function(*arguments))
    except Exception as error:
        raise pickled(error) from None


def pickled(content):
    return pickle.loads(pickle.dumps(content))


@contextlib.contextmanager
def pool_of_threads(count, flag, start, arguments=(), preload=()):
    assert flag == "--num_processes"
    with Pickling(count) as pool:
        yield pool


def pieces_out_of_order(work, options, clean):
    work = pickled(work)
    for shard in reversed(range(work.num_shards)):
        work.write(shard)
        work.write(shard)  # as after a machine was lost


@pytest.fixture
def without_processes(monkeypatch):
    """What is done elsewhere is done here, but travels as if it were elsewhere."""
    monkeypatch.setattr(processes, "pool", pool_of_threads)
    monkeypatch.setattr(processes, "start_server", lambda preload: None)
    monkeypatch.setattr(beam_pipeline, "run", pieces_out_of_order)


def same(first, second):
    names = os.listdir(first)
    assert sorted(names) == sorted(os.listdir(second))
    return filecmp.cmpfiles(first, second, names, shallow=False)[1:] == ([], [])


def told(output, prefix):
    """A summary without what differs: the paths, and the command to type next."""
    return output.partition("Next,")[0].replace(str(prefix), "PREFIX")


HAS_BEAM = importlib.util.find_spec("apache_beam") is not None
needs_beam = pytest.mark.skipif(not HAS_BEAM, reason="needs Apache Beam: make env-beam")
ON_PROCESSES, ON_BEAM = "--num_processes=2", "--runner=DirectRunner"
WAYS = (ON_PROCESSES, pytest.param(ON_BEAM, marks=needs_beam))


@pytest.mark.parametrize("module", KINDS)
def test_files_and_summaries_are_those_of_one_process(
    module, drawn, tmp_path, run, without_processes
):
    flags = [*flags_of(module, drawn), "--num_shards=3"]
    code, expected, _ = run(module, *flags, f"--output_prefix={tmp_path}/one/train")
    assert code == 0
    for place, way in enumerate([ON_PROCESSES, *[ON_BEAM] * HAS_BEAM]):
        folder = tmp_path / str(place)
        code, output, error = run(
            module, *flags, f"--output_prefix={folder}/train", way
        )
        assert code == 0, error
        assert same(tmp_path / "one", folder)
        assert told(output, folder) == told(expected, tmp_path / "one")


def spoil(drawn, tmp_path, *numbers):
    """A copy of the images of which some are damaged, and its flags."""
    images = tmp_path / "images"
    images.mkdir()
    for number, path in enumerate(sorted((drawn / "images/train").iterdir())):
        content = path.read_bytes()
        (images / path.name).write_bytes(content[: 99 if number in numbers else None])
    return [f"--image_dir={images}", *flags_of(coco_pose, drawn)[1:], "--num_shards=4"]


@pytest.mark.parametrize("way", WAYS)
def test_the_first_fault_is_named_and_nothing_is_written(
    way, drawn, tmp_path, run, without_processes
):
    flags = spoil(drawn, tmp_path, 6, 3, 8)
    prefix = tmp_path / "records/train"
    expected = run(coco_pose, *flags, f"--output_prefix={prefix}")
    assert expected[0] == 1 and "000000000004.jpg (image 4)" in expected[2]
    found = run(coco_pose, *flags, f"--output_prefix={prefix}", way)
    assert found[0] == 1
    assert found[2].splitlines()[-1] == expected[2].splitlines()[-1]
    assert os.listdir(prefix.parent) == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("faulty", [(0, 5, 9), (1, 5, 9), range(1, 10)])
def test_without_faulty_images_the_others_stay_where_they_are(
    way, faulty, drawn, tmp_path, run, without_processes
):
    """All of one shard are faulty in one case: it is left out."""
    flags = [*spoil(drawn, tmp_path, *faulty), "--on_error=skip"]
    expected = run(coco_pose, *flags, f"--output_prefix={tmp_path}/one/train")
    assert expected[0] == 0 and f"{len(faulty)}  skipped: " in expected[1]
    found = run(coco_pose, *flags, f"--output_prefix={tmp_path}/two/train", way)
    assert told(found[1], tmp_path / "two") == told(expected[1], tmp_path / "one")
    assert same(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize("way", WAYS)
def test_orientations_need_a_decision(way, tmp_path, run, without_processes):
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    for number in range(4):
        pixels = np.full((8, 12, 3), number, np.uint8)
        jpeg = cv2.imencode(".jpg", pixels)[1].tobytes()
        if number % 2:
            tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
            exif = b"Exif\0\0" + tiff
            length = (len(exif) + 2).to_bytes(2, "big")
            jpeg = jpeg[:2] + b"\xff\xe1" + length + exif + jpeg[2:]
        (images / f"{number}.jpg").write_bytes(jpeg)
        size = (12, 8) if number % 2 else (8, 12)
        cv2.imwrite(str(labels / f"{number}.png"), np.zeros(size, np.uint8))
    (tmp_path / "set.yaml").write_text("classes: [a, b]")
    flags = [
        *(f"--image_dir={images}", f"--label_dir={labels}"),
        f"--label_set={tmp_path}/set.yaml",
    ]
    prefix = f"--output_prefix={tmp_path}/records/train"
    code, _, error = run(segmentation_folder, *flags, prefix, way)
    assert code == 1
    assert "2 image files have an EXIF orientation" in error
    assert f"the first is {images}/1.jpg (6)" in error
    code, output, _ = run(segmentation_folder, *flags, prefix, way, "--exif=apply")
    assert code == 0 and "2  image files turned" in output
    one = f"--output_prefix={tmp_path}/one/train"
    assert run(segmentation_folder, *flags, one, "--exif=apply")[0] == 0
    assert same(tmp_path / "one", tmp_path / "records")


class Numbers(RecordEncoder):
    """Makes records of numbers but for 3; above 7, something lies on its side."""

    rules = ImageRules()

    def paths_of(self, item):
        return []

    def encode(self, item):
        if item == 3:
            raise Unusable("odd", "It is 3.")
        return Encoded(b"%d" % item, facts=-item)

    def orientations(self, item):
        return [(f"{item}.jpg", 6)] if item > 7 else []


@pytest.mark.parametrize(
    ("items", "stops", "facts", "records"),
    [
        (range(6), False, [0, -1, -2, None, -4, -5], [b"0", b"1", b"2", b"4", b"5"]),
        (range(6), True, [0, -1, -2, None], [b"0", b"1", b"2"]),
        ([3], False, [None], []),
        ([1, 8], False, [], []),  # Nobody will want the records.
    ],
)
def test_a_piece_of_work(items, stops, facts, records, tmp_path):
    work = shard_work.ShardWork(str(tmp_path), 1, len(items), stops)
    work.prepare(Numbers(), list(items))
    assert work.num_done() == 0
    done = work.write(0)
    assert work.num_done() == 1
    assert (done.num_items, done.num_faults) == (len(items), facts.count(None))
    if not facts:
        assert done.end == 0
    elif stops:
        assert done.end == facts.index(None)
    else:
        assert done.end == len(items)
    (result,) = work.results()
    assert [outcome.facts for outcome in result.outcomes] == facts
    assert [bool(outcome.fault) for outcome in result.outcomes] == [
        fact is None for fact in facts
    ]
    assert bool(result.shard) == bool(records)
    if result.shard:
        assert list(read_serialized(result.shard.path)) == records
        assert result.shard.records == len(records)
        assert result.shard.size == os.path.getsize(result.shard.path)


@pytest.mark.parametrize(("end", "facts"), [(0, []), (5, [-1, -2]), (6, [-1, -2, -4])])
def test_of_a_piece_is_done_what_comes_before_a_fault_elsewhere(end, facts, tmp_path):
    work = shard_work.ShardWork(str(tmp_path), 2, 8, stops=True)
    work.prepare(Numbers(), [9, 1, 9, 2, 9, 4, 9, 5])  # 9 lies on its side.
    work.write(0, end=0)
    done = work.write(1, end)
    _, result = work.results()
    assert [outcome.facts for outcome in result.outcomes] == facts
    assert (done.num_items, len(result.orientations)) == (4, 4)


def test_features_are_in_the_order_of_their_names():
    names = [f"name {number:02d}" for number in range(50)]
    record = serialize({name: tf.train.Feature() for name in reversed(names)})
    places = [record.index(f"{name}\x12".encode()) for name in names]
    assert [names[i] for i in np.argsort(places)] == sorted(names)


def test_faults_survive_the_way_back():
    fault = pickled(Unusable("bad box", "It is odd."))
    assert (fault.kind, fault.sentence, str(fault)) == (
        "bad box",
        "It is odd.",
        "It is odd.",
    )


# ---- addresses ----


def copy_to_memory(folder, address):
    for path in folder.rglob("*"):
        if path.is_file():
            target = f"{address}/{path.relative_to(folder)}"
            tf.io.gfile.makedirs(os.path.dirname(target))
            with tf.io.gfile.GFile(target, "wb") as file:
                file.write(path.read_bytes())


@pytest.mark.parametrize("module", [coco_pose, segmentation_folder, pascal_context])
def test_data_may_lie_at_an_address(module, drawn, tmp_path, run, without_processes):
    """TensorFlow's file system in memory, which no other process has."""
    address = f"ram://{module.__name__}"
    copy_to_memory(drawn, f"{address}/data")
    copy_to_memory(drawn / "images/train", f"{address}/data/VOC2010/JPEGImages")
    here = flags_of(module, drawn)
    there = [flag.replace(str(drawn), f"{address}/data") for flag in here]
    one = f"--output_prefix={tmp_path}/one/train"
    assert run(module, *here, one)[0] == 0
    for place, more in enumerate([[], *[[ON_BEAM]] * HAS_BEAM]):
        prefix = f"{address}/{place}/train"
        code, _, error = run(module, *there, f"--output_prefix={prefix}", *more)
        assert code == 0, (more, error)
        for path in (tmp_path / "one").glob("*.tfrecord"):
            with tf.io.gfile.GFile(f"{address}/{place}/{path.name}", "rb") as file:
                assert file.read() == path.read_bytes()


@pytest.mark.parametrize(
    ("put", "sentence"),
    [
        (lambda path: None, "does not exist"),
        (tf.io.gfile.makedirs, "cannot be read: "),
    ],
)
def test_files_that_are_missing_at_an_address_are_named(
    put, sentence, drawn, tmp_path, run
):
    copy_to_memory(drawn / "images/train", "ram://lost/images")
    path = "ram://lost/images/000000000003.jpg"
    tf.io.gfile.remove(path)
    put(path)
    flags = ["--image_dir=ram://lost/images", *flags_of(coco_pose, drawn)[1:]]
    code, _, error = run(coco_pose, *flags, f"--output_prefix={tmp_path}/records/train")
    assert code == 1
    assert f"{path} (image 3) {sentence}" in error
    tf.io.gfile.rmtree("ram://lost")


# ---- Beam ----


@needs_beam
def test_on_beam_the_files_are_the_same(drawn, tmp_path, run):
    flags = [*flags_of(coco_pose, drawn), "--num_shards=3"]
    assert run(coco_pose, *flags, f"--output_prefix={tmp_path}/one/train")[0] == 0
    code, _, error = run(
        coco_pose,
        *(*flags, f"--output_prefix={tmp_path}/beam/train"),
        *("--runner=DirectRunner", "--direct_num_workers=1"),
    )
    assert code == 0, error
    assert same(tmp_path / "one", tmp_path / "beam")
    assert re.fullmatch(r"Converting: 3/3 files, .*\n", error)


@pytest.mark.parametrize("left", [None, types.ModuleType("apache_beam")])
def test_beam_is_named_where_it_is_not_installed(
    left, drawn, tmp_path, run, monkeypatch
):
    monkeypatch.setitem(sys.modules, "apache_beam", left)
    prefix = f"--output_prefix={tmp_path}/records/train"
    code, _, error = run(
        coco_pose, *flags_of(coco_pose, drawn), prefix, "--runner=DirectRunner"
    )
    assert code == 1
    assert re.fullmatch(
        r"--runner needs Apache Beam \(.*apache_beam.*\): pip install "
        r"'hrnet_tf\[beam\]'\.\n",
        error,
    )
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        (["--runner=NoRunner"], 1, "--runner=NoRunner is not installed: Unexpected"),
        (["--runner=a.b.Runner"], 1, "--runner=a.b.Runner is not installed: No module"),
        (
            ["--runner=DirectRunner", "--direct_num_workers=two"],
            1,
            "An option of Beam is wrong: argument --direct_num_workers: invalid int",
        ),
        (
            ["--runner=DirectRunner", "--num_shard=3"],
            2,
            "Neither this command nor Beam has a flag --num_shard (did you mean "
            "'num_shards'?).",
        ),
        (
            ["--runner=DirectRunner", "--nonsense=3"],
            2,
            "Neither this command nor Beam has a flag --nonsense.",
        ),
        (
            ["--runner=DirectRunner", "--temp_locatoin=x"],
            2,
            "Neither this command nor Beam has a flag --temp_locatoin (did you mean "
            "'temp_location'?).",
        ),
        (
            ["--runner=FlinkRunner", "--num_shard=3"],
            2,
            "Neither this command nor Beam has a flag --num_shard (did you mean "
            "'num_shards'?).",
        ),
        (["--num_shard=3"], 2, "Unknown command line flag 'num_shard'"),
        (["--runner=DirectRunner", "--temp_location", "x"], 2, "Unexpected argument"),
        (
            ["--runner=DirectRunner", "--num_processes=2"],
            2,
            "--num_processes does not go with --runner",
        ),
    ],
)
@needs_beam
def test_what_beam_does_not_have_is_named(flags, code, sentence, drawn, tmp_path, run):
    prefix = f"--output_prefix={tmp_path}/records/train"
    found = run(coco_pose, *flags_of(coco_pose, drawn), prefix, *flags)
    assert found[0] == code and found[2].startswith(sentence), found[2]
    assert ".." not in found[2]
    assert not (tmp_path / "records").exists()


@needs_beam
def test_options_of_a_server_are_left_to_it(drawn):
    values = coco_pose.define_flags()
    required = [*flags_of(coco_pose, drawn), "--output_prefix=records/train"]
    values(["", *required, "--runner=FlinkRunner", "--checkpointing_interval=9"])
    assert beam.chosen(values).options == ("--checkpointing_interval=9",)


def test_with_worker_processes_the_command_runs_in_a_process_of_its_own(monkeypatch):
    started = []
    monkeypatch.setattr(beam_workers, "run_again_if_lost", lambda *a: started.append(a))
    argv = ["", "--runner=DirectRunner", "--direct_running_mode=multi_processing"]
    coco_pose.main(argv)
    assert started == [("hrnet_tf.data.coco_pose", argv)]


def fail(work, options, clean):
    def build(pipeline):
        import apache_beam

        def refuse(number):
            raise OSError(f"the disk of {number} is gone")

        _ = pipeline | apache_beam.Create([7]) | apache_beam.Map(refuse)

    options.run(build)


@pytest.mark.parametrize(
    ("happens", "sentence"),
    [
        (fail, "The pipeline failed on DirectRunner: OSError: the disk of 7 is gone"),
        (
            lambda work, options, clean: None,
            "4 of 4 files of records were not written into",
        ),
    ],
)
@needs_beam
def test_a_pipeline_that_fails_writes_nothing(
    happens, sentence, drawn, tmp_path, run, monkeypatch
):
    monkeypatch.setattr(beam_pipeline, "run", happens)
    folder = tmp_path / "records"
    flags = [*flags_of(coco_pose, drawn), f"--output_prefix={folder}/train"]
    code, _, error = run(coco_pose, *flags, "--num_shards=4", "--runner=DirectRunner")
    assert code == 1 and error.startswith(sentence), error
    assert os.listdir(folder) == []
