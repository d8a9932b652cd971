"""Every file of the corpus becomes the right picture or a sentence; none takes the run down, and none is missing."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fuzz_pictures import damaged
from lexlip_es.decode_worker import Work, decode_place
from lexlip_es.decoding import Decoded, Decoders
from lexlip_es.entries import Found
from lexlip_es.finding import find_pictures
from lexlip_es.images import PictureError, PictureSpec
from tests.hostile.corpus import Case, write
from tests.hostile.seeds import quarters, saved
from tests.unit.test_images import as_nobody

SPEC = PictureSpec(32)
Outcomes = dict[bytes, Decoded | str]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Case]]:
    folder = tmp_path_factory.mktemp("hostile")
    return folder, write(folder)


def outcomes(folder: Path, decoders: Decoders) -> Outcomes:
    met: Outcomes = {}

    def found() -> Iterator[Found]:
        for entry in find_pictures(folder):
            if isinstance(entry, Found):
                yield entry
            else:
                met[entry.display_path.encode()] = entry.reason

    for item, outcome in decoders.decode(found(), 16):
        met[item.relative] = outcome.reason if isinstance(outcome, PictureError) else outcome
    return met


def corners_of(outcome: Decoded) -> np.ndarray:
    pixels = outcome.picture.pixels
    return pixels[[3, 3, -4, -4], [3, -4, 3, -4]].astype(int)


def complaint(case: Case, outcome: Decoded | str | None) -> str | None:
    """What is wrong with an outcome; None if nothing is."""
    if outcome is None:
        return "it is missing"
    if isinstance(outcome, str):
        if not outcome.startswith(case.reasons or ("-",)):
            return outcome
        if not (outcome.endswith(".") and outcome.isprintable() and len(outcome) < 250):
            return f"no sentence: {outcome!r}"
        return None
    if case.size is None:
        return f"decoded, {outcome.picture.width} x {outcome.picture.height}"
    if (outcome.picture.width, outcome.picture.height) != case.size:
        return f"{outcome.picture.width} x {outcome.picture.height}"
    if case.corners is not None and np.abs(corners_of(outcome) - np.array(case.corners)).max() > 60:
        return f"corners {corners_of(outcome).tolist()}"
    return None


def test_the_corpus_is_large_and_every_file_of_it_has_one_name(corpus: tuple[Path, list[Case]]) -> None:
    names = [case.name for case in corpus[1]]
    assert len(names) == len(set(names)) >= 200


@pytest.mark.parametrize("workers", [0, 2])
def test_every_file_is_the_right_picture_or_has_its_reason(corpus: tuple[Path, list[Case]], workers: int) -> None:
    folder, cases = corpus
    with Decoders(SPEC, workers=workers) as decoders:
        met = outcomes(folder, decoders)
    complaints = {case.name: text for case in cases if (text := complaint(case, met.get(case.name)))}
    assert complaints == {}
    assert set(met) == {case.name for case in cases}
    assert decoders.lost == 0


def test_damaged_files_by_the_hundred_each_end_as_a_picture_or_a_sentence() -> None:
    with Decoders(SPEC, workers=2) as decoders:
        results = list(decoders.decode(damaged(400, seed=1), 16))
    assert len(results) == 400
    for _, outcome in results:
        assert isinstance(outcome, Decoded) or outcome.reason.endswith(".")
    assert decoders.lost == 0


def test_every_name_survives_into_json_and_back(corpus: tuple[Path, list[Case]]) -> None:
    for entry in find_pictures(corpus[0]):
        text = entry.display_path
        assert json.loads(json.dumps(text).encode("ascii")) == text
        text.encode("utf-8")


def test_files_that_vanish_or_change_in_mid_run_are_their_own_trouble(tmp_path: Path) -> None:
    for i in range(6):
        (tmp_path / f"{i}.png").write_bytes(saved(quarters(), "PNG"))
    entries = list(find_pictures(tmp_path))
    (tmp_path / "1.png").unlink()
    (tmp_path / "2.png").write_bytes(b"")
    (tmp_path / "3.png").unlink()
    os.mkfifo(tmp_path / "3.png")
    (tmp_path / "4.png").unlink()
    (tmp_path / "4.png").mkdir()
    with Decoders(SPEC, workers=1) as decoders:
        results = decoders.decode((entry for entry in entries if isinstance(entry, Found)), 8)
        told = [outcome.reason if isinstance(outcome, PictureError) else "decoded" for _, outcome in results]
    assert told == [
        "decoded",
        "The file does not exist (any more).",
        "The file is empty.",
        "It is a pipe, a socket or a device, not a regular file.",
        "It is a folder, not a picture file.",
        "decoded",
    ]


def test_a_closed_door_is_a_reason() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        folder.chmod(0o755)
        for file in ("closed.png", "open.png"):
            (folder / file).write_bytes(saved(quarters(), "PNG"))
        (folder / "closed.png").chmod(0)
        work = Work(SPEC, False, 60, 0)
        entries = [entry for entry in find_pictures(folder) if isinstance(entry, Found)]

        def told() -> str:
            outcomes = [decode_place(entry.place, work)[0] for entry in entries]
            return json.dumps([one if isinstance(one, str) else "decoded" for one in outcomes])

        assert json.loads(as_nobody(told)) == ["The file may not be read by this user.", "decoded"]
