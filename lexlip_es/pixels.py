"""From a decoded picture of any kind and size to a square of 8-bit RGB.

Large pictures are looked at in bands of rows and shrunk as they go, so that beside the decoded picture itself only a few
megabytes are needed, whatever has to be converted. Nothing here depends on anything but the picture and the wish.
"""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # Pillow takes 30 ms to import: only when there is a picture
    from PIL.Image import Image

Pixels: TypeAlias = NDArray[np.uint8]

_BAND_PIXELS = 1 << 20


def turned(image: "Image", orientation: object) -> "Image":
    """Make a picture upright that was stored as EXIF's `orientation` says; other values than 2..8 say nothing."""
    turn = _turns().get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def swaps_sides(orientation: object) -> bool:
    """Tell whether a picture of this EXIF orientation is shown with width and height exchanged."""
    return orientation in (5, 6, 7, 8)


def flattened(image: "Image", at_least: int) -> "Image":
    """Bring a picture of any mode to RGB or L, see-through parts on white, and shrink a large one.

    A picture whose shorter side is k >= 2 times `at_least` or more is averaged over blocks of k x k pixels; the last row
    and column of blocks may be cut. L, grey, stays L: it resizes to the same values with less work.
    """
    from PIL import Image

    block = max(1, min(image.size) // at_least)
    scale = _grey_scale(image) if image.mode in ("I", "F") else None
    if block == 1 and image.width * image.height <= _BAND_PIXELS:
        return _flat(image, scale)
    small = None
    for top, band in _bands(image, block):
        flat = _flat(band, scale).reduce(block)
        small = small or Image.new(flat.mode, (-(-image.width // block), -(-image.height // block)))
        small.paste(flat, (0, top // block))
    assert small is not None  # a picture has at least one row
    return small


def fitted(image: "Image", size: int, resize: Literal["squash", "crop"], kernel: Literal["bicubic", "bilinear"]) -> Pixels:
    """Resize to (size, size, 3): the whole picture squashed, or the centre that is left once the shorter side fits."""
    from PIL.Image import Resampling

    width, height = image.size
    box: tuple[float, float, float, float] = (0, 0, width, height)
    if resize == "crop":
        # The centred square, resized, is the resized picture's centre, and a 1 x 100,000 strip makes no giant between.
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    if image.size != (size, size):
        image = image.resize((size, size), Resampling.BICUBIC if kernel == "bicubic" else Resampling.BILINEAR, box=box)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _bands(image: "Image", block: int) -> Iterator[tuple[int, "Image"]]:
    """Cut into bands of rows, a whole number of blocks high, each with the row where it starts."""
    rows = block * max(1, _BAND_PIXELS // (image.width * block))
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _flat(image: "Image", scale: tuple[float, float] | None) -> "Image":
    from PIL import Image

    if image.mode.startswith("I;16"):
        return Image.fromarray(((np.asarray(image).astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8))
    if scale is not None:
        low, factor = scale
        return Image.fromarray(np.rint((_finite(image) - low) * factor).astype(np.uint8))
    if image.has_transparency_data:
        see_through = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(see_through, mask=see_through)
        return white
    if image.mode in ("RGB", "L"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _grey_scale(image: "Image") -> tuple[float, float]:
    """Find (low, factor) so that (value - low) * factor is 0..255 for a picture of 32-bit integers or floats.

    What such values mean is written nowhere, so the smallest usual scale that holds them all is taken (0..1 for floats,
    0..255, 0..65535), and beyond these their own span.
    """
    spans = [(float(values.min()), float(values.max())) for values in (_finite(band) for _, band in _bands(image, 1))]
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    for top in (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0):
        if low >= 0 and high <= top:
            return 0.0, 255.0 / top
    return low, 255.0 / ((high - low) or 1.0)


def _finite(image: "Image") -> NDArray[np.float64]:
    return np.nan_to_num(np.asarray(image).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


@cache
def _turns() -> dict[int, Any]:
    from PIL.Image import Transpose

    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
