"""Raw results as rows: one way to ask one system at one size, with what the report tells of it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.versus.timing import Spread
from lexlip_es.errors import LexlipError

FORMAT = 1
SPARSE = ("table", "tower")


@dataclass(frozen=True, eq=False)
class Row:
    """A way to ask, from the raw `system` and `way` of a raw result of so many pictures."""

    label: str
    pictures: int
    system: Mapping[str, Any]
    way: Mapping[str, Any]

    @property
    def family(self) -> str:
        """Systems of a kind."""
        return str(self.system["family"])

    @property
    def side(self) -> str:
        """Which queries it asks."""
        return str(self.way["side"])

    @property
    def times_only(self) -> bool:
        """Are its vectors random, so that nothing is said of what it finds?"""
        return bool(self.way["times_only"])

    @property
    def sparse(self) -> bool:
        """Does it ask for terms of the model?"""
        return self.side in SPARSE

    @property
    def engine(self) -> bool:
        """Is it the model's terms in a server, asked over HTTP?"""
        return self.sparse and self.way["took_ms"] is not None

    @property
    def shards(self) -> int:
        """Of an engine's index, each of which is searched by a thread of its own; 1 elsewhere."""
        return int(self.system["parameters"].get("shards", 1))

    @property
    def key(self) -> str:
        """What it is called at every size."""
        return "; ".join(part for part in (self.family, self.how) if part)

    @property
    def how(self) -> str:
        """How it was built and is asked."""
        return "; ".join(part for part in (self.built, self.asked) if part)

    @cached_property
    def built(self) -> str:
        """The parameters of building, as text."""
        return named(self.system["parameters"])

    @cached_property
    def asked(self) -> str:
        """The parameters of asking, as text, and the side for the model's terms."""
        return ", ".join(part for part in ([self.side] if self.sparse else []) + [named(self.way["parameters"])] if part)

    @cached_property
    def rounds(self) -> list[float]:
        """p50 in ms of each round."""
        return [float(np.median(row)) for row in self.way["ms"]]

    def at(self, percent: float) -> Spread:
        """A percentile in ms."""
        return Spread.of_percentile(self.way["ms"], percent)

    @cached_property
    def p50(self) -> float:
        """ms, the median over rounds."""
        return self.at(50).median

    @property
    def took(self) -> Spread | None:
        """p50 of what the engine says itself, in whole ms."""
        return None if self.way["took_ms"] is None else Spread.of_percentile(self.way["took_ms"], 50)

    @cached_property
    def recall(self) -> float | None:
        """recall@k against the side's exact, unpruned ranking."""
        found = self.way["recall_at_k"]
        return None if found is None else float(np.mean(found))

    def rate(self, clients: int) -> Spread | None:
        """Queries a second."""
        found = self.way["queries_per_second"].get(str(clients))
        return Spread.of(found) if found else None

    @property
    def highest_rate(self) -> float | None:
        """Queries a second with the number of clients that is answered most; None where it was not measured."""
        rates = [rate.median for clients in self.way["queries_per_second"] if (rate := self.rate(int(clients)))]
        return max(rates, default=None)

    def right(self, depth: int) -> float | None:
        """R@depth in percent."""
        return None if self.way["right"] is None else float(self.way["right"][f"R@{depth}"]["percent"])

    @property
    def bytes(self) -> float:
        """Of the whole index, a picture."""
        return float(self.system["cost"]["bytes"]) / self.pictures

    @property
    def postings(self) -> float | None:
        """Bytes of the terms' postings a picture, where they are told from the rest."""
        found = self.system["cost"]["parts"].get("postings of terms")
        return None if found is None else found / self.pictures


def named(parameters: Mapping[str, Any]) -> str:
    """Parameters as text.

    >>> named({"terms": 64, "rescore": False, "write once": True})
    'terms 64, write once'
    """
    said = (name if value is True else f"{name} {value}" for name, value in parameters.items() if value is not False)
    return ", ".join(said)


def load_results(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Raw results, the smallest collection first; raises `LexlipError` for a file that is not one."""
    found = []
    for path in paths:
        try:
            result = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise LexlipError(f"{path} cannot be read as a result: give a file that measure has written.") from error
        if not isinstance(result, dict) or result.get("format") != FORMAT:
            raise LexlipError(f"{path} is no result of this version: measure again.")
        found.append(result)
    return sorted(found, key=lambda result: (result["pictures"], result["label"]))


def rows(result: Mapping[str, Any]) -> list[Row]:
    """The ways of one result."""
    return [Row(result["label"], result["pictures"], system, way) for system in result["systems"] for way in system["ways"]]


def ours(found: Iterable[Row]) -> list[Row]:
    """The model's terms in an engine on one thread, as FAISS has one."""
    return [row for row in found if row.engine and row.shards == 1]


def reaching(candidates: Iterable[Row], recall: float | None) -> list[Row]:
    """Those with at least this recall@k; all for None."""
    return [row for row in candidates if recall is None or (row.recall is not None and row.recall >= recall)]


def fastest(candidates: Iterable[Row], recall: float | None = None) -> Row | None:
    """The one with the lowest p50, of those `reaching` a recall@k."""
    return min(reaching(candidates, recall), key=lambda row: row.p50, default=None)


def over_sizes(results: Sequence[Mapping[str, Any]]) -> dict[str, list[Row]]:
    """Ways by their key, each over the sizes at which it was measured."""
    found: dict[str, list[Row]] = {}
    for result in results:
        for row in rows(result):
            found.setdefault(row.key, []).append(row)
    return found
