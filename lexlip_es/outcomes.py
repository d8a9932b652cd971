"""What a decoding process tells its parent of a picture: checked values and raw pixels, never objects.

A decoder that a hostile picture took over can send whatever it likes, and a pickle would let it run its code in the parent. An
outcome is a length (4 bytes), a JSON list of so many bytes, and, where there is a picture, its size x size x 3 bytes of pixels.
What is not exactly that is a `ValueError`, and costs the process its life.
"""

import json
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from lexlip_es.images import Picture

_LENGTH = struct.Struct(">I")
_MOST_BYTES = 1 << 18  # of JSON; what is longest in it, a reason, is cut far below that
_MOST_LETTERS = 10_000
_CONTENT_HASH = re.compile(r"[0-9a-f]{64}")
_PERCEPTUAL_HASH = re.compile(r"[0-9a-f]{96}")


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture, and the SHA-256 of the file that it came from."""

    picture: Picture
    content_hash: str


Outcome = Decoded | str  # a string is the reason why there is no picture: a full sentence


def write_outcome(pipe: BinaryIO, outcome: Outcome, seconds: float) -> None:
    """Send an outcome and the seconds that it took; raises `OSError` where nobody reads any more."""
    if isinstance(outcome, str):
        _write(pipe, [seconds, outcome[:_MOST_LETTERS]])
        return
    picture = outcome.picture
    seen = [picture.width, picture.height, picture.taken_at, picture.camera, picture.location, picture.perceptual_hash]
    _write(pipe, [seconds, outcome.content_hash, *seen], np.ascontiguousarray(picture.pixels))


def read_outcome(pipe: BinaryIO, size: int) -> tuple[Outcome, float]:
    """Take an outcome whose pixels, if it has some, are (size, size, 3).

    Raises `EOFError` where the other side ended in the midst of it, `ValueError` for what is no outcome.
    """
    (length,) = _LENGTH.unpack(_read(pipe, _LENGTH.size))
    if length > _MOST_BYTES:
        raise ValueError("this is no outcome: it is too long.")
    match json.loads(_read(pipe, length)):
        case [float() as seconds, str() as reason]:
            return reason, seconds
        case [
            float() as seconds,
            str() as content_hash,
            int() as width,
            int() as height,
            (str() | None) as taken_at,
            (str() | None) as camera,
            ([float(), float()] | None) as location,
            (str() | None) as look,
        ] if _sensible(content_hash, width, height, look):
            pixels = np.empty((size, size, 3), np.uint8)
            if pipe.readinto(pixels.reshape(-1).data) != pixels.size:  # type: ignore[attr-defined]
                raise EOFError
            place = None if location is None else (location[0], location[1])
            return Decoded(Picture(pixels, width, height, taken_at, camera, place, look), content_hash), seconds
    raise ValueError("this is no outcome: it does not say what one says.")


def _sensible(content_hash: str, width: int, height: int, look: str | None) -> bool:
    """Whether the values are such as others count on: a wrong one would end the run, and not only this picture."""
    hashes = _CONTENT_HASH.fullmatch(content_hash) and (look is None or _PERCEPTUAL_HASH.fullmatch(look))
    return bool(hashes) and 0 < width < 1 << 31 and 0 < height < 1 << 31


def _write(pipe: BinaryIO, values: list[object], pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None" = None) -> None:
    data = json.dumps(values).encode("ascii")
    pipe.write(_LENGTH.pack(len(data)) + data)
    if pixels is not None:
        pipe.write(pixels.data)
    pipe.flush()


def _read(pipe: BinaryIO, count: int) -> bytes:
    data = pipe.read(count)
    if len(data) != count:
        raise EOFError
    return data
