"""The node's process: how it is started, how it is told from strangers, how it ends.

It is started in a session of its own, so that it outlives the command and a Ctrl-C meant for the command does not reach it.
What tells it from strangers is the home in its command line: that stays true when files are lost and pids given away again.
"""

import hashlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lexlip_es.engines.node.java import Java
from lexlip_es.engines.node.places import Places
from lexlip_es.engines.node.state import NodeState, answers, ask

STOP_SECONDS = 60.0  # the first stop also writes the class archive, which takes some seconds
FIRST_STAGE = "-XX:TieredStopAtLevel=1"  # of the JVM's two compilers
_MARK = "-Dlexlip.home="
_AFTER = "-Dopensearch.path.home="  # ends a home with spaces where arguments are shown in one line
_MAIN = "org.opensearch.bootstrap.OpenSearch"
_children: dict[int, tuple[Path, subprocess.Popen[bytes]]] = {}  # what this very process started: homes, and whom to reap


def command(java: Java, places: Places, class_path: list[Path], heap: str, *, optimise: bool = False) -> list[str]:
    """The command line of the node. Its `-Dlexlip.home=` is what `is_ours` and `find` know the process by.

    The first compiler stage alone and the serial collector save a quarter of the start and 40 MB, and make a new node's first
    hundred searches faster; a node that is searched for long is about a quarter faster with both stages (`optimise`). Without
    JNA's native part there is neither OpenSearch's root check nor its system call filter.
    """
    options = [f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseSerialGC", *(() if optimise else (FIRST_STAGE,))]
    if java.shared_classes:  # made by the first stop, used by all later starts: 3.8 s instead of 6.8 s
        runtime = hashlib.sha256(str(java.path).encode()).hexdigest()[:8]  # two of one version would remake it in turn
        archive = places.cache / f"classes-{java.major}-{runtime}.jsa"
        options += ["-XX:+AutoCreateSharedArchive", f"-XX:SharedArchiveFile={archive}", "-Xlog:cds*=off"]
    return [
        str(java.path),
        *options,
        f"-XX:ErrorFile={places.logs}/jvm-crash-%p.log",
        "--enable-native-access=ALL-UNNAMED",
        f"{_MARK}{places.engine}",
        f"{_AFTER}{places.engine}",
        f"-Dopensearch.path.conf={places.config}",
        "-Dopensearch.distribution.type=tar",
        "-Dopensearch.bundled_jdk=true",
        "-Dopensearch.networkaddress.cache.ttl=60",
        "-Dlog4j2.disable.jmx=true",
        "-Djna.nounpack=true",
        "-Djna.nosys=true",
        "-cp",
        os.pathsep.join(str(jar) for jar in class_path),
        _MAIN,
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
    _children[child.pid] = places.engine, child
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
    if pid in _children:
        home, child = _children[pid]
        if child.poll() is not None:
            del _children[pid]
            return False
        if home == places.engine:  # the kernel may show the command line only a moment after the program was replaced
            return True
    if _has_proc():
        return _is_home(_home_in_proc(pid), places)
    return _is_home(_homes_by_ps("-p", str(pid)).get(pid), places)


def find(places: Places) -> list[int]:
    """The pids of this user's processes that are the node of these places, whatever any file says; more than one is a rarity."""
    found = {pid for pid in list(_children) if is_ours(pid, places)}
    if _has_proc():
        for entry in os.scandir("/proc"):
            with suppress(OSError):  # it has ended meanwhile
                if entry.name.isdecimal() and entry.stat().st_uid == os.getuid() and is_ours(int(entry.name), places):
                    found.add(int(entry.name))
    else:
        found.update(pid for pid, home in _homes_by_ps("-U", str(os.getuid())).items() if _is_home(home, places))
    return sorted(found)


def _has_proc() -> bool:
    return os.path.exists("/proc/self/cmdline")


def _home_in_proc(pid: int) -> str | None:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    if _MAIN.encode() not in arguments:  # somebody who only looks for the node, for example
        return None
    return next((os.fsdecode(a[len(_MARK) :]) for a in arguments if a.startswith(_MARK.encode())), None)


def _homes_by_ps(*which: str) -> dict[int, str]:
    """pid -> home, of those of the processes that are a node."""
    try:
        shown = subprocess.run(["ps", "-ww", *which, "-o", "pid=", "-o", "command="], capture_output=True, check=False).stdout
    except OSError:
        return {}
    nodes = re.findall(rf"^\s*(\d+) .*? {_MARK}(.*?) {_AFTER}.* {_MAIN}$", os.fsdecode(shown), re.MULTILINE)
    return {int(pid): home for pid, home in nodes}


def _is_home(home: str | None, places: Places) -> bool:
    """Whether this is the node's folder, by whatever path."""
    if home is None or home == str(places.engine):
        return home is not None
    with suppress(OSError):
        return os.path.samefile(home, places.engine)
    return False


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
    with suppress(ProcessLookupError):  # it ended by itself
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
