"""What a server's answers must look like before anybody relies on them: pure checks, each with one and the same refusal.

A wrong address can lead to anything that answers: a proxy's page, another program, a server of another kind. What is read from
an answer later is checked here, so that a surprise is one sentence and not a stack trace.
"""

import math
import re
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from lexlip_es.engines.errors import UnreadableAnswerError
from lexlip_es.engines.protocol import JsonObject
from lexlip_es.errors import LexlipError


def json_object(server: str, answer: Any) -> JsonObject:
    """The answer, where it is a JSON object."""
    if not isinstance(answer, dict):
        raise UnreadableAnswerError(server)
    return answer


def index_objects(server: str, answer: JsonObject) -> dict[str, JsonObject]:
    """The answer to `GET /INDEX`: name -> {aliases, mappings, settings}."""
    for body in answer.values():
        if not isinstance(body, dict) or not all(
            isinstance(body.get(part), dict) for part in ("aliases", "mappings", "settings")
        ):
            raise UnreadableAnswerError(server)
    return answer


def search_answer(server: str, answer: Any) -> JsonObject:
    """One search's answer: `took` in whole milliseconds, `hits.hits` a list of objects, each `_score` a finite number or None.

    A score spelled as a text becomes a number; "Infinity", as a server may write it, is refused.
    """
    found = json_object(server, answer)
    hits = _of(_of(found, "hits", dict), "hits", list)
    if hits is None or _of(found, "took", int) is None:
        raise UnreadableAnswerError(server)
    for hit in hits:
        if not isinstance(hit, dict) or not all(isinstance(hit.get(part, {}), dict) for part in ("_source", "fields")):
            raise UnreadableAnswerError(server)
        if not all(isinstance(values, list) for values in hit.get("fields", {}).values()):
            raise UnreadableAnswerError(server)
        if hit.get("_score") is not None:
            hit["_score"] = _finite(server, hit["_score"])
    return found


def scroll_page(server: str, answer: Any) -> tuple[str, list[JsonObject]]:
    """(scroll id, hits) of a page that every shard could read."""
    page = search_answer(server, answer)
    hits: list[JsonObject] = page["hits"]["hits"]
    if not isinstance(page.get("_scroll_id"), str):
        raise UnreadableAnswerError(server)
    return page["_scroll_id"], hits


def document(server: str, hit: JsonObject) -> JsonObject:
    """{"_id", "source"} of a hit."""
    identifier, source = hit.get("_id"), hit.get("_source", {})
    if not isinstance(identifier, str) or not isinstance(source, dict):
        raise UnreadableAnswerError(server)
    return {"_id": identifier, "source": source}


def first_values(server: str, hit: JsonObject, fields: Sequence[str]) -> list[Any]:
    """The first value of each field of a hit, None where it has none."""
    found = hit.get("fields", {})
    values: list[Any] = [found.get(field, [None]) for field in fields] if isinstance(found, dict) else []
    if not values or not all(isinstance(value, list) and value for value in values):
        raise UnreadableAnswerError(server)
    return [value[0] for value in values]


def search_answers(server: str, answer: JsonObject, length: int) -> list[JsonObject]:
    """The `responses` of as many searches as were asked together: objects, each an answer or an error yet to be looked at."""
    responses = _of(answer, "responses", list)
    if responses is None or len(responses) != length:
        raise UnreadableAnswerError(server)
    return [json_object(server, response) for response in responses]


def bulk_items(server: str, answer: Any, length: int) -> list[JsonObject]:
    """What became of each of as many documents as were sent: objects with a `status` and, where it failed, an `error`."""
    items = _of(answer, "items", list)
    if items is None or len(items) != length:
        raise UnreadableAnswerError(server)
    found = []
    for item in items:  # {"index": {...}} or {"delete": {...}}
        outcomes = [outcome for outcome in json_object(server, item).values() if _of(outcome, "status", int) is not None]
        if len(outcomes) != 1:
            raise UnreadableAnswerError(server)
        found.append(outcomes[0])
    return found


def whole_number(server: str, answer: Any, name: str) -> int:
    """The answer's integer of this name."""
    found = _of(answer, name, int)
    if found is None:
        raise UnreadableAnswerError(server)
    return int(found)


def version_numbers(number: str) -> tuple[int, ...]:
    """A version as integers; parts that are none count as 0.

    >>> version_numbers("8.19.0-SNAPSHOT"), version_numbers("serverless")
    ((8, 19, 0), (0,))
    """
    return tuple(int(part) if re.fullmatch("[0-9]{1,9}", part) else 0 for part in number.split("-")[0].split("."))


def seconds_asked(retry_after: str | None) -> float:
    """The seconds of a `Retry-After` header (RFC 9110, 10.2.3: a number or a moment); 0 where it is missing or means nothing.

    >>> seconds_asked("7"), seconds_asked("soon"), seconds_asked("Wed, 21 Oct 2015 07:28:00 GMT")
    (7.0, 0.0, 0.0)
    """
    given = (retry_after or "").strip()
    if re.fullmatch("[0-9]{1,9}", given):
        return float(given)
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def _of(answer: Any, name: str, kind: type) -> Any:
    """The part of this name where it is there and of this kind, else None; True and False are no integers."""
    found = answer.get(name) if isinstance(answer, Mapping) else None
    return found if isinstance(found, kind) and not (kind is int and isinstance(found, bool)) else None


def _finite(server: str, score: Any) -> float:
    try:
        number = float(score)
    except (TypeError, ValueError, OverflowError):
        raise UnreadableAnswerError(server) from None
    if not math.isfinite(number):
        raise LexlipError(
            f"{server} gave a hit a score that is not finite, so nothing can be ranked: the index holds weights that lexlip-es "
            "did not write; make it anew."
        )
    return number
