"""The bulk story, for any client: documents -> chunks -> requests -> one result a document, resending only what failed for now.

What the server says of one document is that document's result; what it says of everybody (no login, no right, no disk) is raised.
The generator is lazy: a chunk is read from `documents` when the results of the one before were taken, so a load of any length
needs the memory of one chunk. Results come in the order of the documents.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lexlip_es.engines.answers import bulk_items
from lexlip_es.engines.errors import TooLargeError, error_cause, refusal
from lexlip_es.engines.protocol import BulkResult
from lexlip_es.engines.retries import OVERLOADED, PATIENT, RetryPolicy, TemporaryFailure

CHUNK_DOCUMENTS = 1_000
CHUNK_BYTES = 8 * 1024 * 1024
FOR_ALL = frozenset({"cluster_block_exception", "security_exception", "index_closed_exception", "index_not_found_exception"})

Send = Callable[[bytes], Any]


@dataclass(frozen=True)
class _Line:
    """One document as it goes over the wire (`payload`), or why it cannot (`refused`)."""

    id: str
    payload: bytes
    refused: BulkResult | None = None


def bulk(
    send: Send,
    documents: Iterable[Mapping[str, Any]],
    *,
    server: str,
    index: str,
    policy: RetryPolicy = PATIENT,
    chunk_documents: int = CHUNK_DOCUMENTS,
    chunk_bytes: int = CHUNK_BYTES,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[BulkResult]:
    """Send documents in chunks through `send` (newline-delimited JSON in, the engine's bulk answer out); yield the results.

    A chunk holds at most `chunk_documents` documents and `chunk_bytes` bytes, except that one larger document travels alone.
    Raises what `send` raises, `TemporaryFailure` aside: of that, its `error`, when the policy's tries are used up; and the
    `refusal` that `server` gives to all documents of the `index`, at the first of them and when the tries are used up.
    """
    for chunk in _chunks(documents, chunk_documents, chunk_bytes):
        for result in _deliver(chunk, send, policy, sleep, server):
            if result.status in (401, 403) or result.error_type in FOR_ALL:
                error = {"type": result.error_type, "reason": result.reason}
                raise refusal(server, result.status, {"error": error}, index)
            yield result


def _chunks(documents: Iterable[Mapping[str, Any]], most: int, most_bytes: int) -> Iterator[list[_Line]]:
    chunk: list[_Line] = []
    size = 0
    for document in documents:
        line = _line(document)
        if chunk and (len(chunk) == most or size + len(line.payload) > most_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(line)
        size += len(line.payload)
    if chunk:
        yield chunk


def _line(document: Mapping[str, Any]) -> _Line:
    identifier = document["_id"]
    try:
        if document.get("delete"):
            return _Line(identifier, _json({"delete": {"_id": identifier}}) + b"\n")
        if "update" in document:  # one that somebody else changes at the same moment is changed after them
            action, source = {"update": {"_id": identifier, "retry_on_conflict": 3}}, {"doc": document["update"]}
        else:
            action, source = {"index": {"_id": identifier}}, document["source"]
        payload = _json(action) + b"\n" + _json(source) + b"\n"
    except (TypeError, ValueError) as error:  # NaN, infinity, a lone surrogate, an object that JSON does not know
        return _Line(identifier, b"", BulkResult(identifier, False, 400, "not_json", str(error)))
    return _Line(identifier, payload)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")


def _deliver(
    chunk: list[_Line], send: Send, policy: RetryPolicy, sleep: Callable[[float], None], server: str
) -> Iterator[BulkResult]:
    """Results of one chunk, after as many tries as the policy grants."""
    results: list[BulkResult | None] = [line.refused for line in chunk]
    pauses = policy.pauses()
    while waiting := [i for i, result in enumerate(results) if result is None]:
        pause = next(pauses, None)
        try:
            answers = _try([chunk[i] for i in waiting], send, server)
        except TemporaryFailure as failure:
            if pause is None:
                raise failure.error from failure
            pause = policy.lengthened(pause, failure)
        else:
            for i, answer in zip(waiting, answers, strict=True):
                if pause is None or answer.status not in OVERLOADED:
                    results[i] = answer
        if pause is not None and None in results:
            sleep(pause)
    yield from (result for result in results if result is not None)


def _try(lines: list[_Line], send: Send, server: str) -> list[BulkResult]:
    """One request, or, where the server finds it too large, one for each half."""
    try:
        answer = send(b"".join(line.payload for line in lines))
    except TooLargeError as error:
        if len(lines) == 1:
            return [BulkResult(lines[0].id, False, 413, "too_large", str(error))]
        middle = len(lines) // 2
        return _try(lines[:middle], send, server) + _try(lines[middle:], send, server)
    items = bulk_items(server, answer, len(lines))
    return [_result(line.id, item) for line, item in zip(lines, items, strict=True)]


def _result(identifier: str, item: Mapping[str, Any]) -> BulkResult:
    if item.get("error") is None:  # a deletion of what was not there has status 404 and no error
        return BulkResult(identifier, True, item["status"])
    error_type, reason = error_cause(item)
    if error_type == "document_missing_exception":  # an update of what somebody deleted meanwhile
        return BulkResult(identifier, True, item["status"])
    return BulkResult(identifier, False, item["status"], error_type, reason)
