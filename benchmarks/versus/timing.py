"""How long does a query take, and how many does a way answer at once?

All ways take their turn in every round, in an order drawn anew, so that whatever else the machine does falls on all of them
alike. In its turn a way is asked every query, in the same order as the others in this round, after a few that are not timed:
its caches are then as they are where it is asked all day. Before the first round each is asked everything once, untimed. What is
told of a way is the median over the rounds of a round's percentile, and the lowest and the highest round.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.versus.system import Asker, Way

SETTLING = 3  # queries at the start of a turn that are not timed

Say = Callable[[str], None]
"""Told what is being done, for whoever waits."""


@dataclass(frozen=True)
class Spread:
    """The median over rounds, the lowest and the highest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: ArrayLike) -> "Spread":
        """Of one value a round."""
        found = np.asarray(values, np.float64)
        return cls(float(np.median(found)), float(found.min()), float(found.max()))

    @classmethod
    def of_percentile(cls, rounds: ArrayLike, percent: float) -> "Spread":
        """Of a percentile of each round's queries (R, Q)."""
        return cls.of(np.percentile(np.asarray(rounds, np.float64), percent, axis=1))


@dataclass(frozen=True, eq=False)
class Timed:
    """Milliseconds (R, Q) of each round and query, by our clock and the engine's own if it has one; each query's answer."""

    ms: NDArray[np.float64]
    took_ms: NDArray[np.float64] | None
    answers: list[NDArray[np.int64]]


@contextmanager
def asking(ways: Sequence[Way]) -> Iterator[list[Asker]]:
    """A connection to each."""
    with ExitStack() as open_ones:
        yield [open_ones.enter_context(closing(way.asker())) for way in ways]


def time_ways(
    ways: Sequence[Way], queries: Sequence[int], k: int, rounds: int, seed: int, say: Say = lambda _: None
) -> list[Timed]:
    """Time each way with each query in each round; the result is in the order of `ways`, its columns in that of `queries`."""
    random = np.random.default_rng(seed)
    ms = np.zeros((len(ways), rounds, len(queries)))
    took = np.full_like(ms, np.nan)
    answers: list[list[NDArray[np.int64]]] = []
    with asking(ways) as askers:
        for asker in askers:
            answers.append([asker.ask(query, k).ids for query in queries])
        for turn in range(rounds):
            say(f"round {turn + 1} of {rounds}")
            order = random.permutation(len(queries)).tolist()
            for way in random.permutation(len(ways)).tolist():
                ask = askers[way].ask
                for place in order[-SETTLING:]:
                    ask(queries[place], k)
                for place in order:
                    query = queries[place]
                    started = time.perf_counter()
                    answer = ask(query, k)
                    ms[way, turn, place] = 1e3 * (time.perf_counter() - started)
                    took[way, turn, place] = np.nan if answer.took_ms is None else answer.took_ms
    return [Timed(ms[way], None if np.isnan(took[way]).any() else took[way], found) for way, found in enumerate(answers)]


def throughput(way: Way, queries: Sequence[int], k: int, clients: int, seconds: float) -> float:
    """Queries a second that so many clients, each a thread with a connection of its own, are answered together.

    Each asks for at least so many seconds and finishes the query that it has begun.
    """
    start = threading.Barrier(clients)
    rates: list[float] = []

    def client(asker: Asker, first: int) -> None:
        turn = cycle([*queries[first:], *queries[:first]])  # no two ask the same at the same time
        asker.ask(next(turn), k)
        start.wait()
        began, asked, passed = time.perf_counter(), 0, 0.0
        while passed < seconds:
            asker.ask(next(turn), k)
            asked, passed = asked + 1, time.perf_counter() - began
        rates.append(asked / passed)

    with asking([way] * clients) as askers:
        firsts = [len(queries) * number // clients for number in range(clients)]
        threads = [threading.Thread(target=client, args=pair) for pair in zip(askers, firsts, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if len(rates) < clients:
        raise RuntimeError("a client has failed: its trace is above.")
    return sum(rates)


def throughputs(
    ways: Sequence[Way],
    queries: Sequence[int],
    k: int,
    clients: Sequence[int],
    rounds: int,
    seconds: float,
    seed: int,
    say: Say = lambda _: None,
) -> list[dict[int, list[float]]]:
    """`throughput` of each way with each number of clients in each round, the ways in an order drawn anew each round."""
    random = np.random.default_rng(seed)
    found: list[dict[int, list[float]]] = [{number: [] for number in clients} for _ in ways]
    for turn in range(rounds):
        say(f"throughput, round {turn + 1} of {rounds}")
        for way in random.permutation(len(ways)).tolist():
            for number in clients:
                found[way][number].append(throughput(ways[way], queries, k, number, seconds))
    return found
