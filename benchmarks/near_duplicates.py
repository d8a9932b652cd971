"""How many copies of a picture are found at each radius, and how many different pictures are taken for copies?

    python -m benchmarks.near_duplicates --images DIR [--copied 500] [--radius 8 16 23 32] [--colour-steps 2] [--made 1000000]

Copies are made of some pictures drawn by lot; all pictures of the folder are then grouped as an index would group them. The
folder's own true duplicates are in the second table, so look at some groups before blaming a radius. `chained` is what groups
would be if they went from neighbour to neighbour. --made times the grouping of random hashes, a tenth of them copies.
"""

import argparse
import io
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from lexlip_es.duplicates import COLOUR_STEPS, RADIUS, Hashes, group_hashes, near_pairs
from lexlip_es.images import PictureError, PictureSpec, open_picture
from lexlip_es.perceptual import HASH_BYTES, SHAPE_BYTES

SPEC = PictureSpec(224)
Random = np.random.Generator


def cropped(percent: float) -> Callable[[Image.Image, Random], Image.Image]:
    """Cut this much off each dimension, split by lot between both ends."""

    def crop(image: Image.Image, random: Random) -> Image.Image:
        width, height = (side * percent / 100 for side in image.size)
        left, top = (float(share) for share in random.random(2))
        right, bottom = image.width - width * (1 - left), image.height - height * (1 - top)
        return image.crop((round(width * left), round(height * top), round(right), round(bottom)))

    return crop


def bright(factor: float) -> Callable[[Image.Image, Random], Image.Image]:
    return lambda image, _: ImageEnhance.Brightness(image).enhance(factor)


def marked(image: Image.Image, _: Random) -> Image.Image:
    """A half-transparent line of text in the lower right."""
    copy = image.copy()
    place, letters = (image.width * 0.5, image.height * 0.85), max(8, image.height // 12)
    ImageDraw.Draw(copy, "RGBA").text(place, "(c) photo", fill=(255, 255, 255, 160), font_size=letters)
    return copy


COPIES: dict[str, Callable[[Image.Image, Random], Image.Image]] = {
    "JPEG quality 50": lambda image, _: image,
    "half size": lambda image, _: image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.LANCZOS),
    "2 % cropped": cropped(2),
    "5 % cropped": cropped(5),
    "10 % brighter": bright(1.1),
    "10 % darker": bright(0.9),
    "watermark": marked,
    "grey": lambda image, _: image.convert("L"),
}


def copy_of(image: Image.Image, kind: str, random: Random) -> bytes:
    """The file of a changed copy, JPEG of quality 85 (50 where that is the change)."""
    file = io.BytesIO()
    COPIES[kind](image, random).convert("RGB").save(file, "JPEG", quality=50 if "50" in kind else 85)
    return file.getvalue()


def hash_of(source: Path | bytes) -> str | None:
    try:
        return open_picture(source, SPEC).perceptual_hash
    except PictureError:
        return None


def as_bytes(hashes: list[str]) -> Hashes:
    """(N, 48)."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, HASH_BYTES)


def found_share(originals: list[str], copies: list[str | None], radius: int, steps: int) -> float:
    """Of the pictures with a hash, the percentage whose copy is near; a copy of equal hash is."""
    known = [(one, other) for one, other in zip(originals, copies, strict=True) if other is not None]
    distinct, which = np.unique(as_bytes([one for one, _ in known] + [other for _, other in known]), axis=0, return_inverse=True)
    pairs = {tuple(pair) for pair in near_pairs(distinct, radius, steps).tolist()}
    ends = np.sort(which.reshape(2, -1).T, 1).tolist()
    return 100 * sum(one == other or (one, other) in pairs for one, other in ends) / len(originals)


def grouped(distinct: Hashes, documents: Any, radius: int, steps: int) -> dict[str, Any]:
    """What grouping does to pictures; `documents` is how many have each of the distinct hashes."""
    started = time.perf_counter()
    groups = group_hashes(distinct, radius, steps)
    seconds = time.perf_counter() - started
    pairs = near_pairs(distinct, radius, steps)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(distinct), len(distinct)))
    chains = connected_components(graph, directed=False)[1]
    sizes, chained = (np.bincount(labels, documents).astype(int) for labels in (groups, chains))
    return {
        "radius": radius,
        "near_pairs": len(pairs),
        "folded": int(documents.sum() - np.count_nonzero(sizes)),
        "largest": int(sizes.max()),
        "folded_chained": int(documents.sum() - np.count_nonzero(chained)),
        "largest_chained": int(chained.max()),
        "seconds": round(seconds, 2),
    }


def made(count: int, random: Random) -> dict[str, Any]:
    """Seconds and memory of grouping random hashes, of which a tenth are copies with some bits changed."""
    hashes = random.integers(0, 256, (count, HASH_BYTES), dtype=np.uint8)
    copies = count // 10
    hashes[:copies] = hashes[-copies:]
    hashes[:copies, :SHAPE_BYTES] ^= np.packbits(random.random((copies, 8 * SHAPE_BYTES)) < 8 / 256, axis=1)
    distinct = np.unique(hashes, axis=0)
    started, busy = time.perf_counter(), time.process_time()
    groups = group_hashes(distinct)
    return {
        "hashes": len(distinct),
        "groups": len(np.unique(groups)),
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(time.process_time() - busy, 1),
        "process_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    """Print a table of copies, one of the folder's pictures, and all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--copied", type=int, default=500)
    parser.add_argument("--radius", type=int, nargs="+", default=[8, 16, RADIUS, 32])
    parser.add_argument("--colour-steps", type=int, default=COLOUR_STEPS, help="16 leaves colours out")
    parser.add_argument("--made", type=int, default=0, help="number of made hashes whose grouping is timed")
    options = parser.parse_args()
    random, steps = np.random.default_rng(0), options.colour_steps
    paths = sorted(path for path in options.images.rglob("*") if path.is_file())
    hashes = [found for path in paths if (found := hash_of(path))]
    originals: list[str] = []
    copies: dict[str, list[str | None]] = {kind: [] for kind in COPIES}
    for i in random.permutation(len(paths))[: options.copied].tolist():
        if original := hash_of(paths[i]):
            image = Image.open(paths[i]).convert("RGB")
            originals.append(original)
            for kind in COPIES:
                copies[kind].append(hash_of(copy_of(image, kind, random)))
    print(f"{len(paths)} files, {len(hashes)} with a hash; copies of {len(originals)}, found (%):\n")
    print(
        "| copy | " + " | ".join(f"radius {radius}" for radius in options.radius) + " |\n| --- |" + " --- |" * len(options.radius)
    )
    shares = {kind: [found_share(originals, copies[kind], radius, steps) for radius in options.radius] for kind in COPIES}
    for kind, found in shares.items():
        print(f"| {kind} | " + " | ".join(f"{share:.0f}" for share in found) + " |")
    distinct, documents = np.unique(as_bytes(hashes), axis=0, return_counts=True)
    rows = [grouped(distinct, documents, radius, steps) for radius in options.radius]
    print("\n| " + " | ".join(rows[0]) + " |\n|" + " --- |" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")
    timed = made(options.made, random) if options.made else None
    print(json.dumps({"files": len(paths), "hashed": len(hashes), "found": shares, "grouped": rows, "made": timed}))


if __name__ == "__main__":
    main()
