"""How fast does a million documents come into an engine, what disk do they take, and what does a run cost that changes nothing?

    lexlip-es index --images DIR --index real                  # once: real documents to learn from
    python -m benchmarks.loading --like real [--documents 1000000] [--out FILE.json]
    python -m benchmarks.loading --like real --documents 0 --tune 20000 --variants 50000 --captions FILE

The documents are made as `made_documents` says, from the documents of the index `--like`. They go to the engine of LEXLIP_ES_URL,
or the embedded one, as any source's: through `Pipeline` and `IndexStore.send` into a new index under `open_target`, which turns
refreshing off for the load and merges at its end. Making them takes processor time of the same machine: `making_seconds`.

--documents: load so many; then, each in a process of its own (whose growth in memory is told), the engine's part of a run that
changes nothing (`read_holdings`, and a comparison with each file's path, size and time, but no walk over a disk), and
`group_duplicates`, of which the first names groups and the second finds nothing to do.
--tune: load so many, made beforehand, with each number of senders and documents a request, in --rounds rounds in turn.
--variants: see `loading_variants`. Indices are deleted at the end. JSON, then Markdown.
"""

import argparse
import os
import statistics as middle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.loading_variants import compare_variants
from benchmarks.made_documents import COLLECTION, ROOT, Statistics, made_documents, made_file
from benchmarks.markdown import table
from benchmarks.options import tell
from benchmarks.sending import connected, disk_bytes, send
from lexlip_es.changes import Comparison, Same
from lexlip_es.duplicates import group_duplicates
from lexlip_es.encoders import Encoder, load_encoder
from lexlip_es.engines import Engine, http_engine
from lexlip_es.engines.bulk import CHUNK_BYTES, CHUNK_DOCUMENTS, bulk
from lexlip_es.holdings import read_holdings
from lexlip_es.model_folder import open_model
from lexlip_es.pipeline import SENDERS
from lexlip_es.target import open_target
from lexlip_es.weights import SparseWeights

ALIAS = "benchmark-loading"
SENDERS_TRIED = (1, 2, 4)
CHUNKS_TRIED = (250, 1_000, 4_000)


def learn(engine: Engine, index: str, encoder: Encoder) -> Statistics:
    """The statistics of an index's documents."""
    lexicon = encoder.model.lexicon
    rows = [hit["source"]["terms"] for hit in engine.scan(index, fields=["terms"])]
    return Statistics.of(SparseWeights.from_rows([([*map(lexicon.id, row)], [*row.values()]) for row in rows]))


@contextmanager
def chunks_of(documents: int) -> Iterator[None]:
    """Within it a request holds so many documents, whatever their bytes."""
    with patch.object(http_engine, "bulk", partial(bulk, chunk_documents=documents, chunk_bytes=8 * CHUNK_BYTES)):
        yield


def load(engine: Engine, encoder: Encoder, drawn: Statistics, count: int) -> dict[str, Any]:
    """Load `count` made documents into a new index; it stays."""
    load_average, started = os.getloadavg()[0], time.perf_counter()
    with open_target(engine, ALIAS, encoder.model, "picture", 64) as target:
        report = send(engine, target.index, encoder, made_documents(drawn, encoder.model.lexicon, range(count)))
        sent = time.perf_counter() - started
        before_merge = disk_bytes(engine, target.index)
        refreshed = time.perf_counter() - started
        merging = time.perf_counter()
    merged = time.perf_counter() - merging
    disk = disk_bytes(engine, target.index)
    assert engine.count(ALIAS) == count
    return {
        "documents": count,
        "load_average": [round(load_average, 1), round(os.getloadavg()[0], 1)],
        "seconds": round(sent, 1),
        "documents_per_second": round(count / sent),
        "making_seconds": round(report.find_seconds, 1),
        "waiting_for_engine_seconds": round(report.engine_wait_seconds, 1),
        "refreshed_after_seconds": round(refreshed, 1),
        "merge_seconds": round(merged, 1),
        "disk_mb": round(before_merge / 1e6, 1),
        "disk_mb_merged": round(disk / 1e6, 1),
        "bytes_per_document_merged": round(disk / count),
    }


def scan(count: int) -> dict[str, Any]:
    """The engine's part of a run that changes nothing."""
    engine, before, started = connected(), peak_mb(), time.perf_counter()
    held = read_holdings(engine, ALIAS, COLLECTION)
    read, after_reading = time.perf_counter() - started, peak_mb()
    files = list(map(made_file, range(count)))  # what a walk gives; neither its time nor its memory is counted
    with_files, started = peak_mb(), time.perf_counter()
    tasks = Comparison(held, COLLECTION, ROOT).tasks(files)
    same = sum(isinstance(task, Same) for task in tasks)
    assert same == len(held) == count, (same, len(held))
    compared = time.perf_counter() - started
    memory = after_reading - before + peak_mb() - with_files
    return {"read_seconds": round(read, 2), "compare_seconds": round(compared, 2), "peak_mb": round(memory)}


def group() -> dict[str, Any]:
    """`group_duplicates`, twice."""
    engine, before, started = connected(), peak_mb(), time.perf_counter()
    changed = group_duplicates(engine, ALIAS)
    first, started = time.perf_counter() - started, time.perf_counter()
    assert group_duplicates(engine, ALIAS) == 0
    again = time.perf_counter() - started
    return {
        "changed": changed,
        "seconds": round(first, 1),
        "seconds_again": round(again, 1),
        "peak_mb": round(peak_mb() - before),
    }


def peak_mb() -> float:
    """The most resident memory that this process has had since it was last asked."""
    status = Path("/proc/self/status").read_text()
    Path("/proc/self/clear_refs").write_text("5")  # begins anew
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def alone(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Do it in a process of its own."""
    load_average = round(os.getloadavg()[0], 1)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return {**pool.submit(work, *arguments).result(), "load_average": load_average}


def tune(engine: Engine, encoder: Encoder, drawn: Statistics, count: int, rounds: int) -> list[dict[str, Any]]:
    """Documents a second by senders and documents a request: the median over rounds, in which all take their turn."""
    documents = list(made_documents(drawn, encoder.model.lexicon, range(count)))
    found: dict[tuple[int, int], list[float]] = {}
    for turn in range(-1, rounds):  # the first warms the engine up
        for senders in SENDERS_TRIED if turn >= 0 else [SENDERS]:
            for chunk in CHUNKS_TRIED if turn >= 0 else [CHUNK_DOCUMENTS]:
                with open_target(engine, ALIAS, encoder.model, "picture", 64) as target, chunks_of(chunk):
                    target.complete = False
                    seconds = send(engine, target.index, encoder, iter(documents), senders).total_seconds
                engine.delete_index(target.index)
                if turn >= 0:
                    found.setdefault((senders, chunk), []).append(count / seconds)
    usual = middle.median(found[SENDERS, CHUNK_DOCUMENTS])
    return [
        {
            "senders": senders,
            "documents a request": chunk,
            "documents a second": round(middle.median(rates)),
            "to the default": round(middle.median(rates) / usual, 2),
            "of rounds": [round(rate) for rate in rates],
        }
        for (senders, chunk), rates in found.items()
    ]


def likeness(drawn: Statistics) -> dict[str, Any]:
    """How like the real documents made ones are: terms a picture, and the shares of the pictures that have each term."""
    made = Statistics.of(drawn.draw(5_000, np.random.default_rng(1)))
    shares = dict(zip(made.terms.tolist(), made.shares.tolist(), strict=True))
    apart = [abs(shares.get(term, 0.0) - share) for term, share in zip(drawn.terms.tolist(), drawn.shares.tolist(), strict=True)]
    return {
        "real_pictures": len(drawn.profiles),
        "terms_in_use": len(drawn.terms),
        "terms_a_picture": {"real": round(float(drawn.shares.sum()), 2), "made": round(float(made.shares.sum()), 2)},
        "largest_difference_of_a_share": round(max(apart), 4),
        "sum_of_squared_shares": {
            "real": round(float(drawn.shares @ drawn.shares), 3),
            "made": round(sum(s**2 for s in shares.values()), 3),
        },
    }


def free(engine: Engine) -> None:
    """Delete what an earlier run of this benchmark has left."""
    for index in engine.indices(f"{ALIAS}*"):
        engine.delete_index(index)


def main() -> None:
    """Measure, and print JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--like", required=True, help="an index of real pictures of the model")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--tune", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variants", type=int, default=0)
    parser.add_argument("--captions", type=Path, help="queries for --variants")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.variants and not options.captions:
        parser.error("--variants needs --captions for its queries")
    engine, encoder = connected(), load_encoder(open_model(options.model))
    free(engine)
    drawn = learn(engine, options.like, encoder)
    found: dict[str, Any] = {"server": engine.server.display, "cpus": len(os.sched_getaffinity(0)), "likeness": likeness(drawn)}
    try:
        if options.tune:
            found["tuning"] = tune(engine, encoder, drawn, options.tune, options.rounds)
        if options.variants:
            found["variants"] = compare_variants(engine, encoder, drawn, options.variants, options.captions, ALIAS)
        if options.documents:
            found["load"] = load(engine, encoder, drawn, options.documents)
            found["unchanged"] = alone(scan, options.documents)
            found["duplicates"] = alone(group)
    finally:
        free(engine)
    tell(found, options.out)
    for part in found.values():
        if isinstance(part, list):
            print("\n" + table(part))
    print("\n" + table([found.get(part, {}) for part in ("load", "unchanged", "duplicates") if part in found]))


if __name__ == "__main__":
    main()
