"""The node's life: Java -> jars -> layout -> process -> it answers -> an index can be made; and its end.

One start wins by a lock file. Whatever interrupts a start and whatever becomes of the state file, the next start finds the
process by its home and adopts it or ends it: another process could only fail on the first one's lock of the data.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from lexlip_es.engines.errors import error_cause, one_line
from lexlip_es.engines.node import process
from lexlip_es.engines.node.jars import fetch, locked_jars
from lexlip_es.engines.node.java import find_java
from lexlip_es.engines.node.layout import last_layout, lay_out
from lexlip_es.engines.node.places import VERSION, Places
from lexlip_es.engines.node.state import NodeState, RunningNode, answers, ask, read_state, running_node, write_state
from lexlip_es.errors import LexlipError

START_SECONDS = 180.0  # a slow disk and a cold cache; typical is 4 to 8
LOCK_SECONDS = 600.0  # another start may be fetching
HEALTH_SECONDS = 30  # for the indices to open
HANGING_SECONDS = 15.0  # for a process of ours that should have answered long ago
EXEC_SECONDS = 0.1  # until the kernel shows the command line of a process that was just made
Report = Callable[[str], None]


def start(places: Places, heap: str, optimise: bool, report: Report | None) -> RunningNode:
    """Start the node, adopt the one that an interrupted start left, or return the one that runs; see `embedded.start`."""
    with _alone(places):
        return running_node(places) or _adopt(places) or _start(places, heap, optimise, report)


def stop(places: Places) -> bool:
    """End the process that proves to be the node's, and clear the state; see `embedded.stop`."""
    if not places.state.exists() and not process.find(places):
        return False
    with _alone(places):
        state = read_state(places.state)
        ended = state is not None and process.end(state.pid, places, known=lambda: process.admits(state))
        for pid in process.find(places):  # the state may have been lost
            ended = process.end(pid, places) or ended
        places.state.unlink(missing_ok=True)
        return ended


def _start(places: Places, heap: str, optimise: bool, report: Report | None) -> RunningNode:
    java = find_java(places.cache, os.environ)
    jars = fetch(locked_jars(), places.jars, report)
    if report:
        report(f"starting OpenSearch {VERSION} on this machine; it goes on running until `lexlip-es engine stop`")
    name = f"lexlip-{secrets.token_hex(8)}"
    class_path = lay_out(places, jars, java, name)
    pid = 0
    try:
        pid = process.spawn(process.command(java, places, class_path, heap, optimise=optimise), places)
        state = NodeState(pid, 0, "", name, VERSION, time.time(), places.log)
        write_state(places.state, state)
        serving = _serving(state, places, START_SECONDS)
        if serving is None:
            raise LexlipError(
                f"OpenSearch did not start ({one_line(process.last_words(places.log), 240)}): its log is {places.log}."
            )
        _try_out(serving, report)
    except BaseException:  # Ctrl-C too: no process may be left that nobody knows
        if not pid:
            time.sleep(EXEC_SECONDS)
        for found in process.find(places):
            process.end(found, places, seconds=10)
        places.state.unlink(missing_ok=True)
        raise
    return serving.running(places)


def _serving(state: NodeState, places: Places, seconds: float) -> NodeState | None:
    """Wait until the process serves and save where; None where it ended or the time is over."""
    until = time.monotonic() + seconds
    while process.is_ours(state.pid, places) and time.monotonic() < until:
        port = state.port or process.http_port(places)
        found = replace(state, port=port, url=f"http://127.0.0.1:{port}")
        if port and answers(found):
            ask(port, "GET", f"/_cluster/health?wait_for_status=yellow&timeout={HEALTH_SECONDS}s", seconds=HEALTH_SECONDS + 5)
            write_state(places.state, found)
            return found
        time.sleep(0.03)
    return None


def _try_out(state: NodeState, report: Report | None) -> None:
    """Make and delete an index: a node can be in good health and still unable to make one."""
    path = "/lexlip-start-test"
    body = {"settings": {"number_of_replicas": 0}, "mappings": {"properties": {"terms": {"type": "rank_features"}}}}
    ask(state.port, "DELETE", path)  # left by a start that was interrupted right here
    status, answer = ask(state.port, "PUT", f"{path}?timeout=10s", body, seconds=30)
    ask(state.port, "DELETE", path)
    if status == 200 and answer.get("shards_acknowledged"):
        return
    if status in (200, 403, 429):  # indices that exist can still be searched
        if report:
            report(f"OpenSearch takes no new index for now, often because the disk is nearly full: see {state.log}")
        return
    reason = ": ".join(part for part in error_cause(answer) if part) or "no answer"
    raise LexlipError(f"OpenSearch started but cannot make an index ({reason}): its log is {state.log}.")


def _adopt(places: Places) -> RunningNode | None:
    """Make good what an interrupted start, a crash or a lost file left: wait for a process of ours, end it if it hangs."""
    saved = read_state(places.state)
    for pid in process.find(places):
        state = saved if saved is not None and saved.pid == pid else _unsaved(pid, places)
        left = START_SECONDS - (time.time() - state.started_at)
        serving = _serving(state, places, max(HANGING_SECONDS, min(left, START_SECONDS)))
        if serving is not None:
            return serving.running(places)
        process.end(pid, places)
    places.state.unlink(missing_ok=True)
    return None


def _unsaved(pid: int, places: Places) -> NodeState:
    """The state of a node of ours that no file names; should its name be wrong, it will count as hanging."""
    name, started_at = last_layout(places)
    return NodeState(pid, 0, "", name, VERSION, started_at, places.log)


@contextmanager
def _alone(places: Places) -> Iterator[None]:
    """Hold the lock under which a node is started or stopped."""
    from filelock import FileLock, Timeout

    try:
        places.engine.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FileLock(places.lock, timeout=LOCK_SECONDS)
        with lock:
            yield
    except Timeout:
        raise LexlipError(
            f"another command has been starting the engine for {LOCK_SECONDS / 60:.0f} minutes: "
            f"end it, or remove {places.lock} if there is none."
        ) from None
    except OSError as error:
        raise LexlipError(
            f"the embedded engine cannot use {error.filename or places.engine} ({error.strerror or error}): "
            "set LEXLIP_HOME to a folder that can be written."
        ) from error
