"""The embedded eye: it reads the text in pictures, and says that it cannot do more."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFile, ImageFont

from proto.host import Look
from tests.organ_host_process import OrganHostProcess
from tests.worker.embedded.papers import picture
from worker.embedded.eye import Eye
from worker.embedded.fault import HostFault
from worker.embedded.ocr import Reader

BILL = ["Invoice 2026-0817", "2 chairs at 89.95 EUR", "Total: $1,249.50", "https://example.org/pay?id=42"]
BLIND = "(This eye reads text; it cannot tell what else the picture shows.)"


def look(host: OrganHostProcess, path: Path) -> str:
    """Let the host's eye look."""
    answer = host.ask(Look(1, str(path)))
    assert answer.error is None, answer.error
    return answer.text or ""


def read(told: str) -> list[str]:
    """Return the lines of text that it reports."""
    return told.partition("The text in it reads:\n")[2].rpartition("\n(")[0].splitlines()


@pytest.mark.parametrize(
    ("font", "suffix", "dark"),
    [("Helvetica", ".png", False), ("Times-Roman", ".jpg", False), ("Courier", ".webp", True)],
)
def test_text_is_read_word_for_word(host: OrganHostProcess, tmp_path: Path, font: str, suffix: str, dark: bool) -> None:
    """Numbers, prices and addresses are read in several fonts and formats, also light on dark."""
    page = picture(BILL, font, 20)
    path = tmp_path / f"bill{suffix}"
    (ImageChops.invert(page) if dark else page).save(path)
    told = look(host, path)
    assert read(told) == BILL
    name = {".png": "PNG", ".jpg": "JPEG", ".webp": "WebP"}[suffix]
    assert told.startswith(
        f"It is a {name} of {page.width}x{page.height} pixels, mostly {'black' if dark else 'white'}."
    )
    assert told.endswith(BLIND)


def test_a_camera_that_was_held_upright(host: OrganHostProcess, tmp_path: Path) -> None:
    """A picture that its camera marked as turned is turned upright before it is read; its location is not reported."""
    page = picture(BILL, size=20)
    exif = Image.Exif()
    exif[274] = 6
    exif.get_ifd(0x8769)[36867] = "2026:05:01 14:03:22"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    page.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "photo.jpg", exif=exif, quality=95)
    told = look(host, tmp_path / "photo.jpg")
    assert read(told) == BILL
    assert f"JPEG of {page.width}x{page.height} pixels" in told
    assert "it was taken on 2026-05-01 at 14:03." in told
    assert not any(place in told for place in ("52", "31.0", "13.0", "GPS"))


@pytest.mark.parametrize(
    ("turn", "how"),
    [
        (Image.Transpose.ROTATE_180, "stands upside down"),
        (Image.Transpose.ROTATE_90, "lies on its side"),
        (Image.Transpose.ROTATE_270, "lies on its side"),
    ],
)
def test_a_page_that_does_not_stand_upright(
    host: OrganHostProcess, tmp_path: Path, turn: Image.Transpose, how: str
) -> None:
    """A page without a mark of its camera is turned until its text can be read, and she says how it stood."""
    picture(BILL, size=20).transpose(turn).save(tmp_path / "page.png")
    told = look(host, tmp_path / "page.png")
    assert read(told) == BILL
    assert f"The picture {how} and was turned to be read." in told


def test_letters_that_the_eye_does_not_know(host: OrganHostProcess, tmp_path: Path) -> None:
    """Lines in another script are counted and not invented."""
    page = Image.new("RGB", (900, 300), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(30)
    for number, line in enumerate(["Invoice 2026-0817", "Договор аренды жилья", "Плата тридцать рублей"]):
        draw.text((40, 30 + 80 * number), line, "black", font)
    page.save(tmp_path / "page.png")
    told = look(host, tmp_path / "page.png")
    assert read(told) == ["Invoice 2026-0817"]
    assert "2 lines could not be read: this eye knows Latin, Chinese and Japanese letters only." in told


def test_sixteen_bits_of_grey(host: OrganHostProcess, tmp_path: Path) -> None:
    """A scan with 65,536 shades is scaled and not cut off to white."""
    import numpy as np

    shades = np.asarray(picture(BILL, size=20).convert("L")).astype(np.uint16) * 200
    Image.fromarray(shades).save(tmp_path / "scan.png")
    assert read(look(host, tmp_path / "scan.png")) == BILL


def test_a_smaller_copy(host: OrganHostProcess, tmp_path: Path) -> None:
    """The copy for a remote eye is upright, fits into a frame, and says nothing of its camera."""
    exif = Image.Exif()
    exif[274] = 6
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    Image.effect_noise((4000, 2000), 90).convert("RGB").save(tmp_path / "photo.jpg", exif=exif, quality=95)
    answer = host.ask(Look(1, str(tmp_path / "photo.jpg"), shrink=True))
    data = base64.b64decode(answer.text or "")
    assert len(data) <= 180_000
    with Image.open(BytesIO(data)) as copy:
        assert copy.height > copy.width
        assert not copy.getexif()
    assert host.ask(Look(2, str(tmp_path / "none.jpg"), shrink=True)).error == "The picture is not there any more."


def test_small_text_on_a_large_screen(host: OrganHostProcess, tmp_path: Path) -> None:
    """Letters that are too small for the first look are read with a closer look."""
    screen = Image.new("RGB", (2880, 800), "white")
    draw = ImageDraw.Draw(screen)
    lines = [f"Task {number} is due on day {number * 7}" for number in range(1, 4)]
    for number, line in enumerate(lines):
        draw.text((1100, 300 + 24 * number), line, "black", ImageFont.load_default(13))
    screen.save(tmp_path / "screen.png")
    assert read(look(host, tmp_path / "screen.png")) == lines


def test_a_long_chat(host: OrganHostProcess, tmp_path: Path) -> None:
    """A very tall picture is read from top to bottom, and every line once."""
    chat = Image.new("RGB", (500, 4000), "white")
    draw = ImageDraw.Draw(chat)
    lines = [f"Message {number}: bring {number * 3} apples" for number in range(1, 7)]
    for number, line in enumerate(lines):
        draw.text((40, 40 + 600 * number), line, "black", ImageFont.load_default(18))
    chat.save(tmp_path / "chat.png")
    assert read(look(host, tmp_path / "chat.png")) == lines


def test_a_picture_without_text(host: OrganHostProcess, tmp_path: Path) -> None:
    """A picture without text is described by its colours only; of an animated one the first frame is read."""
    blue = Image.new("RGB", (300, 200), (15, 30, 100))
    ImageDraw.Draw(blue).rectangle((0, 0, 300, 90), "white")
    blue.save(tmp_path / "flag.gif", save_all=True, append_images=[Image.new("RGB", (300, 200), "red")])
    assert look(host, tmp_path / "flag.gif") == (
        "It is a GIF of 300x200 pixels, mostly dark blue and white. It is animated; only its first frame was read. "
        f"No text was found in it. {BLIND}"
    )
    gradients = [Image.linear_gradient("L").rotate(turn).resize((400, 300)) for turn in (0, 90, 180)]
    Image.merge("RGB", gradients).save(tmp_path / "sunset.jpg")
    assert look(host, tmp_path / "sunset.jpg").startswith("It is a photo-like JPEG of 400x300 pixels,")


def test_light_text_on_nothing(host: OrganHostProcess, tmp_path: Path) -> None:
    """White letters on a transparent background are read, and so are pictures with 16 bits per channel."""
    page = picture(BILL[:2], size=20)
    white = Image.new("RGBA", page.size, (255, 255, 255, 0))
    white.putalpha(ImageChops.invert(page.convert("L")))
    white.save(tmp_path / "white.png")
    assert read(look(host, tmp_path / "white.png")) == BILL[:2]
    page.convert("L").convert("I").point(lambda shade: shade * 200).convert("I;16").save(tmp_path / "deep.png")
    assert read(look(host, tmp_path / "deep.png")) == BILL[:2]


def png(width: int, height: int, pixels: bytes) -> bytes:
    """Write a grey PNG that may declare a false size."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", pixels), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def saved(kind: str) -> bytes:
    """A small picture as a file."""
    file = BytesIO()
    Image.effect_noise((64, 64), 50).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (lambda: png(30_000, 30_000, zlib.compress(bytes(1_000_000))), "too many pixels"),
        (lambda: png(10_000, 9_500, zlib.compress(bytes(1_000))), "too many pixels"),
        (lambda: png(4_000, 4_000, zlib.compress(bytes(100))), "damaged"),
        (lambda: saved("PNG")[:-200], "damaged"),
        (lambda: saved("JPEG")[:300], "damaged"),
        (lambda: saved("GIF")[:100], "damaged"),
        (lambda: saved("WEBP")[:-100], "damaged"),
        (lambda: saved("TIFF"), "damaged"),
        (lambda: b"GIF89a" + bytes((16, 0, 16, 0)) + bytes(range(200)), "damaged"),
        (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "damaged"),
        (lambda: b"", "damaged"),
    ],
)
def test_hostile_files(tmp_path: Path, file: Callable[[], bytes], reason: str) -> None:
    """Bombs, broken files and files of other types are refused with a reason."""
    path = tmp_path / "picture.png"
    path.write_bytes(file())
    with pytest.raises(HostFault, match=reason):
        Eye().look(str(path))
    with pytest.raises(HostFault, match="not there"):
        Eye().look(str(tmp_path / "gone.png"))


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture with too many pixels takes neither the memory nor the time for them."""
    path = tmp_path / "picture.png"
    path.write_bytes(png(10_000, 9_500, zlib.compress(bytes(1_000))))
    decoded: list[Image.Image] = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded.append)
    with pytest.raises(HostFault, match="too many pixels"):
        Eye().look(str(path))
    assert decoded == []


def test_other_models_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model other than the packaged one is not loaded, and a missing one is not downloaded."""
    models = tmp_path / "rapidocr" / "models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(HostFault, match=r"det_small.onnx of the package rapidocr is missing"):
        Reader().read(Image.new("RGB", (64, 64)), 1.0)
    (models / "PP-OCRv6_det_small.onnx").write_bytes(b"another model")
    with pytest.raises(HostFault, match="is not the model it should be"):
        Reader().read(Image.new("RGB", (64, 64)), 1.0)


@pytest.mark.parametrize("size", [(1, 1), (1, 60_000), (60_000, 1), (12, 5_000)])
def test_odd_shapes(host: OrganHostProcess, tmp_path: Path, size: tuple[int, int]) -> None:
    """Pictures only a few pixels high are read like any other."""
    Image.new("L", size, 255).save(tmp_path / "line.png")
    told = look(host, tmp_path / "line.png")
    assert told == f"It is a PNG of {size[0]}x{size[1]} pixels, mostly white. No text was found in it. {BLIND}"
