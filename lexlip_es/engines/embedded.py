"""The embedded engine: a real OpenSearch on this machine that is started when it is needed and outlives the command.

`status` is one request to the node that the state file names. What a start and a stop need is in `node.life` and is imported
by them alone: every search asks `ensure_running` first, and nearly always a node runs.
"""

import os
from collections.abc import Callable
from pathlib import Path

from lexlip_es.engines.node.places import Places
from lexlip_es.engines.node.state import RunningNode, running_node

__all__ = ["HEAP", "RunningNode", "ensure_running", "start", "status", "stop"]

HEAP = "512m"
Report = Callable[[str], None]


def status(home: Path | None = None) -> RunningNode | None:
    """The running node, asked by one request; None where none runs. Changes nothing; `home` replaces LEXLIP_HOME."""
    return running_node(Places.find(os.environ, home))


def ensure_running(home: Path | None = None, *, report: Report | None = None) -> RunningNode:
    """The running node, started first where none runs; `report` hears of a start. Raises `LexlipError` as `start` does."""
    return status(home) or start(home, report=report)


def start(home: Path | None = None, *, heap: str = HEAP, optimise: bool = False, report: Report | None = None) -> RunningNode:
    """Start the node and wait until it serves; where one runs already it is returned as it is.

    `home` replaces LEXLIP_HOME; `heap` is the JVM's memory as Java writes it ("512m"); `optimise` makes it faster in the long
    run and slower at first, for measurements and nodes that stay; `report` is told what takes long.
    Raises `LexlipError` where Java or the jars cannot be had, or with the log's telling line where the node does not start.
    """
    from lexlip_es.engines.node import life

    return life.start(Places.find(os.environ, home), heap, optimise, report)


def stop(home: Path | None = None) -> bool:
    """Stop the node and wait for its end; False where none ran. A process that is not ours is never signalled."""
    from lexlip_es.engines.node import life

    return life.stop(Places.find(os.environ, home))
