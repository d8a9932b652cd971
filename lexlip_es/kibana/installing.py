"""Saved objects sent to Kibana or OpenSearch Dashboards by their import API, which is the same in both but for one header."""

import json
from collections.abc import Mapping
from typing import Any

from lexlip_es.engines.access import Access, Request
from lexlip_es.engines.errors import one_line, tls_error
from lexlip_es.engines.settings import PREFIX, ConnectionSettings
from lexlip_es.errors import LexlipError

_SECONDS = 60.0
_TRUST = tuple(PREFIX + name for name in ("CA_CERTS", "CA_FINGERPRINT", "CLIENT_CERT", "CLIENT_KEY"))
_FROM_SCRIPTS = {"kbn-xsrf": "true", "osd-xsrf": "true"}  # Kibana's and Dashboards' own; each ignores the other's


def kibana_settings(url: str, env: Mapping[str, str]) -> ConnectionSettings:
    """The connection to `url` with the engine's login: Kibana asks the engine whether it is right. Raises `UsageError`.

    Certificates are left out where Kibana speaks plain HTTP, as it often does beside an engine with TLS.
    """
    unused = _TRUST if url.startswith("http:") else ()
    return ConnectionSettings.from_environment({name: env[name] for name in env if name not in unused}, url=url)


def import_objects(settings: ConnectionSettings, ndjson: str, *, overwrite: bool) -> int:
    """Import saved objects and return how many; overwrite: replace those that are there.

    Raises `LexlipError` where nothing answers, for a login that is not accepted, and where an object was not imported.
    """
    import urllib3

    access = Access.of(settings)
    node = access.nodes[0]
    body, content_type = urllib3.encode_multipart_formdata({"file": ("lexlip.ndjson", ndjson, "application/ndjson")})
    target = f"/api/saved_objects/_import?overwrite={str(overwrite).lower()}"
    headers = access.headers(Request("POST", target, body, False, _SECONDS), node)
    headers |= {"content-type": content_type, **_FROM_SCRIPTS}
    try:
        answer = access.pool(node).urlopen(
            "POST", node.prefix + target, body, headers, retries=False, redirect=False, timeout=_SECONDS
        )
    except urllib3.exceptions.SSLError as error:
        raise tls_error(node.url, str(error)) from error
    except urllib3.exceptions.HTTPError as error:
        raise LexlipError(f"nothing answers at {node.url} as Kibana does: start it, or check --url.") from error
    try:
        said = json.loads(answer.data)
    except (ValueError, RecursionError):
        said = None
    if answer.status != 200 or not isinstance(said, dict) or "success" not in said:
        raise _refusal(node.url, answer.status, said)
    if not said["success"]:
        raise _not_imported(node.url, said)
    return int(said["successCount"])


def _refusal(url: str, status: int, said: Any) -> LexlipError:
    if status in (401, 403):
        return LexlipError(
            f"{url} does not let this user import saved objects (status {status}): set {PREFIX}USERNAME and {PREFIX}PASSWORD, or "
            f"{PREFIX}API_KEY, of a user who may."
        )
    reason = one_line(str(said.get("message") or "")) if isinstance(said, dict) else ""
    return LexlipError(
        f"{url} does not import saved objects (status {status}{reason and ': ' + reason}): check --url, which is Kibana's or "
        "Dashboards' own, with the path before /app if there is one."
    )


def _not_imported(url: str, said: Mapping[str, Any]) -> LexlipError:
    errors = [error for error in said.get("errors") or () if isinstance(error, Mapping)]
    kinds = {str((error.get("error") or {}).get("type")) for error in errors}
    if kinds == {"conflict"}:
        imported = int(said.get("successCount") or 0)
        return LexlipError(
            f"{url} has {len(errors)} of these objects already and kept them ({imported} new ones were imported): "
            "--overwrite replaces them."
        )
    names = ", ".join(f"{error.get('type')} {error.get('id')}" for error in errors)
    return LexlipError(f"{url} did not import {one_line(names)} ({', '.join(sorted(kinds))}): look at what it has of that name.")
