"""What is measured: something that was built once from a collection, and the ways to ask it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.versus.collection import Collection

Side = Literal["table", "tower", "dense", "captions"]
"""Which queries of the collection are asked, and so whose exact ranking is aimed at; `captions` are words, ranked by BM25."""
Parameters = Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class Answer:
    """The best pictures for one query, best first: `ids` int64 (at most k,). `took_ms` is the engine's own word, if any."""

    ids: NDArray[np.int64]
    took_ms: float | None = None


class Asker(Protocol):
    """One connection to one system with one set of parameters; a thread of its own uses each."""

    def ask(self, query: int, k: int) -> Answer:
        """The k best pictures for query number `query` of the collection. What can be prepared beforehand was."""
        ...

    def close(self) -> None:
        """Give back the connection."""
        ...


class Way(Protocol):
    """A way to ask what was built: its parameters at the time of asking, such as terms a query or HNSW's `ef`."""

    @property
    def side(self) -> Side:
        """Which queries it asks."""
        ...

    @property
    def parameters(self) -> Parameters:
        """What tells it from the other ways, for the report."""
        ...

    def asker(self) -> Asker:
        """A new connection."""
        ...


@dataclass(frozen=True)
class Cost:
    """What building took: wall seconds, bytes on disk (or of the serialised index) by part, and resident bytes if known.

    `parts` add up to the whole; an engine's are by what they hold: `postings`, `stored`, `doc values`, ...
    """

    seconds: float
    parts: Mapping[str, int]
    resident_bytes: int | None = None
    notes: Sequence[str] = field(default=())

    @property
    def bytes(self) -> int:
        """The whole."""
        return sum(self.parts.values())


class Built(Protocol):
    """One index of a collection. `family` groups systems in the report, `parameters` are those of building."""

    @property
    def family(self) -> str:
        """Such as "OpenSearch 3.9.0 rank_feature" or "FAISS HNSW"."""
        ...

    @property
    def parameters(self) -> Parameters:
        """Such as terms a picture, shards, or HNSW's `M`."""
        ...

    @property
    def cost(self) -> Cost:
        """What it took to build."""
        ...

    def ways(self) -> Sequence[Way]:
        """The ways to ask it that are compared."""
        ...

    def close(self) -> None:
        """Delete it."""
        ...


Build = Callable[[Collection], Built]
"""Builds one index; `systems` lists them. All that a size compares are built before any is asked."""
