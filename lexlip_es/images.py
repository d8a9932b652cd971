"""From an image file to upright RGB pixels of the size that a model wants, or to one sentence that says why not.

A picture's pixels depend on nothing but its file and the `PictureSpec`, so that its weights are the same today, in
another batch and on another thread. Every trouble with a file (hostile, cut short, not a picture, too large) is a
`PictureError`; trouble with its metadata costs the metadata only. The file's extension is not looked at.
"""

import contextlib
import ctypes
import hashlib
import io
import logging
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from lexlip_es import exif
from lexlip_es.errors import LexlipError
from lexlip_es.formats import PILLOW_FORMATS, Kind, kind_of, not_read
from lexlip_es.perceptual import perceptual_hash
from lexlip_es.pixels import Pixels, fitted, flattened, swaps_sides, turned

if TYPE_CHECKING:  # Pillow takes 30 ms to import, and commands that only ask a query table never need it
    from PIL.Image import Exif
    from PIL.Image import Image as PillowImage

MAX_PIXELS = 250_000_000
"""The largest picture that is decoded, in pixels: above any camera (200 megapixels), about 1 GB of memory at worst."""
MAX_FILE_BYTES = 1 << 30
"""The largest file that is read, in bytes."""
_PIECE_BYTES = 1 << 20

_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class PictureError(LexlipError):
    """One file cannot be read as a picture; `reason` is a sentence without the path, `str()` has the path in front."""

    def __init__(self, reason: str, path: Path | None = None) -> None:
        """Keep the reason and, where there is one, the path of the file that it is about."""
        self.reason = reason
        self.path = path
        super().__init__(reason if path is None else f"{_printable(path)}: {reason}")


@dataclass(frozen=True)
class PictureSpec:
    """What a model wants to see: a square of `size` pixels, filled by the whole picture or by its middle.

    `resize="squash"` fits both sides, whatever the aspect; `"crop"` brings the shorter side to `size` and keeps the
    centre.
    """

    size: int
    resize: Literal["squash", "crop"] = "squash"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"

    def __post_init__(self) -> None:
        """Refuse what a hand-written `config.json` may get wrong."""
        if not 1 <= self.size <= 4096:
            raise LexlipError(f"A model's picture size must be between 1 and 4096 pixels, not {self.size}.")
        if self.resize not in ("squash", "crop"):
            raise LexlipError(f"A model's picture resize must be squash or crop, not {self.resize!r}.")
        if self.interpolation not in ("bicubic", "bilinear"):
            raise LexlipError(f"A model's interpolation must be bicubic or bilinear, not {self.interpolation!r}.")


@dataclass(frozen=True, eq=False)
class Picture:
    """An opened picture; `width` and `height` are those of the whole picture as a viewer shows it, in pixels."""

    pixels: Pixels  # (S, S, 3) RGB, upright
    width: int
    height: int
    taken_at: str | None = None
    """When the shutter opened, ISO 8601, in the camera's local time; with an offset only where EXIF gives one."""
    camera: str | None = None
    location: exif.Location | None = None
    """Latitude and longitude in degrees, where EXIF gives them and they were asked for: people's homes."""
    perceptual_hash: str | None = None
    """What its pixels look like, see `perceptual.perceptual_hash`; None for a picture that shows next to nothing."""


def open_picture(source: Path | bytes, spec: PictureSpec, *, with_location: bool = False) -> Picture:
    """Decode a picture (its first frame), upright, as RGB on white, resized as `spec` says.

    `source` is a file, or a file's content as `read_picture_file` gives it, for callers that also need its hash.
    Raises `PictureError`; safe to call from many threads.
    """
    if isinstance(source, Path):
        data, path = read_picture_file(source), source
    else:
        data, path = source, None
        if not data:
            raise PictureError("The file is empty.")
    try:
        return _decode(data, spec, with_location)
    except PictureError as error:
        raise PictureError(error.reason, path) from error.__cause__
    except Exception as error:  # a decoder that meets hostile bytes may raise anything at all
        raise PictureError(_reason(error, data), path) from error


def read_picture_file(path: Path) -> bytes:
    """Read a regular file whole; a folder, pipe, socket or device, an empty or a giant file is a `PictureError`."""
    with _opened(path) as (file, size):
        data = file.read(size + 1)  # Python sets aside all that it is asked for
        if len(data) > size:  # it grows
            data += file.read(MAX_FILE_BYTES + 1 - len(data))
    _refuse_size(len(data), path)
    return data


def picture_file_pieces(path: Path) -> Iterator[bytes]:
    """What `read_picture_file` reads, 1 MiB at a time, for whoever need not have it in memory; raises the same."""
    with _opened(path) as (file, _):
        length = 0
        while piece := file.read(_PIECE_BYTES):
            length += len(piece)
            if length > MAX_FILE_BYTES:
                break
            yield piece
    _refuse_size(length, path)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """A regular file and its size in bytes; trouble with it, within too, is a `PictureError`."""
    try:
        _refuse_unless_regular(path.stat(), path)
        # Between the look and the opening a pipe may take the file's place: opened like this, it blocks nobody.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            _refuse_unless_regular(status, path)
            yield file, status.st_size
    except FileNotFoundError as error:
        raise PictureError("The file does not exist (any more).", path) from error
    except PermissionError as error:
        raise PictureError("The file may not be read by this user.", path) from error
    except MemoryError as error:
        raise PictureError("There is not enough memory to read the file.", path) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise PictureError(f"The file cannot be read ({getattr(error, 'strerror', None) or error}).", path) from error


def content_hash(source: Path | bytes) -> str:
    """SHA-256 of a picture file's whole content, in hexadecimal; raises `PictureError` when the file cannot be read."""
    found = hashlib.sha256()
    for piece in picture_file_pieces(source) if isinstance(source, Path) else (source,):
        found.update(piece)
    return found.hexdigest()


def _refuse_unless_regular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise PictureError("It is a folder, not a picture file.", path)
    if not stat.S_ISREG(status.st_mode):
        raise PictureError("It is a pipe, a socket or a device, not a regular file.", path)
    if status.st_size > MAX_FILE_BYTES:
        _refuse_size(status.st_size, path)


def _refuse_size(size: int, path: Path) -> None:
    if not size:
        raise PictureError("The file is empty.", path)
    if size > MAX_FILE_BYTES:
        raise PictureError(f"The file is larger than {MAX_FILE_BYTES >> 30} GiB.", path)


def _decode(data: bytes, spec: PictureSpec, with_location: bool) -> Picture:
    from PIL import Image

    _prepare_pillow()
    kind = kind_of(data)
    if kind is not None and (reason := not_read(kind)):
        raise PictureError(reason)
    if kind == "Camera RAW":
        from lexlip_es.raw import open_raw

        raw = open_raw(data, spec.size, _refuse_larger)
        tags = exif.read_tags(raw.exif)
        return _picture(raw.image, raw.orientation, (raw.width, raw.height), tags, raw.exif, spec, with_location)
    with Image.open(io.BytesIO(data), formats=_pillow_formats(kind)) as image:
        size = image.size  # from the header: nothing is decoded yet
        _refuse_larger(size[0] * size[1])
        # JPEG can decode at 1/2, 1/4, 1/8; twice the wanted size leaves the resize enough to choose from.
        image.draft(None, (2 * spec.size, 2 * spec.size))
        image.load()
        tags = exif.read_tags(image.getexif)
        orientation = exif.orientation(tags)
        size = size[::-1] if swaps_sides(orientation) else size
        return _picture(image, orientation, size, tags, image.getexif, spec, with_location)


def _picture(
    image: "PillowImage",
    orientation: object,
    size: tuple[int, int],
    tags: exif.Tags,
    read_exif: "Callable[[], Exif]",
    spec: PictureSpec,
    with_location: bool,
) -> Picture:
    """A decoded picture, turned as EXIF's `orientation` says and fitted; `size` is that of the whole picture upright."""
    upright = turned(flattened(image, 2 * spec.size), orientation)
    pixels = fitted(upright, spec.size, spec.resize, spec.interpolation)
    location = exif.location(read_exif) if with_location else None
    return Picture(pixels, *size, exif.taken_at(tags), exif.camera(tags), location, perceptual_hash(pixels))


def _pillow_formats(kind: Kind | None) -> tuple[str, ...]:
    """What Pillow is to try on a file of this kind, once the decoder of that is there."""
    if kind == "AVIF":
        from PIL import AvifImagePlugin

        if not AvifImagePlugin.SUPPORTED:
            raise PictureError("This Pillow cannot read AVIF: pip install --upgrade pillow, or convert it to JPEG.")
        return ("AVIF",)
    if kind == "HEIC":
        import pillow_heif

        pillow_heif.register_heif_opener()
        return ("HEIF",)
    return PILLOW_FORMATS


def _refuse_larger(pixels: int) -> None:
    if pixels > MAX_PIXELS:
        raise PictureError(_too_large(pixels))


# -- sentences, and Pillow's manners


def _reason(error: Exception, data: bytes) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombError):
        pixels = re.search(r"\((\d+) pixels\)", str(error))
        return _too_large(int(pixels[1]) if pixels else None)
    if isinstance(error, MemoryError):
        return "There is not enough memory to decode the picture."
    if isinstance(error, UnidentifiedImageError):
        if data.startswith(_MAGIC) or data[4:8] == b"ftyp" or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
            return "The picture's header is damaged, cut short or of a kind that Pillow does not know."
        return "The content is not a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC or camera RAW picture."
    first = error.args[0] if error.args else ""
    said = exif.clean(first if isinstance(first, bytes) else str(error))[:120]  # LibRaw's errors are bytes
    if "truncated" in said.lower():
        return "The picture is cut short: the end of the file is missing."
    return f"The picture's data is damaged or of an unknown kind ({said or type(error).__name__})."


def _too_large(pixels: int | None) -> str:
    size = f"{pixels / 1e6:,.0f} megapixels" if pixels else "too many pixels"
    return f"The picture has {size}, and at most {MAX_PIXELS // 1_000_000} megapixels are decoded."


def _printable(path: Path) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def _prepare_pillow() -> None:
    """Keep Pillow off stderr, and its own limit of pixels in step with ours.

    The filter is looked for at each call, since whoever resets Python's warnings (test runners do) drops it. It is not
    `warnings.catch_warnings`, which other threads would see come and go.
    """
    _set_up_pillow()
    if not any(kind == "ignore" and module == _pillow_modules() for kind, _, _, module, _ in warnings.filters):
        warnings.filterwarnings("ignore", module=_pillow_modules().pattern)


@cache
def _pillow_modules() -> Any:
    return re.compile(r"PIL\.")


@cache
def _set_up_pillow() -> None:
    from PIL import Image, _imaging

    logging.getLogger("PIL").addHandler(logging.NullHandler())  # else Python prints its errors when nothing is set up
    if Image.MAX_IMAGE_PIXELS is not None:  # Pillow refuses at twice this number: by default, 200-megapixel phones
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, MAX_PIXELS // 2)
    with contextlib.suppress(AttributeError, OSError):  # libtiff prints what it dislikes, unless its handlers are taken
        library = ctypes.CDLL(_imaging.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)
