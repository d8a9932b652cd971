"""What ways to keep documents cost and bring, as ratios to the usual way: index bytes, and latency of searches.

- `best_compression`: `index.codec`.
- `no terms in _source`: as `--write-once` has it.
- `heaviest term first`: loaded in the order of each document's heaviest term, the most frequent of these terms first; all
  others come in random order.

Each is loaded by one sender, which keeps the order, and merged into one segment. Latency is the median over queries, each the
best of a few rounds in which the indices take turns, of one request for the ten best paths over HTTP.
"""

import copy
import os
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.made_documents import Statistics, made_documents
from benchmarks.sending import disk_bytes, send
from lexlip_es.captions import read_captions
from lexlip_es.dialects import dialect_for, family_for
from lexlip_es.documents import Document
from lexlip_es.encoders import Encoder
from lexlip_es.engines.protocol import Engine
from lexlip_es.mappings import LOAD_SETTINGS, index_body, index_meta
from lexlip_es.queries import search_body
from lexlip_es.weights import prepare_queries

USUAL, COMPRESSED, WRITE_ONCE, ORDERED = "usual", "best_compression", "no terms in _source", "heaviest term first"
QUERIES, ROUNDS, BEST = 200, 5, 10


def body_of(variant: str, encoder: Encoder, engine: Engine) -> dict[str, Any]:
    """What creates the index of a variant."""
    meta = index_meta(encoder.model, "picture", encoder.model.pruning.picture_terms)
    body = copy.deepcopy(index_body(meta, family=family_for(engine.server), server=engine.server))
    body["settings"]["index"] |= LOAD_SETTINGS
    if variant == COMPRESSED:
        body["settings"]["index"]["codec"] = "best_compression"
    if variant == WRITE_ONCE:
        body["mappings"]["_source"] = {"excludes": ["terms"]}
        if engine.server.product == "opensearch":  # without it the whole source is kept for replicas, beside the other
            body["mappings"]["_source"]["recovery_source_excludes"] = ["terms"]
    return body


def by_heaviest_term(documents: Iterable[Document]) -> list[Document]:
    """In the order of each one's heaviest term: first those whose heaviest term is the heaviest of most documents."""
    heaviest = [(next(iter(document["source"]["terms"]), ""), document) for document in documents]
    counts: dict[str, int] = {}
    for term, _ in heaviest:
        counts[term] = counts.get(term, 0) + 1
    return [document for _, document in sorted(heaviest, key=lambda pair: (-counts[pair[0]], pair[0]))]


def queries(encoder: Encoder, engine: Engine, captions: Path) -> list[dict[str, Any]]:
    """Requests for captions drawn by lot."""
    texts = [text for texts in read_captions(captions).values() for text in texts]
    chosen = [texts[i] for i in np.random.default_rng(0).permutation(len(texts))[:QUERIES].tolist()]
    weights = prepare_queries(encoder.encode_texts(chosen), encoder.model.pruning.query_terms)
    dialect = dialect_for(engine.server)
    rows = (weights.row(i) for i in range(len(weights)))
    return [search_body(row, encoder.model.lexicon, BEST, dialect=dialect, fields=["path"]) for row in rows]


def latencies(engine: Engine, indices: list[str], asked: list[dict[str, Any]]) -> dict[str, float]:
    """Milliseconds of the median query on each index."""
    best = {index: [float("inf")] * len(asked) for index in indices}
    for turn in range(ROUNDS):
        for i, body in enumerate(asked):
            for index in indices[turn % len(indices) :] + indices[: turn % len(indices)]:  # nobody is always the first
                started = time.perf_counter()
                engine.search(index, body)
                best[index][i] = min(best[index][i], 1000 * (time.perf_counter() - started))
    return {index: statistics.median(times) for index, times in best.items()}


def compare_variants(
    engine: Engine, encoder: Encoder, drawn: Statistics, count: int, captions: Path, prefix: str
) -> list[dict[str, Any]]:
    """Load each variant into an index `PREFIX-...`, then search in all of them; they stay."""
    documents = list(made_documents(drawn, encoder.model.lexicon, range(count)))
    asked = queries(encoder, engine, captions)
    found: dict[str, dict[str, Any]] = {}
    for number, variant in enumerate((USUAL, COMPRESSED, WRITE_ONCE, ORDERED)):
        index = f"{prefix}-variant-{number}"
        engine.create_index(index, body_of(variant, encoder, engine))
        report = send(engine, index, encoder, by_heaviest_term(documents) if variant == ORDERED else documents, senders=1)
        engine.refresh(index)
        loaded = disk_bytes(engine, index)
        engine.force_merge(index)
        found[index] = {
            "variant": variant,
            "seconds": report.total_seconds,
            "loaded": loaded,
            "merged": disk_bytes(engine, index),
        }
    times = latencies(engine, list(found), asked)
    usual = f"{prefix}-variant-0"
    return [
        {
            "variant": row["variant"],
            "MB": round(row["merged"] / 1e6, 1),
            "MB before merging": round(row["loaded"] / 1e6, 1),
            "bytes to usual": round(row["merged"] / found[usual]["merged"], 3),
            "p50 ms": round(times[index], 2),
            "p50 to usual": round(times[index] / times[usual], 3),
            "load seconds to usual": round(row["seconds"] / found[usual]["seconds"], 2),
            "load average": round(os.getloadavg()[0], 1),
        }
        for index, row in found.items()
    ]
