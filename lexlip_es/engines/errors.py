"""What an engine can answer other than success, told as one sentence a person can act on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lexlip_es.errors import LexlipError


class UnknownIndexError(LexlipError):
    """The index or alias that was asked for does not exist on the engine."""

    def __init__(self, index: str, server: str) -> None:
        super().__init__(f"there is no index {index!r} on {server}: make it with `lexlip-es index --images DIR --index {index}`.")
        self.index = index


class EngineUnreachableError(LexlipError):
    """Nothing answers at the engine's address, or it stopped answering."""

    def __init__(self, server: str, cause: str, log: Path | None = None) -> None:
        if log is None:
            remedy = "start it, or set LEXLIP_ES_URL to an engine that runs"
        else:
            remedy = f"its log is {log}; `lexlip-es engine start` starts it again"
        super().__init__(f"the engine at {server} does not answer ({cause}): {remedy}.")


class UnreadableAnswerError(LexlipError):
    """What answers at the engine's address does not answer as a search engine does."""

    def __init__(self, server: str) -> None:
        super().__init__(f"{server} gave an answer that cannot be read: check LEXLIP_ES_URL.")


class TooLargeError(LexlipError):
    """The server, or a proxy before it, does not take requests of this size."""


def refusal(server: str, status: int, body: Any, index: str | None) -> LexlipError:
    """The error for an HTTP status that is not a success; `body` is the engine's parsed JSON answer, where it gave one."""
    kind, reason = error_cause(body)
    if status == 404 and kind == "index_not_found_exception":
        named = body["error"].get("index") if isinstance(body["error"], Mapping) else None
        return UnknownIndexError(index or named or "?", server)
    if status == 404 and kind == "aliases_not_found_exception":
        return LexlipError(f"the engine at {server} does not know that alias ({reason}).")
    if status == 401:
        return LexlipError(
            f"the engine at {server} wants to know who asks: set LEXLIP_ES_USERNAME and LEXLIP_ES_PASSWORD, "
            "LEXLIP_ES_API_KEY or LEXLIP_ES_BEARER."
        )
    if kind == "cluster_block_exception" and status in (403, 429):  # at 503 the cluster is not ready yet
        return LexlipError(
            f"the engine at {server} blocks this ({reason or kind}): free disk space there or lift the block, then go on."
        )
    if status == 403 or kind == "security_exception":
        return LexlipError(f"this user may not do that on {server}: {reason or 'forbidden'}.")
    if status == 413:
        return TooLargeError(f"a request was larger than {server} accepts: raise its http.max_content_length.")
    if status == 429 or kind == "cluster_block_exception":
        return LexlipError(f"the engine at {server} takes no more for now ({reason or kind or status}): try again later.")
    what = ": ".join(part for part in (kind, reason) if part) or "no reason given"
    return LexlipError(f"the engine at {server} refused the request with status {status} ({one_line(what)}).")


def error_cause(body: Any) -> tuple[str, str]:
    """(type, reason) of an engine's error object, deepest known cause first; ("", "") where the body holds none.

    >>> error_cause({"error": {"type": "x", "reason": "all failed", "root_cause": [{"type": "y", "reason": "bad field"}]}})
    ('y', 'bad field')
    """
    error = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(error, str):
        return "", one_line(error)
    if not isinstance(error, Mapping):
        return "", ""
    root = error.get("root_cause")
    cause = root[0] if isinstance(root, list) and root and isinstance(root[0], Mapping) else error
    kind, reason = str(cause.get("type") or ""), str(cause.get("reason") or "")
    deeper = error.get("caused_by")
    while isinstance(deeper, Mapping):
        if deeper.get("reason") and str(deeper["reason"]) not in reason:
            reason = f"{reason}: {deeper['reason']}" if reason else str(deeper["reason"])
        deeper = deeper.get("caused_by")
    return kind, one_line(reason)


def one_line(text: str, limit: int = 400) -> str:
    """A text as one line without a closing full stop, cut at `limit` characters."""
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= limit else line[: limit - 3] + "..."
