"""Do the contributions of terms and texts add up to the engine's score, bit for bit? Random captions as queries, on real servers.

    python -m benchmarks.why_exact --images DIR --captions FILE --files DEV.txt [--model DIR] [--queries 100] [--seed 0]

Each server of the tests gets the pictures with all their captions. Each query is asked plainly, with BM25 beside it, and
explained for its tenth hit, as `search --why` and `explain` do.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks.markdown import table
from benchmarks.options import captioned_pictures
from lexlip_es.dialects import FieldType, family_for
from lexlip_es.documents import document_id, features, name_words
from lexlip_es.encoders import Encoder, load_encoder
from lexlip_es.engines import ConnectionSettings, Engine, connect
from lexlip_es.evaluating import CaptionedPictures, encode_pictures, read_captioned_pictures
from lexlip_es.explaining import explain
from lexlip_es.mappings import index_body, index_meta
from lexlip_es.model_folder import open_model
from lexlip_es.queries import Hit
from lexlip_es.searching import Searcher
from lexlip_es.subjects import Subject
from lexlip_es.weights import SparseWeights, prepare_documents
from lexlip_es.why import reasons
from tests.servers import start

INDEX = "why"
# `rank_features` of Elasticsearch 8 and 9 come with no package.
SERVERS: dict[str, FieldType] = {
    "opensearch-3.9.0": "rank_features",
    "opensearch-2.19.6": "rank_features",
    "elasticsearch-9.5.3": "sparse_vector",
    "elasticsearch-7.17.29": "rank_features",
}


def adds_up(hit: Hit) -> bool:
    """Whether its terms and texts, and its reasons, are its score, as float32."""
    shares = [term.contribution for term in hit.terms] + [text.contribution for text in hit.texts]
    given = [sum(shares), sum(reason.contribution for reason in reasons(hit))]
    return all(np.float32(total) == np.float32(hit.score) for total in given)


def index(engine: Engine, encoder: Encoder, data: CaptionedPictures, pictures: SparseWeights, field: FieldType) -> None:
    """Put the pictures into an index of this name on the server."""
    model = encoder.model
    meta = index_meta(model, "picture", model.pruning.picture_terms, field)
    engine.create_index(INDEX, index_body(meta, family=family_for(engine.server, field), server=engine.server))
    documents = (
        {
            "_id": document_id("dev", name.encode()),
            "source": {
                "terms": features(pictures.row(i), model.lexicon),
                "collection": "dev",
                "path": name,
                "name": name_words(name),
                "caption": [data.texts[j].text for j in owned],
            },
        }
        for i, (name, owned) in enumerate(zip(data.names, data.captions_of, strict=True))
    )
    assert all(result.ok for result in engine.bulk(INDEX, documents))
    engine.refresh(INDEX)


def measured(name: str, engine: Engine, encoder: Encoder, queries: Iterable[str]) -> dict[str, object]:
    """How many hits there were of each kind, and how many whose contributions do not add up."""
    searcher = Searcher(engine, encoder, INDEX)
    found: dict[str, list[Hit]] = {"plain": [], "hybrid": [], "explained": []}
    for query in queries:
        subject = Subject.of(encoder, query, literal=True)
        plain = searcher.search(subject).hits
        found["plain"] += plain
        found["hybrid"] += searcher.search(subject, hybrid=True).hits
        found["explained"].append(explain(searcher, subject, plain[-1].id))
        assert found["explained"][-1].terms == plain[-1].terms
    wrong = {kind: sum(not adds_up(hit) for hit in hits) for kind, hits in found.items()}
    shares = sum(len(hit.terms) + len(hit.texts) for hits in found.values() for hit in hits)
    return {"server": name, "contributions": shares, **{kind: f"{wrong[kind]} of {len(hits)}" for kind, hits in found.items()}}


def main() -> None:
    """Ask every server and print a table: hits whose contributions do not add up to their score."""
    parser = captioned_pictures(__doc__)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    encoder = load_encoder(open_model(options.model))
    data = read_captioned_pictures(options.images, options.captions, options.files)
    encoded = encode_pictures(encoder, Path(options.images), data.names, lambda: None)
    pictures = prepare_documents(encoded, encoder.model.pruning.picture_terms)
    chosen = np.random.default_rng(options.seed).choice(len(data.texts), options.queries, replace=False)
    queries = [data.texts[j].text for j in chosen]
    rows = []
    for name, field in SERVERS.items():
        server = start(name)
        try:
            engine = connect(ConnectionSettings(urls=(server.url,)))
            index(engine, encoder, data, pictures, field)
            rows.append(measured(name, engine, encoder, queries))
            engine.close()
        finally:
            server.stop()
    print(table(rows))


if __name__ == "__main__":
    main()
