"""What is known of a running node: a small file that only its owner can read, written by the start and removed by the stop.

The file is a claim, not a fact: the machine may have been switched off since. Who relies on it asks the node first
(`answers`), and before a process is signalled it must prove to be ours (`process.is_ours`).
"""

import http.client
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lexlip_es.engines.node.places import Places

_SECONDS = 5.0


@dataclass(frozen=True)
class RunningNode:
    """A node that answers: where, as which process, since when (Unix seconds), and where it keeps log and data."""

    url: str
    port: int
    pid: int
    version: str
    started_at: float
    log: Path
    data: Path


@dataclass(frozen=True)
class NodeState:
    """One start of the embedded node; `port` is 0 and `url` empty until it listens. `started_at` is in Unix seconds."""

    pid: int
    port: int
    url: str
    name: str
    version: str
    started_at: float
    log: Path

    def running(self, places: Places) -> RunningNode:
        """This start as others may know it."""
        return RunningNode(self.url, self.port, self.pid, self.version, self.started_at, self.log, places.data)


def running_node(places: Places) -> RunningNode | None:
    """The node of these places, where it answers."""
    state = read_state(places.state)
    return state.running(places) if state is not None and answers(state) else None


def read_state(path: Path) -> NodeState | None:
    """The saved state, or None where there is none that can be read."""
    try:
        saved = json.loads(path.read_text("utf-8"))
        return NodeState(**{**saved, "log": Path(saved["log"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_state(path: Path, state: NodeState) -> None:
    """Save the state with mode 0600, whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump({**asdict(state), "log": str(state.log)}, file, indent=1)
    os.replace(temporary, path)


def answers(state: NodeState) -> bool:
    """Whether the very node of this state answers at its port; one request, a few milliseconds."""
    if not state.port:
        return False
    status, answer = ask(state.port, "GET", "/")
    return status == 200 and isinstance(answer, dict) and answer.get("name") == state.name


def ask(port: int, method: str, path: str, body: Any = None, seconds: float = _SECONDS) -> tuple[int, Any]:
    """(status, parsed answer) of a request to this machine, without proxies; (0, None) where nothing answers in JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        payload = None if body is None else json.dumps(body)
        connection.request(method, path, payload, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")
    except (OSError, http.client.HTTPException, ValueError):
        return 0, None
    finally:
        connection.close()
