"""What would other ways to store the same weights save, and what would they lose? Each an index in the engine, asked in turn.

    python -m benchmarks.versus.postings --images DIR --captions FILE --files DEV.txt [--others DIR] [--size N] [--terms 64]
        [--only NAME]... [--out FILE.json]

See `storing` for the ways. Bytes are of the postings of `terms` a picture, recall@10 is against the exact, unpruned ranking.
The table goes to stdout, the raw result to --out.
"""

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.markdown import table
from benchmarks.versus import storing
from benchmarks.versus.collection import Collection, as_matrix
from benchmarks.versus.distractors import grow
from benchmarks.versus.engine_systems import Asking, build_terms, serving
from benchmarks.versus.measure import Plan, measure
from benchmarks.versus.results import rows
from benchmarks.versus.storing import Stored
from benchmarks.versus.systems import OPENSEARCH
from benchmarks.versus.vectors import collection_of, collection_options
from lexlip_es.weights import SparseWeights

ASKED = (Asking("table", 8), Asking("table", 32))
PLAN = Plan(rounds=3, clients=(), throughput_rounds=0, right=300)
PROJECTED = 128  # dimensions in which pictures are compared for their order


def variants(collection: Collection, terms: int) -> Iterator[Stored]:
    """All of them; the first is how the product stores."""
    kept = SparseWeights.concat([*collection.kept(terms)])
    yield Stored("as it is", kept)
    yield Stored.small("scaled", kept)
    for octaves in (6, 5, 4):
        yield Stored.small(f"scaled, at least 2^-{octaves}", storing.raised(kept, octaves))
    for bits in (4, 2):
        yield Stored.small(f"scaled, {bits} bits of mantissa", storing.quantised(kept, bits))
    for percent in (10, 5, 2):
        yield Stored.small(f"scaled, half of lists over {percent} percent", storing.without_light(kept, 0.5, percent / 100))
    yield Stored.small("scaled, by heaviest term", kept, storing.by_heaviest_term(kept))
    near = storing.bisected(projected(kept, len(collection.lexicon)))
    yield Stored.small("scaled, bisected", kept, near)
    yield Stored("bisected", kept, order=near)


def projected(weights: SparseWeights, terms: int, seed: int = 0) -> NDArray[np.float32]:
    """The pictures (N, 128) as random projections, whose inner products are about those of the weights."""
    directions = np.random.default_rng(seed).standard_normal((terms, PROJECTED), np.float32)
    found: NDArray[np.float32] = as_matrix(weights, terms) @ directions
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = collection_options(__doc__)
    parser.add_argument("--size", type=int, help="pictures, made ones included")
    parser.add_argument("--terms", type=int, default=64)
    parser.add_argument("--only", action="append", help="the name of a variant; by default all")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    collection = collection_of(options)
    collection = grow(collection, options.size or len(collection))
    chosen = [one for one in variants(collection, options.terms) if not options.only or one.name in options.only]
    with serving(OPENSEARCH) as node:
        builds = [
            partial(
                build_terms,
                node,
                terms=options.terms,
                write_once=True,
                stored=one,
                asked=ASKED,
            )
            for one in chosen
        ]
        found = measure(collection, builds, PLAN, say=partial(print, file=sys.stderr))
    if options.out:
        options.out.write_text(json.dumps(found) + "\n")
    print(
        table(
            [
                {
                    "stored": row.system["parameters"]["stored"],
                    "query terms": row.way["parameters"]["query terms"],
                    "postings": f"{row.postings:.1f}",
                    "whole index": f"{row.bytes:.1f}",
                    "recall@10": f"{row.recall:.4f}",
                    "R@10": row.right(10),
                    "p50 ms": f"{row.p50:.2f}",
                }
                for row in rows(found)
            ]
        )
    )


if __name__ == "__main__":
    main()
