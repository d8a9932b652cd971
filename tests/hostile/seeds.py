"""Small honest pictures of every kind, to be damaged: each corner has a colour of its own, so that a wrong turn is seen."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image, ImageCms
from PIL.Image import Transpose

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
CORNERS = (RED, GREEN, BLUE, WHITE)
"""Top left, top right, bottom left, bottom right."""
SIZE = (64, 48)
ORIENTED: dict[int, Transpose | None] = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}
"""How EXIF's orientation stores an upright picture."""


@dataclass(frozen=True)
class Content:
    """A place whose content is at hand; here, so that a decoding process finds the class."""

    content: bytes

    def read(self) -> bytes:
        return self.content


def quarters(width: int = SIZE[0], height: int = SIZE[1], corners: Any = CORNERS) -> Image.Image:
    """Four fields of colour."""
    array = np.zeros((height, width, 3), np.uint8)
    for i, colour in enumerate(corners):
        rows = slice(height // 2, None) if i >= 2 else slice(height // 2)
        columns = slice(width // 2, None) if i % 2 else slice(width // 2)
        array[rows, columns] = colour
    return Image.fromarray(array)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a picture file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: Any) -> bytes:
    """An EXIF block that says nothing but an orientation."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def frames(count: int, size: tuple[int, int] = SIZE) -> list[Image.Image]:
    """More pictures to follow the first: grey, each a little brighter."""
    return [Image.new("RGB", size, (40 + i % 200,) * 3) for i in range(count)]


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def seeds() -> dict[str, bytes]:
    """Name with extension -> a file that decodes to `quarters`. Needs the extra `heif`."""
    pillow_heif.register_heif_opener()
    picture = quarters()
    see_through = picture.convert("RGBA")
    made: dict[str, Callable[[], bytes]] = {
        "baseline.jpg": lambda: saved(picture, "JPEG", quality=95, subsampling=0),
        "progressive.jpg": lambda: saved(picture, "JPEG", quality=95, subsampling=0, progressive=True),
        "cmyk.jpg": lambda: saved(picture.convert("CMYK"), "JPEG", quality=95),
        "profile.jpg": lambda: saved(picture, "JPEG", quality=95, icc_profile=_profile(), exif=exif(1), comment=b"hello"),
        "rgb.png": lambda: saved(picture, "PNG"),
        "alpha.png": lambda: saved(see_through, "PNG"),
        "palette.png": lambda: saved(picture.quantize(16), "PNG"),
        "animated.png": lambda: saved(picture, "PNG", save_all=True, append_images=frames(3)),
        "lossy.webp": lambda: saved(picture, "WEBP", quality=95),
        "lossless.webp": lambda: saved(see_through, "WEBP", lossless=True),
        "animated.webp": lambda: saved(picture, "WEBP", save_all=True, append_images=frames(3), lossless=True),
        "still.gif": lambda: saved(picture, "GIF"),
        "animated.gif": lambda: saved(picture, "GIF", save_all=True, append_images=frames(3)),
        "rgb.bmp": lambda: saved(picture, "BMP"),
        "palette.bmp": lambda: saved(picture.quantize(16), "BMP"),
        "raw.tif": lambda: saved(picture, "TIFF"),
        "lzw.tif": lambda: saved(picture, "TIFF", compression="tiff_lzw"),
        "jpeg.tif": lambda: saved(picture, "TIFF", compression="jpeg", quality=95),
        "deflate.tif": lambda: saved(picture, "TIFF", compression="tiff_adobe_deflate"),
        "still.avif": lambda: saved(picture, "AVIF", quality=95, subsampling="4:4:4"),
        "still.heic": lambda: saved(picture, "HEIF", quality=95, chroma=444),
        "pages.tif": lambda: saved(picture, "TIFF", save_all=True, append_images=frames(2)),
    }
    return {name: make() for name, make in made.items()}
