import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexlip_es.clause_limit import fit_clauses
from lexlip_es.dialects import Dialect, QueryForm, dialect_of_form
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.explanations import exact_shares
from lexlip_es.hybrid import text_clauses
from lexlip_es.lexicon import Lexicon, feature_name
from lexlip_es.queries import (
    TextShare,
    asked_terms,
    explain_request,
    hits_request,
    query_string,
    ranking_body,
    read_hit,
    search_body,
    term_shares,
    terms_query,
)
from lexlip_es.weights import SparseWeights, prepare_documents, reference_scores

LEXICON = Lexicon([f"piece{i}" for i in range(30)] + ["dog", "##dog", ".", '"', "\\", "*", "日"])
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


def test_hits_are_counted_where_the_dialect_says_so_alone() -> None:
    row = batch({1: 1.0}).row(0)
    assert search_body(row, LEXICON, 3)["track_total_hits"] is False
    counting = Dialect("rank_features", "rank_feature", track_total_hits=True)
    assert search_body(row, LEXICON, 3, dialect=counting)["track_total_hits"] is True


def weights_of(query: dict[str, Any], form: QueryForm) -> dict[str, float]:
    """Feature name -> weight, read back as an engine reads the query."""
    if form == "sparse_vector":
        assert query["sparse_vector"]["prune"] is False
        return dict(query["sparse_vector"]["query_vector"])
    if form == "neural_sparse":
        return dict(query["neural_sparse"]["terms"]["query_tokens"])
    if form == "term":
        clauses = [clause["term"]["terms"] for clause in query["bool"]["should"]]
        return {clause["value"]: clause["boost"] for clause in clauses}
    written = re.fullmatch(r"terms:\((.*)\)", query["query_string"]["query"])
    assert written
    found = {}
    for quoted, weight in re.findall(r'"((?:[^"\\]|\\.)*)"\^([0-9.]+)(?: |$)', written[1]):
        found[re.sub(r"\\(.)", r"\1", quoted)] = float(np.float32(weight))
    return found


@given(rows)
@pytest.mark.parametrize("form", ["sparse_vector", "neural_sparse", "term", "query_string"])
def test_every_form_says_every_term_with_its_exact_weight(form: QueryForm, row: dict[int, float]) -> None:
    asked = {term: min(weight, 64.0) for term, weight in row.items()}
    query = json.loads(json.dumps(terms_query(batch(asked).row(0), LEXICON, form=form)))
    assert weights_of(query, form) == {LEXICON.name(term): weight for term, weight in asked.items()}


def test_query_string_is_one_line_of_lucene_with_plain_decimals() -> None:
    line = query_string(batch({30: 2.0, 33: 0.5, 34: 1e-7}).row(0), LEXICON)
    assert line == r'terms:("dog"^2 "\""^0.5 "\\"^0.0000001)'


def test_neural_sparse_refuses_a_weight_that_the_plugin_would() -> None:
    with pytest.raises(UsageError, match="up to 64 and this query has 65"):
        terms_query(batch({1: 65.0, 2: 1.0}).row(0), LEXICON, form="neural_sparse")


@pytest.mark.parametrize("form", ["rank_feature", "term", "sparse_vector", "query_string", "neural_sparse"])
def test_a_filter_stands_beside_the_query_and_adds_no_score(form: QueryForm) -> None:
    clause = {"term": {"folder": "2024"}}
    query = terms_query(batch({1: 1.0}).row(0), LEXICON, form=form, filter=clause)["bool"]
    assert query.pop("filter") == clause
    if form in ("rank_feature", "term"):
        assert query["minimum_should_match"] == 1 and query["should"]
    else:
        assert query == {"must": [terms_query(batch({1: 1.0}).row(0), LEXICON, form=form)]}


def test_more_clauses_than_a_server_takes_are_cut_by_weight() -> None:
    row = batch({1: 1.0, 2: 3.0, 3: 2.0}).row(0)
    assert fit_clauses(row, None) == (row, 0)
    assert fit_clauses(row, 3)[1] == 0
    fitting, dropped = fit_clauses(row, 2)
    assert (fitting[0].tolist(), fitting[1].tolist(), dropped) == ([2, 3], [3.0, 2.0], 1)


def test_the_clauses_of_a_filter_count_too_and_a_list_of_values_is_one() -> None:
    row = batch({term: 1.0 + term for term in range(10)}).row(0)
    both = {"bool": {"should": [{"term": {"path": "a"}}, {"term": {"path": "b"}}]}}
    assert fit_clauses(row, 10, both)[1] == 2
    assert fit_clauses(row, 11, {"terms": {"path": [str(i) for i in range(2000)]}})[1] == 0
    assert fit_clauses(row, 18, both, None, *text_clauses("a dog", ["red car"]))[1] == 10 - (18 - 2 - 3 * 4)  # three texts
    assert len(fit_clauses(row, 1, both)[0][0]) == 1  # a query keeps its heaviest term whatever the filter is


def test_explaining_asks_for_the_named_documents_by_one_clause_a_term() -> None:
    row = batch({30: 2.0, 32: 1.0}).row(0)
    body, params = explain_request(row, LEXICON, ["ab"], Dialect("sparse_vector", "sparse_vector"))
    assert params == {"include_named_queries_score": True}
    assert [clause["term"]["terms"]["_name"] for clause in body["query"]["bool"]["should"]] == ["dog", "%2E"]
    assert body["query"]["bool"]["filter"] == {"ids": {"values": ["ab"]}}
    body, params = explain_request(row, LEXICON, ["ab"], Dialect("rank_features", "rank_feature", named_scores=False))
    assert (body["explain"], params) == (True, {})
    assert not any("_name" in clause["rank_feature"] for clause in body["query"]["bool"]["should"])


def test_shares_are_read_from_named_clauses_or_from_an_explanation() -> None:
    assert exact_shares({"matched_queries": {"dog": 1.5, "%2E": 0.25}}) == {"dog": 1.5, "%2E": 0.25}
    leaves = [
        {"value": value, "description": f"Linear function on the terms field for the {name} feature, computed as w * S from:"}
        for name, value in ((feature_name("dog"), 1.5), (feature_name("."), 0.25))
    ]
    explained = {"value": 1.75, "description": "sum of:", "details": [{"description": "sum of:", "details": leaves}]}
    assert exact_shares({"_explanation": explained}) == {"dog": 1.5, "%2E": 0.25}
    with pytest.raises(LexlipError, match="does not explain"):
        exact_shares({"matched_queries": ["dog"]})


def test_the_share_of_a_text_is_what_its_clause_gave_as_a_whole() -> None:
    words = [
        {"value": 0.1, "description": f"weight({word} in 3) [PerFieldSimilarity], result of:"}
        for word in ("caption:a", "caption:b")
    ]
    leaves = [
        {"value": 1.5, "description": "Linear function on the terms field for the dog feature, computed as w * S from:"},
        {"value": 0.25, "description": "sum of:", "details": words},  # a sum of its own, which the engine has rounded
        {"value": 0.125, "description": "weight(tags.words:dog in 3) [PerFieldSimilarity], result of:"},
    ]
    answer = {"_id": "ab", "_score": 1.875, "_explanation": {"value": 1.875, "description": "sum of:", "details": leaves}}
    asked = asked_terms(batch({30: 2.0}).row(0), LEXICON)
    explained = read_hit(answer, asked)
    assert explained.texts == [TextShare("caption", 0.25), TextShare("tags", 0.125)]
    names = {"text.tags": 0.125, "dog": 1.5, "text.caption": 0.25}
    assert read_hit({"_id": "ab", "_score": 1.875, "matched_queries": names}, asked) == explained
    assert explained.to_json()["texts"][0] == {"field": "caption", "contribution": 0.25}
    assert [share.contribution for share in explained.terms] == [1.5]
    assert read_hit({"_id": "ab", "_score": 0.25, "_explanation": leaves[1]}, asked).texts == [TextShare("caption", 0.25)]


def test_texts_are_asked_by_a_clause_each_that_says_what_it_gave() -> None:
    row, texts = batch({30: 2.0}).row(0), text_clauses("a dog", ["red car"])
    for dialect in (Dialect("rank_features", "rank_feature"), Dialect("sparse_vector", "sparse_vector")):
        body, params = hits_request(row, LEXICON, 20, "text", dialect=dialect, texts=texts)
        assert params == {"include_named_queries_score": True}
        assert body["query"]["bool"]["should"][1:] == texts and body["query"]["bool"]["minimum_should_match"] == 1
    old = Dialect("rank_features", "rank_feature", named_scores=False)
    body, params = hits_request(row, LEXICON, 20, "picture", dialect=old, texts=texts)
    assert (body["explain"], params) == (True, {})
    assert text_clauses(" ") == []


@pytest.mark.parametrize("form", ["rank_feature", "term", "sparse_vector", "query_string", "neural_sparse"])
def test_a_filter_without_a_term_lists_what_matches_by_path(form: QueryForm) -> None:
    nothing, clause = SparseWeights.from_rows([([], [])]).row(0), {"term": {"folder": "2024"}}
    body = search_body(nothing, LEXICON, 10, dialect=dialect_of_form(form), filter=clause)
    assert (body["query"], body["sort"]) == ({"bool": {"filter": clause}}, [{"path": "asc"}])
    assert "sort" not in search_body(batch({1: 1.0}).row(0), LEXICON, 10, dialect=dialect_of_form(form), filter=clause)


def test_another_field_can_be_asked() -> None:
    clause = terms_query(batch({32: 1.0}).row(0), LEXICON, field="other")["bool"]["should"][0]
    assert clause["rank_feature"]["field"] == "other.%2E"


@given(rows, rows)
def test_the_shares_of_the_terms_add_up_to_the_score(query: dict[int, float], picture: dict[int, float]) -> None:
    asked, document = batch(query), prepare_documents(batch(picture), 20)
    stored = {LEXICON.name(int(term)): float(weight) for term, weight in zip(*document.row(0), strict=True)}
    shares = term_shares(asked_terms(asked.row(0), LEXICON), stored)
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
    hit = read_hit(answer, asked_terms(row, LEXICON, ["Dogs", "whole sentence"]))
    assert hit.to_json() == {
        "id": "ab",
        "path": "a/dog.jpg",
        "score": 1.5,
        "terms": [
            {
                "term": "dog",
                "piece": "dog",
                "query_weight": 2.0,
                "picture_weight": 0.75,
                "contribution": 1.5,
                "brought_by": "Dogs",
            }
        ],
        "collection": "/photos",
        "duplicates": 0,
    }
    assert hit.full_path == "/photos/a/dog.jpg"


@given(rows, rows)
def test_a_hit_whose_terms_the_server_names_reads_like_one_with_its_stored_document(
    query: dict[int, float], picture: dict[int, float]
) -> None:
    asked, document = batch(query), prepare_documents(batch(picture), 20)
    stored = {LEXICON.name(int(term)): float(weight) for term, weight in zip(*document.row(0), strict=True)}
    place = {"path": "a/dog.jpg", "collection": "/photos", "duplicate_group": "ff"}
    terms = asked_terms(asked.row(0), LEXICON)
    unpacked = read_hit({"_id": "ab", "_score": 1.5, "_source": place | {"terms": stored}}, terms)
    named = {share.piece: np.format_float_scientific(np.float32(share.contribution)) for share in unpacked.terms}
    answer = {
        "_id": "ab",
        "_score": 1.5,
        "fields": {field: [value] for field, value in place.items()},
        "matched_queries": {feature_name(piece): float(digits) for piece, digits in named.items()} | {"of a filter": 1.0},
    }
    assert read_hit(answer, terms) == unpacked


def test_shares_are_asked_of_the_server_where_it_says_them_and_nothing_else_has_a_name() -> None:
    row = batch({30: 2.0, 32: 1.0}).row(0)
    body, params = hits_request(row, LEXICON, 20, "picture")
    assert (body["size"], body["_source"], params) == (20, False, {"include_named_queries_score": True})
    assert [clause["rank_feature"]["_name"] for clause in body["query"]["bool"]["should"]] == ["dog", "%2E"]
    unpacked = [
        hits_request(row, LEXICON, 20, "text"),
        hits_request(row, LEXICON, 20, "picture", filter={"term": {"folder": {"value": "a", "_name": "dog"}}}),
        hits_request(row, LEXICON, 20, "picture", dialect=Dialect("rank_features", "rank_feature", named_scores=False)),
        hits_request(row, LEXICON, 20, "picture", dialect=Dialect("sparse_vector", "sparse_vector")),
    ]
    for body, params in unpacked:
        assert "terms" in body["_source"] and params == {} and '"_name": "%2E"' not in json.dumps(body)


@pytest.mark.parametrize("source", [None, {}, {"terms": {}}])
def test_a_server_that_leaves_fields_out_loses_no_hit(source: object) -> None:
    hit = read_hit({"_id": "ab", "_score": "1.5", "_source": source}, asked_terms(batch({1: 1.0}).row(0), LEXICON))
    assert (hit.id, hit.path, hit.score, hit.terms) == ("ab", "", 1.5, [])


def test_a_ranking_reads_no_stored_document() -> None:
    body = ranking_body(batch({1: 1.0}).row(0), LEXICON, 5)
    assert (body["_source"], body["stored_fields"], body["docvalue_fields"]) == (False, "_none_", ["collection", "path"])
