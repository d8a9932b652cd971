import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from lexlip_es.images import PictureError, content_hash
from lexlip_es.thumbnails import Thumbnails
from tests.unit.picture_files import encoded, photograph


@pytest.fixture(scope="module")
def thumbnails(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Thumbnails]:
    with Thumbnails(tmp_path_factory.mktemp("cache") / "made" / "later", 40) as made:
        yield made


def opened(thumbnail: bytes) -> Image.Image:
    return Image.open(io.BytesIO(thumbnail), formats=["WEBP"])


@pytest.mark.parametrize(
    ("size", "expected"), [((400, 300), (40, 30)), ((60, 240), (10, 40)), ((20, 10), (20, 10)), ((3000, 2), (40, 1))]
)
def test_a_thumbnail_has_the_shape_of_its_picture_and_is_never_larger(
    thumbnails: Thumbnails, tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    (tmp_path / "a.png").write_bytes(encoded(photograph(*size)))
    assert opened(thumbnails.of(tmp_path / "a.png")).size == expected


def test_a_thumbnail_is_upright_and_says_nothing_of_camera_or_place(thumbnails: Thumbnails, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 6, "<b>X1"  # lying on its side
    lying = Image.new("RGB", (80, 40), "blue")
    lying.paste("red", (0, 0, 40, 40))
    (tmp_path / "a.jpg").write_bytes(encoded(lying, "JPEG", exif=exif, quality=95))
    thumbnail = thumbnails.of(tmp_path / "a.jpg")
    upright = opened(thumbnail).convert("RGB")
    assert upright.size == (20, 40)
    assert upright.getpixel((10, 5))[0] > 200 and upright.getpixel((10, 35))[2] > 200
    assert not opened(thumbnail).getexif() and b"X1" not in thumbnail


def test_a_thumbnail_is_made_once(thumbnails: Thumbnails, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(photograph(seed=1)))
    known = content_hash(path)
    with ThreadPoolExecutor(8) as pool:
        start = threading.Barrier(8)
        made = set(pool.map(lambda _: (start.wait(), thumbnails.of(path, known))[1], range(8)))
    path.unlink()
    assert made == {thumbnails.of(path, known)}


def test_another_content_than_was_indexed_has_no_thumbnail(thumbnails: Thumbnails, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(photograph(seed=2)))
    with pytest.raises(PictureError, match="changed since it was indexed"):
        thumbnails.of(path, "0" * 64)
    path.write_bytes(b"<svg onload=alert(1)>")
    with pytest.raises(PictureError, match="not a JPEG"):
        thumbnails.of(path)
