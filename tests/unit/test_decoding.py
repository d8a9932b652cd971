import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lexlip_es.decoding import Decoded, Decoders
from lexlip_es.entries import Found, LocalFile, Place
from lexlip_es.errors import LexlipError
from lexlip_es.images import PictureError, PictureSpec, content_hash, open_picture
from tests.unit.misbehaving_places import Misbehaving, Stranger
from tests.unit.picture_files import FORMATS, encoded, photograph, write_hostile

SPEC = PictureSpec(32)
EACH = pytest.mark.parametrize("workers", [0, 2])


def found(place: Place, name: str = "a.jpg") -> Found:
    return Found(place, name.encode(), 0, "2026-01-01T00:00:00.000Z")


def files(folder: Path, count: int) -> list[Found]:
    items = []
    for i in range(count):
        path = folder / f"{i:03}.png"
        path.write_bytes(encoded(photograph(40, 30, seed=i)))
        items.append(found(LocalFile(path), path.name))
    return items


def told(outcome: Decoded | PictureError) -> str:
    return outcome.reason if isinstance(outcome, PictureError) else "decoded"


def said(decoders: Decoders, places: Iterable[Place], ahead: int = 8) -> list[str]:
    return [told(outcome) for _, outcome in decoders.decode((found(place) for place in places), ahead)]


def alive(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(alive, pids))


# -- what is decoded


@EACH
def test_pixels_hash_and_metadata_are_those_of_this_process_in_the_order_of_the_items(workers: int, tmp_path: Path) -> None:
    items = files(tmp_path, 30)
    for ending, kind in FORMATS.items():
        path = tmp_path / f"a.{ending}"
        path.write_bytes(encoded(photograph(), kind))
        items.append(found(LocalFile(path), path.name))
    with Decoders(SPEC, workers=workers) as decoders:
        results = list(decoders.decode(items, 5))
    assert [item for item, _ in results] == items
    for item, outcome in results:
        assert isinstance(outcome, Decoded)
        assert isinstance(item.place, LocalFile)
        here = open_picture(item.place.path, SPEC)
        assert outcome.picture.pixels.tobytes() == here.pixels.tobytes()
        assert (outcome.picture.width, outcome.picture.height) == (here.width, here.height)
        assert outcome.picture.pixels.dtype == np.uint8
        assert outcome.content_hash == content_hash(item.place.path)


@EACH
def test_what_is_no_picture_has_the_reason_that_it_has_here(workers: int, tmp_path: Path) -> None:
    reasons = write_hostile(tmp_path)
    with Decoders(SPEC, workers=workers) as decoders:
        told_here = said(decoders, [LocalFile(tmp_path / name) for name in reasons])
    for reason, start in zip(told_here, reasons.values(), strict=True):
        assert reason.startswith(start)
    assert decoders.lost == 0


@EACH
def test_no_more_than_ahead_is_taken_before_it_is_asked_for(workers: int, tmp_path: Path) -> None:
    taken = 0

    def counted() -> Iterator[Found]:
        nonlocal taken
        for item in files(tmp_path, 40):
            taken += 1
            yield item

    with Decoders(SPEC, workers=workers) as decoders:
        for given, _ in enumerate(decoders.decode(counted(), 7)):
            assert taken <= given + 7
    assert taken == 40


def test_a_run_with_nothing_to_decode_starts_no_process(tmp_path: Path) -> None:
    with Decoders(SPEC, workers=2) as decoders:
        assert list(decoders.decode([], 8)) == []
        assert decoders.pids == []


@EACH
def test_decoding_that_is_left_in_the_middle_can_begin_anew(workers: int, tmp_path: Path) -> None:
    items = files(tmp_path, 30)
    with Decoders(SPEC, workers=workers) as decoders:
        first = decoders.decode(items, 20)
        next(first)
        del first
        assert [item for item, _ in decoders.decode(items, 20)] == items


# -- what a hostile picture may do


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("segfault", "The decoder crashed on the picture (SIGSEGV)."),
        ("abort", "The decoder crashed on the picture (SIGABRT)."),
        ("exit", "The decoder crashed on the picture (exit code 7)."),
        ("killed", "The process that decoded the picture was ended from outside, perhaps because the machine ran out of memory."),
        ("hang", "The picture takes too long to decode: more than 1 seconds."),
        ("hang without a word", "The picture takes too long to decode: more than 1 seconds."),
    ],
)
def test_a_worker_that_dies_or_hangs_loses_only_the_picture_it_had(how: str, reason: str, tmp_path: Path) -> None:
    places: list[Place] = [item.place for item in files(tmp_path, 12)]
    places[4] = places[5] = Misbehaving(how)  # type: ignore[arg-type]
    with Decoders(SPEC, workers=2, seconds=1) as decoders:
        outcomes = said(decoders, places)
        assert outcomes == ["decoded"] * 4 + [reason] * 2 + ["decoded"] * 6
        assert decoders.lost == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds memory")
def test_one_that_eats_memory_loses_only_itself() -> None:
    content = encoded(photograph())
    with Decoders(SPEC, workers=1, memory=1 << 30) as decoders:
        outcomes = said(decoders, [Misbehaving("hog"), Misbehaving("print", content)])
    assert outcomes == ["There is not enough memory to read the file.", "decoded"]


def test_what_a_library_prints_is_no_outcome(capfd: pytest.CaptureFixture[str]) -> None:
    with Decoders(SPEC, workers=1) as decoders:
        assert said(decoders, [Misbehaving("print", encoded(photograph()))] * 3) == ["decoded"] * 3
    assert capfd.readouterr() == ("", "")


class Evil:
    """Whose pickle makes a folder where it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_decoder_that_was_taken_over_runs_no_code_here(protocol: int, tmp_path: Path) -> None:
    places: list[Place] = [item.place for item in files(tmp_path, 3)]
    places[1] = Misbehaving("forge", pickle.dumps((Evil(tmp_path / "owned"), 0.0), protocol))
    with Decoders(SPEC, workers=1) as decoders:
        assert said(decoders, places) == ["decoded", "The decoder said nonsense of the picture.", "decoded"]
        assert decoders.lost == 1
    assert not (tmp_path / "owned").exists()


def test_logins_of_the_engine_are_not_in_the_environment_of_a_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEXLIP_ES_PASSWORD", "LEXLIP_ES_API_KEY", "LEXLIP_ES_URL", "AWS_PROFILE", "FSSPEC_S3_ENDPOINT_URL"):
        monkeypatch.setenv(name, "mine")
    with Decoders(SPEC, workers=1) as decoders:
        [names] = said(decoders, [Misbehaving("environment")])
    assert "LEXLIP_ES" not in names
    assert "AWS_PROFILE" in names and "FSSPEC_S3_ENDPOINT_URL" in names and "PATH" in names


def test_a_place_that_cannot_be_read_or_made_over_there_is_a_reason() -> None:
    with Decoders(SPEC, workers=1) as decoders:
        broken, strange, fine = said(decoders, [Misbehaving("raise"), Stranger(), Misbehaving("print", encoded(photograph()))])
    assert broken == "The file cannot be read (RuntimeError: a broken disk)."
    assert strange.startswith("The file's place is not known to the decoding process (ModuleNotFoundError")
    assert fine == "decoded"


def test_a_worker_killed_while_it_had_nothing_to_do_costs_no_picture(tmp_path: Path) -> None:
    places = [item.place for item in files(tmp_path, 4)]
    with Decoders(SPEC, workers=1) as decoders:
        assert said(decoders, places) == ["decoded"] * 4
        for pid in decoders.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # a zombie's other threads may still hold the pipe open
        assert said(decoders, places) == ["decoded"] * 4


def test_a_program_that_cannot_start_workers_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("multiprocessing.spawn._python_exe", b"/bin/false")
    with Decoders(SPEC, workers=2) as decoders, pytest.raises(LexlipError, match=r"No process can be started .*\(workers=0\)"):
        said(decoders, [item.place for item in files(tmp_path, 5)])


# -- how workers live and die


def test_workers_end_with_close_even_in_the_midst_of_a_picture() -> None:
    decoders = Decoders(SPEC, workers=2)
    results = decoders.decode([found(Misbehaving("print", encoded(photograph()))), found(Misbehaving("hang"))], 8)
    next(results)
    pids = decoders.pids
    assert pids and all(map(alive, pids))
    decoders.close()
    assert gone(pids, 2)


SCRIPT = """
import sys
from pathlib import Path
from lexlip_es.decoding import Decoders
from lexlip_es.entries import Found, LocalFile
from lexlip_es.images import PictureSpec
from tests.unit.misbehaving_places import Misbehaving

decoders = Decoders(PictureSpec(32), workers=2)
good = LocalFile(Path(sys.argv[1]))
places = [good] * 20 + [Misbehaving(sys.argv[2])] * 6 if len(sys.argv) > 2 else [good] * 20
for number, _ in enumerate(decoders.decode((Found(place, b"a", 0, "") for place in places), 30)):
    if number == 12:
        print(*decoders.pids, flush=True)
        sys.stdin.readline()
print("done", flush=True)
"""


def script(tmp_path: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A user's program of its own, without `if __name__ == "__main__"`, that stands still in the midst of decoding."""
    (tmp_path / "program.py").write_text(SCRIPT)
    (tmp_path / "a.png").write_bytes(encoded(photograph()))
    return subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "a.png"), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("doing", [(), ("hang",)])
def test_workers_end_with_a_parent_that_was_killed(doing: tuple[str, ...], tmp_path: Path) -> None:
    with script(tmp_path, *doing) as program:
        assert program.stdout is not None
        pids = [int(pid) for pid in program.stdout.readline().split()]
        assert pids
        program.kill()
    assert gone(pids)


def test_a_script_without_a_main_guard_works_and_ctrl_c_reaches_no_worker(tmp_path: Path) -> None:
    with script(tmp_path) as program:
        assert program.stdout is not None
        pids = [int(pid) for pid in program.stdout.readline().split()]
        for pid in pids:
            os.kill(pid, signal.SIGINT)
        output, errors = program.communicate("go on\n")
    assert (output, errors, program.returncode) == ("done\n", "", 0)
    assert gone(pids)


def test_several_threads_may_each_have_decoders_of_their_own(tmp_path: Path) -> None:
    items = files(tmp_path, 10)
    counts = []

    def work() -> None:
        with Decoders(SPEC, workers=1) as decoders:
            counts.append(len(list(decoders.decode(items, 4))))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [10, 10, 10]
