"""A small real collection that lies in the repository, so that the comparison runs without any data.

    python -m benchmarks.versus.sample --images DIR --captions FILE --files DEV.txt [--model DIR] [--pictures 1000]
        [--queries 300] [--out FILE.npz]

It holds weights only: of pictures unpruned, of captions by the query table and by the text tower, each cut to seven significant
bits; no picture, no caption, no name. Its dense vectors are random. At most `MOST_BYTES`, which the script sees to.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.versus.collection import Collection, by_term_id
from benchmarks.versus.dense_encoders import random_vectors
from benchmarks.versus.vectors import collection_of, collection_options
from lexlip_es.errors import LexlipError
from lexlip_es.model_folder import open_model
from lexlip_es.weights import SparseWeights

SAMPLE = Path(__file__).with_name("sample.npz")
MOST_BYTES = 500_000
_DROPPED = np.uint32(17)  # of a float32's bits: seven significant ones stay


def load_sample(path: Path = SAMPLE) -> Collection:
    """The committed collection; its texts are empty. Raises `LexlipError` if it is of another vocabulary than the model's."""
    lexicon = open_model().lexicon
    with np.load(path) as kept:
        if str(kept["vocabulary"]) != lexicon.hash:
            raise LexlipError(f"{path} is of another vocabulary than the model: make it again with benchmarks.versus.sample.")
        pictures, table, tower = (_unpacked(kept, part) for part in ("pictures", "table", "tower"))
        gold = kept["gold"].astype(np.int64)
    return Collection(
        label="sample",
        lexicon=lexicon,
        pictures=pictures,
        dense=random_vectors(len(pictures), 0),
        origin="random",
        real=len(pictures),
        texts=("",) * len(gold),
        table_queries=table,
        tower_queries=tower,
        dense_queries=random_vectors(len(gold), 1),
        gold=gold,
    )


def write_sample(collection: Collection, path: Path, pictures: int, queries: int, seed: int = 0) -> int:
    """The first pictures and some of their captions; returns its bytes. Raises `LexlipError` if these are too many."""
    asked = np.random.default_rng(seed).permutation(np.flatnonzero(collection.gold < pictures))[:queries]
    asking = collection.asking(np.sort(asked).tolist())
    np.savez_compressed(
        path,
        allow_pickle=False,
        vocabulary=np.array(collection.lexicon.hash),
        gold=asking.gold.astype(np.uint16),
        **_packed("pictures", collection.pictures.part(0, pictures)),
        **_packed("table", asking.table_queries),
        **_packed("tower", asking.tower_queries),
    )
    size = path.stat().st_size
    if size > MOST_BYTES:
        path.unlink()
        raise LexlipError(f"the sample has {size:,} bytes, {MOST_BYTES:,} are allowed: take fewer --pictures or --queries.")
    return size


def _packed(part: str, weights: SparseWeights) -> dict[str, NDArray[Any]]:
    """Terms ascend within a row, each as its distance from the one before: small numbers, which zip well."""
    ascending = by_term_id(weights)
    terms = ascending.terms.astype(np.int64)
    codes = ascending.weights.view(np.uint32) >> _DROPPED
    steps = np.diff(terms, prepend=0)
    steps[weights.indptr[:-1][weights.counts > 0]] = terms[weights.indptr[:-1][weights.counts > 0]]
    least = codes.min(initial=np.uint32(0xFFFF))
    return {
        f"{part}_counts": weights.counts.astype(np.uint16),
        f"{part}_terms": _planes(steps),
        f"{part}_weights": _planes(codes - least),
        f"{part}_least": least,
    }


def _unpacked(kept: Any, part: str) -> SparseWeights:
    ends = np.cumsum(kept[f"{part}_counts"], dtype=np.int64)[:-1]
    steps = np.split(_joined(kept[f"{part}_terms"]), ends)
    codes = _joined(kept[f"{part}_weights"]) + kept[f"{part}_least"]
    weights = np.split((codes << _DROPPED).view(np.float32), ends)
    return SparseWeights.from_rows([(np.cumsum(row), of) for row, of in zip(steps, weights, strict=True)])


def _planes(numbers: NDArray[Any]) -> NDArray[np.uint8]:
    """(2, n) low bytes, then high bytes: these are nearly all zero."""
    return np.stack([numbers & 0xFF, numbers >> 8]).astype(np.uint8)


def _joined(planes: NDArray[np.uint8]) -> NDArray[np.uint32]:
    low, high = planes.astype(np.uint32)
    return np.asarray(low | high << np.uint32(8))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the sample and say how large it is."""
    parser = collection_options(__doc__)
    parser.add_argument("--pictures", type=int, default=1_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--out", type=Path, default=SAMPLE)
    options = parser.parse_args(arguments)
    size = write_sample(collection_of(options), options.out, options.pictures, options.queries)
    print(f"{options.out}: {size:,} bytes")


if __name__ == "__main__":
    main()
