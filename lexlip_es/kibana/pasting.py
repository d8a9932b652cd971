"""A search as the text to paste for it: into the query bar, or into a shell. Pure functions, no client, no I/O.

All text is ASCII, so that nothing in it steers a terminal. Of a login only the names of variables are written.
"""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from lexlip_es.dialects import FieldType
from lexlip_es.engines.settings import PREFIX
from lexlip_es.errors import UsageError
from lexlip_es.lexicon import Lexicon
from lexlip_es.mappings import SEARCH_TEMPLATE
from lexlip_es.queries import Filter, query_string
from lexlip_es.weights import Row

# curl's options, each with the variables that it needs.
_LOGINS = (
    (("USERNAME", "PASSWORD"), f'-u "${PREFIX}USERNAME:${PREFIX}PASSWORD"'),
    (("API_KEY",), f'-H "Authorization: ApiKey ${PREFIX}API_KEY"'),
    (("BEARER",), f'-H "Authorization: Bearer ${PREFIX}BEARER"'),
    (("CA_CERTS",), f'--cacert "${PREFIX}CA_CERTS"'),
    (("CLIENT_CERT",), f'--cert "${PREFIX}CLIENT_CERT"'),
    (("CLIENT_KEY",), f'--key "${PREFIX}CLIENT_KEY"'),
)


def lucene_line(query: Mapping[str, Any], row: Row, lexicon: Lexicon, field_type: FieldType, only: Filter | None) -> str:
    """The query for the search bar in its language Lucene, where it ranks when the table is sorted by `_score`.

    `terms:("dog"^2.1 ...)` on a `sparse_vector` field. Such text finds nothing on `rank_features`, and a filter in it would
    score; the query itself, which the bar takes as JSON, does neither.
    """
    if field_type == "sparse_vector" and only is None:
        return query_string(row, lexicon)
    return json.dumps(query)


def template_call(query: Mapping[str, Any], k: int) -> dict[str, Any]:
    """The body of `_search/template` for a query of clauses; raises `UsageError` for one that only filters."""
    clauses = query["bool"]
    if "should" not in clauses:
        raise UsageError("the search template ranks: say what the pictures show, beside what they must be like.")
    named = {"should": clauses["should"], "size": k, **({"filter": clauses["filter"]} if "filter" in clauses else {})}
    return {"id": SEARCH_TEMPLATE, "params": named}


def curl_line(url: str, index: str, body: Mapping[str, Any], env: Mapping[str, str]) -> str:
    """A command for any shell that sends the search; `url` has no login in it, and of `env` no value is written."""
    options = [option for needed, option in _LOGINS if all(env.get(PREFIX + name) for name in needed)]
    address = shlex.quote(f"{url}/{index}/_search")
    return " ".join(
        ["curl -sS", *options, "-H 'Content-Type: application/json'", address, "--data-binary", shlex.quote(json.dumps(body))]
    )
