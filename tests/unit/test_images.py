import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lexlip_es.errors import LexlipError
from lexlip_es.images import Picture, PictureError, PictureSpec, content_hash, open_picture, read_picture_file
from tests.unit.picture_files import FORMATS, HOSTILE, encoded, photograph, png

SMALL = PictureSpec(32)


def grey(data: bytes, size: int = 1) -> list[int]:
    """The pixels of a grey picture, after checking that it is grey."""
    pixels = open_picture(data, PictureSpec(size)).pixels
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0].ravel().tolist()


def as_nobody(act: Callable[[], str]) -> str:
    """What `act` says in a child process that is not the superuser, whom no permission stops."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setresuid(65534, 65534, 65534)
            os.write(writer, act().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


# -- formats and kinds of pixels


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_gives_the_same_picture_whatever_its_name_says(ending: str, tmp_path: Path) -> None:
    path = tmp_path / "misnamed.txt"
    path.write_bytes(encoded(photograph(), FORMATS[ending]))
    picture = open_picture(path, SMALL)
    assert picture.pixels.shape == (32, 32, 3)
    assert picture.pixels.dtype == np.uint8
    assert (picture.width, picture.height) == (64, 48)
    wanted = np.asarray(photograph().resize((32, 32), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(picture.pixels - wanted).mean() < 6  # GIF has 256 colours, JPEG halves those it has


def test_see_through_parts_are_white() -> None:
    red = Image.new("RGBA", (4, 4), (255, 0, 0, 255))
    red.putpixel((0, 0), (0, 0, 0, 0))
    red.putpixel((1, 0), (0, 0, 0, 51))
    palette = Image.new("P", (1, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    for kind in ("PNG", "TIFF", "WEBP"):
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        pixels = open_picture(encoded(red, kind, **options), PictureSpec(4)).pixels
        assert pixels[0, :3].tolist() == [[255, 255, 255], [204, 204, 204], [255, 0, 0]]
    assert grey(encoded(Image.new("LA", (1, 1), (100, 0)))) == [255]
    assert grey(encoded(Image.new("L", (1, 1), 100), transparency=100)) == [255]
    assert grey(encoded(Image.new("1", (1, 1), 0), transparency=0)) == [255]
    assert grey(encoded(palette, transparency=0)) == [255]
    assert grey(encoded(palette, "GIF", transparency=0)) == [255]
    assert grey(encoded(palette, transparency=b"\x00\x80")) == [255]
    assert open_picture(encoded(palette), PictureSpec(1)).pixels.tolist() == [[[10, 20, 30]]]


def test_sixteen_bits_keep_their_scale() -> None:
    assert grey(png(2, 1, 16, 0, b"\0" + struct.pack(">HH", 0xFFFF, 0x8000)), 2)[:2] == [255, 128]
    assert grey(encoded(Image.new("I;16", (1, 1), 0x8000), "TIFF")) == [128]
    assert grey(encoded(Image.new("I;16B", (1, 1), 0x4000), "TIFF")) == [64]
    rgb = open_picture(png(1, 1, 16, 2, b"\0" + struct.pack(">HHH", 0xFF00, 0x8000, 0x0100)), PictureSpec(1))
    assert rgb.pixels.tolist() == [[[255, 128, 1]]]


@pytest.mark.parametrize(
    ("mode", "values", "wanted"),
    [
        ("F", [0.0, 0.5, 1.0], [0, 128, 255]),
        ("F", [0.0, 128.0, 255.0], [0, 128, 255]),
        ("F", [0.0, 32896.0, 65535.0], [0, 128, 255]),
        ("F", [-1.0, 0.0, 3.0], [0, 64, 255]),
        ("F", [float("nan"), float("inf"), 1.0], [0, 0, 255]),
        ("F", [7e9, 7e9, 7e9], [0, 0, 0]),
        ("I", [0, 1, 200], [0, 1, 200]),
        ("I", [0, 257, 65535], [0, 1, 255]),
        ("I", [-100, 0, 155], [0, 100, 255]),
    ],
)
def test_wide_numbers_are_read_on_the_smallest_scale_that_holds_them(mode: str, values: list[float], wanted: list[int]) -> None:
    image = Image.new(mode, (3, 3))
    for x, value in enumerate(values):
        for y in range(3):
            image.putpixel((x, y), value)
    assert grey(encoded(image, "TIFF"), 3)[:3] == wanted


def test_colour_models_of_print_and_video_become_rgb() -> None:
    cyan = open_picture(encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG", quality=100), PictureSpec(8))
    assert np.abs(cyan.pixels.astype(int) - [0, 255, 255]).max() <= 3
    assert grey(encoded(Image.new("CMYK", (1, 1), (0, 0, 0, 255)), "TIFF")) == [0]
    lab = open_picture(encoded(Image.new("LAB", (1, 1), (255, 128, 128)), "TIFF"), PictureSpec(1))
    assert lab.pixels.min() >= 250


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG", "MPO"])
def test_of_several_frames_the_first_counts(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert np.abs(open_picture(data, PictureSpec(16)).pixels.astype(int) - [255, 0, 0]).max() <= 2


# -- size


def test_squash_keeps_all_and_crop_keeps_the_middle() -> None:
    halves = Image.new("RGB", (90, 30), "blue")
    halves.paste((255, 0, 0), (30, 0, 60, 30))
    middle = open_picture(encoded(halves), PictureSpec(30, "crop", "bilinear")).pixels
    assert (middle == [255, 0, 0]).all()
    whole = open_picture(encoded(halves), PictureSpec(30)).pixels
    assert whole[15, [0, 15, 29]].tolist() == [[0, 0, 255], [255, 0, 0], [0, 0, 255]]
    tall = open_picture(encoded(halves.transpose(Image.Transpose.ROTATE_90)), PictureSpec(30, "crop")).pixels
    assert (tall == [255, 0, 0]).all()


def test_a_picture_of_the_wanted_size_is_not_touched() -> None:
    original = photograph(32, 32)
    for resize in ("squash", "crop"):
        assert (open_picture(encoded(original), PictureSpec(32, resize)).pixels == np.asarray(original)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_tiny_and_thin_pictures_are_pictures(size: tuple[int, int], resize: str) -> None:
    picture = open_picture(encoded(Image.new("RGB", size, (9, 8, 7))), PictureSpec(64, resize))  # type: ignore[arg-type]
    assert (picture.pixels == [9, 8, 7]).all()
    assert (picture.width, picture.height) == size


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "CMYK", "P"])
@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_shrinking_large_pictures_early_hardly_shows(kind: str, mode: str, resize: str) -> None:
    if (kind, mode) in {("JPEG", "RGBA"), ("JPEG", "P"), ("PNG", "CMYK")}:
        kind = "TIFF"
    large = photograph(701, 503).convert(mode)
    spec = PictureSpec(64, resize)  # type: ignore[arg-type]
    picture = open_picture(encoded(large, kind), spec)
    assert (picture.width, picture.height) == (701, 503)
    box = (0, 0, 701, 503) if resize == "squash" else (99, 0, 602, 503)
    wanted = np.asarray(large.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC, box=box)).astype(int)
    assert np.abs(picture.pixels - wanted).mean() < 1.5


def test_a_specification_that_makes_no_sense_is_refused() -> None:
    for wrong in ({"size": 0}, {"size": 224, "resize": "stretch"}, {"size": 224, "interpolation": "nearest"}):
        with pytest.raises(LexlipError):
            PictureSpec(**wrong)  # type: ignore[arg-type]


# -- metadata


def exif_of(tags: dict[int, object], details: dict[int, object] | None = None) -> Image.Exif:
    exif = Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    if details:
        exif[0x8769] = details
    return exif


def described(tags: dict[int, object], details: dict[int, object] | None = None) -> Picture:
    return open_picture(encoded(photograph(), "JPEG", exif=exif_of(tags, details)), SMALL)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
@pytest.mark.parametrize("size", [(64, 48), (400, 300)])
def test_pictures_stand_upright(orientation: int, kind: str, options: dict[str, object], size: tuple[int, int]) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Transpose members that make an upright picture lie so
    upright = photograph(*size)
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    picture = open_picture(encoded(stored, kind, exif=exif_of({0x0112: orientation}), **options), SMALL)
    assert (picture.width, picture.height) == size
    difference = np.abs(picture.pixels.astype(int) - open_picture(encoded(upright), SMALL).pixels)
    assert difference.max() <= (0 if size == (64, 48) else 6)  # blocks of large pictures are counted from the stored corner


def test_jpeg_stands_upright_too() -> None:
    lying = photograph().transpose(Image.Transpose.ROTATE_90)
    picture = open_picture(encoded(lying, "JPEG", quality=95, exif=exif_of({0x0112: 6})), SMALL)
    assert (picture.width, picture.height) == (64, 48)
    assert np.abs(picture.pixels.astype(int) - open_picture(encoded(photograph()), SMALL).pixels).mean() < 4


def test_time_and_camera_are_read() -> None:
    picture = described({0x010F: "NIKON CORPORATION", 0x0110: "NIKON D90"}, {0x9003: "2021:07:31 23:59:58"})
    assert (picture.taken_at, picture.camera) == ("2021-07-31T23:59:58", "NIKON D90")
    picture = described({0x010F: "Apple", 0x0110: "iPhone 12"}, {0x9003: "2021:07:31 23:59:58", 0x9011: "-03:30"})
    assert (picture.taken_at, picture.camera) == ("2021-07-31T23:59:58-03:30", "Apple iPhone 12")
    assert described({}).taken_at is None
    assert described({}).camera is None


@pytest.mark.parametrize(
    "moment",
    ["0000:00:00 00:00:00", "    :  :     :  :  ", "2021:02:30 10:00:00", "0001:01:01 00:00:00", "yesterday", "", "²⁰²¹:01:01"],
)
def test_an_impossible_time_is_no_time(moment: str) -> None:
    assert described({}, {0x9003: moment}).taken_at is None


def test_an_odd_offset_leaves_the_time_local() -> None:
    assert described({}, {0x9003: "2021:07:31 01:02:03", 0x9011: "+99:99"}).taken_at == "2021-07-31T01:02:03"


def test_camera_names_are_cleaned() -> None:
    assert described({0x010F: "ACME\0\0 Corp\n", 0x0110: "  X\x07 1 "}).camera == "ACME Corp X 1"
    assert len(described({0x0110: "m" * 50_000}).camera or "") == 100
    assert described({0x010F: "\0\0", 0x0110: ""}).camera is None


@given(noise=st.binary(max_size=300), flips=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8))
@settings(max_examples=150, deadline=None)
def test_damaged_metadata_never_loses_the_picture(noise: bytes, flips: list[tuple[int, int]]) -> None:
    good = exif_of({0x010F: "ACME", 0x0110: "X1", 0x0112: 1}, {0x9003: "2021:07:31 23:59:58"}).tobytes()
    damaged = bytearray(good + noise)
    for place, value in flips:
        damaged[place % (len(damaged) - 6) + 6] = value
    wanted = open_picture(encoded(photograph(), "JPEG"), SMALL)
    picture = open_picture(encoded(photograph(), "JPEG", exif=bytes(damaged)), SMALL)
    assert sorted((picture.width, picture.height)) == sorted((wanted.width, wanted.height))
    if picture.width > picture.height and picture.taken_at == "2021-07-31T23:59:58":
        assert abs(float(picture.pixels.mean()) - float(wanted.pixels.mean())) < 0.5


# -- trouble


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_are_refused_at_once_with_one_sentence(what: str, tmp_path: Path) -> None:
    content, reason = HOSTILE[what]
    path = tmp_path / "hostile.jpg"
    path.write_bytes(content)
    started = time.perf_counter()
    with pytest.raises(PictureError) as refusal:
        open_picture(path, SMALL)
    assert time.perf_counter() - started < 1
    assert refusal.value.reason.startswith(reason)
    assert str(refusal.value) == f"{path}: {refusal.value.reason}"
    with pytest.raises(PictureError, match=reason.split("(")[0]):
        open_picture(content, SMALL)


def test_pictures_of_200_megapixels_are_not_refused_for_their_size() -> None:
    with pytest.raises(PictureError, match="cut short"):
        open_picture(png(16_320, 12_240, 1, 0, bytes(1000)), SMALL)


@pytest.mark.parametrize("kind", [*FORMATS.values(), "LZW", "fax"])
def test_damaged_files_give_pixels_or_a_sentence_and_nothing_else(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    options = {"LZW": {"compression": "tiff_lzw"}, "fax": {"compression": "group4"}}.get(kind, {})
    image = photograph().convert("1") if kind == "fax" else photograph()
    whole = encoded(image, "TIFF" if options else kind, **options)
    random = np.random.default_rng(5)
    pieces = [whole[:length] for length in range(1, len(whole), max(1, len(whole) // 40))]
    for _ in range(60):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[random.integers(30, len(whole), 6)] = random.integers(0, 256, 6)
        pieces.append(damaged.tobytes())
    refused = 0
    for piece in pieces:
        try:
            assert open_picture(piece, SMALL).pixels.shape == (32, 32, 3)
        except PictureError as error:
            refused += 1
            assert error.reason.endswith(".")
            assert "\n" not in error.reason
    assert refused > 20
    assert capfd.readouterr() == ("", "")


def test_a_folder_a_pipe_a_socket_and_a_device_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PictureError, match="It is a folder"):
        open_picture(tmp_path / "folder.jpg", SMALL)
    odd = [tmp_path / "pipe.jpg", Path("/dev/zero")]
    # A socket's path has room for about 100 bytes.
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{short}/socket.jpg")
        for path in [*odd, Path(short, "socket.jpg")]:
            with pytest.raises(PictureError, match="a pipe, a socket or a device"):
                open_picture(path, SMALL)


def test_a_file_that_is_gone_or_has_an_impossible_name_says_so(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="does not exist"):
        read_picture_file(tmp_path / "gone.jpg")
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    for name in ("circle.jpg", "a\0b.jpg", "n" * 300 + ".jpg"):
        with pytest.raises(PictureError, match="cannot be read"):
            read_picture_file(tmp_path / name)


def test_a_giant_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "giant.tif"
    path.touch()
    os.truncate(path, (1 << 30) + 1)  # sparse: no disk is used
    with pytest.raises(PictureError, match="larger than 1 GiB"):
        open_picture(path, SMALL)


def test_a_file_behind_a_closed_door_is_refused() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for file, mode in (("open.jpg", 0o644), ("closed.jpg", 0)):
            (folder / file).write_bytes(encoded(photograph(), "JPEG"))
            (folder / file).chmod(mode)
        (folder / "room").mkdir(mode=0o700)
        (folder / "room").chmod(0)

        def attempt(path: Path) -> str:
            try:
                return str(open_picture(path, SMALL).width)
            except PictureError as error:
                return error.reason

        answers = [as_nobody(lambda file=file: attempt(folder / file)) for file in ("open.jpg", "closed.jpg", "room/a.jpg")]
        (folder / "room").chmod(stat.S_IRWXU)
    assert answers == ["64", *["The file may not be read by this user."] * 2]


# -- manners


def test_the_same_file_gives_the_same_pixels_on_every_thread() -> None:
    files = [encoded(photograph(330 + i, 300, seed=i), kind) for i, kind in enumerate(["JPEG", "PNG", "WEBP", "TIFF"] * 3)]
    alone = [open_picture(file, SMALL).pixels for file in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda file: open_picture(file, SMALL).pixels, files * 4))
    assert all((one == alone[i % len(files)]).all() for i, one in enumerate(together))


def test_pillow_warns_nobody_even_where_warnings_are_errors() -> None:
    broken = encoded(photograph(), "TIFF", exif=exif_of({0x010F: "ACME"})).replace(b"ACME", b"")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        open_picture(encoded(photograph(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09garbage"), SMALL)
        with pytest.raises(PictureError):
            open_picture(broken[:-20], SMALL)
        with pytest.raises(PictureError, match="cut short"):  # Pillow warns of a possible bomb
            open_picture(png(16_000, 9_000, 1, 0, bytes(100)), SMALL)
    assert caught == []


def test_importing_costs_no_pillow() -> None:
    code = "import sys, lexlip_es.images; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_content_hash_is_of_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"abc")
    assert content_hash(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert content_hash(read_picture_file(path)) == content_hash(path)
