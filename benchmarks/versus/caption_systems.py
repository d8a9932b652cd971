"""The words of captions in the same engine, ranked by BM25: what the paper compares with.

A picture's document has those of its captions that the collection does not ask: of five captions, of which one is asked, the
other four. A picture without captions is there with none.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.made_documents import made_document
from benchmarks.versus import disk
from benchmarks.versus.collection import Collection
from benchmarks.versus.engine_systems import PREFIX, EngineIndex, HttpWay, Node
from lexlip_es.dialects import family_for
from lexlip_es.documents import Document
from lexlip_es.mappings import index_body

INDEX = f"{PREFIX}-captions"
_NO_TERMS = (np.empty(0, np.int32), np.empty(0, np.float32))


def indexed_captions(collection: Collection, captions: Sequence[Sequence[str]]) -> list[list[str]]:
    """Of each picture's captions those that are no query for it; pictures beyond the end of `captions` have none."""
    asked: dict[int, set[str]] = {}
    for text, picture in zip(collection.texts, collection.gold.tolist(), strict=True):
        asked.setdefault(picture, set()).add(text)
    return [[text for text in texts if text not in asked.get(i, ())] for i, texts in enumerate(captions)]


def build_captions(node: Node, collection: Collection, captions: Sequence[Sequence[str]]) -> EngineIndex:
    """The index; `captions[i]` are all captions of picture i."""
    kept = indexed_captions(collection, captions)
    body = index_body({}, family=family_for(node.engine.server), server=node.engine.server)

    def documents() -> Iterator[Document]:
        for i in range(len(collection)):
            said = {"caption": kept[i]} if i < len(kept) and kept[i] else {}
            document = made_document(i, _NO_TERMS, collection.lexicon, said=said)
            for field in ("terms", "top_terms", "n_terms"):
                del document["source"][field]
            yield document

    started = time.perf_counter()
    disk.load(node.engine, INDEX, body, documents())
    node.seconds[INDEX] = time.perf_counter() - started
    return EngineIndex(
        f"{node.engine.server.display} BM25 over captions",
        {"captions a picture": round(sum(map(len, kept)) / max(1, len(kept)), 2)},
        node.cost(INDEX, disk.parts(node.engine, INDEX)),
        [HttpWay("captions", {}, node.server.url, INDEX, [_body(text) for text in collection.texts])],
        node,
        INDEX,
    )


def _body(text: str) -> dict[str, Any]:
    lean = {"_source": False, "stored_fields": "_none_", "docvalue_fields": ["path"]}
    return {"query": {"match": {"caption": text}}, "track_total_hits": False, **lean}
