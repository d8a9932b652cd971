"""Pictures that Pillow alone does not read, what is said where their decoder is missing, and the place where they were taken."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lexlip_es.entries import Skipped
from lexlip_es.finding import find_pictures
from lexlip_es.formats import kind_of
from lexlip_es.images import Picture, PictureError, PictureSpec, open_picture
from tests.unit.picture_files import dng, encoded, photograph

pillow_heif.register_heif_opener()
SMALL = PictureSpec(64)
STORED = {1: None, 3: 3, 6: 2, 8: 4}  # EXIF orientation -> the Transpose member that makes an upright picture lie so


def lying(upright: Image.Image, orientation: int) -> Image.Image:
    way = STORED[orientation]
    return upright if way is None else upright.transpose(Image.Transpose(way))


def tagged(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0110] = orientation, "ACME", "X1"
    exif[0x8769] = {0x9003: "2021:07:31 23:59:58", 0x9011: "+02:00"}
    return exif


def difference(picture: Picture, upright: Image.Image) -> float:
    """The mean over all pixels and colours, of 255."""
    wanted = np.asarray(upright.resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    return float(np.abs(picture.pixels - wanted).mean())


# -- HEIC and AVIF


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", STORED)
def test_telephone_pictures_are_turned_once(kind: str, orientation: int) -> None:
    upright = photograph(320, 240)
    data = encoded(lying(upright, orientation), kind, quality=90, exif=tagged(orientation).tobytes())
    picture = open_picture(data, SMALL)
    assert (picture.width, picture.height) == (320, 240)
    assert difference(picture, upright) < 4
    assert (picture.camera, picture.taken_at) == ("ACME X1", "2021-07-31T23:59:58+02:00")


def test_the_orientation_that_a_heic_only_mentions_in_its_exif_is_not_how_it_is_shown() -> None:
    data = encoded(photograph(320, 240), "HEIF", quality=90, exif=tagged(6))  # an object, which this encoder does not look into
    assert b"irot" not in data
    picture = open_picture(data, SMALL)
    assert (picture.width, picture.height) == (320, 240)
    assert difference(picture, photograph(320, 240)) < 4


def test_see_through_parts_are_white_there_too() -> None:
    see_through = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    for kind in ("HEIF", "AVIF"):
        assert open_picture(encoded(see_through, kind, quality=100), SMALL).pixels.min() > 250


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_damaged_ones_give_pixels_or_a_sentence(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    whole = encoded(photograph(), kind)
    random = np.random.default_rng(5)
    pieces = [whole[:length] for length in range(1, len(whole), len(whole) // 30)]
    for _ in range(60):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[random.integers(12, len(whole), 6)] = random.integers(0, 256, 6)
        pieces.append(damaged.tobytes())
    refused = 0
    for piece in pieces:
        try:
            assert open_picture(piece, SMALL).pixels.shape == (64, 64, 3)
        except PictureError as error:
            refused += 1
            assert error.reason.endswith(".") and "\n" not in error.reason
    assert refused > 20
    assert capfd.readouterr() == ("", "")


# -- camera RAW


@pytest.mark.parametrize("orientation", STORED)
def test_a_raw_file_is_shown_by_its_preview_upright(orientation: int) -> None:
    upright = photograph(320, 240)
    preview = encoded(lying(upright, orientation).resize(lying(upright, orientation).size), "JPEG", quality=95)
    picture = open_picture(dng(lying(Image.new("RGB", (320, 240)), orientation), orientation=orientation, preview=preview), SMALL)
    assert (picture.width, picture.height, picture.camera) == (320, 240, "ACME X1")
    assert difference(picture, upright) < 3


@pytest.mark.parametrize("orientation", [6, 8])
def test_a_preview_that_stands_upright_already_is_left_so(orientation: int) -> None:
    upright = photograph(320, 240)
    data = dng(lying(upright, orientation), orientation=orientation, preview=encoded(upright, "JPEG", quality=95))
    assert difference(open_picture(data, SMALL), upright) < 3


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("preview", ["none", "too small", "damaged"])
def test_without_a_good_preview_the_sensor_speaks(orientation: int, preview: str) -> None:
    upright = photograph(320, 240).convert("L")
    small = {"none": b"", "too small": encoded(Image.new("RGB", (40, 30)), "JPEG"), "damaged": encoded(upright, "JPEG")}[preview]
    data = dng(lying(upright, orientation), orientation=orientation, preview=small)
    if preview == "damaged":
        data = data.replace(small[2:200], bytes(198))
    picture = open_picture(data, SMALL)
    assert (picture.width, picture.height) == (320, 240)
    seen, wanted = picture.pixels[..., 1].ravel(), np.asarray(upright.resize((64, 64))).ravel()
    assert np.corrcoef(seen, wanted)[0, 1] > 0.9  # as bright as LibRaw likes it, but in the right places


def test_a_raw_file_cut_short_or_too_large_is_a_sentence() -> None:
    whole = dng(photograph(320, 240))
    with pytest.raises(PictureError, match=r"\.$"):
        open_picture(whole[: len(whole) - 500], SMALL)
    giant = whole.replace(struct.pack("<HHII", 256, 4, 1, 320), struct.pack("<HHII", 256, 4, 1, 60_000))
    giant = giant.replace(struct.pack("<HHII", 257, 4, 1, 240), struct.pack("<HHII", 257, 4, 1, 50_000))
    with pytest.raises(PictureError, match=r"megapixels|damaged"):
        open_picture(giant, SMALL)


def test_a_scanned_tiff_is_no_raw_file() -> None:
    assert kind_of(encoded(photograph(), "TIFF", description="by a camera", software="scanner")) is None
    assert kind_of(dng(photograph())) == kind_of(dng(photograph(), preview=encoded(photograph(), "JPEG"))) == "Camera RAW"


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", "HEIC"),
        (b"\0\0\0\x18ftypmsf1\0\0\0\0msf1hevc", "HEIC"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "Camera RAW"),
        (b"\0\0\0\x18ftypqt  \0\0\0\0qt  ", "video"),
        (b"\xff\xff\xff\xffftyp", "video"),
        (b"FUJIFILMCCD-RAW 0201", "Camera RAW"),
        (b"II*\0\x10\0\0\0CR\x02\0", "Camera RAW"),
        (b"II*\0\xff\xff\xff\xff", None),
        (b"MM\0*\0\0\0\x08\xff\xff", None),
        (b"\xff\x0a", "JPEG XL"),
    ],
)
def test_kinds_are_told_by_the_first_bytes(start: bytes, kind: str | None) -> None:
    assert kind_of(start) == kind


# -- decoders that are missing


def test_a_missing_decoder_is_named_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"a.HEIC": encoded(photograph(), "HEIF"), "b.dng": dng(photograph()), "c.jxl": b"\xff\x0a" + bytes(20)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert [type(entry) for entry in find_pictures(tmp_path)].count(Skipped) == 1
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "rawpy", None)
    reasons = {
        "a.HEIC": "HEIC needs an extra: pip install 'lexlip-es[heif]', or convert it to JPEG.",
        "b.dng": "Camera RAW needs an extra: pip install 'lexlip-es[raw]', or convert it to JPEG.",
        "c.jxl": "JPEG XL is not read yet: convert it to JPEG.",
    }
    assert {entry.display_path: entry.reason for entry in find_pictures(tmp_path) if isinstance(entry, Skipped)} == reasons
    for name, content in files.items():
        with pytest.raises(PictureError) as refusal:
            open_picture(content, SMALL)
        assert refusal.value.reason == reasons[name]


def test_a_jpeg_imports_no_other_decoder(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(photograph(), "JPEG"))
    code = (
        "import sys; from pathlib import Path; from lexlip_es.images import *; open_picture(Path(sys.argv[1]), PictureSpec(32));"
    )
    code += "sys.exit(bool({'pillow_heif', 'rawpy', 'PIL.AvifImagePlugin', 'lexlip_es.raw'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 0


# -- where it was taken


def at(gps: dict[int, object]) -> tuple[float, float] | None:
    exif = Image.Exif()
    exif[0x8825] = gps
    return open_picture(encoded(photograph(), "JPEG", exif=exif), SMALL, with_location=True).location


SYDNEY: dict[int, object] = {1: "S", 2: (33.0, 51.0, 24.9), 3: "E", 4: (151.0, 12.0, 55.0)}


def test_the_place_is_read_only_where_it_is_asked_for() -> None:
    exif = Image.Exif()
    exif[0x8825] = SYDNEY
    data = encoded(photograph(), "JPEG", exif=exif)
    assert open_picture(data, SMALL).location is None
    assert open_picture(data, SMALL, with_location=True).location == pytest.approx((-33.8569167, 151.2152778))
    assert open_picture(encoded(photograph(), "HEIF", exif=exif), SMALL, with_location=True).location is not None
    assert open_picture(encoded(photograph(), "JPEG"), SMALL, with_location=True).location is None


@pytest.mark.parametrize(
    "odd",
    [
        {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},  # the island of receivers that know nothing
        {2: (91.0, 0.0, 0.0)},
        {4: (180.0, 0.0, 0.1)},
        {2: (1.0, 61.0, 0.0)},
        {2: (1.0, 0.0, 75.0)},
        {1: "X"},
        {1: ""},
        {3: "NS"},
        {2: (1.0, 2.0)},
        {9: "V"},
    ],
)
def test_an_impossible_place_is_no_place(odd: dict[int, object]) -> None:
    assert at(SYDNEY) is not None
    assert at(SYDNEY | odd) is None


@pytest.mark.parametrize("missing", SYDNEY)
def test_half_a_place_is_no_place(missing: int) -> None:
    assert at({tag: value for tag, value in SYDNEY.items() if tag != missing}) is None


def test_denominators_of_zero_are_no_place() -> None:
    exif = Image.Exif()
    exif[0x8825] = SYDNEY
    good = exif.tobytes()
    for rational in (struct.pack(">II", 33, 1), struct.pack("<II", 33, 1)):
        if rational in good:
            zero = rational.replace(b"\x01", b"\x00")
            data = encoded(photograph(), "JPEG", exif=good.replace(rational, zero))
            assert open_picture(data, SMALL, with_location=True).location is None
            break
    else:
        pytest.fail("the test found no rational number to spoil")


@given(flips=st.lists(st.tuples(st.integers(6, 400), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_a_damaged_place_never_loses_the_picture(flips: list[tuple[int, int]]) -> None:
    exif = Image.Exif()
    exif[0x8825] = SYDNEY
    damaged = bytearray(exif.tobytes())
    for place, value in flips:
        damaged[place % (len(damaged) - 6) + 6] = value
    found = open_picture(encoded(photograph(), "JPEG", exif=bytes(damaged)), SMALL, with_location=True).location
    assert found is None or (abs(found[0]) <= 90 and abs(found[1]) <= 180)
