"""The engine protocol over HTTP: what is asked, how often it is asked again, and what a failure means to a person.

OpenSearch and Elasticsearch understand the same requests; their clients only carry them. A subclass says in `_send` how one
request is sent once; everything else is decided here, in `_attempt` and `_patiently`, for every call.
"""

import gzip
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

from lexlip_es.engines import answers
from lexlip_es.engines.access import Access, Answer, Request
from lexlip_es.engines.bulk import bulk
from lexlip_es.engines.errors import (
    EngineUnreachableError,
    NotOfferedError,
    UnknownIndexError,
    UnreadableAnswerError,
    lost,
    one_line,
    redirect,
    refusal,
    tls_error,
)
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
COLUMNS_PAGE = 5_000
_WILD = ("*", "?", ",")
_WORTH_COMPRESSING = 1_400  # bytes: what one packet carries anyway
_SERVERLESS = ServerInfo("opensearch", (2,), "serverless")  # Amazon's, which does not say a version


class HttpEngine(ABC):
    """A cluster at `settings.urls`; see `protocol.Engine` for what each method does.

    `access` and `server` are what is known of the settings and the server already. `log` is the log file of an embedded node,
    named in messages when the node stops answering. `loading` is how patiently `bulk`, and everything of `patient`, asks again.
    Building the engine sends nothing, except that a fingerprint needs a look at the server's certificates.
    """

    _policy = QUICK  # of everything but `bulk`

    def __init__(
        self,
        settings: ConnectionSettings,
        *,
        access: Access | None = None,
        server: ServerInfo | None = None,
        log: Path | None = None,
        loading: RetryPolicy = PATIENT,
    ) -> None:
        self._access = Access.of(settings) if access is None else access
        self._serverless = settings.aws_region is not None and settings.aws_service == "aoss"
        self._where = settings.display
        self._login = settings.login
        self._log = log
        self._loading = loading
        if server is not None:
            self.server = server

    @abstractmethod
    def _send(self, request: Request, timeout: Any) -> Answer:
        """Send a request once, to a node of this client's choice; `timeout` is urllib3's.

        Raises urllib3's exception where no answer came, and marks the node so that the next request goes to another.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connections; see `Engine.close`."""

    def patient(self) -> Self:
        """The same connections, asked again as in a load; see `Engine.patient`."""
        # A copy and not a switch: the threads that search through this engine go on failing quickly.
        patient = copy(self)
        patient._policy = self._loading
        return patient

    @cached_property
    def server(self) -> ServerInfo:
        """Which server answers, asked once."""
        return self.info()

    def info(self) -> ServerInfo:
        """Ask which server answers; see `Engine.info`."""
        if self._serverless:
            return _SERVERLESS
        try:
            version = self.request("GET", "/").get("version")
        except NotOfferedError:  # a distribution without that page says its version in one other place
            version = self._version_of_a_node()
        if not isinstance(version, dict) or "number" not in version:
            raise LexlipError(f"{self._where} answers, but is neither OpenSearch nor Elasticsearch: check LEXLIP_ES_URL.")
        number = one_line(str(version["number"]), 40)
        product = "opensearch" if version.get("distribution") == "opensearch" else "elasticsearch"
        return ServerInfo(product, answers.version_numbers(number), number)

    def _version_of_a_node(self) -> JsonObject | None:
        with suppress(NotOfferedError):
            nodes = self.request("GET", "/_nodes/_local", params={"filter_path": "nodes.*.version"}).get("nodes")
            for node in nodes.values() if isinstance(nodes, dict) else ():
                if isinstance(node, dict) and "version" in node:
                    return {"number": node["version"]}
        return None

    def put_template(self, name: str, body: Mapping[str, Any]) -> None:
        """Install an index template; see `Engine.put_template`."""
        self.request("PUT", "/_index_template/" + quote(name, safe=""), body=body)

    def create_index(self, name: str, body: Mapping[str, Any]) -> None:
        """Create an index; see `Engine.create_index`."""
        self.request("PUT", _path(name), body=body, repeatable=False)

    def delete_index(self, name: str) -> None:
        """Delete an index; see `Engine.delete_index`."""
        if name == "_all" or any(sign in name for sign in _WILD):
            raise UsageError(f"{name!r} may stand for several indices: delete them one by one, by name.")
        self.request("DELETE", _path(name), index=name)

    def indices(self, pattern: str) -> dict[str, JsonObject]:
        """Aliases, mappings and settings of the indices that match; see `Engine.indices`."""
        return answers.index_objects(self._where, self.request("GET", _path(pattern), params={"ignore_unavailable": "true"}))

    def update_aliases(self, actions: Sequence[Mapping[str, Any]]) -> None:
        """Carry out alias actions together; see `Engine.update_aliases`."""
        self.request("POST", "/_aliases", body={"actions": list(actions)}, repeatable=False)

    def put_settings(self, index: str, settings: Mapping[str, Any]) -> None:
        """Change dynamic settings; see `Engine.put_settings`."""
        self.request("PUT", _path(index, "_settings"), body=settings, index=index)

    def put_mapping(self, index: str, body: Mapping[str, Any]) -> None:
        """Add to the mapping; see `Engine.put_mapping`."""
        self.request("PUT", _path(index, "_mapping"), body=body, index=index)

    def bulk(self, index: str, documents: Iterable[Mapping[str, Any]]) -> Iterator[BulkResult]:
        """Send documents; see `Engine.bulk`."""
        # A cluster may create indices on demand, with floats where terms should be: ask before the first document is sent.
        if not self._patiently(lambda: self._attempt("HEAD", _path(index), {}, None, index, READ_SECONDS)):
            raise UnknownIndexError(index, self._where)
        params = {"filter_path": "errors,items.*.status,items.*.error"}

        def send(lines: bytes) -> Any:
            return self._attempt("POST", _path(index, "_bulk"), params, lines, index, BULK_SECONDS)

        yield from bulk(send, documents, server=self._where, index=index, policy=self._loading)

    def refresh(self, index: str) -> None:
        """Make writes visible; see `Engine.refresh`."""
        self.request("POST", _path(index, "_refresh"), index=index)

    def count(self, index: str, query: Mapping[str, Any] | None = None) -> int:
        """Count documents; see `Engine.count`."""
        body = None if query is None else {"query": query}
        return answers.whole_number(self._where, self.request("POST", _path(index, "_count"), body=body, index=index), "count")

    def search(self, index: str, body: Mapping[str, Any], **params: Any) -> JsonObject:
        """Run one search; see `Engine.search`."""
        asked = {"allow_partial_search_results": "false", **{name: _param(value) for name, value in params.items()}}
        return answers.search_answer(
            self._where, self.request("POST", _path(index, "_search"), params=asked, body=body, index=index)
        )

    def msearch(self, index: str, bodies: Sequence[Mapping[str, Any]]) -> list[JsonObject]:
        """Run many searches in one request; see `Engine.msearch`."""
        if not bodies:
            return []
        lines = [b'{"allow_partial_search_results":false}\n' + as_json(body) + b"\n" for body in bodies]
        together = self.request("POST", _path(index, "_msearch"), body=b"".join(lines))
        each = answers.search_answers(self._where, together, len(bodies))
        for answer in each:
            if "error" in answer:
                status = answer.get("status")
                raise refusal(self._where, status if isinstance(status, int) else 500, answer, index)
        return [answers.search_answer(self._where, answer) for answer in each]

    def scan(
        self, index: str, query: Mapping[str, Any] | None = None, fields: Sequence[str] | None = None
    ) -> Iterator[JsonObject]:
        """Yield every document; see `Engine.scan`."""
        for hit in self._scroll(index, query, {"_source": True if fields is None else (list(fields) or False)}):
            yield answers.document(self._where, hit)

    def columns(self, index: str, fields: Sequence[str], query: Mapping[str, Any] | None = None) -> Iterator[list[Any]]:
        """Yield every document's values of some fields; see `Engine.columns`."""
        # Without `_id` and `_source` no stored field is unpacked, which is three times as fast.
        asked = {"size": COLUMNS_PAGE, "_source": False, "stored_fields": "_none_", "docvalue_fields": list(fields)}
        for hit in self._scroll(index, query, asked):
            yield answers.first_values(self._where, hit, fields)

    def _scroll(self, index: str, query: Mapping[str, Any] | None, asked: Mapping[str, Any]) -> Iterator[JsonObject]:
        body = {"query": query or {"match_all": {}}, "sort": ["_doc"], "size": SCAN_PAGE, **asked}
        scroll_id, hits = answers.scroll_page(self._where, self.search(index, body, scroll=SCROLL_KEEP))
        try:
            while hits:
                yield from hits
                # Not repeatable: a page whose answer was lost is gone, and asking again would skip it.
                resume = {"scroll": SCROLL_KEEP, "scroll_id": scroll_id}
                page = self.request("POST", "/_search/scroll", body=resume, index=index, repeatable=False)
                scroll_id, hits = answers.scroll_page(self._where, page)
                if answers.whole_number(self._where, page.get("_shards"), "failed"):
                    raise LexlipError(f"{self._where} could not read all of {index!r}: look at its health, then try again.")
        finally:
            self._forget_scroll(scroll_id)

    def force_merge(self, index: str) -> None:
        """Merge into one segment; see `Engine.force_merge`."""
        # Not repeatable: a proxy that gives up waiting says 504 while the merge goes on.
        once = {"max_num_segments": "1"}
        self.request("POST", _path(index, "_forcemerge"), params=once, index=index, repeatable=False, seconds=MERGE_SECONDS)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        index: str | None = None,
        repeatable: bool = True,
        seconds: float = READ_SECONDS,
    ) -> JsonObject:
        """Ask for anything; see `Engine.request`. `seconds` is how long to wait for the answer."""
        payload = body if body is None or isinstance(body, bytes) else as_json(body)
        answer = self._patiently(lambda: self._attempt(method, path, params or {}, payload, index, seconds), repeatable)
        return answers.json_object(self._where, answer)

    def _forget_scroll(self, scroll_id: str) -> None:
        with suppress(LexlipError, TemporaryFailure):  # it expires by itself, and what went wrong before matters more
            self._attempt("DELETE", "/_search/scroll", {}, as_json({"scroll_id": [scroll_id]}), None, READ_SECONDS)

    def _patiently(self, attempt: Callable[[], Any], repeatable: bool = True) -> Any:
        """Attempt again where the server was not ready; what is not `repeatable` only if it never arrived."""
        pauses = self._policy.pauses()
        while True:
            try:
                return attempt()
            except TemporaryFailure as failure:
                pause = next(pauses, None)
                if pause is None or (failure.reached and not repeatable):
                    raise failure.error from failure
                time.sleep(self._policy.lengthened(pause, failure))

    def _attempt(
        self, method: str, path: str, params: Mapping[str, str], body: bytes | None, index: str | None, seconds: float
    ) -> Any:
        """Ask once. The only place where a client's exceptions become errors for people, or `TemporaryFailure`."""
        import urllib3

        target = f"{path}?{urlencode(params, quote_via=quote)}" if params else path
        gzipped = self._access.compress and body is not None and len(body) > _WORTH_COMPRESSING
        if gzipped and body is not None:
            body = gzip.compress(body, 5)
        try:
            request = Request(method, target, body, gzipped, seconds)
            answer = self._send(request, urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds))
        except urllib3.exceptions.ReadTimeoutError as error:
            # The work may still go on over there; asking again would add to it. A load's chunk is small and safe to resend.
            late = EngineUnreachableError(self._where, f"no answer within {seconds:.0f} s", self._log)
            if path.endswith("/_bulk"):
                raise TemporaryFailure(late, 0, reached=True) from error
            raise late from error
        except urllib3.exceptions.SSLError as error:
            if "EOF occurred" in str(error):  # the other end went away, perhaps to come back
                raise lost(self._where, error, self._log) from error
            raise tls_error(self._where, str(error)) from error
        except UnicodeDecodeError as error:
            raise UnreadableAnswerError(self._where) from error
        except urllib3.exceptions.HTTPError as error:
            raise lost(self._where, error, self._log) from error
        return self._understood(method, answer, index)

    def _understood(self, method: str, answer: Answer, index: str | None) -> Any:
        """What a success says; for HEAD, whether the thing is there. Anything else is raised."""
        status = answer.status
        if 200 <= status < 300 or (method == "HEAD" and status == 404):
            return status != 404 if method == "HEAD" else self._parsed(answer)
        if 300 <= status < 400:
            raise redirect(self._where, answer.headers.get("location"))
        try:
            body = self._parsed(answer)
        except UnreadableAnswerError:  # a proxy's page: the status says enough
            body = None
        refused = refusal(self._where, status, body, index, login=self._login)
        if status in OVERLOADED:
            asked = answers.seconds_asked(answer.headers.get("retry-after"))
            raise TemporaryFailure(refused, status, reached=status != 429, asked=asked)
        raise refused

    def _parsed(self, answer: Answer) -> Any:
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError) as error:  # no JSON, or one that nests without end
            raise UnreadableAnswerError(self._where) from error


def _path(*parts: str) -> str:
    if not parts[0]:
        raise UsageError("an index name is empty: name one, for example with LEXLIP_ES_INDEX.")
    return "/" + "/".join(quote(part, safe=",*") for part in parts)


def _param(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_json(value: Any) -> bytes:
    """The value as compact JSON; raises `LexlipError` where it holds numbers that JSON does not know."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    except ValueError as error:
        raise LexlipError(f"a request cannot be written as JSON ({one_line(str(error))}): weights must be finite.") from error
