"""Decoding of damaged files by the thousand: what crashes, hangs, leaks, and what is said of the rest.

    python -m benchmarks.fuzz_pictures [--count 10000] [--seed 0] [--workers N] [--keep DIR]

Small pictures of every format are damaged (flipped bits, cuts, shuffled and doubled pieces, wrong numbers where lengths stand)
and go through `Decoders`, the same files for the same seed. `--keep` is a folder for those that cost a worker.
"""

import argparse
import hashlib
import json
import random
import struct
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lexlip_es.decoding import Decoded, Decoders
from lexlip_es.entries import Found
from lexlip_es.images import PictureSpec
from tests.hostile.seeds import Content, seeds

LOST = ("The decoder crashed", "The process that decoded", "The picture takes too long")


def flip(data: bytearray, rng: random.Random) -> bytearray:
    """Other bits at up to 32 places."""
    for _ in range(rng.randint(1, 32)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def flip_early(data: bytearray, rng: random.Random) -> bytearray:
    """Other bytes among the first 200, where headers are."""
    for _ in range(rng.randint(1, 6)):
        data[rng.randrange(min(len(data), 200))] = rng.randrange(256)
    return data


def cut(data: bytearray, rng: random.Random) -> bytearray:
    """The beginning alone."""
    return data[: rng.randint(1, len(data))]


def shuffle(data: bytearray, rng: random.Random) -> bytearray:
    """A piece cut out and put in elsewhere, or twice."""
    start = rng.randrange(len(data))
    piece = data[start : start + rng.randint(1, 200)]
    if rng.random() < 0.5:
        del data[start : start + len(piece)]
    place = rng.randint(0, len(data))
    data[place:place] = piece
    return data


def length(data: bytearray, rng: random.Random) -> bytearray:
    """A number where a length may stand: 2 or 4 bytes of either order."""
    kind = rng.choice(("<H", ">H", "<I", ">I"))
    most = (1 << 8 * struct.calcsize(kind)) - 1
    value = rng.choice((0, 1, most, most >> 1, (most >> 1) + 1, most - 1, rng.randint(0, most)))
    place = rng.randrange(max(1, min(len(data), rng.choice((100, 1 << 30))) - struct.calcsize(kind)))
    data[place : place + struct.calcsize(kind)] = struct.pack(kind, value)
    return data


MUTATIONS = (flip, flip_early, cut, shuffle, length)


def damaged(count: int, seed: int) -> Iterator[Found]:
    """The files, each named by its number, its seed picture and what was done to it."""
    rng = random.Random(seed)
    pictures = sorted(seeds().items())
    for number in range(count):
        name, content = pictures[number % len(pictures)]
        data, done = bytearray(content), []
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            mutation = rng.choice(MUTATIONS)
            data = mutation(data, rng) or bytearray(b"\0")
            done.append(mutation.__name__)
        yield Found(Content(bytes(data)), f"{number:06}-{'-'.join(done)}-{name}".encode(), len(data), "")


def memory(pid: int | str) -> int:
    """Resident memory of a process in KiB, 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)


def main() -> None:
    """Run, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--keep", type=Path, help="folder for the files that cost a worker")
    options = parser.parse_args()
    reasons: Counter[str] = Counter()
    lost: list[str] = []
    samples: list[dict[str, Any]] = []
    slowest: deque[tuple[float, str]] = deque(maxlen=1)
    digest = hashlib.sha256()
    started = time.perf_counter()
    with Decoders(PictureSpec(224), workers=options.workers, seconds=options.seconds) as decoders:
        before = 0.0
        for number, (found, outcome) in enumerate(decoders.decode(damaged(options.count, options.seed), 64)):
            spent, before = decoders.busy_seconds - before, decoders.busy_seconds
            if not slowest or spent > slowest[0][0]:
                slowest.append((spent, found.display_path))
            if isinstance(outcome, Decoded):
                said = "decoded"
                digest.update(outcome.picture.pixels.tobytes())
            else:
                said = outcome.reason
            reasons[said.partition("(")[0].strip() if "megapixels" not in said else "The picture has too many megapixels"] += 1
            if said.startswith(LOST):
                lost.append(f"{found.display_path}: {said}")
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / found.display_path).write_bytes(found.place.read())
            if number % max(1, options.count // 20) == 0:
                samples.append({"at": number, "parent": memory("self"), "workers": [memory(pid) for pid in decoders.pids]})
        samples.append({"at": options.count, "parent": memory("self"), "workers": [memory(pid) for pid in decoders.pids]})
        answer = {
            "files": options.count,
            "accounted_for": sum(reasons.values()),
            "workers_lost": decoders.lost,
            "lost_over": lost,
            "slowest_seconds": [round(slowest[0][0], 2), slowest[0][1]],
            "seconds": round(time.perf_counter() - started, 1),
            "pixels_sha256": digest.hexdigest(),
            "reasons": dict(reasons.most_common()),
            "resident_kib": samples,
        }
    print(json.dumps(answer, indent=2))


if __name__ == "__main__":
    main()
