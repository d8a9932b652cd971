"""What this machine lets us use."""

import os


def cpus() -> int:
    """The processors that this process may run on, at least one (containers and taskset give fewer than there are)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
