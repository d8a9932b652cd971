import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexlip_es.lexicon import Lexicon
from lexlip_es.queries import ranking_body, read_hit, search_body, term_shares, terms_query
from lexlip_es.weights import SparseWeights, prepare_documents, reference_scores

LEXICON = Lexicon([f"piece{i}" for i in range(30)] + ["dog", "##dog", "."])
rows = st.dictionaries(st.integers(0, len(LEXICON) - 1), st.floats(2**-20, 2**10, width=32), min_size=1, max_size=20)


def batch(row: dict[int, float]) -> SparseWeights:
    return SparseWeights.from_rows([(list(row), list(row.values()))])


@given(rows)
def test_every_term_is_one_linear_clause_with_its_exact_weight(row: dict[int, float]) -> None:
    body = json.loads(json.dumps(search_body(batch(row).row(0), LEXICON, 10)))
    assert body["query"]["bool"]["minimum_should_match"] == 1
    clauses = [clause["rank_feature"] for clause in body["query"]["bool"]["should"]]
    assert all(clause["linear"] == {} for clause in clauses)
    asked = {LEXICON.id(clause["field"].removeprefix("terms.")): clause["boost"] for clause in clauses}
    assert asked == row


def test_terms_stay_on_the_server_unless_asked_for() -> None:
    row = batch({1: 1.0}).row(0)
    assert search_body(row, LEXICON, 10)["_source"] == {"excludes": ["terms"]}
    assert search_body(row, LEXICON, 10, fields=["path", "terms"])["_source"] == ["path", "terms"]
    assert search_body(row, LEXICON, 10, fields=[])["_source"] is False


def test_hits_are_not_counted_which_would_cost_time() -> None:
    assert search_body(batch({1: 1.0}).row(0), LEXICON, 3)["track_total_hits"] is False


def test_another_field_can_be_asked() -> None:
    clause = terms_query(batch({32: 1.0}).row(0), LEXICON, field="other")["bool"]["should"][0]
    assert clause["rank_feature"]["field"] == "other.%2E"


@given(rows, rows)
def test_the_shares_of_the_terms_add_up_to_the_score(query: dict[int, float], picture: dict[int, float]) -> None:
    asked, document = batch(query), prepare_documents(batch(picture), 20)
    stored = {LEXICON.name(int(term)): float(weight) for term, weight in zip(*document.row(0), strict=True)}
    shares = term_shares(asked.row(0), stored, LEXICON)
    assert {share.piece for share in shares} == {LEXICON.pieces[term] for term in query.keys() & picture.keys()}
    assert np.float32(sum(share.contribution for share in shares)) == reference_scores(asked, document)[0, 0]
    assert [share.contribution for share in shares] == sorted((share.contribution for share in shares), reverse=True)


def test_a_hit_reads_as_the_contract_gives_it() -> None:
    row = batch({30: 2.0, 31: 1.0}).row(0)
    answer = {
        "_id": "ab",
        "_score": 1.5,
        "_source": {"path": "a/dog.jpg", "collection": "/photos", "terms": {"dog": 0.75}},
    }
    hit = read_hit(answer, row, LEXICON)
    assert hit.to_json() == {
        "id": "ab",
        "path": "a/dog.jpg",
        "score": 1.5,
        "terms": [{"term": "dog", "piece": "dog", "query_weight": 2.0, "picture_weight": 0.75, "contribution": 1.5}],
        "collection": "/photos",
    }
    assert hit.full_path == "/photos/a/dog.jpg"


@pytest.mark.parametrize("source", [None, {}, {"terms": {}}])
def test_a_server_that_leaves_fields_out_loses_no_hit(source: object) -> None:
    hit = read_hit({"_id": "ab", "_score": "1.5", "_source": source}, batch({1: 1.0}).row(0), LEXICON)
    assert (hit.id, hit.path, hit.score, hit.terms) == ("ab", "", 1.5, [])


def test_a_ranking_reads_no_stored_document() -> None:
    body = ranking_body(batch({1: 1.0}).row(0), LEXICON, 5)
    assert (body["_source"], body["stored_fields"], body["docvalue_fields"]) == (False, "_none_", ["collection", "path"])
