"""Picture files made for tests: small honest ones in every format, and files that no decoder should be trusted with."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tif": "TIFF"}


def photograph(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """A picture without symmetry: soft coloured fields, brighter to the right and redder to the bottom."""
    rng = np.random.default_rng(seed)
    fields = Image.fromarray(rng.integers(0, 120, (4, 5, 3), dtype=np.uint8)).resize((width, height))
    x, y = np.meshgrid(np.linspace(0, 100, width), np.linspace(0, 100, height))
    slope = np.stack([y, x, x], axis=-1)
    return Image.fromarray((np.asarray(fields) + slope).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The bytes of a picture file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG spelled by hand: `colour` as in its header (0 grey, 2 RGB, 6 RGBA), `rows` with a filter byte before each."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


HOSTILE = {
    "a text": (b"Dear diary, this is not a picture.\n" * 40, "The content is not a JPEG"),
    "nothing": (b"", "The file is empty."),
    "one NUL": (b"\0", "The content is not a JPEG"),
    "a page": (b"<!doctype html><img src=cat.jpg>", "The content is not a JPEG"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "The content is not a JPEG"),
    "a phone's HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "It is a HEIC"),
    "a JPEG's first bytes": (encoded(photograph(), "JPEG")[:12], "The picture is cut short"),
    "half a JPEG": (encoded(photograph(), "JPEG")[:-300], "The picture is cut short"),
    "half a PNG": (encoded(photograph())[:900], "The picture is cut short"),
    "half a GIF": (encoded(photograph(), "GIF")[:-500], "The picture is cut short"),
    "a PNG of 50,000 x 50,000": (png(50_000, 50_000, 8, 2, b"\0" * 100), "The picture has 2,500 megapixels"),
    "a PNG of 15,000 x 17,000": (png(15_000, 17_000, 1, 0, b"\0" * 100), "The picture has 255 megapixels"),
    "a PNG without pixels": (png(0, 5, 8, 2, b""), "The picture's header is damaged"),
}
"""What it is -> (the file's bytes, how the reason starts)."""


def write_hostile(folder: Path) -> dict[str, str]:
    """Write the hostile files, all named .jpg, and return file name -> how the reason for skipping it starts."""
    reasons = {}
    for number, (content, reason) in enumerate(HOSTILE.values()):
        name = f"hostile{number:02}.jpg"
        (folder / name).write_bytes(content)
        reasons[name] = reason
    return reasons
