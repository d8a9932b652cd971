"""The demo: photographs from two packages, the embedded OpenSearch, an index of its own, searches, nothing left running."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lexlip_es.demo_pictures import write_demo_pictures
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import connect, embedded
from lexlip_es.engines.node.places import Places
from lexlip_es.engines.settings import ConnectionSettings
from lexlip_es.indexing import index_source
from lexlip_es.loading import Run
from lexlip_es.model_folder import ModelFolder, starter_path
from lexlip_es.searching import Searcher, SearchResult
from lexlip_es.sources.folder import PictureFolder

INDEX = "lexlip-demo"


def run_demo(searches: Sequence[str], folder: Path | None, *, report: Callable[[str], None]) -> Iterator[SearchResult]:
    """Index the demo's photographs and yield the three best for each sentence; uses the embedded engine even where a URL is set.

    The index is removed at the end, and the engine is stopped if the demo started it. Raises `LexlipError`, naming the pip
    command, where the extras `demo` and `embedded` are missing.
    """
    cache = Places.find(os.environ).cache
    pictures = folder or cache / "demo-pictures"
    report(f"{write_demo_pictures(pictures)} photographs in {pictures}")
    was_running = embedded.status() is not None
    engine = connect(ConnectionSettings.from_environment({}), report=report)
    try:
        for index in engine.indices(f"{INDEX}-*"):
            engine.delete_index(index)
        encoder = load_encoder(ModelFolder.open(starter_path()))
        report(index_source(engine, Run.of(encoder, pictures), PictureFolder(pictures), INDEX).summary())
        searcher = Searcher(engine, encoder, INDEX)
        for text in searches:
            yield searcher.by_text(text, 3)
        for index in engine.indices(INDEX):
            engine.delete_index(index)
    finally:
        engine.close()
        if not was_running:
            embedded.stop()
            report(f"stopped the embedded OpenSearch; what it was fetched into stays: {cache}")
