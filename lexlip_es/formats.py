"""Kinds of picture files: how first bytes and extensions tell them, and what reads those that Pillow alone does not.

HEIC needs the extra `heif`, camera RAW the extra `raw`. Nothing is imported here but what the standard library has; each
decoder is imported when the first picture of its kind is opened.
"""

import os
import struct
from importlib.util import find_spec
from typing import Literal

Kind = Literal["AVIF", "HEIC", "Camera RAW", "JPEG XL", "video"]

PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF")
"""What Pillow tries on a file that is none of the kinds above."""

_PLAIN = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif")
_HEIC = (".heic", ".heif", ".hif")
_RAW = (".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".dng", ".raf", ".orf", ".rw2", ".rwl", ".pef", ".srw")
_RAW_OF_FEW = (".3fr", ".fff", ".iiq", ".mef", ".mos", ".mrw", ".x3f", ".erf", ".dcr", ".kdc", ".gpr")
KINDS: dict[str, Kind] = {
    **dict.fromkeys(_HEIC, "HEIC"),
    **dict.fromkeys((*_RAW, *_RAW_OF_FEW), "Camera RAW"),
    ".jxl": "JPEG XL",
}
"""Extensions of pictures that may not be read here, and what people call them."""
EXTENSIONS = frozenset((*_PLAIN, *KINDS))
"""What a picture file's name ends with, in small letters."""

_MODULES = {"HEIC": ("heif", "pillow_heif"), "Camera RAW": ("raw", "rawpy")}

_BRANDS: dict[bytes, Kind] = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "HEIC"),
    b"crx ": "Camera RAW",
    b"jxl ": "JPEG XL",
}
_GENERAL_BRANDS = (b"mif1", b"mif2", b"msf1", b"miaf")
_RAW_STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"II\x1a\0\0\0HEAPCCDR", b"\0MRM", b"FOVb")
_SUBFILE, _COLOURS, _SUB_FOLDERS, _DNG = 254, 262, 330, 50706  # tags of TIFF
_CFA, _LINEAR_RAW = 32803, 34892  # values of _COLOURS: a sensor's mosaic


def not_read(kind: Kind) -> str | None:
    """Why pictures of this kind cannot be read here, as a sentence without a subject; None where they can."""
    if kind == "JPEG XL":
        return "JPEG XL is not read yet: convert it to JPEG."
    if kind == "video":
        return "A video is not read: index pictures of it."
    extra, module = _MODULES.get(kind, ("", ""))
    if not module or find_spec(module) is not None:
        return None
    return f"{kind} needs an extra: pip install 'lexlip-es[{extra}]', or convert it to JPEG."


def unread_endings() -> dict[str, str]:
    """The extensions of pictures that cannot be read here, each with the sentence that says why."""
    return {ending: reason for ending, kind in KINDS.items() if (reason := not_read(kind))}


def ending_of(name: str) -> str:
    """A file's extension with its dot, in small letters.

    >>> ending_of("sub/IMG_1.HEIC")
    '.heic'
    """
    return os.path.splitext(name)[1].lower()


def kind_of(data: bytes) -> Kind | None:
    """The kind of a file by its first bytes; None for what Pillow is to try. A TIFF of a camera's sensor is Camera RAW."""
    if data.startswith(b"\xff\xd8"):  # most pictures
        return None
    if data[4:8] == b"ftyp":
        return _kind_by_brands(data)
    if data.startswith((b"\0\0\0\x0cJXL ", b"\xff\x0a")):
        return "JPEG XL"
    if data.startswith(_RAW_STARTS) or (data.startswith((b"II*\0", b"MM\0*")) and _is_raw_tiff(data)):
        return "Camera RAW"
    return None


def _kind_by_brands(data: bytes) -> Kind:
    """By the brands of an ISO base media file (ISO 14496-12 § 4.3): the major one, then those it is compatible with."""
    length = min(int.from_bytes(data[:4], "big"), 1024)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, length - 3, 4))]
    known = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
    return known[0] if known else "HEIC" if any(brand in _GENERAL_BRANDS for brand in brands) else "video"


def _is_raw_tiff(data: bytes) -> bool:
    """Tell a camera's RAW from other TIFF files by its first folder: a mosaic, DNG, or a preview with folders below."""
    if data[8:10] == b"CR":
        return True
    order = "<" if data.startswith(b"II") else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        tags = {}
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, form = struct.unpack_from(f"{order}HH", data, entry)
            tags[tag] = struct.unpack_from(f"{order}H" if form == 3 else f"{order}I", data, entry + 8)[0]
    except struct.error:  # cut short, or lying
        return False
    if _DNG in tags or tags.get(_COLOURS) in (_CFA, _LINEAR_RAW):
        return True
    return bool(tags.get(_SUBFILE, 0) & 1) and _SUB_FOLDERS in tags
