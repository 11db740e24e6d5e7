import numpy as np
import pytest
import safetensors.numpy

from hrnet_tf import convert_weights
from hrnet_tf.configs import backbones
from hrnet_tf.modeling.hrnet import HRNet
from hrnet_tf.weights import official_layout

SPEC = backbones.HRNetSpec(
    width=2, modules=[1, 1, 1], blocks=1, layer1_planes=4, layer1_blocks=1, stem_width=4
)

pytestmark = pytest.mark.usefixtures("built_once")


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    body = HRNet(SPEC, multi_scale_output=False)
    tensors = {
        name: np.ones(official_layout.official_shape(variable), np.float32)
        for name, variable in official_layout.backbone_variables(body)
    }
    tensors["final_layer.weight"] = np.ones([5, 2, 1, 1], np.float32)
    tensors["final_layer.bias"] = np.ones(5, np.float32)
    return tensors


@pytest.fixture
def checkpoint(weights, tmp_path) -> str:
    path = str(tmp_path / "pose.safetensors")
    safetensors.numpy.save_file(weights, path)
    return path


def run(*flags: str) -> int:
    return convert_weights.main(["convert_weights", *flags])


def test_converts_and_says_what_it_found(checkpoint, tmp_path, capsys):
    output = tmp_path / "out" / "ckpt"
    assert run(f"--checkpoint={checkpoint}", f"--output={output}") == 0
    stdout = capsys.readouterr().out
    assert "Its tensors are those of a pose network." in stdout
    assert "pose network custom, " in stdout
    assert f"variables: {output}.index" in stdout
    assert sorted(path.name for path in output.parent.iterdir()) == [
        "ckpt.data-00000-of-00001",
        "ckpt.index",
        "ckpt.yaml",
    ]


def test_existing_output_is_kept_unless_told(checkpoint, tmp_path, capsys):
    flags = [f"--checkpoint={checkpoint}", f"--output={tmp_path / 'ckpt'}"]
    assert run(*flags) == 0
    assert run(*flags) == 1
    assert "exists already" in capsys.readouterr().err
    assert run(*flags, "--overwrite") == 0


def test_a_partial_load_must_be_said_and_is_told(weights, tmp_path, capsys):
    path = str(tmp_path / "partial.safetensors")
    some = {key: value for key, value in weights.items() if key != "bn1.bias"}
    safetensors.numpy.save_file(some, path)
    flags = [f"--checkpoint={path}", f"--output={tmp_path / 'out' / 'ckpt'}"]
    assert run(*flags) == 1
    error = capsys.readouterr().err
    assert "1 tensor missing: 'bn1.bias'" in error and "Nothing was written" in error
    assert not (tmp_path / "out").exists()
    assert run(*flags, "--allow_partial") == 0
    assert "Not converted: 1 tensor missing: 'bn1.bias'" in capsys.readouterr().out


def test_a_yaml_of_that_name_is_kept(checkpoint, tmp_path, capsys):
    (tmp_path / "ckpt.yaml").write_text("mine")
    assert run(f"--checkpoint={checkpoint}", f"--output={tmp_path / 'ckpt'}") == 1
    assert "ckpt.yaml exists already" in capsys.readouterr().err
    assert (tmp_path / "ckpt.yaml").read_text() == "mine"


def test_the_state_that_was_taken_is_said(weights, tmp_path, capsys):
    path = str(tmp_path / "both.safetensors")
    both = {f"model.{name}": value for name, value in weights.items()}
    both |= {f"model_ema.{name}": value for name, value in weights.items()}
    safetensors.numpy.save_file(both, path)
    flags = [f"--checkpoint={path}", f"--output={tmp_path / 'ckpt'}", "--overwrite"]
    assert run(*flags) == 0
    averages, own = "averages of the weights, under model_ema", "own weights, under mod"
    assert f"Took the {averages}; --state=model" in capsys.readouterr().out
    assert run(*flags, "--state=model") == 0
    assert f"Took the model's {own}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flags, code, sentence",
    [
        ([], 2, "--checkpoint"),
        (["--checkpoint={file}"], 2, "--output"),
        (["--checkpoint={file}", "--output={folder}"], 2, "is a directory"),
        (["--checkpoint={file}", "--output={folder}/"], 2, "is a directory"),
        (["--checkpoint=/nowhere.pth", "--output={out}"], 1, "no file /nowhere.pth"),
        (["--checkpoint={folder}", "--output={out}"], 1, "There is no file"),
        (["--checkpoint={file}", "--output={out}", "--task=depth"], 2, "--task"),
        (["--checkpoint={file}", "--output={out}", "--task=detection"], 1, "of a pose"),
        (["--checkpoint={file}", "--output={out}", "--state=best"], 2, "--state"),
        (["--checkpoint={file}", "--output={out}", "--state=ema"], 1, "no averaged"),
        (["--checkpoint={file}", "--output={out}", "--model_id=w9"], 2, "model_id"),
        (["--checkpoint={file}", "--output={out}", "--model_id=w32"], 1, "not of w32"),
    ],
)
def test_mistakes_get_a_sentence(flags, code, sentence, checkpoint, tmp_path, capsys):
    places = {"file": checkpoint, "folder": tmp_path, "out": tmp_path / "out" / "ckpt"}
    assert run(*(flag.format(**places) for flag in flags)) == code
    captured = capsys.readouterr()
    assert sentence in captured.err and "Traceback" not in captured.err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_gets_a_sentence(checkpoint, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    flags = [f"--checkpoint={checkpoint}", f"--output={tmp_path / 'file' / 'ckpt'}"]
    assert run(*flags) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_help_explains_the_command(capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert "python -m hrnet_tf.convert_weights" in text and "inplace_abn" in text
