"""What a server says that each clause of a query gave to a hit: pure functions."""

import re
from collections.abc import Mapping
from typing import Any

from lexlip_es.errors import LexlipError

# Lucene's explanations of a linear feature query and of a word or a phrase of a text, whose values are shares of the score.
_FEATURE = re.compile(r"Linear function on the \S+ field for the (\S+) feature")
_WORD = re.compile(r"weight\((\w+)[.:]")
TEXT = "text."
"""Before a text field's name it names the clause that asks it; no feature's name has a dot."""


def exact_shares(hit: Mapping[str, Any]) -> dict[str, float]:
    """Feature name -> the engine's own float32 contribution of that term, of a hit that `explain_request` asked for; of a text
    field its name behind `TEXT`.

    Their sum in double, rounded to float32, is the hit's `_score`, bit for bit.
    """
    named = hit.get("matched_queries")
    if isinstance(named, Mapping):
        return {str(name): float(score) for name, score in named.items()}
    explained = hit.get("_explanation")
    if not isinstance(explained, Mapping):
        raise LexlipError("the server does not explain its hits: ask it with what explain_request gives.")
    return dict(_explained(explained))


def _explained(node: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Each clause below a node of an explanation, by its name, with what it gave."""
    said = str(node.get("description", ""))
    if found := _FEATURE.match(said):
        return [(found[1], float(node["value"]))]
    if found := _WORD.match(said):
        return [(TEXT + found[1], float(node["value"]))]
    below = [share for detail in node.get("details") or () for share in _explained(detail)]
    names = {name for name, _ in below}
    if len(names) == 1 and below[0][0].startswith(TEXT):  # all words of one clause, which is rounded as a whole
        return [(below[0][0], float(node["value"]))]
    return below
