import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexlip_es.decoding import Decoded, Decoders
from lexlip_es.documents import Document
from lexlip_es.encoders import load_encoder
from lexlip_es.engines.bulk import bulk
from lexlip_es.engines.protocol import BulkResult
from lexlip_es.entries import Found, LocalFile, Skipped
from lexlip_es.errors import LexlipError
from lexlip_es.images import PictureSpec
from lexlip_es.model_folder import ModelFolder
from lexlip_es.pipeline import Pipeline
from lexlip_es.pixels import Pixels
from lexlip_es.report import Report
from lexlip_es.weights import SparseWeights
from tests.unit.misbehaving_places import Misbehaving
from tests.unit.picture_files import encoded, photograph

SPEC = PictureSpec(16)


class Brightness:
    """An encoder with one term: how bright a picture is."""

    batch_size = 8

    def encode_pictures(self, pixels: Sequence[Pixels]) -> SparseWeights:
        return SparseWeights.from_rows([(np.array([7]), np.array([p.mean() + 1], np.float32)) for p in pixels])


class Shelf:
    """Stands for the engine behind the real bulk code: keeps what it is sent, and refuses the ids it is told to."""

    def __init__(self, refused: Iterable[str] = (), pause: float = 0.0, broken_after: int = 1 << 30) -> None:
        self.documents: dict[str, Any] = {}
        self.refused, self.pause, self.broken_after = set(refused), pause, broken_after

    def bulk(self, documents: Iterable[Document]) -> Iterator[BulkResult]:
        return bulk(self.take, documents, server="shelf", index="pictures", chunk_documents=10)

    def take(self, payload: bytes) -> dict[str, Any]:
        time.sleep(self.pause)
        if len(self.documents) >= self.broken_after:
            raise LexlipError("The shelf is broken: mend it.")
        lines = [json.loads(line) for line in payload.splitlines()]
        items = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            identifier = action["index"]["_id"]
            if identifier in self.refused:
                error = {"type": "mapper_parsing_exception", "reason": "no"}
                items.append({"index": {"_id": identifier, "status": 400, "error": error}})
            else:
                self.documents[identifier] = source
                items.append({"index": {"_id": identifier, "status": 201}})
        return {"errors": bool(self.refused), "items": items}


def described(batch: Sequence[tuple[Found, Decoded]], weights: SparseWeights) -> Iterator[Document]:
    for i, (found, decoded) in enumerate(batch):
        weight = float(weights.row(i)[1][0])
        source = {"path": found.display_path, "hash": decoded.content_hash, "weight": weight}
        yield {"_id": found.display_path, "source": source}


def pictures(folder: Path, count: int) -> list[Found]:
    items = []
    for i in range(count):
        path = folder / f"{i:03}.png"
        path.write_bytes(encoded(photograph(24, 18, seed=i)))
        items.append(Found(LocalFile(path), path.name.encode(), path.stat().st_size, "2026-01-01T00:00:00.000Z"))
    return items


@pytest.fixture(scope="module", params=[0, 2])
def decoders(request: pytest.FixtureRequest) -> Iterator[Decoders]:
    with Decoders(SPEC, workers=request.param) as decoders:
        yield decoders


Make = Callable[..., Pipeline[Found]]


@pytest.fixture
def pipeline(decoders: Decoders) -> Make:
    return partial(Pipeline, decoders, Brightness(), described)


def test_every_item_ends_as_a_document_or_as_a_reason(pipeline: Make, tmp_path: Path) -> None:
    items: list[Any] = pictures(tmp_path, 50)
    items.insert(3, Found(LocalFile(tmp_path / "gone.jpg"), b"gone.jpg", 1, ""))
    items.insert(20, Skipped("closed", "The folder may not be read by this user."))
    items.insert(30, {"_id": "moved", "source": {"path": "moved.jpg"}})
    shelf, report = Shelf(refused=["005.png"]), Report()
    ticks = []
    pipeline(shelf.bulk, report, progress=lambda: ticks.append(len(report.skipped))).run(items)
    assert sorted(shelf.documents) == sorted({f"{i:03}.png" for i in range(50)} - {"005.png"} | {"moved"})
    assert report.indexed == 50
    assert sorted(report.skipped) == [
        ("closed", "The folder may not be read by this user."),
        ("gone.jpg", "The file does not exist (any more)."),
    ]
    assert report.failed == [("005.png", "mapper_parsing_exception: no")]
    assert (report.interrupted, report.exit_code) == (False, 3)
    assert len(ticks) == 53


def test_nothing_to_do_is_done_at_once(pipeline: Make) -> None:
    shelf, report = Shelf(), Report()
    pipeline(shelf.bulk, report).run([])
    assert (shelf.documents, report.indexed, report.exit_code) == ({}, 0, 0)


def test_stop_finishes_what_is_begun_and_takes_no_more(pipeline: Make, tmp_path: Path) -> None:
    stop, taken = threading.Event(), 0

    def until_told() -> Iterator[Found]:
        nonlocal taken
        for taken, item in enumerate(pictures(tmp_path, 60), 1):
            if taken == 40:
                stop.set()
            yield item

    shelf, report = Shelf(), Report()
    pipeline(shelf.bulk, report, stop=stop).run(until_told())
    assert taken == 40
    assert sorted(shelf.documents) == [f"{i:03}.png" for i in range(40)]
    assert (report.indexed, report.interrupted, report.exit_code) == (40, True, 130)


def test_an_error_of_a_sender_stops_the_run_and_is_raised(pipeline: Make, tmp_path: Path) -> None:
    taken = 0

    def forever() -> Iterator[Found]:
        nonlocal taken
        items = pictures(tmp_path, 4)
        while True:
            taken += 1
            yield items[taken % 4]

    report = Report()
    with pytest.raises(LexlipError, match="The shelf is broken"):
        pipeline(Shelf(broken_after=1).bulk, report).run(forever())
    assert taken < 1000
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("send-")]


def test_an_error_in_making_documents_or_in_finding_is_raised_too(pipeline: Make, decoders: Decoders, tmp_path: Path) -> None:
    items = pictures(tmp_path, 30)

    def broken(batch: Sequence[tuple[Found, Decoded]], weights: SparseWeights) -> Iterator[Document]:
        raise LexlipError("no captions")

    with pytest.raises(LexlipError, match="no captions"):
        Pipeline(decoders, Brightness(), broken, Shelf().bulk, Report()).run(items)

    def broken_walk() -> Iterator[Found]:
        yield from items[:20]
        raise LexlipError("the disk is gone")

    shelf = Shelf()
    with pytest.raises(LexlipError, match="the disk is gone"):
        pipeline(shelf.bulk, Report()).run(broken_walk())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("send-")]


def test_little_waits_for_a_slow_engine_and_the_report_says_that_all_wait_for_it(pipeline: Make, tmp_path: Path) -> None:
    taken, most = 0, 0
    items, shelf, report = pictures(tmp_path, 200), Shelf(pause=0.4), Report()

    def counted() -> Iterator[Found]:
        nonlocal taken, most
        for taken, item in enumerate(items, 1):
            most = max(most, taken - len(shelf.documents))
            yield item

    pipeline(shelf.bulk, report).run(counted())
    # 32 ahead and a batch at hand, 4 batches in the queue, and for each of two senders a batch and two chunks of 10
    assert most <= 32 + 8 + 4 * 8 + 2 * (8 + 2 * 10)
    assert (report.indexed, report.bottleneck) == (200, "sending")
    assert report.to_json()["bottleneck"] == "sending"


def test_a_hanging_picture_shows_that_opening_is_the_bottleneck() -> None:
    report, content = Report(), encoded(photograph())
    items = [Found(Misbehaving("print", content), b"a", 0, ""), Found(Misbehaving("hang"), b"b", 0, "")]
    with Decoders(SPEC, workers=1, seconds=1) as decoders:
        Pipeline(decoders, Brightness(), described, Shelf().bulk, report).run(items)
    assert (report.indexed, report.bottleneck) == (1, "opening")
    assert report.skipped == [("b", "The picture takes too long to decode: more than 1 seconds.")]
    assert "opening is the bottleneck" in report.summary()


def test_each_result_may_be_accounted_for_by_the_caller(pipeline: Make, tmp_path: Path) -> None:
    told: list[tuple[str, bool]] = []
    items = pictures(tmp_path, 25)
    report = Report()
    pipeline(
        Shelf(refused=["003.png"]).bulk, report, account=lambda document, result: told.append((document["_id"], result.ok))
    ).run(items)
    assert sorted(told) == [(item.display_path, item.display_path != "003.png") for item in items]
    assert report.indexed == 0


def test_what_the_starter_says_of_a_picture_depends_on_no_neighbour(starter: ModelFolder, tmp_path: Path) -> None:
    encoder = load_encoder(starter)
    items = pictures(tmp_path, 5)
    rows: list[dict[str, Any]] = []
    for order in (items, items[::-1], items[2:3]):
        shelf = Shelf()

        def whole(batch: Sequence[tuple[Found, Decoded]], weights: SparseWeights) -> Iterator[Document]:
            for i, (found, _) in enumerate(batch):
                terms, values = weights.row(i)
                yield {"_id": found.display_path, "source": {"path": "", "terms": terms.tolist(), "weights": values.tolist()}}

        with Decoders(starter.picture_spec, workers=1) as decoders:
            Pipeline(decoders, encoder, whole, shelf.bulk, Report()).run(order)
        rows.append(shelf.documents)
    assert rows[0] == rows[1]
    assert rows[2] == {"002.png": rows[0]["002.png"]}
