"""Sparse terms in Elasticsearch's `sparse_vector`, started from the distribution that its makers publish for tests.

It needs a full JDK of 21 or later. Bytes by part are Elasticsearch's own analysis (`_disk_usage`), which counts the dictionary of
a field with its postings.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from benchmarks.versus.collection import Collection
from benchmarks.versus.engine_systems import ASKED, HEAP, Asking, EngineIndex, Node, build_terms, serving

SERVER = "elasticsearch-9.5.3"


@contextmanager
def elasticsearch(heap: str = HEAP) -> Iterator[Node]:
    """The server while it is needed; ends the program with a sentence where the machine has no Java that it runs on."""
    try:
        with serving(SERVER, heap) as node:
            yield node
    except pytest.skip.Exception as reason:
        raise SystemExit(f"{SERVER} {reason}; or leave it out") from reason


def build_sparse_vector(
    node: Node, collection: Collection, terms: int, *, shards: int = 1, asked: Sequence[Asking] = ASKED
) -> EngineIndex:
    """An index that keeps so many terms a picture."""
    return build_terms(node, collection, terms, field_type="sparse_vector", shards=shards, asked=asked)
