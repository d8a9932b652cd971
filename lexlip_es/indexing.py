"""From a folder of pictures (or a file of texts) to documents in an index: find, open, encode, send, report.

The parts are generators, so that pictures stream through and memory stays flat. A picture ends as a document or as a line of the
report that says why not.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Protocol

from lexlip_es.batches import batched
from lexlip_es.captions import Captions, Text, read_captions, read_names, read_texts
from lexlip_es.dialects import FieldType
from lexlip_es.documents import Document, document_id, picture_document, text_document
from lexlip_es.encoders import Encoder
from lexlip_es.engines.protocol import Engine
from lexlip_es.entries import Found, Skipped, path_text
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.finding import find_pictures
from lexlip_es.images import Picture, PictureError, content_hash, open_picture
from lexlip_es.machine import cpus
from lexlip_es.names import Kind, index_name
from lexlip_es.report import Report
from lexlip_es.target import open_target
from lexlip_es.weights import prepare_documents

Opened = tuple[Found, Picture, str]  # the file, its pixels, the hash of its content
TEXT_BATCH = 256


@dataclass
class Run:
    """What one run shares: the encoder, the number of terms a document keeps, the collection, the report and a way to stop."""

    encoder: Encoder
    terms: int
    collection: str
    report: Report = field(default_factory=Report)
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Callable[[], None] = lambda: None

    @classmethod
    def of(cls, encoder: Encoder, source: Path, *, collection: str | None = None, terms: int | None = None) -> "Run":
        """A run over a source; by default the collection is its absolute path, and terms is what the model was tuned for."""
        # abspath and not absolute(): `../photos` and `photos` must be one collection; links stay, as in `find_pictures`.
        name = collection or path_text(os.fsencode(os.path.abspath(source)))
        return cls(encoder, terms or encoder.model.pruning.picture_terms, name)


class Source(Protocol):
    """Something to index: pictures or texts."""

    kind: Kind

    def documents(self, run: Run) -> Iterator[Document]:
        """Make the documents, and note in the run's report what cannot be one."""
        ...


def index_source(
    engine: Engine, run: Run, source: Source, index: str | None = None, *, field_type: FieldType | None = None
) -> Report:
    """Index a source under an alias (default `pictures` or `texts`); `field_type` as for `open_target`.

    Raises `LexlipError` for a dead engine or an index that does not fit; what was done until then is in the run's report.
    """
    alias = index_name(index, source.kind)
    with open_target(engine, alias, run.encoder.model, source.kind, run.terms, field_type=field_type) as target:
        send_documents(engine, target.index, run, source.documents(run))
        target.complete = not run.report.interrupted
    return run.report


def open_source(
    pictures: Path | None, texts: Path | None, *, files: Path | None = None, captions: Path | None = None
) -> tuple[Source, Path]:
    """The one source that is given, looked at before any server is, and its place.

    Raises `UsageError` unless it is exactly one, `LexlipError` for a folder or file that is missing, empty or cannot be read.
    """
    if pictures and not texts:
        return PictureFolder(pictures, files, captions), pictures
    if texts and not pictures:
        return TextFile(texts, files), texts
    raise UsageError("index one thing at a time: give a folder with --images, or a file with --texts.")


class PictureFolder:
    """The pictures under a folder, or those of them that a list names, with captions where there are any."""

    kind: Kind = "picture"

    def __init__(self, root: Path, files: Path | None = None, captions: Path | None = None) -> None:
        """Find the first picture and read the captions; raises `LexlipError` for a missing or empty folder or a bad file."""
        found = find_pictures(root, files=read_names(files) if files else None)
        first = next(found, None)
        self._entries = found if first is None else chain([first], found)
        self._captions = read_captions(captions) if captions else Captions()
        self._whole = files is None

    @property
    def has_captions(self) -> bool:
        """Whether captions were given."""
        return bool(self._captions)

    def documents(self, run: Run) -> Iterator[Document]:
        """Open, encode and describe the pictures; what cannot be opened goes to the report's `skipped`.

        Ends early, after what is already open, when `run.stop` is set.
        """
        lexicon = run.encoder.model.lexicon
        for batch in batched(_opened(run, self._entries), run.encoder.batch_size):
            started = time.perf_counter()
            weights = prepare_documents(run.encoder.encode_pictures([picture.pixels for _, picture, _ in batch]), run.terms)
            run.report.encode_seconds += time.perf_counter() - started
            for i, (found, picture, file_hash) in enumerate(batch):
                captions = self._captions.of(found.relative)
                source = picture_document(
                    found, picture, file_hash, weights.row(i), lexicon, collection=run.collection, captions=captions
                )
                yield {"_id": document_id(run.collection, found.relative), "source": source}
        unused = self._captions.unused
        if unused and self._whole and not run.report.interrupted:
            run.report.notes.append(
                f"{len(unused)} of {len(self._captions)} captioned pictures were not indexed, {unused[0]} among them: "
                "names in the captions file are relative to the folder of pictures."
            )


class TextFile:
    """The texts of a file, to be found by a picture; with a list of pictures, only the texts of those."""

    kind: Kind = "text"

    def __init__(self, path: Path, files: Path | None = None) -> None:
        """Read the texts; raises `LexlipError` for a bad file or one without any."""
        wanted = set(read_names(files)) if files else None
        self._texts = [text for text in read_texts(path) if wanted is None or text.picture in wanted]
        if not self._texts:
            raise LexlipError(f"{path} has no text to index: give one a line, or a table with a caption column.")

    def documents(self, run: Run) -> Iterator[Document]:
        """Encode and describe the texts; one without any term goes to the report's `skipped`."""
        for batch in batched(self._texts, TEXT_BATCH):
            if run.stop.is_set():
                run.report.interrupted = True
                return
            yield from self._batch(run, batch)

    def _batch(self, run: Run, batch: list[Text]) -> Iterator[Document]:
        started = time.perf_counter()
        weights = prepare_documents(run.encoder.encode_texts([text.text for text in batch]), run.terms)
        run.report.encode_seconds += time.perf_counter() - started
        for i, text in enumerate(batch):
            run.progress()
            row = weights.row(i)
            if not len(row[0]):
                run.report.skipped.append((text.key, "The text has no word that this model knows."))
                continue
            source = text_document(text.key, text.text, row, run.encoder.model.lexicon, collection=run.collection)
            yield {"_id": document_id(run.collection, text.key.encode("utf-8", "surrogateescape")), "source": source}


def _opened(run: Run, entries: Iterable[Found | Skipped]) -> Iterator[Opened]:
    """Open pictures in threads, a few ahead of the encoder, in the order in which they were found."""
    spec = run.encoder.model.picture_spec
    threads = max(2, cpus())
    ahead = 2 * max(run.encoder.batch_size, threads)  # opened pictures that wait: 150 kB each at 224 pixels
    busy = threading.Lock()

    def open_one(found: Found) -> Opened | Skipped:
        started = time.perf_counter()
        try:
            data = found.place.read()
            return found, open_picture(data, spec), content_hash(data)
        except PictureError as error:
            return Skipped(found.display_path, error.reason)
        finally:
            with busy:
                run.report.open_seconds += time.perf_counter() - started

    def finish(item: Opened | Skipped) -> Iterator[Opened]:
        run.progress()
        if isinstance(item, Skipped):
            run.report.skipped.append((item.display_path, item.reason))
        else:
            yield item

    with ThreadPoolExecutor(threads, "open") as pool:
        waiting: deque[Future[Opened | Skipped]] = deque()
        for entry in entries:
            if run.stop.is_set():
                run.report.interrupted = True
                break
            if isinstance(entry, Skipped):
                yield from finish(entry)
                continue
            waiting.append(pool.submit(open_one, entry))
            if len(waiting) >= ahead:
                yield from finish(waiting.popleft().result())
        while waiting:
            yield from finish(waiting.popleft().result())


def send_documents(engine: Engine, index: str, run: Run, documents: Iterable[Document]) -> None:
    """Send documents in bulk and account for each in the report; the time not spent on making them is the engine's."""
    started = time.perf_counter()
    making = 0.0
    on_the_way: dict[str, str] = {}  # id -> path, so that a refusal names what a person knows

    def timed() -> Iterator[Document]:
        nonlocal making
        iterator = iter(documents)
        while True:
            before = time.perf_counter()
            document = next(iterator, None)
            making += time.perf_counter() - before
            if document is None:
                return
            on_the_way[document["_id"]] = document["source"]["path"]
            yield document

    try:
        for result in engine.bulk(index, timed()):
            path = on_the_way.pop(result.id)
            if result.ok:
                run.report.indexed += 1
            else:
                run.report.failed.append((path, f"{result.error_type}: {result.reason}"))
    finally:
        run.report.total_seconds = time.perf_counter() - started
        run.report.send_seconds = run.report.total_seconds - making
