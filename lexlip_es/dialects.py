"""Which field and which query a server understands: pure choices by product and version, no client, no I/O.

All forms score alike, bit for bit (design contract 1); they differ in where they work and in what else they can do:

| form | field | server |
| --- | --- | --- |
| `rank_feature` | `rank_features` | OpenSearch, Elasticsearch with the mapper-extras module: the default |
| `neural_sparse` | `rank_features` | OpenSearch 2.12+ with the neural-search plugin; weights of at most 64 |
| `sparse_vector` | `sparse_vector` | Elasticsearch 8.15+: the default there |
| `term` | `sparse_vector` | the same; every term is a clause of its own, so it can be named |
| `query_string` | `sparse_vector` | the same; one line of Lucene syntax, which Kibana's search bar takes |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from lexlip_es.errors import UsageError

if TYPE_CHECKING:  # the command line imports this file for its options, and no engine
    from lexlip_es.engines.protocol import ServerInfo

FieldType = Literal["rank_features", "sparse_vector"]
QueryForm = Literal["rank_feature", "sparse_vector", "term", "query_string", "neural_sparse"]
Family = Literal["opensearch", "elasticsearch", "elasticsearch-sparse-vector"]

FIELD_OF: Mapping[QueryForm, FieldType] = {
    "rank_feature": "rank_features",
    "neural_sparse": "rank_features",
    "sparse_vector": "sparse_vector",
    "term": "sparse_vector",
    "query_string": "sparse_vector",
}
USUAL_FORM: Mapping[FieldType, QueryForm] = {"rank_features": "rank_feature", "sparse_vector": "sparse_vector"}
# One clause a term, so that each can be named and explained.
CLAUSE_FORM: Mapping[FieldType, QueryForm] = {"rank_features": "rank_feature", "sparse_vector": "term"}


@dataclass(frozen=True)
class Dialect:
    """How to ask a server about an index.

    track_total_hits: counting all hits is faster than not counting on some versions, for the same hits.
    named_scores: the server can answer each named clause's score (`include_named_queries_score`); else `explain` tells it.
    """

    field_type: FieldType
    form: QueryForm
    track_total_hits: bool = False
    named_scores: bool = True

    @property
    def clauses(self) -> QueryForm:
        """The form that asks the same field by one clause a term."""
        return CLAUSE_FORM[self.field_type]

    @property
    def says_shares(self) -> bool:
        """Whether a search can have each hit say what each term gave, with the search's own query."""
        return self.named_scores and self.form == self.clauses


RANK_FEATURES = Dialect("rank_features", "rank_feature")


def dialect_of_form(form: QueryForm) -> Dialect:
    """The dialect to print a query in when no server is asked: what every server takes that has the form."""
    return Dialect(FIELD_OF[form], form)


def dialect_for(server: "ServerInfo", field_type: FieldType = "rank_features", form: QueryForm | None = None) -> Dialect:
    """The dialect of a server for an index with such a field; `form` overrides the version's choice.

    Raises `UsageError` where the server's version has no such field or form, or the form does not ask that field.
    """
    chosen = form or USUAL_FORM[field_type]
    if chosen not in get_args(QueryForm):
        raise UsageError(f"there is no query form {chosen!r}: use one of {', '.join(get_args(QueryForm))}.")
    name = server.display
    opensearch = server.product == "opensearch"
    if field_type == "sparse_vector" and (opensearch or server.version < (8, 15)):
        raise UsageError(
            f"{name} cannot be asked for sparse_vector fields as lexlip-es asks (Elasticsearch 8.15 or later can): "
            "leave out --field-type, which gives rank_features."
        )
    if FIELD_OF[chosen] != field_type:
        raise UsageError(
            f"the query form {chosen} asks {FIELD_OF[chosen]} fields and this index has {field_type}: leave out --form, "
            f"or use {' or '.join(one for one, field in FIELD_OF.items() if field == field_type)}."
        )
    if chosen == "neural_sparse" and not (opensearch and server.version >= (2, 12)):
        raise UsageError(
            f"{name} has no neural_sparse query (OpenSearch 2.12 or later with neural-search has): leave out --form."
        )
    return Dialect(
        field_type,
        chosen,
        # Measured: not counting is slower in the older Lucene of Elasticsearch 7 and OpenSearch 2.
        track_total_hits=server.version < ((3,) if opensearch else (8,)),
        named_scores=server.version >= ((2, 12) if opensearch else (8, 8)),
    )


def family_for(server: "ServerInfo", field_type: FieldType = "rank_features") -> Family:
    """The file under `mappings/` for a server and a field; raises `UsageError` as `dialect_for` does."""
    dialect_for(server, field_type)
    if server.product == "opensearch":
        return "opensearch"
    return "elasticsearch-sparse-vector" if field_type == "sparse_vector" else "elasticsearch"


def field_type_of(family: Family) -> FieldType:
    """The field that a family's `terms` are."""
    return "sparse_vector" if family == "elasticsearch-sparse-vector" else "rank_features"


def known_to(server: "ServerInfo", body: dict[str, Any]) -> dict[str, Any]:
    """An index body of the family `elasticsearch-sparse-vector` without what the server's version would refuse.

    What is left out guards against pruning and against hidden vectors, neither of which such a version does.
    """
    version = server.version
    settings, properties = dict(body["settings"]["index"]), dict(body["mappings"]["properties"])
    if version < (9, 2):
        settings.pop("mapping.exclude_source_vectors", None)
    if not ((8, 19) <= version < (9,) or version >= (9, 1)) and "index_options" in properties["terms"]:
        properties["terms"] = {name: value for name, value in properties["terms"].items() if name != "index_options"}
    return body | {
        "settings": body["settings"] | {"index": settings},
        "mappings": body["mappings"] | {"properties": properties},
    }
