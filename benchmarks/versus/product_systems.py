"""Sparse terms without an engine, in this process: SciPy's exact product, and SEISMIC (the package `pyseismic-lsr`).

The product is the limit of what an exact engine could reach: term at a time over plain arrays, no files, no HTTP. SEISMIC is
approximate: it skips blocks of postings by summaries. Both hold the same pictures with the same terms as the engine's index does.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.resources import resident
from benchmarks.versus.built import BuiltIndex, OwnAsker
from benchmarks.versus.collection import Collection, as_matrix, by_term_id
from benchmarks.versus.system import Answer, Cost, Parameters, Side
from lexlip_es.weights import SparseWeights, prepare_queries

QUERY_TERMS = (8, 16, 32)
CUTS = ((8, 0.9), (16, 0.9), (32, 0.9), (32, 1.0))  # SEISMIC's query_cut and heap_factor


@dataclass(frozen=True, eq=False)
class ProductWay(OwnAsker):
    """Queries of so many terms against the matrix (V, N) of the pictures."""

    matrix: Any
    queries: Sequence[Any]  # Q matrices (1, V)
    parameters: Parameters
    side: Side = "table"

    def ask(self, query: int, k: int) -> Answer:
        """See `Asker.ask`."""
        found = self.queries[query] @ self.matrix  # (1, N): the pictures that share a term, and their scores
        best = np.argpartition(found.data, -k)[-k:] if found.nnz > k else np.arange(found.nnz)
        best = best[np.lexsort((found.indices[best], -found.data[best]))]
        return Answer(found.indices[best].astype(np.int64))


def build_product(collection: Collection, terms: int, query_terms: Sequence[int] = QUERY_TERMS) -> BuiltIndex:
    """SciPy's matrix by term, float32."""
    from scipy.sparse import csr_array

    started = time.perf_counter()
    pictures = SparseWeights.concat([*collection.kept(terms)])
    before = resident(os.getpid())
    matrix = csr_array(as_matrix(pictures, len(collection.lexicon)).T)
    seconds = time.perf_counter() - started
    memory = resident(os.getpid()) - before
    parts = {"weights": matrix.data.nbytes, "pictures": matrix.indices.nbytes, "terms": matrix.indptr.nbytes}
    ways = []
    for count in query_terms:
        asked = prepare_queries(collection.table_queries, count)
        rows = as_matrix(asked, len(collection.lexicon))
        ways.append(ProductWay(matrix, [rows[[i]] for i in range(len(asked))], {"query terms": count}))
    return BuiltIndex("SciPy product", {"picture terms": terms}, Cost(seconds, parts, memory), ways)


@dataclass(frozen=True, eq=False)
class SeismicWay(OwnAsker):
    """A `query_cut` and a `heap_factor`."""

    index: Any
    queries: Sequence[tuple[Any, Any]]  # names and weights of the terms
    cut: int
    factor: float
    side: Side = field(default="table", init=False)

    @property
    def parameters(self) -> Parameters:
        """See `Way.parameters`."""
        return {"query terms": self.cut, "heap factor": self.factor}

    def ask(self, query: int, k: int) -> Answer:
        """See `Asker.ask`."""
        names, weights = self.queries[query]
        if not len(names):
            return Answer(np.empty(0, np.int64))
        found = self.index.search("", names, weights, k=k, query_cut=self.cut, heap_factor=self.factor)
        return Answer(np.array([int(picture) for _, _, picture in found], np.int64))


def build_seismic(collection: Collection, terms: int, threads: int, cuts: Sequence[tuple[int, float]] = CUTS) -> BuiltIndex:
    """SEISMIC with its own defaults; bytes are those of its file."""
    import seismic

    pictures = by_term_id(SparseWeights.concat([*collection.kept(terms)]))
    before, started = resident(os.getpid()), time.perf_counter()
    data = seismic.SeismicDataset()
    names = [str(i) for i in range(len(pictures))]
    data.add_documents_by_id(names, pictures.terms.astype(np.int64), pictures.weights, pictures.indptr)
    index = seismic.SeismicIndex.build_from_dataset(data, num_threads=threads)
    seconds = time.perf_counter() - started
    del data
    memory = resident(os.getpid()) - before
    with tempfile.TemporaryDirectory() as folder:
        index.save(str(Path(folder, "saved")))
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    texts, kind = prepare_queries(collection.table_queries, max(cut for cut, _ in cuts)), seismic.get_seismic_string()
    rows = [texts.row(i) for i in range(len(texts))]
    queries = [(found.astype(str).astype(kind), weights) for found, weights in rows]
    ways = [SeismicWay(index, queries, cut, factor) for cut, factor in cuts]
    cost = Cost(seconds, {"index": size}, memory)
    return BuiltIndex("SEISMIC (pyseismic-lsr)", {"picture terms": terms}, cost, ways)
