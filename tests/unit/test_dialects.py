import pytest

from lexlip_es.dialects import FIELD_OF, dialect_for, dialect_of_form, family_for, field_type_of
from lexlip_es.engines.protocol import ServerInfo
from lexlip_es.errors import UsageError


def server(product: str, number: str) -> ServerInfo:
    return ServerInfo(product, tuple(map(int, number.split("."))), number)


@pytest.mark.parametrize("number", ["2.19.6", "3.9.0"])
def test_opensearch_is_asked_by_rank_feature_clauses(number: str) -> None:
    dialect = dialect_for(server("opensearch", number))
    assert (dialect.field_type, dialect.form) == ("rank_features", "rank_feature")


@pytest.mark.parametrize("number", ["7.17.29", "8.19.21", "9.5.3"])
def test_elasticsearch_is_asked_by_rank_feature_clauses_unless_its_field_is_sparse_vector(number: str) -> None:
    assert dialect_for(server("elasticsearch", number)).form == "rank_feature"


@pytest.mark.parametrize("number", ["8.15.0", "8.19.21", "9.0.0", "9.5.3"])
@pytest.mark.parametrize("form", [None, "sparse_vector", "term", "query_string"])
def test_a_sparse_vector_field_has_three_forms(number: str, form: str | None) -> None:
    dialect = dialect_for(server("elasticsearch", number), "sparse_vector", form)  # type: ignore[arg-type]
    assert (dialect.form, dialect.clauses) == (form or "sparse_vector", "term")


@pytest.mark.parametrize(
    ("product", "number"), [("elasticsearch", "8.14.3"), ("elasticsearch", "7.17.29"), ("opensearch", "3.9.0")]
)
def test_a_server_without_sparse_vector_is_named_in_the_refusal(product: str, number: str) -> None:
    with pytest.raises(UsageError, match=rf"{number} cannot .* leave out --field-type"):
        dialect_for(server(product, number), "sparse_vector")


@pytest.mark.parametrize("form", ["sparse_vector", "term", "query_string"])
def test_a_form_that_finds_nothing_in_the_field_is_refused(form: str) -> None:
    with pytest.raises(UsageError, match=f"{form} asks sparse_vector fields and this index has rank_features"):
        dialect_for(server("elasticsearch", "9.5.3"), "rank_features", form)  # type: ignore[arg-type]


def test_neural_sparse_is_opensearch_s_own() -> None:
    assert dialect_for(server("opensearch", "3.6.0"), form="neural_sparse").form == "neural_sparse"
    for product, number in (("elasticsearch", "9.5.3"), ("opensearch", "2.11.1")):
        with pytest.raises(UsageError, match=f"{number} has no neural_sparse query"):
            dialect_for(server(product, number), form="neural_sparse")


def test_an_unknown_form_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="rank_feature, sparse_vector, term"):
        dialect_for(server("opensearch", "3.9.0"), form="knn")  # type: ignore[arg-type]


def test_older_lucene_counts_hits_because_that_is_faster_there() -> None:
    counting = {
        ("opensearch", "2.19.6"): True,
        ("opensearch", "3.9.0"): False,
        ("elasticsearch", "7.17.29"): True,
        ("elasticsearch", "8.19.21"): False,
        ("elasticsearch", "9.5.3"): False,
    }
    assert {which: dialect_for(server(*which)).track_total_hits for which in counting} == counting


def test_scores_of_named_clauses_come_from_newer_servers() -> None:
    assert not dialect_for(server("elasticsearch", "7.17.29")).named_scores
    assert not dialect_for(server("elasticsearch", "8.7.1")).named_scores
    assert dialect_for(server("elasticsearch", "8.8.0")).named_scores
    assert dialect_for(server("opensearch", "2.19.6")).named_scores


def test_without_a_server_every_form_can_be_printed() -> None:
    assert {form: dialect_of_form(form).field_type for form in FIELD_OF} == dict(FIELD_OF)


def test_a_family_is_named_by_server_and_field() -> None:
    families = [
        family_for(server("opensearch", "3.9.0")),
        family_for(server("elasticsearch", "7.17.29")),
        family_for(server("elasticsearch", "9.5.3"), "sparse_vector"),
    ]
    assert families == ["opensearch", "elasticsearch", "elasticsearch-sparse-vector"]
    assert [field_type_of(family) for family in families] == ["rank_features", "rank_features", "sparse_vector"]
