"""What a size of collection compares: the list of systems, and the servers that they need while they are needed."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.versus.caption_systems import build_captions
from benchmarks.versus.elasticsearch_systems import build_sparse_vector, elasticsearch
from benchmarks.versus.engine_systems import (
    ASKED,
    HEAP,
    ONE_PHASE,
    TWO_PHASE,
    WITH_DOCUMENTS,
    Asking,
    build_split,
    build_terms,
    serving,
)
from benchmarks.versus.faiss_systems import build_flat, build_hnsw, build_ivf_pq
from benchmarks.versus.product_systems import build_product, build_seismic
from benchmarks.versus.system import Build

OPENSEARCH = "opensearch-3.9.0"
FEWER = (*ONE_PHASE, *TWO_PHASE)
WHOLE_QUERIES = tuple(Asking("table", terms) for terms in (64, 256))  # 256: all that a caption has


@dataclass(frozen=True)
class Compared:
    """Which systems: numbers of terms a picture, FAISS's parameters of building; an empty tuple leaves a system out.

    opensearch: 256 keeps all that nearly any picture has, as the exact ranking does: pruned pictures cannot reach its recall;
    write_once: of the indices whose `_source` keeps no terms; sharded: into how many shards the one of the usual terms is split;
    graphs: HNSW's `M` and `efConstruction`; codes: IVF-PQ's bytes a vector.
    """

    opensearch: Sequence[int] = (16, 32, 64, 128, 256)
    write_once: Sequence[int] = (64,)
    sharded: Sequence[int] = ()
    elasticsearch: Sequence[int] = (64,)
    product: Sequence[int] = (64,)
    seismic: Sequence[int] = (64,)
    graphs: Sequence[tuple[int, int]] = ((16, 100), (32, 200))
    codes: Sequence[int] = (32, 64)
    usual: int = 64


SMALL = Compared(opensearch=(32, 64), elasticsearch=(), graphs=((32, 200),), codes=(64,))
"""For a few minutes, and a machine without a JDK."""
WHOLE = Compared(sharded=(2, 4))
MILLION = Compared((64, 256), (), sharded=(2, 4), elasticsearch=(), seismic=(), graphs=((16, 100),), codes=(64,))
"""What two cores build in an hour or two, and 24 GB hold; `sharded` shows, at every size, what a cluster would bring."""


def compared_at(size: int) -> Compared:
    """What a full measurement of so many pictures compares."""
    return MILLION if size > 200_000 else WHOLE


@contextmanager
def systems(
    compared: Compared,
    folder: Path,
    *,
    threads: int = 1,
    captions: Sequence[Sequence[str]] | None = None,
    heap: str = HEAP,
) -> Iterator[list[Build]]:
    """What builds each; the servers run meanwhile. `folder` keeps FAISS's files; `captions[i]` are all those of picture i.

    threads: of FAISS and SEISMIC, at building and asking. A search of one shard has one thread anyway.
    """
    folder.mkdir(parents=True, exist_ok=True)
    builds: list[Build] = [partial(build_flat, folder=folder, threads=threads)]
    for links, ef in compared.graphs:
        builds.append(partial(build_hnsw, folder=folder, threads=threads, links=links, ef_construction=ef))
    builds += [partial(build_ivf_pq, folder=folder, threads=threads, code_bytes=size) for size in compared.codes]
    builds += [partial(build_product, terms=terms) for terms in compared.product]
    builds += [partial(build_seismic, terms=terms, threads=threads) for terms in compared.seismic]
    with ExitStack() as servers:
        node = servers.enter_context(serving(OPENSEARCH, heap))
        for terms in compared.opensearch:
            asked = (*(ASKED if terms == compared.usual else FEWER), *(WHOLE_QUERIES if terms > compared.usual else ()))
            builds.append(partial(build_terms, node, terms=terms, asked=asked))
        for terms in compared.write_once:  # which differ in what is fetched, and in nothing else
            builds.append(partial(build_terms, node, terms=terms, write_once=True, asked=(ONE_PHASE[-1], WITH_DOCUMENTS)))
        for shards in compared.sharded:
            builds.append(partial(build_split, node, terms=compared.usual, shards=shards, asked=ONE_PHASE))
        if captions is not None:
            builds.append(partial(build_captions, node, captions=captions))
        if compared.elasticsearch:
            other = servers.enter_context(elasticsearch(heap))
            builds += [partial(build_sparse_vector, other, terms=terms, asked=FEWER) for terms in compared.elasticsearch]
        yield builds
