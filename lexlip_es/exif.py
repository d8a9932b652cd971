"""What a camera wrote beside the pixels: orientation, time, make and model, and, where asked for, the place.

All of it is hostile: a tag that cannot be read, or that says something impossible, is as if it were not there.
"""

import logging
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Exif

Tags = dict[int, Any]
Location = tuple[float, float]

_CAMERA_LENGTH = 100
_DETAILS, _GPS = 0x8769, 0x8825  # EXIF's folders
_ORIENTATION, _MAKE, _MODEL, _TAKEN, _TAKEN_OFFSET = 0x0112, 0x010F, 0x0110, 0x9003, 0x9011
_TAGS = ((0, _ORIENTATION), (0, _MAKE), (0, _MODEL), (_DETAILS, _TAKEN), (_DETAILS, _TAKEN_OFFSET))
_NORTH_SOUTH, _LATITUDE, _EAST_WEST, _LONGITUDE, _STATUS = 1, 2, 3, 4, 9
_NOWHERE = 1e-4  # degrees, 11 m: what a receiver writes that knows nothing is 0, 0


def read_tags(exif: "Callable[[], Exif]") -> Tags:
    """Read the tags that are used, each of them that can be read; `exif` is asked for each, since any answer may fail."""
    found: Tags = {}
    for folder, tag in _TAGS:
        try:
            tags: Mapping[int, Any] = exif().get_ifd(folder) if folder else exif()
            if tag in tags:
                found[tag] = tags[tag]
        except Exception:  # damaged metadata never loses the picture
            logging.getLogger(__name__).debug("EXIF tag %d cannot be read", tag, exc_info=True)
    return found


def orientation(tags: Tags) -> object:
    """EXIF's orientation, 1 to 8, as it stands there."""
    return tags.get(_ORIENTATION)


def taken_at(tags: Tags) -> str | None:
    """When the shutter opened: see `Picture.taken_at`."""
    numbers = re.match(r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d):(\d\d)", clean(tags.get(_TAKEN)))
    if not numbers:
        return None
    try:
        moment = datetime.strptime(" ".join(numbers.groups()), "%Y %m %d %H %M %S")
    except ValueError:  # 0000:00:00 is what a camera with an unset clock writes
        return None
    if moment.year < 1826:  # the oldest photograph
        return None
    offset = clean(tags.get(_TAKEN_OFFSET))
    known = re.fullmatch(r"Z|[+-](0\d|1[0-4]):[0-5]\d", offset)
    return moment.isoformat() + (offset if known else "")


def camera(tags: Tags) -> str | None:
    """Make and model in one line."""
    make, model = clean(tags.get(_MAKE)), clean(tags.get(_MODEL))
    maker = make.partition(" ")[0].lower()  # "NIKON CORPORATION", "NIKON D90"
    name = model if maker and model.lower().startswith(maker) else f"{make} {model}"
    return name.strip()[:_CAMERA_LENGTH].strip() or None


def location(exif: "Callable[[], Exif]") -> Location | None:
    """Latitude and longitude in degrees (WGS 84) of EXIF's GPS folder, to 1 cm.

    None where anything of it is missing, impossible or declared void, and at 0, 0, where no camera has been.
    """
    try:
        gps = exif().get_ifd(_GPS)
        if clean(gps.get(_STATUS)) == "V":
            return None
        latitude = _degrees(gps[_LATITUDE], clean(gps[_NORTH_SOUTH]), "NS", 90)
        longitude = _degrees(gps[_LONGITUDE], clean(gps[_EAST_WEST]), "EW", 180)
    except Exception:  # damaged metadata never loses the picture
        logging.getLogger(__name__).debug("EXIF's GPS folder cannot be read", exc_info=True)
        return None
    if latitude is None or longitude is None or max(abs(latitude), abs(longitude)) < _NOWHERE:
        return None
    return latitude, longitude


def _degrees(value: Any, side: str, sides: str, limit: int) -> float | None:
    """Degrees, minutes and seconds as one number, negative for the second of the `sides`."""
    degrees, minutes, seconds = (float(part) for part in value)  # a zero denominator is NaN, or an error
    angle = degrees + minutes / 60 + seconds / 3600
    sensible = math.isfinite(angle) and min(degrees, minutes, seconds) >= 0 and max(minutes, seconds) <= 60 and angle <= limit
    if not sensible or side not in tuple(sides):
        return None
    return round(angle if side == sides[0] else -angle, 7)


def clean(value: object) -> str:
    """Make one printable line of whatever an EXIF text holds: NULs, control characters, bytes, nothing."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    kept = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in value[:1000])
    return " ".join(kept.split())
