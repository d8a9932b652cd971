import json
import subprocess

import numpy as np
import pytest

from lexlip_es.errors import UsageError
from lexlip_es.kibana.pasting import curl_line, lucene_line, template_call
from lexlip_es.lexicon import Lexicon
from lexlip_es.queries import terms_query

BODY = {"query": {"term": {"tags": 'it\'s $HOME "`id`"\u200b é \\'}}}


def arguments(line: str, env: dict[str, str]) -> list[str]:
    """What curl would be started with."""
    said = subprocess.run(["sh", "-c", 'curl() { printf "%s\\n" "$@"; }\n' + line], env=env, capture_output=True, text=True)
    assert said.stderr == ""
    return said.stdout.splitlines()


def test_a_shell_gives_curl_the_body_as_it_is() -> None:
    line = curl_line("http://localhost:9200", "pictures", BODY, {})
    assert line.isascii()
    *options, body = arguments(line, {})
    assert json.loads(body) == BODY
    assert options == ["-sS", "-H", "Content-Type: application/json", "http://localhost:9200/pictures/_search", "--data-binary"]


def test_logins_and_certificates_are_named_only_where_they_are_set_and_no_secret_is_written() -> None:
    login = {"LEXLIP_ES_USERNAME": "ann", "LEXLIP_ES_PASSWORD": "s3 cret$HOME", "LEXLIP_ES_CA_CERTS": "/ca dir/ca.pem"}
    line = curl_line("https://es.example:9200", "pictures", BODY, login)
    assert "s3 cret" not in line
    assert arguments(line, login)[1:5] == ["-u", "ann:s3 cret$HOME", "--cacert", "/ca dir/ca.pem"]
    key = {"LEXLIP_ES_API_KEY": "k3y", "LEXLIP_ES_USERNAME": "ann"}
    line = curl_line("https://es.example:9200", "pictures", BODY, key)
    assert "k3y" not in line
    assert arguments(line, key)[1:3] == ["-H", "Authorization: ApiKey k3y"]


def test_the_query_bar_gets_one_line_and_a_filter_never_as_text(starter_lexicon: Lexicon) -> None:
    row = (np.array([starter_lexicon.piece_id("dog")], np.int32), np.array([2.5], np.float32))
    only = {"range": {"width": {"gte": 2000}}}
    query = terms_query(row, starter_lexicon, form="sparse_vector")
    filtered = terms_query(row, starter_lexicon, form="sparse_vector", filter=only)
    assert lucene_line(query, row, starter_lexicon, "sparse_vector", None) == 'terms:("dog"^2.5)'
    assert json.loads(lucene_line(filtered, row, starter_lexicon, "sparse_vector", only)) == filtered
    ranked = terms_query(row, starter_lexicon)
    line = lucene_line(ranked, row, starter_lexicon, "rank_features", None)
    assert json.loads(line) == ranked and len(line.splitlines()) == 1


def test_the_template_gets_the_clauses_apart_and_ranks(starter_lexicon: Lexicon) -> None:
    row = (np.array([starter_lexicon.piece_id("dog")], np.int32), np.array([2.5], np.float32))
    only = {"range": {"width": {"gte": 2000}}}
    plain = terms_query(row, starter_lexicon)
    assert template_call(plain, 3) == {"id": "lexlip", "params": {"should": plain["bool"]["should"], "size": 3}}
    assert template_call(terms_query(row, starter_lexicon, filter=only), 3)["params"]["filter"] == only
    with pytest.raises(UsageError, match="the search template ranks"):
        template_call(terms_query((row[0][:0], row[1][:0]), starter_lexicon, filter=only), 3)
