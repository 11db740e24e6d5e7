import os
import pickle

import numpy as np
import pytest
import safetensors.numpy

from hrnet_tf import convert_weights
from hrnet_tf.weights.conversion import load_pytorch_checkpoint
from hrnet_tf.weights.tensor_files import WeightsError, read_tensors

NO_TORCH = "PyTorch is not installed: make env-convert"


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason=NO_TORCH)


# ---- safetensors ----


def test_safetensors_are_read_as_float32(tmp_path):
    path = str(tmp_path / "weights.safetensors")
    tensors = {
        "a": np.array([1.5, 2.0], np.float16),
        "bn.num_batches_tracked": np.array(7),
    }
    safetensors.numpy.save_file(tensors, path)
    read = read_tensors(path)
    assert list(read) == ["a"] and read["a"].dtype == np.float32
    np.testing.assert_array_equal(read["a"], [1.5, 2.0])


@pytest.mark.parametrize("content", [b"", b"x", b"\x10" + b"\x00" * 30, b"{}" * 40])
def test_damaged_safetensors_are_refused(content, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"{path} cannot be read as safetensors"):
        read_tensors(str(path))


def test_a_file_without_numbers_is_refused(tmp_path):
    path = str(tmp_path / "weights.safetensors")
    safetensors.numpy.save_file({"step": np.array(7)}, path)
    with pytest.raises(WeightsError, match="no floating-point tensors"):
        read_tensors(path)


def test_without_torch_a_pth_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"\x80")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(WeightsError, match=r"needs PyTorch: .*hrnet_tf\[convert\]"):
        read_tensors(str(path))


# ---- PyTorch ----


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3, "meta": {"CLASSES": ("a",)}},
        lambda state: {"model": {"state_dict": state}, "optimizer": {"lr": 0.1}},
    ],
    ids=["plain", "state_dict", "nested"],
)
def test_state_dicts_are_found(wrap, legacy, torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    state = {
        "half": torch.tensor([1.5, 2.0], dtype=torch.float16),
        "brain": torch.tensor([0.5], dtype=torch.bfloat16),
        "bn.num_batches_tracked": torch.tensor(7),
    }
    torch.save(wrap(state), path, _use_new_zipfile_serialization=not legacy)
    read = read_tensors(path)
    assert {name: tensor.tolist() for name, tensor in read.items()} == {
        "half": [1.5, 2.0],
        "brain": [0.5],
    }
    assert all(tensor.dtype == np.float32 for tensor in read.values())


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_malicious_pickle_is_refused_and_not_run(writer, torch, tmp_path, capsys):
    path, trace = tmp_path / "evil.pth", tmp_path / "was_run"
    content = {"state_dict": {"a": torch.ones(2)}, "meta": Malicious(trace)}
    if writer == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    flags = [f"--checkpoint={path}", f"--output={tmp_path / 'out' / 'ckpt'}"]
    assert convert_weights.main(["convert_weights", *flags]) == 1
    error = capsys.readouterr().err
    assert f"{path} is refused: it holds objects other than tensors" in error
    assert len(error.splitlines()) == 1 and "weights_only" not in error
    assert not trace.exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "message",
    [
        "Weights only load failed. This file can still be loaded, \033[1mdo so\033[0m"
        " only if you trust it. \n\t(1) Re-run `torch.load`.\n\t(2) Alternatively, ..."
        "\n\tWeightsUnpickler error: Unsupported global: GLOBAL os.system is refused."
        " Please use `add_safe_globals`.\n\nSee the manual.",
        "Weights only load failed. Re-running `torch.load` will likely succeed.\n\n\n"
        "Unsupported global: GLOBAL os.system is refused.\n\nSee the manual.",
        "\033[1mUnsupported global: GLOBAL os.system is refused\033[0m",
    ],
)
def test_only_torch_s_reason_is_passed_on(message, torch, tmp_path, monkeypatch):
    def load(*_, **options):
        raise pickle.UnpicklingError(message)

    path = tmp_path / "weights.pth"
    path.write_bytes(b"\x80")
    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(WeightsError) as error:
        read_tensors(str(path))
    reason = "torch says: Unsupported global: GLOBAL os.system is refused."
    assert str(error.value).endswith(f"FILE). {reason}")


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "damaged|no PyTorch checkpoint"),
        (b"\x80", "damaged"),
        (b"just text", "no PyTorch checkpoint"),
        (b"\x89PNG\r\n\x1a\n", "no PyTorch checkpoint"),
        (b"PK\x03\x04" + b"\x00" * 40, "damaged|no PyTorch checkpoint"),
    ],
)
def test_other_files_are_refused(content, sentence, torch, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=sentence):
        read_tensors(str(path))


def test_a_half_downloaded_file_is_refused(torch, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(WeightsError, match="damaged|no PyTorch checkpoint|refused"):
        read_tensors(str(path))


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2]])
def test_what_holds_no_state_dict_is_refused(content, torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    torch.save(content, path)
    with pytest.raises(WeightsError, match="must hold a state dict"):
        read_tensors(path)


def test_an_official_file_converts_from_pth_as_from_safetensors(
    torch, official, tmp_path
):
    expected = official("det_hrnetv2p_c4")
    path = str(tmp_path / "det.pth")
    state = {name: torch.from_numpy(value) for name, value in expected.weights.items()}
    torch.save({"meta": {}, "state_dict": state}, path)
    network = load_pytorch_checkpoint(path).network
    other = load_pytorch_checkpoint(expected.path).network
    for name, variable in network.variables.items():
        np.testing.assert_array_equal(variable, other.variables[name])
