"""Design contract 1 on every server: each form of a query scores as the reference does, bit for bit, and can be explained."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lexlip_es.clause_limit import ClauseLimit
from lexlip_es.dialects import Dialect, FieldType, QueryForm, dialect_for, family_for
from lexlip_es.documents import features
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import ConnectionSettings, Engine, JsonObject, connect
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.explanations import exact_shares
from lexlip_es.indexing import index_source
from lexlip_es.lexicon import Lexicon
from lexlip_es.loading import Run
from lexlip_es.mappings import IndexMeta, index_body, index_meta, model_template
from lexlip_es.model_folder import ModelFolder, starter_path
from lexlip_es.queries import (
    Filter,
    asked_terms,
    explain_request,
    hits_request,
    read_hit,
    search_body,
    term_shares,
)
from lexlip_es.searching import Searcher
from lexlip_es.subjects import Subject
from lexlip_es.texts import TextFile
from lexlip_es.weights import Row, SparseWeights, prepare_documents, prepare_queries, reference_scores
from tests.servers import MATRIX, Server, on_servers

# LEXLIP_TEST_SERVERS names other servers: the one with the neural-search plugin is not part of the usual run.
pytestmark = on_servers(*(os.environ.get("LEXLIP_TEST_SERVERS") or " ".join(MATRIX)).split())
# What each server can be asked.
FORMS: Mapping[str, tuple[FieldType, tuple[QueryForm, ...]]] = {
    "opensearch-3.9.0": ("rank_features", ("rank_feature",)),
    "opensearch-2.19.6": ("rank_features", ("rank_feature",)),
    "elasticsearch-9.5.3": ("sparse_vector", ("sparse_vector", "term", "query_string")),
    "elasticsearch-8.19.21": ("sparse_vector", ("sparse_vector", "term", "query_string")),
    "elasticsearch-7.17.29": ("rank_features", ("rank_feature",)),
    "opensearch-3.6.0-neural": ("rank_features", ("rank_feature", "neural_sparse")),
}
# Cells of the matrix that no package can fill; `lexlip-es doctor --parity` proves them on a full server.
NOT_RUN: Mapping[tuple[str, QueryForm], str] = {
    ("elasticsearch-9.5.3", "rank_feature"): "no package brings the module mapper-extras of this version",
    ("elasticsearch-8.19.21", "rank_feature"): "no package brings the module mapper-extras of this version",
}
HEAVIEST = {"neural_sparse": 64.0}
DOCUMENTS, QUERIES, VOCABULARY, AT_ONCE = 500, 150, 400, 50
INDEX = "forms-000001"
HALF = DOCUMENTS // 2


def random_weights(rng: np.random.Generator, rows: int, lexicon: Lexicon, heaviest: float = np.inf) -> SparseWeights:
    """Rows of 1 to 60 terms whose weights span five orders of magnitude; a few terms are common, most are rare."""
    # every name that is not spelled like its piece takes part, and so do marks, digits and scripts other than Latin
    odd = [term for term, piece in enumerate(lexicon.pieces) if lexicon.name(term) != piece]
    odd += [term for sign in '"\\*?:(){}[]~^-+&|!/' if (term := lexicon.piece_id(sign)) is not None]
    others = rng.choice(len(lexicon), VOCABULARY - len(odd), replace=False)
    pool = np.unique(np.concatenate([odd, others]))
    chances = 1 / (1 + np.arange(len(pool)))
    made = []
    for _ in range(rows):
        terms = rng.choice(pool, rng.integers(1, 60), replace=False, p=chances / chances.sum())
        weights = np.minimum(np.exp(rng.normal(0, 2, len(terms))), heaviest)
        made.append((terms, weights.astype(np.float32)))
    return SparseWeights.from_rows(made)


@dataclass(frozen=True)
class Asked:
    """A server with the made documents in it, and what it should say to the made queries."""

    engine: Engine
    dialects: list[Dialect]
    queries: SparseWeights
    documents: SparseWeights
    expected: NDArray[np.float32]  # (QUERIES, DOCUMENTS)


@pytest.fixture(scope="module")
def model() -> ModelFolder:
    return ModelFolder.open(starter_path())


@pytest.fixture(scope="module")
def lexicon(model: ModelFolder) -> Lexicon:
    return model.lexicon


@pytest.fixture(scope="module")
def engine(server: Server) -> Iterator[Engine]:
    connected = connect(ConnectionSettings(urls=(server.url,)))
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def asked(server: Server, engine: Engine, lexicon: Lexicon) -> Iterator[Asked]:
    field_type, forms = FORMS[server.name]
    rng = np.random.default_rng(11)
    documents = prepare_documents(random_weights(rng, DOCUMENTS, lexicon), 64)
    heaviest = min(HEAVIEST.get(form, np.inf) for form in forms)
    queries = prepare_queries(random_weights(rng, QUERIES, lexicon, heaviest), 32)
    family = family_for(engine.server, field_type)
    engine.create_index(INDEX, index_body({}, family=family, shards=2, server=engine.server))
    sent = ({"_id": str(i), "source": {"terms": features(documents.row(i), lexicon)}} for i in range(DOCUMENTS))
    assert all(result.ok for result in engine.bulk(INDEX, sent))
    engine.refresh(INDEX)
    dialects = [dialect_for(engine.server, field_type, form) for form in forms]
    yield Asked(engine, dialects, queries, documents, reference_scores(queries, documents))
    engine.delete_index(INDEX)


def scores(
    asked: Asked, lexicon: Lexicon, dialect: Dialect, queries: int = QUERIES, filter: Filter | None = None
) -> NDArray[np.float32]:
    """(queries, DOCUMENTS) scores of the engine, NaN for what is no hit."""
    found = np.full((queries, DOCUMENTS), np.nan, np.float32)
    for start in range(0, queries, AT_ONCE):
        rows = [asked.queries.row(i) for i in range(start, start + AT_ONCE)]
        bodies = [search_body(row, lexicon, DOCUMENTS, dialect=dialect, fields=[], filter=filter) for row in rows]
        for i, answer in enumerate(asked.engine.msearch(INDEX, bodies), start):
            for hit in answer["hits"]["hits"]:
                found[i, int(hit["_id"])] = hit["_score"]
    return found


def test_every_score_of_every_form_equals_the_reference_bit_for_bit(asked: Asked, lexicon: Lexicon) -> None:
    expected = np.where(asked.expected > 0, asked.expected, np.nan)
    assert np.count_nonzero(asked.expected) > 10_000  # else the random data shared too few terms to prove anything
    for dialect in asked.dialects:
        found = scores(asked, lexicon, dialect)
        assert np.array_equal(found, expected, equal_nan=True), dialect.form


def test_a_filter_keeps_the_scores_and_lets_nothing_in(asked: Asked, lexicon: Lexicon) -> None:
    expected = np.where(asked.expected > 0, asked.expected, np.nan)[:AT_ONCE]
    expected[:, HALF:] = np.nan
    first_half = {"ids": {"values": [str(i) for i in range(HALF)]}}
    for dialect in asked.dialects:
        found = scores(asked, lexicon, dialect, AT_ONCE, first_half)
        assert np.array_equal(found, expected, equal_nan=True), dialect.form


def test_the_engine_s_own_shares_add_up_to_its_score(asked: Asked, lexicon: Lexicon) -> None:
    for i in range(50):
        best = np.argsort(-asked.expected[i])[:5]
        body, params = explain_request(asked.queries.row(i), lexicon, [str(j) for j in best], asked.dialects[0])
        hits = asked.engine.search(INDEX, body, **params)["hits"]["hits"]
        assert len(hits) == np.count_nonzero(asked.expected[i, best])
        query = features(asked.queries.row(i), lexicon)
        for hit in hits:
            shares = {name: np.float32(share) for name, share in exact_shares(hit).items()}
            stored = features(asked.documents.row(int(hit["_id"])), lexicon)
            assert shares == {name: np.float32(query[name]) * np.float32(stored[name]) for name in query.keys() & stored.keys()}
            assert np.float32(sum(map(float, shares.values()))) == np.float32(hit["_score"])


def test_every_hit_says_its_terms_exactly_whatever_it_is_asked_by(asked: Asked, lexicon: Lexicon) -> None:
    everything: Filter = {"bool": {"must_not": {"ids": {"values": ["none"], "_name": "dog"}}}}
    for dialect in asked.dialects:
        for i, filter in ((i, filter) for i in range(20) for filter in (None, everything)):
            row = asked.queries.row(i)
            body, params = hits_request(row, lexicon, 20, "picture", dialect=dialect, filter=filter)
            hits = [
                read_hit(hit, asked_terms(row, lexicon)) for hit in asked.engine.search(INDEX, body, **params)["hits"]["hits"]
            ]
            assert len(hits) == min(20, np.count_nonzero(asked.expected[i]))
            for hit in hits:
                stored = features(asked.documents.row(int(hit.id)), lexicon)
                assert hit.terms == term_shares(asked_terms(row, lexicon), stored), dialect.form
                assert np.float32(sum(share.contribution for share in hit.terms)) == np.float32(hit.score)


def test_a_query_of_any_length_is_answered_and_says_what_was_cut(asked: Asked, lexicon: Lexicon) -> None:
    first, length = 2_000, 1_200
    whole = (np.arange(first, first + length, dtype=np.int32), np.linspace(3, 1, length, dtype=np.float32))
    fewer = {"bool": {"should": [{"term": {"path": "a"}}, {"term": {"path": "b"}}]}}
    server = asked.engine.server
    unlimited = server.product == "elasticsearch" and server.version >= (8,)  # by the heap, which is far more
    for dialect in asked.dialects:
        limit = ClauseLimit()
        for filter, clauses in ((None, 0), (fewer, 2)):

            def send(row: Row, dialect: Dialect = dialect, filter: Filter | None = filter) -> JsonObject:
                return asked.engine.search(INDEX, search_body(row, lexicon, 1, dialect=dialect, filter=filter))

            found = limit.ask(whole, send, filter)
            if unlimited:
                assert (len(found.row[0]), found.notes) == (length, [])
            else:
                assert len(found.row[0]) == 1024 - clauses
                assert found.notes[0].startswith(
                    f"{length - 1024 + clauses} of {length} query terms, the lightest, were left out"
                )


def test_an_index_is_the_same_with_and_without_a_template(server: Server, engine: Engine, model: ModelFolder) -> None:
    alias, (field_type, _) = "templated", FORMS[server.name]
    family = family_for(engine.server, field_type)
    meta = index_meta(model, "picture", 64, field_type)
    body = index_body(meta, family=family, shards=2, server=engine.server)
    engine.create_index(f"{alias}-000001", body)
    template = model_template(model, alias, family=family, terms=32, server=engine.server)
    engine.put_template(template.name, template.body)
    try:
        engine.create_index(f"{alias}-000002", body)
        engine.create_index(f"{alias}-000003", {})  # as a loader makes it that knows nothing of us
        made = engine.indices(f"{alias}-*")
        assert made[f"{alias}-000002"]["mappings"] == made[f"{alias}-000001"]["mappings"]
        assert made[f"{alias}-000002"]["settings"]["index"]["number_of_shards"] == "2"
        foreign = made[f"{alias}-000003"]["mappings"]
        assert foreign["properties"] == made[f"{alias}-000001"]["mappings"]["properties"]
        IndexMeta.of(f"{alias}-000003", foreign).require_same_documents(model, "picture", 32)
    finally:
        for index in engine.indices(f"{alias}-*"):
            engine.delete_index(index)
        engine.request("DELETE", f"/_index_template/{template.name}")


def test_what_is_indexed_is_found_by_every_form_with_its_terms(
    server: Server, engine: Engine, model: ModelFolder, tmp_path: Path
) -> None:
    alias, (field_type, forms) = "said", FORMS[server.name]
    said = tmp_path / "said.txt"
    said.write_text("a dog on a beach\na red car in the street\n")
    encoder = load_encoder(model)
    try:
        report = index_source(engine, Run.of(encoder, said), TextFile(said), alias, field_type=field_type)
        assert report.indexed == 2
        for form in (None, *forms):
            found = Searcher(engine, encoder, alias, form).by_text("dog").hits
            assert found[0].caption == "a dog on a beach"
            assert found[0].terms and np.float32(sum(term.contribution for term in found[0].terms)) == found[0].score
        with_car = {"term": {"caption": "car"}}
        kept = Searcher(engine, encoder, alias).search(Subject.of(encoder, "dog street"), filter=with_car).hits
        assert [hit.caption for hit in kept] == ["a red car in the street"]
        other: FieldType = "rank_features" if field_type == "sparse_vector" else "sparse_vector"
        with pytest.raises(LexlipError, match=f"has a {field_type} field, not {other}"):
            index_source(engine, Run.of(encoder, said), TextFile(said), alias, field_type=other)
        with pytest.raises(UsageError, match="leave out --form"):
            Searcher(engine, encoder, alias, "rank_feature" if field_type == "sparse_vector" else "term")
    finally:
        for index in engine.indices(f"{alias}-*"):
            engine.delete_index(index)
