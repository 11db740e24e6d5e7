"""What a reader of labels works on: the input, its image files, its faults."""

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping

from hrnet_tf.data.files import pictures
from hrnet_tf.data.files.faults import ConversionError, Faults, Unusable
from hrnet_tf.data.files.images import can_be_path
from hrnet_tf.data.label_tools import values
from hrnet_tf.input_files import InputFileError, open_input
from hrnet_tf.messages import did_you_mean

_ABSOLUTE = ("/", "~")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """The input; the flags of `hrnet_tf.data.import_annotations` tell the rest."""

    path: str
    faults: Faults
    image_dir: str | None = None
    category: str = "person"
    split: str | None = None
    hidden_flag: str | None = None
    exif: str | None = None
    renames: Mapping[str, str] = dataclasses.field(default_factory=dict)
    _met: set[str] = dataclasses.field(default_factory=set, init=False)

    @contextlib.contextmanager
    def item(self, where: str) -> Iterator[None]:
        """Reports a fault in the `with` block, which it ends, as one of `where`."""
        try:
            yield
        except Unusable as fault:
            sentence = f"{where}: {fault.sentence}"
            self.faults.report(Unusable(fault.kind, sentence))
        except InputFileError as error:
            self.faults.report(Unusable("unreadable label file", error.message))

    def label(self, value: object, what: str) -> str:
        """A label as it is to be called. Raises `Unusable` if it can be no name."""
        label = values.name(value, what)
        self._met.add(label)
        return self.renamed(label)

    def renamed(self, label: str) -> str:
        """What a label is to be called."""
        return self.renames.get(label, label)

    @property
    def unmet(self) -> list[str]:
        """Sentences about labels that are to be renamed and were not met."""
        return [
            f"--rename={label}={new}: no label is called {label!r}"
            f"{did_you_mean(label, self._met)}."
            for label, new in self.renames.items()
            if label not in self._met
        ]

    def find_files(self, *suffixes: str) -> list[str]:
        """The input itself, or the files in and under it, if it is a folder."""
        if not os.path.isdir(self.path):
            return [self.path]
        found = sorted(
            os.path.join(folder, file)
            for folder, _, files in os.walk(self.path)
            for file in files
            if file.lower().endswith(suffixes) and not file.startswith(".")
        )
        if not found:
            raise ConversionError(
                f"The folder {self.path} has no file *{' or *'.join(suffixes)}; give "
                "--input the folder or file that the tool wrote."
            )
        return found


def find_image(
    folder: str | None, names: Iterable[str], is_needed: bool = False
) -> str:
    """The first of several names that is a file of the folder, else the first name.

    Raises `Unusable` if none is, where one is needed.
    """
    names = list(names)
    for candidate in names:
        if folder is not None and can_be_path(candidate):
            path = os.path.join(folder, candidate)
            if os.path.isfile(path):
                return candidate
    if is_needed:
        raise Unusable(
            "missing image",
            f"the image {os.path.join(folder or '', names[0])} does not exist; give "
            "the folder of the images with --image_dir.",
        )
    return names[0]


def image_size(folder: str, file_name: str, exif: str | None) -> tuple[int, int]:
    """Width and height of an image file, turned if `exif` is "apply".

    Raises `Unusable`, for turned pictures without `exif`, too.
    """
    path = os.path.join(folder, file_name)
    try:
        open_input(path).close()
    except InputFileError as error:
        raise Unusable(
            "unreadable image",
            f"the labels do not say how large the image is, and {error.message}",
        ) from None
    header = pictures.look_at(path)
    if header is None:
        raise Unusable("unreadable image", f"{path} is not an image, or a damaged one.")
    by = header.orientation
    if by != 1 and exif is None:
        raise Unusable(
            "EXIF orientation",
            f"the image {path} has the EXIF orientation {by}, by which viewers turn "
            "it. Say what was labelled: --exif=apply if the picture as viewers show "
            "it, --exif=ignore if the pixels as they are stored.",
        )
    is_turned = by in (5, 6, 7, 8) and exif == "apply"
    size = values.size(header.width, header.height)
    return (size[1], size[0]) if is_turned else size


def plain_path(value: object, what: str) -> str:
    """The relative path of an image, with slashes; of absolute ones the file's name.

    Raises `Unusable`.
    """
    path = values.name(value, what).replace("\\", "/")
    is_drive = path[1:3] in (":/", ":")
    if path.startswith(_ABSOLUTE) or is_drive:
        path = path.rsplit("/", 1)[-1]
    path = os.path.normpath(path)
    if path in (".", ".."):
        raise Unusable("bad name", f"{what} is {value!r}; it must name an image file.")
    return path
