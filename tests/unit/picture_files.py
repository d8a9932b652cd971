"""Picture files made for tests: small honest ones in every format, and files that no decoder should be trusted with."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from lexlip_es.formats import not_read

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
    "a phone's HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), not_read("HEIC") or "The picture's header is damaged"),
    "a film": (b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(64), "A video is not read"),
    "JPEG XL": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(64), "JPEG XL is not read yet"),
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


def dng(image: Image.Image, *, orientation: int = 1, preview: bytes = b"", make: str = "ACME") -> bytes:
    """A camera RAW file (DNG) of an RGGB sensor that saw `image`, lying as EXIF's `orientation` says, with a JPEG as preview."""
    colours = np.asarray(image.convert("RGB")).astype(np.uint16)
    mosaic = colours[..., 1].copy()  # green where nothing else is
    mosaic[::2, ::2], mosaic[1::2, 1::2] = colours[::2, ::2, 0], colours[1::2, 1::2, 2]
    sensor = (mosaic.astype("<u2") << 8).tobytes()
    matrix = b"".join(struct.pack("<ii", 10000 * (row == column), 10000) for row in range(3) for column in range(3))
    camera = [(271, 2, make.encode() + b"\0"), (272, 2, b"X1\0"), (274, 3, struct.pack("<H", orientation))]
    version = [(50706, 1, bytes([1, 4, 0, 0])), (50708, 2, b"ACME X1\0"), (50721, 10, matrix)]
    version += [(50728, 5, struct.pack("<6I", *([1] * 6))), (50778, 3, struct.pack("<H", 21))]
    raw = [(254, 4, struct.pack("<I", 0)), (256, 4, struct.pack("<I", image.width)), (257, 4, struct.pack("<I", image.height))]
    raw += [(258, 3, struct.pack("<H", 16)), (259, 3, struct.pack("<H", 1)), (262, 3, struct.pack("<H", 32803))]
    raw += [(277, 3, struct.pack("<H", 1)), (278, 4, struct.pack("<I", image.height)), (279, 4, struct.pack("<I", len(sensor)))]
    raw += [(33421, 3, struct.pack("<2H", 2, 2)), (33422, 1, bytes([0, 1, 1, 2])), (50717, 4, struct.pack("<I", 65535))]
    if not preview:
        return _tiff([*raw, *camera, *version], sensor)
    with Image.open(io.BytesIO(preview)) as opened:
        size = opened.size
    small = [(254, 4, struct.pack("<I", 1)), (256, 4, struct.pack("<I", size[0])), (257, 4, struct.pack("<I", size[1]))]
    small += [(258, 3, struct.pack("<3H", 8, 8, 8)), (259, 3, struct.pack("<H", 7)), (262, 3, struct.pack("<H", 6))]
    small += [(277, 3, struct.pack("<H", 3)), (278, 4, struct.pack("<I", size[1])), (279, 4, struct.pack("<I", len(preview)))]
    return _tiff([*small, *camera, *version], preview, below=(raw, sensor))


_Folder = list[tuple[int, int, bytes]]


def _tiff(folder: _Folder, strip: bytes, below: tuple[_Folder, bytes] | None = None) -> bytes:
    """A little-endian TIFF of one strip, with another folder of one strip below it."""
    data = bytearray(b"II*\0" + bytes(4))
    if below is not None:
        folder = [*folder, (330, 4, struct.pack("<I", _write_folder(data, *below)))]
    struct.pack_into("<I", data, 4, _write_folder(data, folder, strip))
    return bytes(data)


def _write_folder(data: bytearray, folder: _Folder, strip: bytes) -> int:
    entries = sorted([*folder, (273, 4, struct.pack("<I", len(data)))])
    data += strip + b"\0" * (len(strip) % 2)
    spelled = b""
    for tag, form, value in entries:
        count = len(value) // {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 10: 8}[form]
        if len(value) > 4:
            at, value = len(data), value + b"\0" * (len(value) % 2)
            data += value
            value = struct.pack("<I", at)
        spelled += struct.pack("<HHI", tag, form, count) + value.ljust(4, b"\0")
    at = len(data)
    data += struct.pack("<H", len(entries)) + spelled + bytes(4)
    return at
