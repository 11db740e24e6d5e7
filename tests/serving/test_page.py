import dataclasses
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from hrnet_tf.serving.kinds import KINDS

gradio = pytest.importorskip("gradio", reason="needs the extra `demo`")
gradio_client = pytest.importorskip("gradio_client")


@dataclasses.dataclass(frozen=True)
class Style:
    keypoint_score_threshold: float = 0.0
    box_score_threshold: float = 0.0


@dataclasses.dataclass(frozen=True)
class Prediction:
    image: np.ndarray
    style: Style = dataclasses.field(default_factory=Style)

    def draw(self, image):
        return image

    def table(self):
        return [[*self.image.shape[:2], self.style.box_score_threshold]]


class Predictor:
    """Finds the image's size."""

    columns = ("height", "width", "least")

    class metadata:
        task = "size"

    def predict(self, image, boxes):
        return Prediction(image)


@pytest.fixture(scope="module", params=["segmentation", "detection", "people"])
def client(request):
    """A client of the page that shows models of a kind."""
    page = KINDS[request.param].page(Predictor())
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True)
    yield gradio_client.Client(address, verbose=False)
    page.close()


def ask(client, path):
    picture, table = client.predict(
        gradio_client.handle_file(str(path)), 0.25, api_name="/predict"
    )
    return Image.open(picture).size, table["data"]


def test_the_button_predicts(client, tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    assert ask(client, tmp_path / "a.png") == ((40, 30), [[30, 40, 0.25]])


def test_pictures_are_turned_by_exif_alone(client, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "exif.jpg", exif=exif)
    assert ask(client, tmp_path / "exif.jpg")[1] == [[40, 30, 0.25]]
    xmp = PngImagePlugin.PngInfo()
    xmp.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    Image.new("RGB", (40, 30)).save(tmp_path / "xmp.png", pnginfo=xmp)
    assert Image.open(tmp_path / "xmp.png").getexif()[0x0112] == 6
    assert ask(client, tmp_path / "xmp.png")[1] == [[30, 40, 0.25]]


def write_broken(path):
    """Writes a file that is no picture, is cut off, or has too many pixels."""
    if path.name == "none.jpg":
        path.write_bytes(b"no picture")
    elif path.name == "cut.jpg":
        noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:400])
    else:
        Image.new("1", (8, 8)).save(path)
        content = path.read_bytes()
        header = b"IHDR" + struct.pack(">II", 20_000, 20_000) + content[24:29]
        checksum = struct.pack(">I", zlib.crc32(header))
        path.write_bytes(content[:12] + header + checksum + content[33:])
    return path


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.jpg", "^none.jpg: not an image, or a damaged one"),
        ("cut.jpg", "^cut.jpg: not an image, or a damaged one"),
        ("huge.png", "^huge.png: too large: it has 400000000 pixels"),
    ],
)
def test_what_cannot_be_read_gets_a_sentence(client, name, sentence, tmp_path, capfd):
    with pytest.raises(gradio_client.exceptions.AppError, match=sentence):
        ask(client, write_broken(tmp_path / name))
    assert "Traceback" not in capfd.readouterr().err
