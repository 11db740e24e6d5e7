"""What a file is that holds no weights, in words that say what to do about it."""

import os
import re
import zipfile

from hrnet_tf.input_files import ZIP_FAULTS

_UNPACK = "unpack it and name the checkpoint in it"
_NOT_PYTORCH = "which is not PyTorch's; convert the PyTorch file"

_DAMAGED = "a damaged or half downloaded ZIP file; download it again"

# By how files begin; the first match counts.
_BEGINNINGS = (
    (rb"version https://git-lfs", "a Git LFS pointer; get the file with git lfs pull"),
    (
        rb"(?i)\s*<(!doctype|html|head|body|\?xml|!--)",
        "a web page or XML; open the address in a browser to see why, and download the "
        "file itself",
    ),
    (
        rb'(?s)\s*\{.*"weight_map"',
        "the index of weights in several files; write all tensors to one .safetensors "
        "file and convert that",
    ),
    (rb"\s*[{\[]", "JSON or other text; name the file with the tensors"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|(?s:.{257}ustar)", f"packed; {_UNPACK}"),
    (rb"\x89HDF", f"in HDF5, as of Keras, {_NOT_PYTORCH}"),
    (rb"\x93NUMPY", f"a NumPy array, {_NOT_PYTORCH}"),
)
# What a text file may begin with.
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# In bytes, as the format has it.
_LARGEST_HEADER = 100_000_000
# How much larger the content of a ZIP file may be, if it is not small anyway (bytes).
_MOST_EXPANSION = 10
_SMALL = 100_000_000


def is_safetensors(path: str) -> bool:
    """Whether a file begins as safetensors do: the size of the header, then JSON."""
    with open(path, "rb") as file:
        start = file.read(9)
    size = int.from_bytes(start[:8], "little")
    return start[8:] == b"{" and size < _LARGEST_HEADER


def what_it_is(path: str) -> str | None:
    """What a file is instead of a PyTorch checkpoint; None if it may be one."""
    with open(path, "rb") as file:
        start = file.read(4096).removeprefix(_BYTE_ORDER_MARK)
    if start[:1] == b"\x80":  # The first byte of a pickle.
        return None
    if start[:4] == b"PK\x03\x04":
        return _what_a_zip_is(path)
    if not start.strip():
        return "empty; download it again"
    for pattern, words in _BEGINNINGS:
        if re.match(pattern, start):
            return words
    return "neither a ZIP file, nor a pickle, nor safetensors"


def _what_a_zip_is(path: str) -> str | None:
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
            size = sum(entry.file_size for entry in file.infolist())
    except ZIP_FAULTS:
        return _DAMAGED
    if size > max(_MOST_EXPANSION * os.path.getsize(path), _SMALL):
        return (
            f"a ZIP file that claims to hold {size / 1e6:.0f} MB in "
            f"{os.path.getsize(path) / 1e6:.0f} MB, and PyTorch does not compress; "
            "download it again, or save the checkpoint again"
        )
    ends = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in ends:
        return (
            "a TorchScript program; where you trust it, load it with torch.jit.load "
            "and save its state_dict() with torch.save"
        )
    if "data.pkl" in ends:
        return None if _is_whole(path) else _DAMAGED
    if any(name.endswith(".npy") for name in ends):
        return f"a NumPy archive, {_NOT_PYTORCH}"
    return f"a ZIP file of something else; {_UNPACK}"


def _is_whole(path: str) -> bool:
    """Whether all entries of a ZIP file match their checksums; PyTorch looks at none.

    It can be told to write 0 in place of all checksums.
    """
    try:
        with zipfile.ZipFile(path) as file:
            has_checksums = any(entry.CRC for entry in file.infolist())
            return not has_checksums or file.testzip() is None
    except ZIP_FAULTS:
        return False
