"""The hand-made parts of the corpus: files spelled byte by byte, and what is no file at all."""

import os
import socket
import struct
import zlib
from pathlib import Path

NOT_PICTURES = (
    b"Dear diary, this is not a picture.\n" * 40,
    b"<!doctype html><img src=cat.jpg>",
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9999999" height="9999999"/>',
    b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n",
    b"PK\x03\x04" + bytes(60),
    b"\x1f\x8b\x08\0" + bytes(60),
    b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(64),
    b"\x1aE\xdf\xa3" + bytes(64),
    b"RIFF\x24\0\0\0WAVEfmt " + bytes(32),
    b"8BPS\0\x01" + bytes(60),
    b"P6\n100000 100000\n255\n" + bytes(60),
    b"\0\0\x01\0\x01\0\x10\x10" + bytes(60),
    b"\x7fELF\x02\x01\x01" + bytes(60),
    b"SIMPLE  =                    T" + b" " * 200,
    b"v/1\x01" + bytes(60),
    b"\xff\xd8",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"RIFF\0\0\0\0WEBP",
    b"\0",
)


def tiff(tags: dict[int, int], next_folder: int = 0) -> bytes:
    """A little TIFF of 8-bit grey whose header says what it likes."""
    entries = {258: 8, 259: 1, 262: 1, 273: 200, 277: 1, 278: 48, 279: 64 * 48, **tags}
    if 322 in entries:
        for strip in (273, 278, 279):
            entries.pop(strip)
        entries |= {324: 200, 325: 64 * 48}
    folder = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + folder + struct.pack("<I", next_folder)
    return head.ljust(200, b"\0") + bytes(1000)


def webp_canvas(width: int, height: int) -> bytes:
    """A WebP that promises a canvas and holds nothing."""
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return b"RIFF" + struct.pack("<I", 4 + len(canvas)) + b"WEBP" + canvas


def png_text_bomb(picture: bytes, kind: bytes, size: int = 200 << 20) -> bytes:
    """A PNG with a text or profile of a few hundred kilobytes that unpacks to 200 MB."""
    packed = zlib.compressobj(9)
    squeezed = b"".join(packed.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packed.flush()
    head = {b"zTXt": b"Comment\0\0", b"iTXt": b"Comment\0\x01\0\0\0", b"iCCP": b"sRGB\0\0"}[kind]
    data = head + squeezed
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    after_header = 8 + 25
    return picture[:after_header] + chunk + picture[after_header:]


def write(folder: Path) -> list[tuple[bytes, tuple[str, ...]]]:
    """Make links, pipes, a socket and a closed door; returns name and how the reason starts."""
    special = folder / "special"
    special.mkdir()
    no_file = ("It is a pipe, a socket or a device, not a regular file.",)
    os.mkfifo(special / "pipe.jpg")
    (special / "device.png").symlink_to("/dev/zero")
    (special / "broken.jpg").symlink_to("nowhere.jpg")
    (special / "circle.jpg").symlink_to("circle.jpg")
    (special / "there.jpg").symlink_to("back.jpg")
    (special / "back.jpg").symlink_to("there.jpg")
    (special / "loop").symlink_to(folder)
    here = os.open(special, os.O_RDONLY)
    server = socket.socket(socket.AF_UNIX)
    try:
        server.bind(f"/proc/self/fd/{here}/socket.jpg")  # a socket's path may have 107 bytes
    finally:
        server.close()
        os.close(here)
    circle = ("The file cannot be looked at",)
    return [
        (b"special/pipe.jpg", no_file),
        (b"special/device.png", no_file),
        (b"special/socket.jpg", no_file),
        (b"special/broken.jpg", ("The link leads to nothing.",)),
        (b"special/circle.jpg", circle),
        (b"special/there.jpg", circle),
        (b"special/back.jpg", circle),
    ]
