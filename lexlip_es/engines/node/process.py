"""The node's process: how it is started, how it is told from strangers, how it ends.

It is started in a session of its own, so that it outlives the command and a Ctrl-C meant for the command does not reach it.
"""

import hashlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from lexlip_es.engines.node.java import Java
from lexlip_es.engines.node.places import Places
from lexlip_es.engines.node.state import NodeState, answers, ask

STOP_SECONDS = 60.0  # the first stop also writes the class archive, which takes some seconds
EXEC_SECONDS = 5.0
_children: dict[int, subprocess.Popen[bytes]] = {}  # nodes that this very process started, to be reaped when they end


def command(java: Java, places: Places, class_path: list[Path], heap: str) -> list[str]:
    """The command line of the node. Its `-Dlexlip.home=` is what `is_ours` knows the process by.

    The first compiler stage alone and the serial collector save a quarter of the start and 40 MB, and make a new node's first
    hundred searches faster; a node that has been searched for long would be about a quarter faster with both stages. Without
    JNA's native part there is neither OpenSearch's root check nor its system call filter.
    """
    options = [f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    if java.shared_classes:  # made by the first stop, used by all later starts: 3.8 s instead of 6.8 s
        runtime = hashlib.sha256(str(java.path).encode()).hexdigest()[:8]  # two of one version would remake it in turn
        archive = places.cache / f"classes-{java.major}-{runtime}.jsa"
        options += ["-XX:+AutoCreateSharedArchive", f"-XX:SharedArchiveFile={archive}", "-Xlog:cds*=off"]
    return [
        str(java.path),
        *options,
        f"-XX:ErrorFile={places.logs}/jvm-crash-%p.log",
        "--enable-native-access=ALL-UNNAMED",
        f"-Dlexlip.home={places.engine}",
        f"-Dopensearch.path.home={places.engine}",
        f"-Dopensearch.path.conf={places.config}",
        "-Dopensearch.distribution.type=tar",
        "-Dopensearch.bundled_jdk=true",
        "-Dopensearch.networkaddress.cache.ttl=60",
        "-Dlog4j2.disable.jmx=true",
        "-Djna.nounpack=true",
        "-Djna.nosys=true",
        "-cp",
        os.pathsep.join(str(jar) for jar in class_path),
        "org.opensearch.bootstrap.OpenSearch",
    ]


def spawn(arguments: list[str], places: Places) -> int:
    """Start the node with its output in the log; the log of the start before is kept once. Returns the pid."""
    if places.log.exists():
        os.replace(places.log, places.log.with_name("node.previous.log"))
    for name in ("http.ports", "transport.ports"):
        (places.logs / name).unlink(missing_ok=True)
    with places.log.open("wb") as log:
        child = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=places.logs,
            start_new_session=True,
        )
    _children[child.pid] = child
    until = time.monotonic() + EXEC_SECONDS  # the kernel shows the command line a moment after the program was replaced
    while child.poll() is None and not is_ours(child.pid, places) and time.monotonic() < until:
        time.sleep(0.001)
    return child.pid


def http_port(places: Places) -> int:
    """The port that the node wrote down once it listened; 0 before."""
    try:
        address = (places.logs / "http.ports").read_text("utf-8").split()[0]
        return int(address.rpartition(":")[2])
    except (OSError, IndexError, ValueError):
        return 0


def is_ours(pid: int, places: Places) -> bool:
    """Whether this process runs and is the node of these places, by its command line; a process that has ended is not."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]
        return False
    marker = f"-Dlexlip.home={places.engine}"
    try:
        return marker.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        if Path("/proc/self").exists():
            return False
    shown = subprocess.run(["ps", "-ww", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
    return f"{marker} " in shown.stdout


def admits(state: NodeState) -> bool:
    """Whether the node of this state answers and says itself that it is this process."""
    if not answers(state):
        return False
    _, answer = ask(state.port, "GET", "/_nodes/_local/process?filter_path=nodes.*.process.id")
    nodes = answer.get("nodes", {}).values() if isinstance(answer, dict) else ()
    return any(node.get("process", {}).get("id") == state.pid for node in nodes)


def end(pid: int, places: Places, *, seconds: float = STOP_SECONDS, known: Callable[[], bool] | None = None) -> bool:
    """Ask the process to stop, wait, and kill it if it does not; False, and no signal, where it is not ours.

    `known` is a second witness for a process whose command line cannot be read.
    """
    if not is_ours(pid, places) and not (known and known()):
        return False
    os.kill(pid, signal.SIGTERM)
    if not _gone(pid, places, seconds) and is_ours(pid, places):
        os.kill(pid, signal.SIGKILL)
        _gone(pid, places, 10)
    return True


def _gone(pid: int, places: Places, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while is_ours(pid, places):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def last_words(log: Path) -> str:
    """The line of the log that says best why a start failed: OpenSearch's own diagnosis, else the last error or line."""
    try:
        lines = log.read_bytes()[-100_000:].decode("utf-8", "replace").splitlines()
    except OSError:
        return "it said nothing"
    said = [line.strip() for line in lines if line.strip() and not re.match(r"\s+at |\s+\.\.\. ", line)]
    for pattern in (r"^Likely root cause: (.*)", r"^Caused by: (.*)", r"^Error: (.*)", r".*\[ERROR\]\[[^\]]*\] (.*)"):
        for line in reversed(said):
            found = re.match(pattern, line)
            if found and found[1]:
                return found[1]
    # A failure without any of these prints its exception first, and those of its own shutting down after it.
    thrown = next((line for line in said if re.match(r"[\w.$]+Exception: ", line)), None)
    if thrown is not None:
        return thrown
    return said[-1] if said else "it said nothing"
