"""The engine protocol over opensearch-py.

The client is used as a connection pool: it keeps connections, compresses, logs in, chooses among nodes. What is asked, how
often it is asked again and what a failure means to a person is decided here, in `_attempt` and `_request`, for every call.
opensearch-py takes about half a second to import, so it is imported when the engine is built and not before.
"""

import base64
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from lexlip_es.engines import answers
from lexlip_es.engines.bulk import bulk
from lexlip_es.engines.errors import EngineUnreachableError, UnknownIndexError, UnreadableAnswerError, one_line, refusal
from lexlip_es.engines.protocol import BulkResult, JsonObject, ServerInfo
from lexlip_es.engines.retries import OVERLOADED, PATIENT, QUICK, RetryPolicy, TemporaryFailure
from lexlip_es.engines.settings import ConnectionSettings
from lexlip_es.errors import LexlipError, UsageError

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
BULK_SECONDS = 120.0
MERGE_SECONDS = 3600.0
SCROLL_KEEP = "5m"
SCAN_PAGE = 1_000
_WILD = ("*", "?", ",")


class OpenSearchEngine:
    """An OpenSearch cluster at `settings.urls`; see `protocol.Engine` for what each method does.

    `log` is the log file of an embedded node, named in messages when the node stops answering. `loading` is how patiently
    `bulk` asks again. Building the engine sends nothing.
    """

    def __init__(self, settings: ConnectionSettings, *, log: Path | None = None, loading: RetryPolicy = PATIENT) -> None:
        import opensearchpy
        import urllib3

        self._failures = opensearchpy
        self._server = settings.display
        self._log = log
        self._loading = loading
        self._client = opensearchpy.OpenSearch(
            _hosts(settings),
            http_compress=not all(_is_loopback(url) for url in settings.urls),
            headers=_headers(settings),
            ca_certs=None if settings.ca_certs is None else str(settings.ca_certs),
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            max_retries=0,
        )

    def info(self) -> ServerInfo:
        """Ask which server answers; see `Engine.info`."""
        answer = self._request("GET", "/")
        version = answer.get("version")
        if not isinstance(version, dict) or "number" not in version:
            raise LexlipError(f"{self._server} answers, but is neither OpenSearch nor Elasticsearch: check LEXLIP_ES_URL.")
        number = one_line(str(version["number"]), 40)
        product = "opensearch" if version.get("distribution") == "opensearch" else "elasticsearch"
        return ServerInfo(product, answers.version_numbers(number), number)

    def create_index(self, name: str, body: Mapping[str, Any]) -> None:
        """Create an index; see `Engine.create_index`."""
        self._request("PUT", _path(name), body=body, repeatable=False)

    def delete_index(self, name: str) -> None:
        """Delete an index; see `Engine.delete_index`."""
        if name == "_all" or any(sign in name for sign in _WILD):
            raise UsageError(f"{name!r} may stand for several indices: delete them one by one, by name.")
        self._request("DELETE", _path(name), index=name)

    def indices(self, pattern: str) -> dict[str, JsonObject]:
        """Aliases, mappings and settings of the indices that match; see `Engine.indices`."""
        return answers.index_objects(self._server, self._request("GET", _path(pattern), {"ignore_unavailable": "true"}))

    def update_aliases(self, actions: Sequence[Mapping[str, Any]]) -> None:
        """Carry out alias actions together; see `Engine.update_aliases`."""
        self._request("POST", "/_aliases", body={"actions": list(actions)}, repeatable=False)

    def put_settings(self, index: str, settings: Mapping[str, Any]) -> None:
        """Change dynamic settings; see `Engine.put_settings`."""
        self._request("PUT", _path(index, "_settings"), body=settings, index=index)

    def put_mapping(self, index: str, body: Mapping[str, Any]) -> None:
        """Add to the mapping; see `Engine.put_mapping`."""
        self._request("PUT", _path(index, "_mapping"), body=body, index=index)

    def bulk(self, index: str, documents: Iterable[Mapping[str, Any]]) -> Iterator[BulkResult]:
        """Send documents; see `Engine.bulk`."""
        # A cluster may create indices on demand, with floats where terms should be: ask before the first document is sent.
        if not self._patiently(lambda: self._attempt("HEAD", _path(index), {}, None, index, READ_SECONDS)):
            raise UnknownIndexError(index, self._server)
        params = {"filter_path": "errors,items.*.status,items.*.error"}

        def send(lines: bytes) -> Any:
            return self._attempt("POST", _path(index, "_bulk"), params, lines, index, BULK_SECONDS)

        yield from bulk(send, documents, server=self._server, index=index, policy=self._loading)

    def refresh(self, index: str) -> None:
        """Make writes visible; see `Engine.refresh`."""
        self._request("POST", _path(index, "_refresh"), index=index)

    def count(self, index: str, query: Mapping[str, Any] | None = None) -> int:
        """Count documents; see `Engine.count`."""
        body = None if query is None else {"query": query}
        return answers.whole_number(self._server, self._request("POST", _path(index, "_count"), body=body, index=index), "count")

    def search(self, index: str, body: Mapping[str, Any], **params: Any) -> JsonObject:
        """Run one search; see `Engine.search`."""
        asked = {"allow_partial_search_results": "false", **{name: _param(value) for name, value in params.items()}}
        return answers.search_answer(self._server, self._request("POST", _path(index, "_search"), asked, body, index=index))

    def msearch(self, index: str, bodies: Sequence[Mapping[str, Any]]) -> list[JsonObject]:
        """Run many searches in one request; see `Engine.msearch`."""
        if not bodies:
            return []
        lines = [b'{"allow_partial_search_results":false}\n' + _json(body) + b"\n" for body in bodies]
        together = self._request("POST", _path(index, "_msearch"), body=b"".join(lines))
        each = answers.search_answers(self._server, together, len(bodies))
        for answer in each:
            if "error" in answer:
                status = answer.get("status")
                raise refusal(self._server, status if isinstance(status, int) else 500, answer, index)
        return [answers.search_answer(self._server, answer) for answer in each]

    def scan(
        self, index: str, query: Mapping[str, Any] | None = None, fields: Sequence[str] | None = None
    ) -> Iterator[JsonObject]:
        """Yield every document; see `Engine.scan`."""
        body = {
            "query": query or {"match_all": {}},
            "sort": ["_doc"],
            "size": SCAN_PAGE,
            "_source": True if fields is None else (list(fields) or False),
        }
        scroll_id, hits = answers.scroll_page(self._server, self.search(index, body, scroll=SCROLL_KEEP))
        try:
            while hits:
                for hit in hits:
                    yield {"_id": hit["_id"], "source": hit.get("_source", {})}
                # Not repeatable: a page whose answer was lost is gone, and asking again would skip it.
                resume = {"scroll": SCROLL_KEEP, "scroll_id": scroll_id}
                page = self._request("POST", "/_search/scroll", body=resume, index=index, repeatable=False)
                scroll_id, hits = answers.scroll_page(self._server, page)
                if answers.whole_number(self._server, page.get("_shards"), "failed"):
                    raise LexlipError(f"{self._server} could not read all of {index!r}: look at its health, then try again.")
        finally:
            self._forget_scroll(scroll_id)

    def force_merge(self, index: str) -> None:
        """Merge into one segment; see `Engine.force_merge`."""
        # Not repeatable: a proxy that gives up waiting says 504 while the merge goes on.
        once = {"max_num_segments": "1"}
        self._request("POST", _path(index, "_forcemerge"), once, index=index, repeatable=False, seconds=MERGE_SECONDS)

    def close(self) -> None:
        """Close the connections; see `Engine.close`."""
        self._client.close()

    def _forget_scroll(self, scroll_id: str) -> None:
        with suppress(LexlipError, TemporaryFailure):  # it expires by itself, and what went wrong before matters more
            self._attempt("DELETE", "/_search/scroll", {}, _json({"scroll_id": [scroll_id]}), None, READ_SECONDS)

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        *,
        index: str | None = None,
        repeatable: bool = True,
        seconds: float = READ_SECONDS,
    ) -> JsonObject:
        """The JSON object that the server answers, asked for as `_patiently` does."""
        payload = body if body is None or isinstance(body, bytes) else _json(body)
        answer = self._patiently(lambda: self._attempt(method, path, params or {}, payload, index, seconds), repeatable)
        return answers.json_object(self._server, answer)

    def _patiently(self, attempt: Callable[[], Any], repeatable: bool = True) -> Any:
        """Attempt again where the server was not ready; what is not `repeatable` only if it never arrived."""
        pauses = QUICK.pauses()
        while True:
            try:
                return attempt()
            except TemporaryFailure as failure:
                pause = next(pauses, None)
                if pause is None or (failure.reached and not repeatable):
                    raise failure.error from failure
                time.sleep(pause)

    def _attempt(
        self, method: str, path: str, params: Mapping[str, str], body: bytes | None, index: str | None, seconds: float
    ) -> Any:
        """Ask once. The only place where the client's exceptions become errors for people, or `TemporaryFailure`."""
        import urllib3

        timeout: Any = urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds)
        try:
            return self._client.transport.perform_request(method, path, dict(params), body, timeout=timeout)
        except self._failures.ConnectionTimeout as error:
            # The work may still go on over there; asking again would add to it. A load's chunk is small and safe to resend.
            late = EngineUnreachableError(self._server, f"no answer within {seconds:.0f} s", self._log)
            if path.endswith("/_bulk"):
                raise TemporaryFailure(late, 0, reached=True) from error
            raise late from error
        except self._failures.SSLError as error:
            raise _tls_error(self._server, str(error.error)) from error
        except self._failures.ConnectionError as error:
            if isinstance(error.info, UnicodeDecodeError):
                raise UnreadableAnswerError(self._server) from error
            never_arrived = isinstance(error.info, urllib3.exceptions.NewConnectionError)
            lost = EngineUnreachableError(self._server, _lost(error), self._log)
            raise TemporaryFailure(lost, 0, reached=not never_arrived) from error
        except self._failures.TransportError as error:
            status = int(error.status_code)
            refused = refusal(self._server, status, error.info, index)
            if status in OVERLOADED:
                raise TemporaryFailure(refused, status, reached=status != 429) from error
            raise refused from error
        except (self._failures.SerializationError, AttributeError, RecursionError) as error:
            # No JSON; for an error's body, no JSON object; or one that nests without end.
            raise UnreadableAnswerError(self._server) from error


def _hosts(settings: ConnectionSettings) -> list[JsonObject]:
    hosts = []
    for url in settings.urls:
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        port = parts.port or (443 if tls else 9200)
        hosts.append({"host": parts.hostname, "port": port, "use_ssl": tls, "url_prefix": parts.path})
    return hosts


def _headers(settings: ConnectionSettings) -> dict[str, str]:
    if settings.api_key is not None:
        return {"authorization": f"ApiKey {settings.api_key}"}
    if settings.bearer is not None:
        return {"authorization": f"Bearer {settings.bearer}"}
    if settings.username is not None:  # the client's own way fails on passwords outside Latin-1
        login = f"{settings.username}:{settings.password}".encode("utf-8", "surrogateescape")
        return {"authorization": f"Basic {base64.b64encode(login).decode('ascii')}"}
    return {}


def _is_loopback(url: str) -> bool:
    """Whether compressing would only cost time: the bytes never leave this machine."""
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def _path(*parts: str) -> str:
    if not parts[0]:
        raise UsageError("an index name is empty: name one, for example with LEXLIP_ES_INDEX.")
    return "/" + "/".join(quote(part, safe=",*") for part in parts)


def _param(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    except ValueError as error:
        raise LexlipError(f"a request cannot be written as JSON ({one_line(str(error))}): weights must be finite.") from error


def _lost(error: Any) -> str:
    """What a lost connection looked like, without addresses and object names.

    The client's text reads like "<...>: Failed to establish a new connection: [Errno 111] Connection refused".
    """
    text = str(error.error)
    if "[Errno" in text:
        return one_line(text.rpartition("] ")[2].strip("')( ")).lower()
    return "the connection was lost"


def _tls_error(server: str, cause: str) -> LexlipError:
    if "WRONG_VERSION_NUMBER" in cause or "RECORD_LAYER" in cause:
        return LexlipError(f"{server} does not speak TLS: write its URL with http://.")
    return LexlipError(
        f"the certificate of {server} is not trusted ({one_line(cause, 160)}): "
        "set LEXLIP_ES_CA_CERTS to the PEM file of the authority that signed it."
    )
