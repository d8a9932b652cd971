"""From a folder of pictures (or a file of texts) to documents in an index: find, open, encode, send, report.

The parts are generators, so that pictures stream through and memory stays flat. A picture ends as a document or as a line of the
report that says why not.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from lexlip_es.captions import Text, read_captions, read_names, read_texts
from lexlip_es.documents import Document, document_id, picture_document, text_document
from lexlip_es.encoders import Encoder
from lexlip_es.engines.protocol import Engine
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.finding import Found, Skipped, find_pictures, path_text
from lexlip_es.images import Picture, PictureError, content_hash, open_picture, read_picture_file
from lexlip_es.searching import default_index
from lexlip_es.target import open_target
from lexlip_es.weights import prepare_documents

BATCH = 16
_LOOKAHEAD = 2 * BATCH  # opened pictures that wait for the encoder: about 5 MB at 224 pixels
T = TypeVar("T")


@dataclass
class IndexReport:
    """What became of everything that was found. Times are seconds of work in a stage; opening runs beside the others."""

    indexed: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    interrupted: bool = False
    open_seconds: float = 0.0
    encode_seconds: float = 0.0
    send_seconds: float = 0.0
    total_seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 all indexed, 1 nothing could be, 3 some were skipped, 130 interrupted after draining (design contract 5)."""
        if self.interrupted:
            return 130
        if self.failed and not self.indexed:
            return 1
        return 3 if self.skipped or self.failed else 0

    def summary(self) -> str:
        """One line for a person."""
        left = len(self.skipped) + len(self.failed)
        return (
            f"{self.indexed} done{f', {left} skipped' if left else ''}{', interrupted' if self.interrupted else ''}"
            f" in {self.total_seconds:.1f} s, {self.per_second:.1f} a second (opening {self.open_seconds:.1f} s of thread time,"
            f" encoding {self.encode_seconds:.1f} s, sending {self.send_seconds:.1f} s)"
        )

    @property
    def per_second(self) -> float:
        """What was done over the whole run's seconds."""
        return self.indexed / self.total_seconds if self.total_seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """The report as JSON; `per_second` counts what was done over the whole run."""
        return {
            "indexed": self.indexed,
            "skipped": [{"path": path, "reason": reason} for path, reason in self.skipped],
            "failed": [{"id": path, "reason": reason} for path, reason in self.failed],
            "interrupted": self.interrupted,
            "seconds": {
                "open": round(self.open_seconds, 3),
                "encode": round(self.encode_seconds, 3),
                "send": round(self.send_seconds, 3),
                "total": round(self.total_seconds, 3),
            },
            "per_second": round(self.per_second, 1),
        }


@dataclass
class Run:
    """What one run shares: the encoder, the number of terms a document keeps, the collection, the report and a way to stop."""

    encoder: Encoder
    terms: int
    collection: str
    report: IndexReport = field(default_factory=IndexReport)
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Callable[[], None] = lambda: None

    @classmethod
    def of(cls, encoder: Encoder, source: Path, *, collection: str | None = None, terms: int | None = None) -> "Run":
        """A run over a source; by default the collection is its absolute path, and terms is what the model was tuned for."""
        name = collection or path_text(os.fsencode(source.absolute()))
        return cls(encoder, terms or encoder.model.pruning.picture_terms, name)


def require_one_source(pictures: Path | None, texts: Path | None) -> Path:
    """The one source to index; raises `UsageError` unless exactly one is given."""
    if pictures and not texts:
        return pictures
    if texts and not pictures:
        return texts
    raise UsageError("index one thing at a time: give a folder with --images, or a file with --texts.")


def index_pictures(
    engine: Engine,
    run: Run,
    root: Path,
    index: str | None = None,
    *,
    files: Path | None = None,
    captions: Path | None = None,
) -> IndexReport:
    """Index the pictures under a folder, or those that `files` lists; the alias defaults to `pictures`.

    Raises `LexlipError` for a missing or empty folder, a bad list or captions file, a dead engine or an index that does not fit.
    """
    entries = found_pictures(root, files)
    by_path = read_captions(captions) if captions else {}
    with open_target(engine, default_index(index), run.encoder.model, "picture", run.terms) as target:
        return send(engine, target.index, run, picture_documents(run, entries, by_path))


def index_texts(engine: Engine, run: Run, source: Path, index: str | None = None, *, files: Path | None = None) -> IndexReport:
    """Index the texts of a file, to be found by a picture; with `files`, those of the pictures that it lists. The alias
    defaults to `texts`. Raises as `index_pictures` does."""
    wanted = set(read_names(files)) if files else None
    texts = [text for text in read_texts(source) if wanted is None or text.picture in wanted]
    if not texts:
        raise LexlipError(f"{source} has no text to index: give one a line, or a table with a caption column.")
    with open_target(engine, default_index(index, "text"), run.encoder.model, "text", run.terms) as target:
        return send(engine, target.index, run, text_documents(run, texts))


def found_pictures(root: Path, files: Path | None = None) -> Iterator[Found | Skipped]:
    """What there is to index, looked at once before a server is touched: raises `LexlipError` for a missing or empty folder."""
    entries = find_pictures(root, files=read_names(files) if files else None)
    first = next(entries, None)
    return entries if first is None else chain([first], entries)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of up to `size` items, in order."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def picture_documents(
    run: Run, entries: Iterable[Found | Skipped], captions: Mapping[str, Sequence[str]] | None = None
) -> Iterator[Document]:
    """Open, encode and describe pictures; what cannot be opened goes to the report's `skipped`.

    Stops early, after what is already open, when `run.stop` is set. captions: relative path -> its captions.
    """
    captions = captions or {}
    for batch in batched(_opened(run, entries), BATCH):
        started = time.perf_counter()
        weights = prepare_documents(run.encoder.encode_pictures([picture.pixels for _, picture, _ in batch]), run.terms)
        run.report.encode_seconds += time.perf_counter() - started
        for i, (found, picture, file_hash) in enumerate(batch):
            yield {
                "_id": document_id(run.collection, found.relative),
                "source": picture_document(
                    found,
                    picture,
                    file_hash,
                    weights.row(i),
                    run.encoder.model.lexicon,
                    collection=run.collection,
                    captions=captions.get(found.display_path, ()),
                ),
            }


def _opened(run: Run, entries: Iterable[Found | Skipped]) -> Iterator[tuple[Found, Picture, str]]:
    """Open pictures in threads, a few ahead of the encoder, in the order in which they were found."""
    spec = run.encoder.model.picture_spec
    busy = threading.Lock()

    def open_one(found: Found) -> tuple[Found, Picture, str] | Skipped:
        started = time.perf_counter()
        try:
            data = read_picture_file(found.path)
            return found, open_picture(data, spec), content_hash(data)
        except PictureError as error:
            return Skipped(found.display_path, error.reason)
        finally:
            with busy:
                run.report.open_seconds += time.perf_counter() - started

    def finish(item: tuple[Found, Picture, str] | Skipped) -> Iterator[tuple[Found, Picture, str]]:
        run.progress()
        if isinstance(item, Skipped):
            run.report.skipped.append((item.display_path, item.reason))
        else:
            yield item

    with ThreadPoolExecutor(2, "open") as pool:
        waiting: deque[Future[tuple[Found, Picture, str] | Skipped]] = deque()
        for entry in entries:
            if run.stop.is_set():
                run.report.interrupted = True
                break
            if isinstance(entry, Skipped):
                yield from finish(entry)
                continue
            waiting.append(pool.submit(open_one, entry))
            if len(waiting) >= _LOOKAHEAD:
                yield from finish(waiting.popleft().result())
        while waiting:
            yield from finish(waiting.popleft().result())


def text_documents(run: Run, texts: Iterable[Text]) -> Iterator[Document]:
    """Encode and describe texts; one without any term goes to the report's `skipped`."""
    for batch in batched(texts, BATCH):
        if run.stop.is_set():
            run.report.interrupted = True
            return
        started = time.perf_counter()
        weights = prepare_documents(run.encoder.encode_texts([text.text for text in batch]), run.terms)
        run.report.encode_seconds += time.perf_counter() - started
        for i, text in enumerate(batch):
            run.progress()
            row = weights.row(i)
            if not len(row[0]):
                run.report.skipped.append((text.key, "The text has no word that this model searches by."))
                continue
            yield {
                "_id": document_id(run.collection, text.key.encode("utf-8", "surrogateescape")),
                "source": text_document(text.key, text.text, row, run.encoder.model.lexicon, collection=run.collection),
            }


def send(engine: Engine, index: str, run: Run, documents: Iterable[Document]) -> IndexReport:
    """Send documents in bulk and account for each in the report; the time not spent on making them is the engine's."""
    started = time.perf_counter()
    making = 0.0

    def timed() -> Iterator[Document]:
        nonlocal making
        iterator = iter(documents)
        while True:
            before = time.perf_counter()
            try:
                document = next(iterator)
            except StopIteration:
                return
            finally:
                making += time.perf_counter() - before
            yield document

    for result in engine.bulk(index, timed()):
        if result.ok:
            run.report.indexed += 1
        else:
            run.report.failed.append((result.id, f"{result.error_type}: {result.reason}"))
    run.report.total_seconds = time.perf_counter() - started
    run.report.send_seconds = run.report.total_seconds - making
    return run.report
