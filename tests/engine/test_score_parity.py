"""Design contract 1 on the real server: the engine's score is the reference score, bit for bit."""

import numpy as np
import pytest

from lexlip_es.documents import features
from lexlip_es.engines import Engine
from lexlip_es.lexicon import Lexicon
from lexlip_es.mappings import index_body
from lexlip_es.model_folder import ModelFolder, starter_path
from lexlip_es.queries import search_body
from lexlip_es.weights import SparseWeights, prepare_documents, prepare_queries, reference_scores

DOCUMENTS, QUERIES, VOCABULARY = 500, 300, 400
INDEX = "parity"


def random_weights(rng: np.random.Generator, rows: int, lexicon: Lexicon) -> SparseWeights:
    """Rows of 1 to 60 terms whose weights span five orders of magnitude; a few terms are common, most are rare."""
    # every name that is not spelled like its piece takes part, and so do marks, digits and scripts other than Latin
    odd = [term for term, piece in enumerate(lexicon.pieces) if lexicon.name(term) != piece]
    others = rng.choice(len(lexicon), VOCABULARY - len(odd), replace=False)
    pool = np.unique(np.concatenate([odd, others]))
    chances = 1 / (1 + np.arange(len(pool)))
    made = []
    for _ in range(rows):
        terms = rng.choice(pool, rng.integers(1, 60), replace=False, p=chances / chances.sum())
        made.append((terms, np.exp(rng.normal(0, 2, len(terms))).astype(np.float32)))
    return SparseWeights.from_rows(made)


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return ModelFolder.open(starter_path()).lexicon


def test_every_score_of_the_engine_equals_the_reference_bit_for_bit(engine: Engine, lexicon: Lexicon) -> None:
    rng = np.random.default_rng(11)
    documents = prepare_documents(random_weights(rng, DOCUMENTS, lexicon), 64)
    queries = prepare_queries(random_weights(rng, QUERIES, lexicon), 32)
    engine.create_index(INDEX, index_body({}, shards=2))
    try:
        sent = ({"_id": str(i), "source": {"terms": features(documents.row(i), lexicon)}} for i in range(DOCUMENTS))
        assert all(result.ok for result in engine.bulk(INDEX, sent))
        engine.refresh(INDEX)
        expected = reference_scores(queries, documents)
        bodies = [search_body(queries.row(i), lexicon, DOCUMENTS, fields=[]) for i in range(QUERIES)]
        compared = 0
        for i, answer in enumerate(engine.msearch(INDEX, bodies)):
            scores = np.zeros(DOCUMENTS, np.float32)
            for hit in answer["hits"]["hits"]:
                scores[int(hit["_id"])] = hit["_score"]
            assert scores.tolist() == expected[i].tolist()
            compared += np.count_nonzero(scores)
        assert compared > 30_000  # else the random data shared too few terms to prove anything
    finally:
        engine.delete_index(INDEX)
