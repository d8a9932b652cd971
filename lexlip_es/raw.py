"""Camera RAW by LibRaw: the preview that the camera embedded where it is large enough, else the sensor's own pixels.

The preview is what the photographer saw, and is read 20 times faster. rawpy, the extra `raw`, is imported only here.
"""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from lexlip_es.pixels import swaps_sides

if TYPE_CHECKING:
    from PIL.Image import Exif, Image

_TURNS = {3: 3, 5: 8, 6: 6}  # LibRaw's flip -> EXIF's orientation


class Raw(NamedTuple):
    """A picture from a RAW file, not turned yet."""

    image: "Image"
    orientation: object
    """How `image` is to be turned, as EXIF says it."""
    width: int
    """Of the whole picture upright, in pixels."""
    height: int
    exif: "Callable[[], Exif]"
    """Reads the file's metadata, which may raise anything."""


def open_raw(data: bytes, at_least: int, refuse_larger: Callable[[int], None]) -> Raw:
    """Decode a RAW file's content; a preview is used whose shorter side has `at_least` pixels.

    `refuse_larger` is told the number of pixels before any is decoded, and raises where they are too many. What LibRaw raises
    goes through.
    """
    import rawpy
    from PIL import Image

    with rawpy.imread(io.BytesIO(data)) as raw:
        sizes = raw.sizes
        refuse_larger(sizes.raw_width * sizes.raw_height)
        turn = _TURNS.get(sizes.flip, 1)
        width, height = (sizes.height, sizes.width) if swaps_sides(turn) else (sizes.width, sizes.height)
        preview = _preview(raw, rawpy)
        if preview is not None and min(preview.size) >= at_least:
            refuse_larger(preview.width * preview.height)
            preview.draft(None, (2 * at_least, 2 * at_least))
            preview.load()
            return Raw(preview, _orientation(preview, turn, width < height), width, height, _exif_of(data, preview))
        upright = raw.postprocess(half_size=True, use_camera_wb=True, output_bps=8)
        return Raw(Image.fromarray(upright), 1, width, height, _exif_of(data, preview))


def _preview(raw: Any, rawpy: Any) -> "Image | None":
    """The largest embedded preview, its header read; None where there is none that can be opened."""
    from PIL import Image

    try:
        found = raw.extract_thumb()
        if found.format == rawpy.ThumbFormat.JPEG:
            return Image.open(io.BytesIO(found.data), formats=("JPEG",))
        return Image.fromarray(found.data) if found.format == rawpy.ThumbFormat.BITMAP else None
    except (rawpy.LibRawError, OSError, ValueError, SyntaxError, TypeError):  # the sensor's pixels may still be good
        return None


def _orientation(preview: "Image", turn: int, upright_is_tall: bool) -> object:
    """How a preview is to be turned: as itself says, else as the sensor's picture, but not where that would lay it down.

    Some cameras that are held upright store the preview upright; LibRaw writes the sensor's orientation into it all the same.
    """
    try:
        own = preview.getexif().get(0x0112)
    except Exception:  # Pillow raises anything at all on damaged metadata
        own = None
    is_tall = preview.width < preview.height
    fits = [way for way in (own, turn) if way not in (None, 1) and (is_tall != swaps_sides(way)) == upright_is_tall]
    return fits[0] if fits else 1


def _exif_of(data: bytes, preview: "Image | None") -> "Callable[[], Exif]":
    """Metadata of the file itself where it is a TIFF, as most RAW formats are, else of its preview."""
    from PIL.Image import Exif

    def read() -> Exif:
        exif = Exif()
        if data.startswith((b"II*\0", b"MM\0*")):
            exif.load(data)
        elif preview is not None:
            return preview.getexif()
        return exif

    return read
