"""What does somebody find who has no encoder, only OpenSearch with neural-search? `neural_sparse` with `query_text`, on dev data.

    python -m benchmarks.encoder_free --images DIR --captions FILE --files DEV.txt [--model DIR]

Starts OpenSearch 3.6.0 with the plugins from packages (470 MB), indexes the pictures, and asks each caption twice: as text that
the server's own analyzer `bert-uncased` cuts into word pieces, and as the terms of our query table. R@1, R@5 and R@10.
"""

import json
from collections.abc import Callable
from typing import Any

from benchmarks.options import captioned_pictures
from lexlip_es.batches import batched
from lexlip_es.dialects import dialect_of_form
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import ConnectionSettings, Engine, connect
from lexlip_es.evaluating import CaptionedPictures, read_captioned_pictures
from lexlip_es.indexing import index_source
from lexlip_es.loading import Run
from lexlip_es.model_folder import open_model
from lexlip_es.queries import search_body
from lexlip_es.sources.folder import PictureFolder
from lexlip_es.subjects import query_row
from tests.servers import start

INDEX = "pictures"
CUTS = (1, 5, 10)


def by_text(text: str) -> dict[str, Any]:
    """What a person would type into Dev Tools: no term, no weight."""
    query = {"neural_sparse": {"terms": {"query_text": text, "analyzer": "bert-uncased"}}}
    return {"size": max(CUTS), "_source": ["path"], "query": query}


def recall(engine: Engine, data: CaptionedPictures, body: Callable[[str], dict[str, Any]]) -> dict[int, float]:
    """R@k in per cent; a caption without any hit counts as not found."""
    found = dict.fromkeys(CUTS, 0)
    for texts in batched(data.texts, 50):
        for text, answer in zip(texts, engine.msearch(INDEX, [body(text.text) for text in texts]), strict=True):
            paths = [hit["_source"]["path"] for hit in answer["hits"]["hits"]]
            for k in CUTS:
                found[k] += text.picture in paths[:k]
    return {k: round(100 * count / len(data.texts), 1) for k, count in found.items()}


def main() -> None:
    """Measure both ways and print JSON."""
    parser = captioned_pictures(__doc__)
    options = parser.parse_args()
    model = open_model(options.model)
    encoder = load_encoder(model)
    data = read_captioned_pictures(options.images, options.captions, options.files)
    dialect = dialect_of_form("neural_sparse")

    def by_terms(text: str) -> dict[str, Any]:
        return search_body(query_row(encoder, text), model.lexicon, max(CUTS), dialect=dialect, fields=["path"])

    server = start("opensearch-3.6.0-neural")
    try:
        engine = connect(ConnectionSettings(urls=(server.url,)))
        index_source(engine, Run.of(encoder, options.images), PictureFolder(options.images, files=options.files), INDEX)
        ways = {"query_text, bert-uncased": by_text, "query_tokens, our table": by_terms}
        print(json.dumps({"model": model.label} | {name: recall(engine, data, body) for name, body in ways.items()}))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
