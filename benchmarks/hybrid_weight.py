"""How much should captions weigh beside terms in a hybrid search? Recall on dev data, for several weights of BM25.

    python -m benchmarks.hybrid_weight --images DIR --captions FILE --files DEV.txt [--model DIR] [--out FILE]

Each picture is indexed with all its captions but the last, which is asked. The server, an OpenSearch of the tests, scores them by
BM25; terms score as every server does (`weights.reference_scores`). Weight 0 is a search without captions.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.options import captioned_pictures, tell
from lexlip_es.batches import batched
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import ConnectionSettings, connect
from lexlip_es.evaluating import encode_pictures, read_captioned_pictures
from lexlip_es.evaluation import Recall, ranks
from lexlip_es.mappings import index_body
from lexlip_es.model_folder import open_model
from lexlip_es.weights import prepare_documents, prepare_queries, reference_scores
from tests.servers import start

INDEX = "captions"
WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 4.0)


def by_captions(kept: list[list[str]], asked: list[str]) -> NDArray[np.float32]:
    """(Q, D) BM25 scores of the captions that are kept, one list a picture, for the texts that are asked."""
    server = start("opensearch-3.9.0")
    try:
        engine = connect(ConnectionSettings(urls=(server.url,)))
        engine.create_index(INDEX, index_body({}))
        documents: Iterator[dict[str, Any]] = (
            {"_id": str(i), "source": {"caption": captions}} for i, captions in enumerate(kept)
        )
        assert all(result.ok for result in engine.bulk(INDEX, documents))
        engine.refresh(INDEX)
        scores = np.zeros((len(asked), len(kept)), np.float32)
        bodies = [{"size": len(kept), "_source": False, "query": {"match": {"caption": text}}} for text in asked]
        answers = (answer for some in batched(bodies, 20) for answer in engine.msearch(INDEX, some))
        for i, answer in enumerate(answers):
            for hit in answer["hits"]["hits"]:
                scores[i, int(hit["_id"])] = hit["_score"]
        engine.close()
        return scores
    finally:
        server.stop()


def main() -> None:
    """Measure every weight and print JSON."""
    parser = captioned_pictures(__doc__)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    model = open_model(options.model)
    encoder = load_encoder(model)
    data = read_captioned_pictures(options.images, options.captions, options.files)
    captions = [[data.texts[j].text for j in owned] for owned in data.captions_of]
    asked = [said[-1] for said in captions]
    bm25 = by_captions([said[:-1] for said in captions], asked)
    pictures = encode_pictures(encoder, data.root, data.names, lambda: None)
    terms = reference_scores(
        prepare_queries(encoder.encode_texts(asked), model.pruning.query_terms),
        prepare_documents(pictures, model.pruning.picture_terms),
    )
    right = [[i] for i in range(len(asked))]
    found = {str(weight): Recall.of(ranks(terms + weight * bm25, right), len(captions)) for weight in WEIGHTS}
    found["captions alone"] = Recall.of(ranks(bm25, right), len(captions))
    tell({"model": model.label} | {way: recall.to_json() for way, recall in found.items()}, options.out)


if __name__ == "__main__":
    main()
