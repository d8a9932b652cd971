"""The import into Kibana and Dashboards, against answers as their import routes publish them: no Kibana can be started here.

Read in elastic/kibana and opensearch-project/OpenSearch-Dashboards, src/core/server/saved_objects/routes/import.ts at 00be8b3d
and 041d9fcd: `multipart/form-data` with a file of the suffix `.ndjson`, answered by `{success, successCount, errors}`.
"""

import base64
import json
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.kibana.installing import import_objects, kibana_settings
from lexlip_es.kibana.objects import ndjson, saved_objects
from tests.engine.conftest import OtherServer

LINES = ndjson(saved_objects("pictures"))
CONFLICT = {"id": "lexlip-pictures", "type": "index-pattern", "error": {"type": "conflict"}}


def install(server: OtherServer, status: int, said: Any, *, path: str = "", overwrite: bool = False, **env: str) -> int:
    server.answer = (status, "application/json", said if isinstance(said, bytes) else json.dumps(said).encode())
    return import_objects(kibana_settings(server.url + path, env), LINES, overwrite=overwrite)


def refusal(server: OtherServer, status: int, said: Any) -> str:
    with pytest.raises(LexlipError) as refused:
        install(server, status, said)
    return str(refused.value)


def test_a_file_is_sent_as_both_products_take_it(other_server: OtherServer) -> None:
    assert install(other_server, 200, {"success": True, "successCount": 6}, path="/s/photos") == 6
    ((method, target, headers),) = other_server.seen
    assert (method, target) == ("POST", "/s/photos/api/saved_objects/_import?overwrite=false")
    assert headers["kbn-xsrf"] == headers["osd-xsrf"] == "true"
    assert "authorization" not in headers
    form = message_from_bytes(f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + other_server.bodies[0])
    (part,) = form.get_payload()  # type: ignore[misc]
    assert part.get_param("name", header="content-disposition") == "file"  # type: ignore[union-attr]
    assert Path(part.get_filename()).suffix == ".ndjson"  # type: ignore[union-attr, arg-type]
    assert part.get_payload(decode=True) == LINES.encode()  # type: ignore[union-attr]


def test_the_engine_s_login_goes_along_and_its_certificates_stay_where_kibana_has_none(other_server: OtherServer) -> None:
    env = {
        "LEXLIP_ES_USERNAME": "ann",
        "LEXLIP_ES_PASSWORD": "pw",
        "LEXLIP_ES_CA_CERTS": "/etc/hostname",
        "LEXLIP_ES_URL": "https://es:1",
    }
    install(other_server, 200, {"success": True, "successCount": 6}, overwrite=True, **env)
    ((_, target, headers),) = other_server.seen
    assert target.endswith("?overwrite=true")
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")) == b"ann:pw"
    with pytest.raises(UsageError, match="shell's history"):
        kibana_settings("http://ann:pw@localhost:5601", {})


def test_what_is_there_is_replaced_only_when_that_is_said(other_server: OtherServer) -> None:
    said = {"success": False, "successCount": 5, "errors": [CONFLICT]}
    assert refusal(other_server, 200, said).endswith(
        "has 1 of these objects already and kept them (5 new ones were imported): --overwrite replaces them."
    )
    missing = {"id": "lexlip-pictures-grid", "type": "visualization", "error": {"type": "missing_references"}}
    said = {"success": False, "errors": [CONFLICT, missing]}
    assert "index-pattern lexlip-pictures, visualization lexlip-pictures-grid (conflict, missing_references)" in refusal(
        other_server, 200, said
    )


@pytest.mark.parametrize(
    ("status", "said", "sentence"),
    [
        (
            401,
            {"statusCode": 401, "error": "Unauthorized"},
            "set LEXLIP_ES_USERNAME and LEXLIP_ES_PASSWORD, or LEXLIP_ES_API_KEY",
        ),
        (403, {"message": "Unable to bulk_create dashboard"}, "does not let this user import saved objects (status 403)"),
        (302, b"", "(status 302): check --url"),
        (404, {"error": "Not Found", "message": "Not Found"}, "(status 404: Not Found): check --url"),
        (400, {"error": "Bad Request", "message": "Invalid file"}, "(status 400: Invalid file)"),
        (200, b"<html>", "(status 200): check --url"),
        (200, {"version": {"number": "9.5.3"}}, "(status 200): check --url"),
        (200, b"[" * 100_000, "(status 200): check --url"),
    ],
)
def test_everything_else_is_one_sentence_with_the_remedy(
    other_server: OtherServer, status: int, said: Any, sentence: str
) -> None:
    assert sentence in refusal(other_server, status, said)


def test_where_nothing_answers_the_sentence_says_so() -> None:
    with pytest.raises(LexlipError, match=r"nothing answers at http://127.0.0.1:9 as Kibana does: start it, or check --url\."):
        import_objects(kibana_settings("http://127.0.0.1:9", {}), LINES, overwrite=False)
