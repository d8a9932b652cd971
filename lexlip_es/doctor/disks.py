"""Disk watermarks: how full a disk may be before a server moves shards away, and before it blocks writing."""

import re
from collections.abc import Iterator
from typing import Any

from lexlip_es.doctor.facts import Answer
from lexlip_es.doctor.lines import Line, failure, ok, warning
from lexlip_es.errors import LexlipError

_PREFIX = "cluster.routing.allocation.disk."
_UNITS = {unit: 1024**power for power, unit in enumerate(("b", "kb", "mb", "gb", "tb", "pb"))}
_USUAL = {"low": "85%", "high": "90%", "flood_stage": "95%"}


def disk_lines(settings: Answer, disks: Answer) -> Iterator[Line]:
    """A line for each disk that is too full, or one for all.

    settings: the cluster's, flat, defaults included. disks: `_nodes/stats/fs`.
    """
    for answer in (settings, disks):
        if isinstance(answer, LexlipError):
            yield warning("disk", f"not looked at, since the server did not say: {answer}")
            return
    if str(settings_value(settings, "threshold_enabled", "true")) == "false":
        yield ok("disk", "the server does not watch its disks (cluster.routing.allocation.disk.threshold_enabled).")
        return
    nodes = disks.get("nodes") if isinstance(disks, dict) else None
    seen, worst = 0, False
    for node in nodes.values() if isinstance(nodes, dict) else ():
        total = node.get("fs", {}).get("total", {})
        size, free = total.get("total_in_bytes"), total.get("available_in_bytes")
        if not size or free is None:
            continue
        seen += 1
        full = [stage for stage in ("flood_stage", "high", "low") if free < free_bytes(settings, stage, size)]
        if full:
            worst = True
            yield _line(str(node.get("name", "a node")), full[0], free, size)
    if not worst:
        said = f"all {seen} disks are below every watermark." if seen > 1 else "the disk is below every watermark."
        yield ok("disk", said) if seen else warning("disk", "no node told its disk: look at GET /_cat/allocation.")


def _line(node: str, stage: str, free: int, size: int) -> Line:
    said = f"{node} has {free / 2**30:,.1f} GiB free of {size / 2**30:,.1f} ({100 - 100 * free / size:.0f}% full), beyond the"
    if stage == "flood_stage":
        return failure("disk", f"{said} flood-stage watermark, so its indices take no documents: free disk space or add a disk.")
    if stage == "high":
        return warning("disk", f"{said} high watermark, so its shards are moved away: free disk space or add a node.")
    return warning("disk", f"{said} low watermark, so it gets no new shards: free disk space or add a node.")


def settings_value(settings: Answer, name: str, usual: str) -> Any:
    """A disk setting, or the usual value."""
    found = settings.get(_PREFIX + name) if isinstance(settings, dict) else None
    return usual if found is None else found


def free_bytes(settings: Answer, stage: str, size: int) -> float:
    """Below how many free bytes a disk of this size is beyond a watermark.

    A watermark is a used share ("85%", "0.85") with, on newer Elasticsearch, a cap on the free bytes it demands
    (`max_headroom`), or a number of free bytes ("10gb"), see the servers' "Cluster-level shard allocation and routing settings".
    """
    given = str(settings_value(settings, f"watermark.{stage}", _USUAL[stage])).strip().lower()
    absolute = _bytes(given)
    if absolute is not None:
        return absolute
    try:
        used = float(given.rstrip("%")) / (100 if given.endswith("%") else 1)
    except ValueError:
        used = float(_USUAL[stage].rstrip("%")) / 100
    headroom = _bytes(str(settings_value(settings, f"watermark.{stage}.max_headroom", "-1")).strip().lower())
    demanded = size * (1 - used)
    return demanded if headroom is None else min(demanded, headroom)


def _bytes(text: str) -> float | None:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgtp]?b)", text)
    return float(found[1]) * _UNITS[found[2]] if found else None
