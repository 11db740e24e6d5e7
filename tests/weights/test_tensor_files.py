import argparse
import collections
import datetime
import gzip
import io
import json
import os
import pathlib
import pickle
import re
import sys
import tarfile
import types
import zipfile

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from hrnet_tf import convert_weights
from hrnet_tf.messages import UserError
from hrnet_tf.weights.conversion import load_pytorch_checkpoint
from hrnet_tf.weights.errors import WeightsError
from hrnet_tf.weights.tensor_files import read_tensors

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


# One and a half, as each type keeps it.
FLOATS = {
    "F64": np.array([1.5], np.float64),
    "F32": np.array([1.5], np.float32),
    "F16": np.array([1.5], np.float16),
    "BF16": np.array([1.5], ml_dtypes.bfloat16),
    "F8_E4M3": np.array([1.5], ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.array([1.5], ml_dtypes.float8_e5m2),
}


def save_safetensors(path, tensors):
    """Writes arrays by name, each with the format's name for its type."""
    header, data = {}, b""
    for name, (kind, array) in tensors.items():
        start, data = len(data), data + array.tobytes()
        shape, offsets = list(array.shape), [start, len(data)]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": offsets}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_safetensors_of_mixed_types_lose_none(tmp_path):
    path = tmp_path / "weights.safetensors"
    whole = {"I8": np.array([3], np.int8), "BOOL": np.array([True])}
    tensors = {f"a.{kind}": (kind, array) for kind, array in (FLOATS | whole).items()}
    save_safetensors(path, tensors)
    read = read_tensors(str(path))
    assert set(read) == set(tensors)
    for kind in FLOATS:
        assert read[f"a.{kind}"].dtype == np.float32
        np.testing.assert_array_equal(read[f"a.{kind}"], [1.5])
    assert read["a.I8"].dtype == np.int8 and read["a.I8"] == 3


def test_a_type_of_safetensors_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_safetensors(path, {"conv": ("F4", np.zeros(8, np.uint8))})
    text = path.read_bytes().replace(b'"shape": [8]', b'"shape":[16]')
    path.write_bytes(text)
    with pytest.raises(WeightsError, match="holds 'conv' as F4, which cannot be read"):
        read_tensors(str(path))


def test_too_large_a_number_becomes_infinite_without_a_warning(tmp_path, recwarn):
    path = tmp_path / "weights.safetensors"
    save_safetensors(path, {"a": ("F64", np.array([1e300]))})
    assert np.isinf(read_tensors(str(path))["a"]) and not recwarn.list


@pytest.mark.parametrize("content", [b"", b"x", b"\x10" + b"\x00" * 30, b"{}" * 40])
def test_damaged_safetensors_are_refused(content, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"{path} cannot be read as safetensors"):
        read_tensors(str(path))


def test_a_file_without_numbers_is_refused(tmp_path):
    path = str(tmp_path / "weights.safetensors")
    safetensors.numpy.save_file({"step": np.array(7)}, path)
    with pytest.raises(WeightsError, match="no floating-point tensors, only int64"):
        read_tensors(path)


def test_a_name_that_no_network_has_is_shown_without_its_codes(tmp_path):
    path = str(tmp_path / "weights.safetensors")
    safetensors.numpy.save_file({"\x1b[31mred": np.ones(1, np.float32)}, path)
    with pytest.raises(WeightsError) as error:
        read_tensors(path)
    assert str(error.value).isprintable() and "red" in str(error.value)


@pytest.mark.parametrize(
    "suffix, package, name",
    [(".pth", "torch", "PyTorch"), (".safetensors", "safetensors", "safetensors")],
)
@pytest.mark.parametrize("is_left", [False, True])
def test_what_a_file_needs_is_named(
    suffix, package, name, is_left, tmp_path, monkeypatch
):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(
        {"torch": b"\x80", "safetensors": b"\2" + bytes(7) + b"{}"}[package]
    )
    left = types.ModuleType(package) if is_left else None
    monkeypatch.setitem(sys.modules, package, left)
    with pytest.raises(
        WeightsError, match=rf"needs {name} \(.+\): .*hrnet_tf\[convert\]"
    ):
        read_tensors(str(path))


# ---- files of another kind, or name ----


def _zip(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return file.getvalue()


def _tar(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("weights.pth")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def _npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.ones(3))
    return file.getvalue()


OTHERS = {
    "empty": (b"", "it is empty; download it again"),
    "blank": (b"\n \n", "it is empty; download it again"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "a Git LFS pointer; get the file with git lfs pull",
    ),
    "HTML": (b"\n<!DOCTYPE html><html></html>", "a web page or XML; open the address"),
    "HTML, marked": (b"\xef\xbb\xbf<html></html>", "a web page or XML"),
    "XML": (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "a web page or XML"),
    "index": (
        b'{"metadata": {"total_size": 9}, "weight_map": {"a": "b"}}',
        "the index of weights in several files; write all tensors to one",
    ),
    "JSON": (b'{"error": "not found"}', "JSON or other text; name the file"),
    "text": (b"404: not found", "neither a ZIP file, nor a pickle, nor safetensors"),
    "gzip": (gzip.compress(b"weights"), "it is packed; unpack it"),
    "tar": (_tar(_zip(data_pkl=b"")), "it is packed; unpack it"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "in HDF5, as of Keras, which is not PyTorch's"),
    "NumPy": (b"\x93NUMPY\x01\x00", "a NumPy array, which is not PyTorch's"),
    "NumPy archive": (_npz(), "a NumPy archive, which is not PyTorch's"),
    "ZIP": (_zip(read_me=b"x"), "a ZIP file of something else; unpack it"),
    "half a ZIP": (_zip(data_pkl=b"x")[:40], "a damaged or half downloaded ZIP"),
    "TorchScript": (
        _zip(data_pkl=b"x", constants_pkl=b"x"),
        "a TorchScript program; where you trust it, load it with torch.jit.load",
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_of_another_kind_is_called_what_it_is(
    suffix, kind, tmp_path, monkeypatch
):
    # Its kind is told even without PyTorch.
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    content, words = OTHERS[kind]
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(content)
    begins = {"pth": "is no PyTorch checkpoint", "safetensors": "cannot be read as saf"}
    with pytest.raises(WeightsError, match=f"{path} {begins[suffix]}") as error:
        read_tensors(str(path))
    assert words in str(error.value) and str(error.value).isprintable()


def test_contents_count_more_than_the_suffix(torch, tmp_path):
    pickled, plain = str(tmp_path / "a.safetensors"), str(tmp_path / "b.pth")
    torch.save({"a": torch.ones(1)}, pickled)
    safetensors.numpy.save_file({"a": np.ones(1, np.float32)}, plain)
    assert read_tensors(pickled) == read_tensors(plain) == {"a": 1.0}
    os.rename(pickled, tmp_path / "c.pth.tar")  # As the official code calls them.
    assert read_tensors(str(tmp_path / "c.pth.tar")) == {"a": 1.0}


def test_what_is_no_file_is_called_what_it_is(tmp_path):
    (tmp_path / "hrnet.pth").touch()
    (tmp_path / "ckpt.index").touch()
    for path, words in (
        (tmp_path, "is a directory; name a file in it"),
        (tmp_path / "hrnt.pth", "did you mean 'hrnet.pth'?"),
        (tmp_path / "ckpt", "a checkpoint of TensorFlow already"),
        (tmp_path / "none" / "hrnet.pth", "There is no file"),
        ("/dev/null", "cannot be read like one"),
    ):
        with pytest.raises(WeightsError, match=re.escape(words)):
            read_tensors(str(path))


def write_header(path, header: bytes, body: bytes = b"", length=None) -> str:
    size = len(header) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + header + body)
    return str(path)


def entry(shape, begin=0, end=4, dtype="F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry([1], 4, 0)},
        {"a": entry([100], 0, 400)},
        {"a": entry([1]), "b": entry([1], 2, 6)},
        {"a": entry([2**40, 2**40])},
        {"a": entry([-1])},
        {"a": entry([1], dtype="X9")},
        {"a": entry([1]), "b": entry([0, 2**63], 4, 4)},
        {"a": entry([1] * 100)},
        {"a": entry([1]), "__metadata__": [1]},
        {"a": "text"},
    ],
)
def test_a_header_that_lies_is_refused(header, tmp_path):
    path = write_header(
        tmp_path / "a.safetensors", json.dumps(header).encode(), b"0000"
    )
    with pytest.raises(
        WeightsError, match=r"a\.safetensors (cannot be read|holds '.')"
    ):
        read_tensors(path)


@pytest.mark.parametrize("length", [0, 10**6, 10**9, 2**63, 2**64 - 1])
def test_a_header_of_another_length_is_refused(length, tmp_path):
    header = json.dumps({"a": entry([1])}).encode()
    path = write_header(tmp_path / "a.safetensors", header, b"0000", length)
    with pytest.raises(WeightsError, match=r"a\.safetensors cannot be read"):
        read_tensors(path)


@pytest.mark.parametrize("size", range(10))
def test_a_few_bytes_are_no_safetensors(size, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}"[:size])
    with pytest.raises(WeightsError, match=r"a\.safetensors cannot be read"):
        read_tensors(str(tmp_path / "a.safetensors"))


def test_deep_headers_and_names_that_are_there_twice_are_refused(tmp_path):
    header = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    path = write_header(tmp_path / "a.safetensors", header)
    with pytest.raises(WeightsError, match=r"a\.safetensors cannot be read"):
        read_tensors(path)
    tensor = json.dumps(entry([1]))
    header = f'{{"a": {tensor}, "a": {tensor}}}'.encode()
    path = write_header(tmp_path / "a.safetensors", header, b"0000")
    with pytest.raises(UserError, match=r"a\.safetensors has the key 'a' twice"):
        read_tensors(path)


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


@pytest.mark.parametrize("name", ["data/0", "data.pkl", "version"])
def test_a_file_with_one_wrong_bit_is_refused(name, torch, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.ones(1000)}, path)
    with zipfile.ZipFile(path) as archive:
        (entry,) = [e for e in archive.infolist() if e.filename.endswith(f"/{name}")]
        part = archive.read(entry)
    content = bytearray(path.read_bytes())
    content[content.index(part[:100], entry.header_offset) + len(part) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="a damaged or half downloaded ZIP file"):
        read_tensors(str(path))


def test_a_file_without_checksums_is_read(torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.ones(1)}, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_tensors(path) == {"a": 1.0}


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2]])
def test_what_holds_no_state_dict_is_refused(content, torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    torch.save(content, path)
    with pytest.raises(WeightsError, match="must hold a state dict"):
        read_tensors(path)


@pytest.mark.parametrize(
    "kind", ["float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
)
def test_all_floats_of_torch_are_read(kind, torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    one_and_a_half = torch.tensor([1.5]).to(getattr(torch, kind))
    torch.save({"a": one_and_a_half, "table": torch.tensor([3, 4])}, path)
    read = read_tensors(path)
    assert read["a"].dtype == np.float32 and read["a"] == 1.5
    np.testing.assert_array_equal(read["table"], [3, 4])


def test_a_tensor_without_values_is_named(torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    torch.save({"a": torch.ones(1, device="meta")}, path)
    with pytest.raises(WeightsError, match="holds 'a' without its values"):
        read_tensors(path)


def test_nested_parts_are_read_by_their_whole_names(torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    parts = {"backbone": {"conv1": torch.ones(1)}, "head": {"bias": torch.ones(1)}}
    torch.save(parts, path)
    assert set(read_tensors(path)) == {"backbone.conv1", "head.bias"}


@pytest.mark.parametrize("key", ["other", "model"])
def test_a_dict_that_holds_itself_is_read_once(key, torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    content = {"state_dict": {"a": torch.ones(1)}}
    content[key] = content
    content["state_dict"][key] = content
    torch.save(content, path)
    assert set(read_tensors(path)) == {"a"}
    del content["state_dict"]
    torch.save(content, path)
    with pytest.raises(WeightsError, match=f"keys '{key}' and no tensors"):
        read_tensors(path)


def test_dicts_that_would_be_read_for_ever_are_refused(torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    deep = shared = {"a": torch.ones(1)}
    for _ in range(30):
        deep = {"model": deep}
    for _ in range(19):
        shared = dict.fromkeys("abcd", shared)
    for content in (deep, shared):
        torch.save(content, path)
        with pytest.raises(WeightsError, match="nested more than 20 deep, or hold"):
            read_tensors(path)


def test_any_key_has_a_name(torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    keys = [3, None, True, (1, 2), 10**20]
    torch.save({key: torch.ones(1) for key in keys}, path)
    assert set(read_tensors(path)) == {"3", "None", "True", "<tuple>", "<int>"}
    torch.save({3: torch.ones(1), "3": torch.ones(1)}, path)
    with pytest.raises(WeightsError, match="holds '3' twice"):
        read_tensors(path)


def test_keys_of_bytes_are_texts(torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    torch.save({b"a": torch.ones(1), b"\xff": torch.ones(1)}, path)
    assert set(read_tensors(path)) == {"a", r"\xff"}


def state(torch, value: float, prefix: str = "") -> dict:
    names = ("conv1.weight", "stage2.0.branches.0.0.conv1.weight")
    return {f"{prefix}{name}": torch.full([2], value) for name in names}


@pytest.mark.parametrize(
    ("key", "other"),
    [("state_dict", "model"), ("net", "weights"), ("ema", "state_dict_swa")],
)
def test_two_networks_that_differ_are_refused(key, other, torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    counter = {"bn1.num_batches_tracked": torch.tensor(7)}
    same = {key: state(torch, 1.0), other: counter | state(torch, 1.0, "module.")}
    torch.save({key: counter | state(torch, 1.0), other: same[other]}, path)
    assert len(read_tensors(path)) == 2
    more = {**state(torch, 1.0), "more": torch.ones(1)}
    for changed in (state(torch, 2.0), more, {n: t[:1] for n, t in same[key].items()}):
        torch.save({other: changed, key: same[key]}, path)
        with pytest.raises(WeightsError, match=r"differ.*torch\.save\(checkpoint\["):
            read_tensors(path)


def test_what_is_no_network_is_none_to_choose(torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    torch.save({"state_dict": {"a": torch.ones(1)}, "net": state(torch, 2.0)}, path)
    assert set(read_tensors(path)) == set(state(torch, 2.0))


@pytest.mark.parametrize("layout", ["strided", "jagged"])
def test_nested_tensors_are_named(layout, torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    parts = [torch.ones(2), torch.ones(3)]
    nested = torch.nested.nested_tensor(parts, layout=getattr(torch, layout))
    torch.save({"a": torch.ones(1), "odd": nested}, path)
    with pytest.raises(WeightsError, match="holds 'odd' as a nested tensor"):
        read_tensors(path)


@pytest.mark.parametrize("where", [[5], [-1]])
def test_places_of_a_sparse_tensor_outside_it_are_refused(where, torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    wrong = torch.sparse_coo_tensor([where], torch.ones(1), [2], check_invariants=False)
    torch.save({"a": wrong}, path)
    with pytest.raises(WeightsError, match=r"weights\.pth (cannot be read|is refused)"):
        read_tensors(path)


@pytest.mark.parametrize(
    "wrap", [lambda state: collections.defaultdict(list, state), dict]
)
def test_the_advice_on_other_objects_helps(wrap, torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    checkpoint = {"state_dict": wrap({"a": np.ones(2, np.float32)})}
    torch.save(checkpoint, path)
    with pytest.raises(WeightsError, match="is refused") as error:
        read_tensors(path)
    (advice,) = re.findall(r"with (torch\.save\(.*?, FILE\))", str(error.value))
    eval(advice, {"torch": torch, "checkpoint": checkpoint, "FILE": path})
    np.testing.assert_array_equal(read_tensors(path)["a"], [1, 1])


def test_tensors_of_any_layout_are_read(torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    whole = torch.arange(6.0).reshape(2, 3)
    tensors = {
        "sparse": whole.to_sparse(),
        "rows": whole.to_sparse_csr(),
        "turned": whole.T.contiguous().T,
        "brain": whole.bfloat16().T.contiguous().T,
        "negative": torch.complex(whole, -whole).conj().imag,
        "part": torch.arange(12.0)[:6].reshape(2, 3),
    }
    torch.save(tensors, path)
    for name, array in read_tensors(path).items():
        np.testing.assert_array_equal(array, whole.numpy(), err_msg=name)


def test_what_claims_more_than_it_holds_is_refused(torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    places = torch.zeros([2, 1], dtype=torch.int64)
    for tensor in (
        torch.zeros(1).expand(10**10),
        torch.sparse_coo_tensor(places, torch.ones(1), (10**5, 10**5)),
    ):
        torch.save({"a": tensor}, path)
        with pytest.raises(WeightsError, match=r"holds 'a' with the shape \[.*larger"):
            read_tensors(path)


def test_a_zip_with_a_name_that_is_no_text_is_refused(torch, tmp_path):
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("wé/data.pkl", b"")
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xff"))
    with pytest.raises(WeightsError, match="damaged or half downloaded ZIP"):
        read_tensors(str(path))


def test_a_zip_bomb_is_not_opened(torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("w/data/0", "w") as file:
            for _ in range(200):
                file.write(bytes(10**6))
        archive.writestr("w/data.pkl", b"")
    with pytest.raises(WeightsError, match="claims to hold 200 MB in 0 MB"):
        read_tensors(path)


def test_what_scripts_note_beside_weights_is_passed_over(torch, tmp_path):
    path = str(tmp_path / "weights.pth")
    notes = {
        "args": argparse.Namespace(lr=0.1, output=pathlib.PurePosixPath("/x")),
        "best": [np.float64(0.5), np.float32(1), np.int64(3), np.bool_(True)],
        "when": datetime.datetime(2020, 1, 1),
        "log": collections.deque([1.0]),
    }
    torch.save({"state_dict": {"a": torch.ones(1)}, **notes}, path)
    assert set(read_tensors(path)) == {"a"}


def test_nothing_but_our_sentence_is_printed(torch, tmp_path, capfd, recwarn):
    path = tmp_path / "weights.pdparams"  # PaddlePaddle's, of which torch warns.
    path.write_bytes(pickle.dumps({"a": np.ones(3)}, protocol=4))
    with pytest.raises(WeightsError, match="is refused: .* another program"):
        read_tensors(str(path))
    assert capfd.readouterr().err == "" and not recwarn.list


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
