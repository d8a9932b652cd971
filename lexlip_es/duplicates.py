"""Pictures that look the same, found among all that an index holds, and put into one `duplicate_group`.

What is near depends on two hashes alone and who is grouped on the set of all pictures, never on the order in which they came:
a run that is killed and started again, or cut otherwise, ends with the same groups. A group is everything near one picture in its
middle and no chain from neighbour to neighbour, which in a catalogue of look-alikes leads from any product to any other.
The figures are chosen by `benchmarks/near_duplicates.py`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexlip_es.batches import batched
from lexlip_es.documents import document_id
from lexlip_es.engines.protocol import Engine
from lexlip_es.entries import path_bytes
from lexlip_es.errors import LexlipError
from lexlip_es.mappings import keeps_no_terms
from lexlip_es.perceptual import HASH_BYTES, SHAPE_BYTES

RADIUS = 23
"""How many of the 256 bits of shape may differ between duplicates."""
COLOUR_STEPS = 2
"""How many steps any colour may differ by."""
MOST_IN_BAND = 2_000
"""Hashes that may share 16 bits and be compared for that: a crowd of look-alikes, such as forms, must not cost hours."""
COLUMNS = ("path", "collection", "content_hash", "duplicate_group", "perceptual_hash")
_RECORD = np.dtype([("id", "V16"), ("content", "V32"), ("group", "V32"), ("looks", f"V{HASH_BYTES}"), ("has_looks", "?")])
_BATCH = 10_000
_PAIRS_AT_ONCE = 1 << 16
_BITS_SET = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)

Hashes = NDArray[np.uint8]
"""Perceptual hashes as bytes: (N, 48)."""
Places = NDArray[np.int64]


def group_duplicates(engine: Engine, index: str) -> int:
    """Put the pictures of an index that look the same into one group; returns how many documents came into another group.

    A group is named by the smallest content hash in it. Pictures without a perceptual hash are grouped by equal content only.
    Nothing is done where documents keep no terms in their source, since an update would lose them (`--write-once`). What other
    runs write meanwhile is left to the next call. Raises `LexlipError` where the server refuses an update.
    """
    if keeps_no_terms(next(iter(engine.indices(index).values()), {}).get("mappings", {})):
        return 0
    engine.refresh(index)
    parts = [np.array([_record(*row) for row in rows], _RECORD) for rows in batched(engine.columns(index, COLUMNS), _BATCH)]
    if not parts:
        return 0
    records = np.concatenate(parts)
    wanted = group_names(records["content"], records["looks"], records["has_looks"])
    misplaced = np.flatnonzero(records["group"] != wanted)

    def updates() -> Iterator[dict[str, Any]]:
        for i in misplaced.tolist():
            yield {"_id": records["id"][i].tobytes().hex(), "update": {"duplicate_group": wanted[i].tobytes().hex()}}

    for result in engine.bulk(index, updates()):
        if not result.ok:
            raise LexlipError(f"{index}: the server refused to note a duplicate ({result.error_type}: {result.reason}).")
    if len(misplaced):
        engine.refresh(index)
    return len(misplaced)


def group_names(content: NDArray[np.void], looks: NDArray[np.void], has_looks: NDArray[np.bool_]) -> NDArray[np.void]:
    """The group of each document (N,): the content hash, 32 bytes (N,), that is the smallest among those that look like it.

    looks: perceptual hashes of 48 bytes (N,), which count where `has_looks` (N,) says so.
    """
    contents, content_of = _distinct(content, 32)  # sorted, so that a smaller number is a smaller hash
    names = np.arange(len(contents))
    with_looks = np.flatnonzero(has_looks)
    if len(with_looks):
        hashes, hash_of = _distinct(looks[with_looks], HASH_BYTES)
        # One content has one hash, unless decoders of two versions read it: then the smallest, whatever the order.
        chosen = np.full(len(contents), len(hashes))
        np.minimum.at(chosen, content_of[with_looks], hash_of)
        known = np.flatnonzero(chosen < len(hashes))
        group = group_hashes(hashes)[chosen[known]]
        smallest = np.full(len(hashes), len(contents))
        np.minimum.at(smallest, group, known)
        names[known] = smallest[group]
    named: NDArray[np.void] = contents[names].view("V32")[content_of, 0]
    return named


def group_hashes(hashes: Hashes, radius: int = RADIUS, colour_steps: int = COLOUR_STEPS) -> Places:
    """Which hash is in the middle of each one's group: (N, 48) distinct hashes in ascending order to (N,) positions.

    The hash with the most near ones takes these, then the next, and so on among those that are left; of equals the smaller.
    """
    count = len(hashes)
    middles = np.full(count, -1, np.int64)
    parts = list(_near(hashes, radius, colour_steps))
    both = np.empty(2 * sum(map(len, parts)), np.int64)  # each pair from both sides: 16 bytes, and no more while they are sorted
    at = 0
    while parts:
        one, other = np.divmod(part := parts.pop(), count)
        both[at : at + len(part)] = part
        both[at + len(part) : at + 2 * len(part)] = other * count + one
        at += 2 * len(part)
    both.sort()
    start = np.searchsorted(both, np.arange(count + 1) * count)
    degree = np.diff(start)
    by_degree = np.argsort(-degree, kind="stable")
    for middle in by_degree[: np.count_nonzero(degree)].tolist():
        if middles[middle] < 0:
            near = both[start[middle] : start[middle + 1]] % count
            middles[near[middles[near] < 0]] = middle
            middles[middle] = middle
    alone = middles < 0
    middles[alone] = np.flatnonzero(alone)
    return middles


def near_pairs(hashes: Hashes, radius: int = RADIUS, colour_steps: int = COLOUR_STEPS) -> Places:
    """All pairs of hashes (N, 48) that are near: (P, 2) positions, the smaller first, in ascending order.

    Near are two that agree in one of the 16 bands of 16 bits, differ in `radius` bits at most, and in no colour by more than
    `colour_steps`. Of copies within the radius 1 in 1,000 agrees in no band; looking at bands alone makes a million hashes a
    matter of seconds.
    """
    numbers = np.sort(np.concatenate([np.empty(0, np.int64), *_near(hashes, radius, colour_steps)]))
    return np.stack(np.divmod(numbers, max(len(hashes), 1)), 1)


def _near(hashes: Hashes, radius: int, colour_steps: int) -> Iterator[Places]:
    """The near pairs among N hashes, each once, as numbers: the smaller position times N plus the larger. In portions (P,)."""
    words = np.ascontiguousarray(hashes[:, :SHAPE_BYTES]).view(np.uint64)  # (N, 4)
    bands = np.ascontiguousarray(hashes[:, :SHAPE_BYTES]).view(np.uint16)  # (N, 16)
    compares = np.stack([np.bincount(band)[band] <= MOST_IN_BAND for band in bands.T], 1)  # (N, 16)
    for number, band in enumerate(bands.T):
        order = np.argsort(band, kind="stable")
        in_order = words[order]
        for first, second in _within_runs(band[order]):
            near = _differing(in_order[first, 0] ^ in_order[second, 0]) <= radius  # a quarter of the bits rules most pairs out
            first, second = order[first[near]], order[second[near]]
            # Copies agree in most of the bands: those that an earlier one has compared are not met again.
            met = ((bands[first, :number] == bands[second, :number]) & compares[first, :number]).any(1)
            first, second = first[~met], second[~met]
            apart = np.stack([_differing(words[first, i] ^ words[second, i]) for i in range(4)])  # (4, P)
            near = apart.sum(0, dtype=np.int16) <= radius
            first, second = first[near], second[near]
            near = _alike_in_colour(hashes[first, SHAPE_BYTES:], hashes[second, SHAPE_BYTES:], colour_steps)
            first, second = first[near], second[near]
            yield np.minimum(first, second) * len(hashes) + np.maximum(first, second)


def _within_runs(keys: NDArray[np.uint16]) -> Iterator[tuple[Places, Places]]:
    """All pairs of positions with equal keys, in portions; keys are sorted. A run that is too long is left out."""
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    lengths = np.diff(np.concatenate([starts, [len(keys)]]))
    ends = np.repeat(starts + np.where(lengths <= MOST_IN_BAND, lengths, 0), lengths)
    apart, first = 1, np.arange(len(keys))
    while len(first := first[first + apart < ends[first]]):
        for at in range(0, len(first), _PAIRS_AT_ONCE):
            some = first[at : at + _PAIRS_AT_ONCE]
            yield some, some + apart
        apart += 1


def _differing(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The bits set in each word (P,); a table, since NumPy counts them itself from version 2 only."""
    parts = _BITS_SET[words.view(np.uint16).reshape(-1, 4)]
    return parts[:, 0] + parts[:, 1] + parts[:, 2] + parts[:, 3]


def _alike_in_colour(one: Hashes, other: Hashes, steps: int) -> NDArray[np.bool_]:
    """Whether no colour differs by more than some steps; two colours a byte, (P, 16) and (P, 16)."""
    one, other = one.astype(np.int16), other.astype(np.int16)
    apart = np.maximum(np.abs((one >> 4) - (other >> 4)), np.abs((one & 15) - (other & 15)))
    alike: NDArray[np.bool_] = apart.max(1, initial=0) <= steps
    return alike


def _distinct(keys: NDArray[np.void], width: int) -> tuple[Hashes, Places]:
    """The distinct keys as bytes in ascending order (M, width), and which of them each key (N,) is."""
    # Big-endian numbers sort as the bytes do; NumPy neither sorts raw bytes nor keeps a text's trailing zeros.
    numbers = np.frombuffer(keys.tobytes(), ">u8").reshape(-1, width // 8).astype(np.uint64)
    order = np.lexsort(numbers.T[::-1])
    ascending = numbers[order]
    new = np.concatenate([[True], (ascending[1:] != ascending[:-1]).any(1)])
    which = np.empty(len(keys), np.int64)
    which[order] = np.cumsum(new) - 1
    return ascending[new].astype(">u8").view(np.uint8), which


def _record(path: Any, collection: Any, content: Any, group: Any, looks: Any) -> tuple[bytes, bytes, bytes, bytes, bool]:
    identifier = document_id(str(collection), path_bytes(str(path)))
    known = _raw(looks, HASH_BYTES)
    return bytes.fromhex(identifier), _raw(content, 32) or b"", _raw(group, 32) or b"", known or b"", known is not None


def _raw(digits: object, length: int) -> bytes | None:
    """The bytes that hexadecimal digits spell, None where they are not that many or something else."""
    try:
        raw = bytes.fromhex(str(digits))
    except ValueError:
        return None
    return raw if len(raw) == length else None
