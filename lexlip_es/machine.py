"""What this machine lets us use."""

import os
from collections.abc import Mapping


def cpus() -> int:
    """The processors for this process, at least one: those that it may run on (containers and taskset give fewer than there are),
    shared with the other processes of this machine where a launcher started several."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, allowed // max(1, _number(os.environ, "LOCAL_WORLD_SIZE", 1)))


def gpu(count: int, environment: Mapping[str, str]) -> int:
    """Which of `count` GPUs is this process's: each has one of its own where a launcher started as many as there are."""
    place = _number(environment, "LOCAL_RANK", _number(environment, "SLURM_LOCALID", 0))
    return place % max(1, count)


def _number(environment: Mapping[str, str], name: str, otherwise: int) -> int:
    value = environment.get(name, "")
    return int(value) if value.isdecimal() else otherwise
