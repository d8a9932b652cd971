import io
import json
import struct
from typing import Any

import numpy as np
import pytest

from lexlip_es.images import Picture
from lexlip_es.outcomes import Decoded, Outcome, read_outcome, write_outcome

HASH, LOOK = "0123456789abcdef" * 4, "0123456789abcdef" * 6
GOOD = [0.5, HASH, 40, 30, "2026-01-31T12:00:00", "ACME 1", [48.1, -11.5], LOOK]


def sent(outcome: Outcome, seconds: float = 0.5) -> io.BytesIO:
    pipe = io.BytesIO()
    write_outcome(pipe, outcome, seconds)
    pipe.seek(0)
    return pipe


def frame(value: Any, pixels: int = 48) -> io.BytesIO:
    data = json.dumps(value).encode()
    return io.BytesIO(struct.pack(">I", len(data)) + data + bytes(pixels))


def with_value(place: int, value: object) -> list[Any]:
    return [*GOOD[:place], value, *GOOD[place + 1 :]]


@pytest.mark.parametrize(
    ("taken_at", "camera", "location", "look"), [(None, None, None, None), ("2026-01-31T12:00:00", "Ünï", (48.1, -11.5), LOOK)]
)
def test_a_picture_arrives_as_it_was_sent(
    taken_at: str | None, camera: str | None, location: tuple[float, float] | None, look: str | None
) -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    picture = Picture(pixels.swapaxes(0, 1), 40, 30, taken_at, camera, location, look)  # not contiguous
    outcome, seconds = read_outcome(sent(Decoded(picture, HASH)), 4)
    assert isinstance(outcome, Decoded)
    assert (outcome.content_hash, seconds) == (HASH, 0.5)
    there = outcome.picture
    assert there.pixels.dtype == np.uint8 and there.pixels.flags.writeable
    assert (there.pixels == picture.pixels).all()
    assert (there.width, there.height, there.taken_at, there.camera) == (40, 30, taken_at, camera)
    assert (there.location, there.perceptual_hash) == (location, look)


def test_a_reason_arrives_as_it_was_sent_if_it_is_not_endless() -> None:
    said = "It cannot be read (caf\udce9.jpg, \x9b, \U0001f600)."
    assert read_outcome(sent(said), 4) == (said, 0.5)
    assert read_outcome(sent("\U0001f600" * 1_000_000), 4) == ("\U0001f600" * 10_000, 0.5)


def test_half_an_outcome_is_the_end_of_a_process() -> None:
    whole = sent(Decoded(Picture(np.zeros((4, 4, 3), np.uint8), 4, 4), HASH)).getvalue()
    for length in range(len(whole)):
        with pytest.raises(EOFError):
            read_outcome(io.BytesIO(whole[:length]), 4)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        [],
        ["a reason", 0.5],
        [0.5, HASH, 40, 30],
        with_value(0, "soon"),
        with_value(1, "../" + HASH),
        with_value(1, HASH + "\n"),
        with_value(2, -1),
        with_value(2, 1 << 31),
        with_value(3, 1.5),
        with_value(4, {"script": 1}),
        with_value(5, 7),
        with_value(6, [48.1]),
        with_value(6, ["here", "there"]),
        with_value(7, "no hash"),
        with_value(7, ""),
    ],
)
def test_what_is_no_outcome_is_refused(value: object) -> None:
    assert isinstance(read_outcome(frame(GOOD), 4)[0], Decoded)
    with pytest.raises(ValueError):
        read_outcome(frame(value), 4)


def test_a_giant_outcome_is_refused_unread() -> None:
    with pytest.raises(ValueError, match="too long"):
        read_outcome(io.BytesIO(b"\xff\xff\xff\xff"), 4)
