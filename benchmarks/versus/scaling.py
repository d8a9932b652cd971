"""What 10 million and a billion pictures need on a cluster: on paper, from what was measured, for benchmarks/SCALING.md."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.markdown import table
from benchmarks.versus.comparisons import chosen_way
from benchmarks.versus.growth import Growth, growth_of
from benchmarks.versus.results import Row, named, over_sizes, rows

WANTED = (10_000_000, 1_000_000_000)  # pictures
SHARD_SIZES = (1, 5, 10)  # times the largest collection measured
RATES = (10, 100)  # queries a second that a cluster is to answer


@dataclass(frozen=True)
class Machine:
    """A node that is assumed: half of its memory is the system's cache of files, the rest heap and everything else."""

    cores: int = 16
    memory_gb: int = 64
    cached: float = 0.5
    disk_gb: int = 1_000


@dataclass(frozen=True, eq=False)
class Shard:
    """What was measured of one shard, and how it grows."""

    row: Row  # at the largest size
    growth: Growth
    cores: int
    there_and_back_ms: float  # the part of p50 that is not the engine's, at the smallest size
    more_ms: float  # that a further shard costs whoever asks

    @property
    def postings(self) -> float:
        """Bytes a picture that a query may read: postings of terms and their dictionary; the whole where they are not told."""
        parts: Mapping[str, int] = self.row.system["cost"]["parts"]
        hot = sum(size for part, size in parts.items() if part.endswith(" of terms"))
        return hot / self.row.pictures if hot else self.row.bytes

    @property
    def core_ms(self) -> float:
        """Milliseconds of one core that a query costs in the largest shard measured, where all cores are kept busy."""
        rate = self.row.highest_rate
        return 1e3 * self.cores / rate if rate else self.row.p50

    def ms(self, pictures: float) -> float:
        """p50 of a shard of this size."""
        return self.growth.between(pictures)

    def slowest_ms(self, pictures: float, shards: int) -> float:
        """The median of the slowest of so many shards, if each were as slow as any query at random."""
        times: NDArray[np.float64] = np.asarray(self.row.way["ms"], np.float64).ravel()
        return float(np.quantile(times, 0.5 ** (1 / shards))) * self.ms(pictures) / self.row.p50


def measured_shard(results: Sequence[Mapping[str, Any]]) -> Shard | None:
    """The way that stands for our side, over the sizes; None where it was measured at one size only."""
    return _shard(results, chosen_way(rows(results[-1])), _more_ms(results))


def checked_shard(results: Sequence[Mapping[str, Any]]) -> Shard | None:
    """As `measured_shard`, of the best way that was also measured in several shards; nothing is known of what a shard adds."""
    return _shard(results, chosen_way(row for row in rows(results[-1]) if sharded(results, row)), 0.0)


def _shard(results: Sequence[Mapping[str, Any]], way: Row | None, more_ms: float) -> Shard | None:
    sizes = over_sizes(results)[way.key] if way else []
    growth = growth_of(sizes)
    return Shard(sizes[-1], growth, int(results[-1]["machine"]["cores"]), _there_and_back(sizes[0]), more_ms) if growth else None


def _there_and_back(row: Row) -> float:
    """Of p50 in ms what is not the engine's `took`, which is in whole ms: half of one is taken off. 0 where it is not said."""
    if row.way["took_ms"] is None:
        return 0.0
    rest = np.asarray(row.way["ms"], np.float64) - np.asarray(row.way["took_ms"], np.float64)
    return max(0.0, float(np.median(rest)) - 0.5)


def sharded(results: Sequence[Mapping[str, Any]], way: Row) -> list[Row]:
    """The same way in indices of other numbers of shards, by pictures and shards; those of one shard too."""

    def apart(row: Row) -> tuple[str, dict[str, Any], str]:
        return row.family, _unsharded(row), row.asked

    alike = [row for result in results for row in rows(result) if apart(row) == apart(way)]
    several = {row.pictures for row in alike if row.shards > 1}
    return sorted((row for row in alike if row.pictures in several), key=lambda row: (row.pictures, row.shards))


def _unsharded(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.system["parameters"].items() if name != "shards"}


def foretold_ms(shard: Shard, pictures: int, shards: int) -> float:
    """p50 on the machine measured: its cores search so many shards at a time, and each further shard costs `more_ms`."""
    searching = max(0.0, shard.ms(pictures / shards) - shard.there_and_back_ms)
    return shard.there_and_back_ms + math.ceil(shards / shard.cores) * searching + (shards - 1) * shard.more_ms


def _more_ms(results: Sequence[Mapping[str, Any]]) -> float:
    """What foretelling lacks a further shard at the smallest size where there are several: there, searching costs least."""
    shard = checked_shard(results)
    if shard is None:
        return 0.0
    rest = [row for row in sharded(results, shard.row) if row.shards > 1]
    smallest = min((row.pictures for row in rest), default=0)
    lacks = [
        (row.p50 - foretold_ms(shard, row.pictures, row.shards)) / (row.shards - 1) for row in rest if row.pictures == smallest
    ]
    return max(0.0, float(np.median(lacks))) if lacks else 0.0


def check(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Measured beside foretold, for every number of shards."""
    bare, found = checked_shard(results), []
    if bare is None:
        return []
    shard = replace(bare, more_ms=_more_ms(results))
    for row in sharded(results, shard.row):
        foretold = foretold_ms(shard, row.pictures, row.shards)
        at = row.at(50)
        found.append(
            {
                "pictures": f"{row.pictures:,}",
                "way": f"{named(_unsharded(row))}; {row.asked}",
                "shards": row.shards,
                "measured p50, ms": f"{at.median:.2f} ({at.low:.2f} to {at.high:.2f})",
                "foretold, ms": f"{foretold:.2f}",
                "measured / foretold": f"{at.median / foretold:.2f}",
                "bytes a picture": f"{row.bytes:.0f}",
            }
        )
    return found


def cluster(shard: Shard, pictures: int, in_shard: int, machine: Machine) -> dict[str, str]:
    """What so many pictures in shards of such a size need."""
    shards = math.ceil(pictures / in_shard)
    hot, whole = pictures * shard.postings / 1e9, pictures * shard.row.bytes / 1e9  # GB
    merging = (shards - 1) * shard.more_ms
    by_memory = math.ceil(hot / (machine.memory_gb * machine.cached))
    by_disk = math.ceil(whole / machine.disk_gb)
    core_ms = shards * shard.core_ms * shard.ms(in_shard) / shard.row.p50
    nodes = {rate: math.ceil(rate * core_ms / 1e3 / machine.cores) for rate in RATES}
    return {
        "pictures": f"{pictures:,}",
        "a shard": f"{in_shard:,}",
        "shards": f"{shards:,}",
        "p50, ms": f"{shard.ms(in_shard) + merging:.0f} to {shard.slowest_ms(in_shard, shards) + merging:.0f}",
        "postings, GB": f"{hot:,.1f}",
        "whole index, GB": f"{whole:,.1f}",
        "nodes for memory": str(by_memory),
        "nodes for disk": str(by_disk),
        "nodes for all shards at once": str(math.ceil(shards / machine.cores)),
        **{f"nodes for {rate} queries a second": str(max(by_memory, by_disk, count)) for rate, count in nodes.items()},
    }


def scaling_text(results: Sequence[Mapping[str, Any]], command: str, machine: Machine | None = None) -> str | None:
    """SCALING.md; None where there is no growth to tell from."""
    shard, machine = measured_shard(results), machine or Machine()
    if shard is None:
        return None
    row, growth, n0, on = shard.row, shard.growth, shard.row.pictures, results[-1]["machine"]
    needs = [cluster(shard, pictures, times * n0, machine) for pictures in WANTED for times in SHARD_SIZES]
    checked = check(results)
    recall = "not told" if row.recall is None else f"{row.recall:.3f}"
    asked, several = np.size(row.way["ms"]), {line["pictures"] for line in checked}
    circular = "o is fitted to these very rows, at one size: the check is of its sign and spread." if len(several) == 1 else ""
    return f"""# What 10 million and a billion pictures need

Foretold from measurements at {", ".join(f"{size:,}" for size in growth.pictures)} pictures; no such cluster was built. Written by
`{command}`: every number comes from the raw results.

Measured on {on["cpu"]}, {on["cores"]} cores, {on["memory_bytes"] / 1e9:.0f} GB. The way:
{row.key}
(recall@{results[-1]["plan"]["k"]} {recall} against its own exact, unpruned ranking).

## Formula

With N pictures in shards of n, S = ceil(N / n):

- **t(n)**, p50 of one shard: between the sizes measured, on straight lines of log t over log n; beyond the largest (n0 = {n0:,},
  t = {shard.ms(n0):.2f} ms), t(n0) (n / n0)^e with e = {growth.last},
  the exponent between the two largest sizes and its 95 % interval over rounds. Over all sizes the exponent is {growth.overall}.
- **Latency** of one query, where every shard has a core at once: from t(n) + (S - 1) o, if all shards are equally slow, to
  q(S) t(n) / t(n0) + (S - 1) o, where q(S) is the 0.5^(1/S) quantile of the single queries measured at n0: the median of the
  slowest of S shards whose times have nothing to do with each other. Beyond as many shards as queries were measured ({asked:,})
  q is the slowest of them. o = {shard.more_ms:.3f} ms is what a further shard cost at the smallest size that had several.
- **Memory**: N b bytes of postings and dictionary of `terms`, b = {shard.postings:.0f} bytes a picture, must lie in the systems'
  caches of files. **Disk**: N B bytes, B = {row.bytes:.0f} bytes a picture of the whole index, one copy.
- **Nodes for r queries a second**: r S c t(n) / t(n0) / cores, never fewer than memory or disk need. c = {shard.core_ms:.2f} ms
  of a core is what a query costs a shard of n0, from the highest throughput measured, HTTP and client included.

## Assumptions

- A node has {machine.cores} cores like those measured, {machine.memory_gb} GB of memory, {machine.cached:.0%} of it for files'
  cache, and {machine.disk_gb:,} GB of disk for one copy. A replica doubles memory, disk and
  throughput, not the latency of one query.
- Shards are merged to one segment and hold pictures at random; one core searches one shard. Shards above the largest size
  measured are extrapolated. Lucene holds at most 2,147,483,519 documents in a shard.
- Further pictures are like those before them: as many terms each, the same share of them in each posting list. The network
  between nodes is not in t(n): add its way there and back once. Nothing is indexed at the same time.

## Needs

{table(needs)}

## The check: several shards on the machine measured

Foretold is h + ceil(S / cores) (t(N / S) - h) + (S - 1) o, where h is the part of p50 that is not the engine's `took` at
the smallest size; one shard is the fit's own point. {circular}

{table(checked) if checked else "No index of several shards is among these results: the check is not made."}
"""
