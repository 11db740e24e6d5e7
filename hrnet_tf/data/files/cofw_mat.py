"""COFW's own files, COFW_train_color.mat and COFW_test_color.mat, with their images.

MATLAB's version 7.3 is HDF5 with axes in the opposite order: `IsTr` or `IsT` refers to
images uint8 [H, W] or [H, W, 3], and `phisTr` or `phisT` [faces, 87] has x of 29
landmarks, then y, then which are hidden.
"""

import contextlib
import os
from collections.abc import Iterator

import cv2
import h5py
import numpy as np

from hrnet_tf.data.files.coco_annotations import ImageEntry
from hrnet_tf.data.files.face_lists import FaceSet, face
from hrnet_tf.data.files.faults import ConversionError, Faults, Unusable
from hrnet_tf.data.files.listed_people import ListedPerson, read_entries
from hrnet_tf.input_files import InputFileError, check_input
from hrnet_tf.messages import UserError

# The arrays of each kind of file: images and landmarks.
_ARRAYS = (("IsTr", "phisTr"), ("IsT", "phisT"))
_MOST_FACES = 100_000
_LARGEST_IMAGE = 2**26  # numbers
_LARGEST_COORDINATE = 1e9


class CofwFile(contextlib.AbstractContextManager):
    """One file, open until its `with` block ends; images are named by their numbers.

    Also where converters take the images from; see `converters.coco_images`.
    """

    def __init__(self, path: str, faces: FaceSet):
        """Opens the file. Raises `ConversionError` if it is none of COFW's."""
        self._path = path
        self._faces = faces
        self._count = faces.count
        try:
            check_input(path)
            self._file = h5py.File(path, "r")
        except InputFileError as error:
            raise ConversionError(f"The list {error}") from None
        except Exception:  # h5py raises all kinds at what is no HDF5.
            raise ConversionError(
                f"{path} is no HDF5 file, as COFW's COFW_train_color.mat and "
                "COFW_test_color.mat are."
            ) from None
        with contextlib.ExitStack() as stack:
            stack.callback(self._file.close)
            with self._undamaged():
                images, self._landmarks = self._find_arrays()
                self._references = self._read_references(images)
                self._table = self._read_table()
            stack.pop_all()

    def __reduce__(self) -> tuple[type["CofwFile"], tuple[str, FaceSet]]:
        """Other processes open the file themselves."""
        return CofwFile, (self._path, self._faces)

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    @contextlib.contextmanager
    def _undamaged(self) -> Iterator[None]:
        """Tells that the file is damaged where h5py raises all kinds of errors."""
        try:
            yield
        except (UserError, Unusable):
            raise
        except Exception:
            raise ConversionError(
                f"{self._path} is damaged: HDF5 cannot read all of it. Download it "
                "again."
            ) from None

    def _find_arrays(self) -> tuple[str, str]:
        for images, landmarks in _ARRAYS:
            if images in self._file and landmarks in self._file:
                return images, landmarks
        raise ConversionError(
            f"{self._path} holds {', '.join(map(str, self._file)) or 'nothing'}; "
            "COFW's files hold IsTr and phisTr, or IsT and phisT."
        )

    def _read_references(self, name: str) -> np.ndarray:
        data = self._file[name]
        if not isinstance(data, h5py.Dataset) or data.dtype != h5py.ref_dtype:
            raise ConversionError(
                f"{self._path}: {name} is no list of images, as COFW's is."
            )
        if data.size > _MOST_FACES:
            raise ConversionError(f"{self._path}: {name} has {data.size} images.")
        return data[()].ravel()

    def _read_table(self) -> np.ndarray:
        """What is said of each face, float64 [faces, 87]."""
        name, columns = self._landmarks, 3 * self._count
        data, faces = self._file[name], len(self._references)
        is_table = isinstance(data, h5py.Dataset) and data.dtype.kind in "fiu"
        shape: tuple[int, ...] = data.shape if is_table else ()
        if shape != (columns, faces):
            found = list(reversed(shape)) if is_table else "no table of numbers"
            raise ConversionError(
                f"{self._path}: {name} is {found}; for {faces} images it must be "
                f"[{faces}, {columns}], x and y of {self._count} landmarks and which "
                "are hidden."
            )
        _check_is_here(data)
        return data[()].T.astype(np.float64)

    def people(self, faults: Faults) -> list[ListedPerson]:
        """The faces; `faults` receives those that cannot be used."""
        return read_entries(self._path, self._table, self._read_face, faults, "face")

    def _read_face(self, number: int, row: np.ndarray) -> ListedPerson:
        if not (np.abs(row) < _LARGEST_COORDINATE).all():
            raise Unusable("bad row", "it must hold finite numbers below 1e9.")
        x, y, hidden = row.reshape(3, -1)
        return face(number, self._name(number), np.stack([x, y], 1), hidden != 0)

    def _name(self, number: int) -> str:
        stem = os.path.splitext(os.path.basename(self._path))[0]
        return f"{stem}_{number:05d}.png"

    def _image(self, name: str) -> h5py.Dataset:
        """The image's array in the file, with axes as HDF5 has them."""
        number = int(name.rpartition("_")[2].removesuffix(".png"))
        data = self._file[self._references[number - 1]]
        is_image = isinstance(data, h5py.Dataset) and data.dtype == np.uint8
        is_grey = is_image and data.ndim == 2
        if not is_image or not (is_grey or (data.ndim == 3 and data.shape[0] == 3)):
            raise Unusable(
                "unreadable image", f"image {number} is no picture of 8 bits."
            )
        if not 0 < data.size <= _LARGEST_IMAGE:
            raise Unusable("unreadable image", f"image {number} has {data.size} bytes.")
        _check_is_here(data)
        return data

    def look(self, name: str) -> tuple[tuple[int, int], list[tuple[str, int]]]:
        """The height and width of an image, all upright. Raises `Unusable`."""
        with self._readable(name):
            width, height = self._image(name).shape[-2:]
        return (height, width), []

    def read(self, image: ImageEntry) -> bytes:
        """An image as a PNG file. Raises `Unusable`."""
        with self._readable(image.file_name):
            pixels = self._image(image.file_name)[()].T
        if pixels.ndim == 3:
            pixels = pixels[..., ::-1]
        return cv2.imencode(".png", np.ascontiguousarray(pixels))[1].tobytes()

    @contextlib.contextmanager
    def _readable(self, name: str) -> Iterator[None]:
        try:
            with self._undamaged():
                yield
        except ConversionError:
            raise Unusable(
                "unreadable image", f"{name} in {self._path} is damaged."
            ) from None

    def paths(self, name: str) -> list[str]:
        """No image is a file of its own."""
        del name
        return []


def _check_is_here(data: h5py.Dataset) -> None:
    """Refuses numbers that are in other files: a pipe would keep us waiting."""
    if data.external or data.is_virtual:
        raise ConversionError(f"{data.file.filename}: its numbers are in other files.")
