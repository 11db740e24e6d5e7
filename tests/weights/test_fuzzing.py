"""Damaged files of weights, made by Hypothesis: read, or refused in a sentence."""

import io
import json

import pytest
from hypothesis import strategies as st

from hrnet_tf.weights.tensor_files import read_tensors

MARKS = [pytest.mark.slow, pytest.mark.faults]
few_and_many = pytest.mark.parametrize("count", [60, pytest.param(3000, marks=MARKS)])

SIZES = st.sampled_from([0, 1, 2, 3, 4, 8, 12, -1, 2**31, 2**62, 2**63, 10**30, 0.5])
TYPES = ("F32", "BF16", "F8_E4M3", "F4", "I64", "BOOL", "C64", "X9", 5, None)
ENTRIES = st.one_of(
    st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(TYPES),
            "shape": st.lists(SIZES, max_size=5),
            "data_offsets": st.lists(SIZES, min_size=2, max_size=2),
        }
    ),
    st.sampled_from([None, [], {}, "text", {"dtype": "F32"}]),
)
NAMES = st.sampled_from(["conv1.weight", "a", "", "\0", "__metadata__", "\ud800", "é"])


@st.composite
def safetensors_files(draw) -> bytes:
    header = json.dumps(draw(st.dictionaries(NAMES, ENTRIES, max_size=3))).encode()
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(header)))
        header = header[:place] + draw(st.binary(max_size=3)) + header[place + 1 :]
    length = draw(st.sampled_from([len(header)] * 4 + [0, 1, 2**20, 2**63, 2**64 - 1]))
    return length.to_bytes(8, "little") + header + draw(st.binary(max_size=16))


@few_and_many
def test_safetensors(count, fuzz, tmp_path):
    path = tmp_path / "a.safetensors"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        read_tensors(str(path))

    fuzz(count, safetensors_files(), read)


@few_and_many
@pytest.mark.parametrize("is_zip", [True, False])
def test_pth(count, is_zip, fuzz, tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch: make env-convert")
    buffer = io.BytesIO()
    tensors = {"conv1.weight": torch.ones(2, 3), "brain": torch.ones(4).bfloat16()}
    content = {"state_dict": tensors, "epoch": 3}
    # With checksums, no damage would get as far as torch.
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(content, buffer, _use_new_zipfile_serialization=is_zip)
    finally:
        torch.serialization.set_crc32_options(True)
    whole = buffer.getvalue()
    path = tmp_path / "a.pth"

    @st.composite
    def damaged(draw) -> bytes:
        changed = bytearray(whole)
        for _ in range(draw(st.integers(1, 4))):
            place = draw(st.integers(0, len(changed) - 1))
            changed[place] = draw(st.integers(0, 255))
        end = draw(st.integers(0, len(changed)))
        return bytes(changed[:end] if draw(st.integers(0, 3)) == 0 else changed)

    def read(changed: bytes) -> None:
        path.write_bytes(changed)
        read_tensors(str(path))

    fuzz(count, damaged(), read)
