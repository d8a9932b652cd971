"""What an engine can answer other than success, told as one sentence a person can act on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lexlip_es.engines.retries import OVERLOADED, TemporaryFailure
from lexlip_es.errors import LexlipError

_BROKE_OFF = "broke off the TLS connection, as servers do that want another certificate of their users (LEXLIP_ES_CLIENT_CERT)"
_MISSING_SHARDS = ("no_shard_available_action_exception", "unavailable_shards_exception")


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


class NotOfferedError(LexlipError):
    """The server does not know that address or that way to ask for it; older, smaller and hosted engines offer less."""


class TooLargeError(LexlipError):
    """The server, or a proxy before it, does not take requests of this size."""


class ForbiddenError(LexlipError):
    """The server knows who asks, and this user lacks the right."""


def refusal(server: str, status: int, body: Any, index: str | None, *, login: str | None = None) -> LexlipError:
    """The error for an HTTP status that is not a success.

    `body` is the engine's parsed JSON answer, where it gave one; `login` names the variables that say who asks.
    """
    kind, reason = error_cause(body)
    if status == 404 and kind == "index_not_found_exception":
        named = body["error"].get("index") if isinstance(body["error"], Mapping) else None
        return UnknownIndexError(index or named or "?", server)
    if status == 404 and kind == "aliases_not_found_exception":
        return LexlipError(f"the engine at {server} does not know that alias ({reason}).")
    if status == 401:
        if login is not None:
            return LexlipError(f"the engine at {server} does not accept this login: check {login}.")
        return LexlipError(
            f"the engine at {server} wants to know who asks: set LEXLIP_ES_USERNAME and LEXLIP_ES_PASSWORD, "
            "LEXLIP_ES_API_KEY or LEXLIP_ES_BEARER."
        )
    if kind == "media_type_header_exception":
        return LexlipError(
            f"the installed client for Elasticsearch does not fit {server} ({reason}): pip install 'elasticsearch>=8.19,<9'."
        )
    if kind == "cluster_block_exception" and status in (403, 429):  # at 503 the cluster is not ready yet
        return LexlipError(
            f"the engine at {server} blocks this ({(reason or kind).rstrip(';')}): free disk space there or lift the block, "
            "then go on."
        )
    if kind == "index_create_block_exception":  # OpenSearch's guard against disks that fill up; no question of rights
        return LexlipError(
            f"the engine at {server} makes no new index ({(reason or kind).rstrip(';')}), as when all its disks are filled "
            "beyond the high watermark (90 %): free disk space there and it lifts the block, unless somebody set "
            "cluster.blocks.create_index."
        )
    if kind == "index_closed_exception":
        return LexlipError(f"{index or 'an index'} on {server} is closed: open it there (POST /{index or 'INDEX'}/_open).")
    if kind in _MISSING_SHARDS or "missing shards" in reason:
        return LexlipError(
            f"a part of {index or 'the index'} on {server} is on no node that runs: "
            "GET /_cluster/allocation/explain there says why."
        )
    if status == 403 or kind == "security_exception":
        return ForbiddenError(
            f"this user may not do that on {server} ({reason or 'forbidden'}): have the right granted, or ask as another user."
        )
    if status == 413:
        return TooLargeError(f"a request was larger than {server} accepts: raise its http.max_content_length.")
    if status == 429 or kind == "cluster_block_exception":
        return LexlipError(f"the engine at {server} takes no more for now ({reason or kind or status}): try again later.")
    what = one_line(": ".join(part for part in (kind, reason) if part) or "no reason given")
    if status in OVERLOADED:
        return LexlipError(
            f"the engine at {server} is not ready (status {status}: {what}): look at its health, or try again later."
        )
    refused = f"the engine at {server} refused the request with status {status} ({what})"
    if status == 400 and not reason and server.startswith("http:"):  # as web servers answer plain words at a TLS port
        return LexlipError(f"{refused}: if it speaks TLS, its URL begins with https://.")
    if not kind and status in (404, 405):
        return NotOfferedError(f"{refused}: check LEXLIP_ES_URL.")
    return LexlipError(f"{refused}.")


def redirect(server: str, location: str | None) -> LexlipError:
    """The error for a redirect, which is never followed: it could lead the login to another host."""
    parts = urlsplit(location or "")
    there = f" to {parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.scheme and parts.netloc else ""
    return LexlipError(f"{server} sends requests on{there}, where no login is taken: set LEXLIP_ES_URL to the engine itself.")


def lost(server: str, error: Exception, log: Path | None) -> TemporaryFailure:
    """What a connection that was not made, or ended without an answer, means: another try may do better."""
    import urllib3.exceptions as client

    if isinstance(error, client.SSLError):
        cause = f"it {_BROKE_OFF}"
    elif isinstance(error, client.NameResolutionError):
        cause = "its name is not known"
    elif "[Errno" in str(error):  # reads like "...: Failed to establish a new connection: [Errno 111] Connection refused"
        cause = one_line(str(error).rpartition("] ")[2].strip("')( ")).lower()
    elif isinstance(error, client.ConnectTimeoutError):
        cause = "no connection in time"
    else:
        cause = "the connection was lost"
    never_arrived = isinstance(error, (client.NewConnectionError, client.ConnectTimeoutError))
    if not never_arrived and server.startswith("http:"):
        cause += "; if it speaks TLS, its URL begins with https://"
    return TemporaryFailure(EngineUnreachableError(server, cause, log), 0, reached=not never_arrived)


def tls_error(server: str, cause: str) -> LexlipError:
    """What a failed handshake means; `cause` is OpenSSL's text, which differs in spaces and case between its versions."""
    telling = cause.upper().replace(" ", "_")
    if "WRONG_VERSION_NUMBER" in telling or "RECORD_LAYER" in telling:
        return LexlipError(f"{server} does not speak TLS: write its URL with http://.")
    if "CERTIFICATE_HAS_EXPIRED" in telling or "NOT_YET_VALID" in telling:
        return LexlipError(f"the certificate of {server} is out of date ({one_line(cause, 160)}): have it renewed there.")
    if "HOSTNAME_MISMATCH" in telling or "IP_ADDRESS_MISMATCH" in telling:
        return LexlipError(
            f"the certificate of {server} is made out for another name ({one_line(cause, 200)}): "
            "write LEXLIP_ES_URL with a name that it holds."
        )
    if "EOF_OCCURRED" in telling:
        return LexlipError(f"{server} {_BROKE_OFF}.")
    if "CERTIFICATE_REQUIRED" in telling or "ALERT" in telling:
        return LexlipError(
            f"{server} demands a certificate of its users, and this one's, if any, is not accepted ({one_line(cause, 160)}): "
            "set LEXLIP_ES_CLIENT_CERT and LEXLIP_ES_CLIENT_KEY."
        )
    if "FINGERPRINT" in telling:
        return LexlipError(
            f"the certificate of {server} no longer has the fingerprint of LEXLIP_ES_CA_FINGERPRINT: find out why."
        )
    return LexlipError(
        f"the certificate of {server} is not trusted ({one_line(cause, 160)}): set LEXLIP_ES_CA_CERTS to the PEM file of the "
        "authority that signed it, or LEXLIP_ES_CA_FINGERPRINT."
    )


def error_cause(body: Any) -> tuple[str, str]:
    """(type, reason) of an engine's error object, deepest known cause first; ("", "") where the body holds none.

    >>> error_cause({"error": {"type": "x", "reason": "all failed", "root_cause": [{"type": "y", "reason": "bad field"}]}})
    ('y', 'bad field')
    """
    error = None
    if isinstance(body, Mapping):
        error = body.get("error") or body.get("message") or body.get("Message")  # the last two: a cloud's gate before it
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
