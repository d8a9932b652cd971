"""From entries to documents in an index, all stages at once: find -> decode -> encode -> make documents -> send.

Finding and encoding happen in the caller's thread, decoding in worker processes, making and sending documents in threads.
Between them little waits: pictures up to a number and a number of bytes, and a few batches, so that memory is flat whatever the
length. The caller's thread needs every stage: what it spends its time on (finding, encoding, waiting for decoded pictures or for
the engine) is how the report knows the bottleneck.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, Full, Queue
from typing import Generic

from lexlip_es.batches import batched
from lexlip_es.decoding import Decoded, Decoders, T
from lexlip_es.documents import Document
from lexlip_es.encoders import PictureEncoder
from lexlip_es.engines.protocol import BulkResult
from lexlip_es.entries import Skipped
from lexlip_es.images import PictureError
from lexlip_es.report import Report
from lexlip_es.weights import Row, SparseWeights

SENDERS = 2
"""How many threads send: while the engine works on the request of one, the other fills its own."""
_AHEAD_BYTES = 256 << 20  # of decoded pictures that wait
_REMEMBERED = 10_000  # contents whose weights are kept, 2 kB each, so that a copy costs no encoding
_READY = 256  # documents that need no picture go on in groups of this size
_LOOK = 0.2  # seconds between looks at whether somebody failed

Batch = Callable[[], Iterable[Document]]  # makes its documents when a sender wants them


@dataclass(eq=False)
class Pipeline(Generic[T]):
    """One run of the stages; see `run`.

    make_documents gets some of the items with their pictures, and their raw weights (B rows); it is called in the senders'
    threads. send is `engine.bulk` with an index, or anything like it: results in the order of the documents; each sender calls it
    once. account is told what became of each document, one call at a time; by default the report counts. progress is called in
    the caller's thread for each item that is encoded, ready or skipped; the report's counts and times are up to date then, but
    for the total. Setting `stop` ends the run after what is begun, and marks the report as interrupted.
    """

    decoders: Decoders
    encoder: PictureEncoder
    make_documents: Callable[[Sequence[tuple[T, Decoded]], SparseWeights], Iterable[Document]]
    send: Callable[[Iterable[Document]], Iterable[BulkResult]]
    report: Report
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Callable[[], None] = lambda: None
    account: Callable[[Document, BulkResult], None] | None = None
    senders: int = SENDERS

    def __post_init__(self) -> None:
        """Two batches wait for each sender."""
        self._batches: Queue[Batch | None] = Queue(2 * self.senders)
        self._recent: dict[str, Row] = {}  # content hash -> raw weights
        self._lock = threading.Lock()
        self._error: BaseException | None = None  # of a sender
        self._left = threading.Event()  # the caller's thread is on its way out with an error: nobody fills the queue any more

    def run(self, items: Iterable[T | Skipped | Document]) -> None:
        """Bring every item into the index, or its reason into the report.

        An item is something with a `place` to be decoded (a `Found`), a `Skipped`, or a document that needs no picture.
        Raises what a stage raises, a sender's error included, when the senders have ended.
        """
        started, busy = time.perf_counter(), self.decoders.busy_seconds
        threads = [threading.Thread(target=self._sender, name=f"send-{i}", daemon=True) for i in range(self.senders)]
        for thread in threads:
            thread.start()
        try:
            self._feed(items)
            for _ in threads:
                self._put(None)
            self._wait_for(threads)
        except Exception:
            self._left.set()
            self._wait_for(threads)
            raise
        finally:
            self._left.set()
            self.report.open_seconds += self.decoders.busy_seconds - busy
            self.report.total_seconds += time.perf_counter() - started
        if self._error is not None:
            raise self._error

    # -- in the caller's thread

    def _feed(self, items: Iterable[T | Skipped | Document]) -> None:
        report, size = self.report, self.encoder.batch_size
        ahead = max(size, min(4 * size, _AHEAD_BYTES // self.decoders.picture_bytes))
        for batch in batched(self._pictures(items, ahead), size):
            before = time.perf_counter()
            weights = self._encoded([decoded for _, decoded in batch])
            report.encode_seconds += time.perf_counter() - before
            for _ in batch:
                self.progress()
            self._put(lambda batch=batch, weights=weights: self.make_documents(batch, weights))  # type: ignore[misc]

    def _encoded(self, batch: Sequence[Decoded]) -> SparseWeights:
        """Raw weights (B rows); content that was met a little before is not encoded again."""
        recent = self._recent
        new = {decoded.content_hash: decoded.picture.pixels for decoded in batch if decoded.content_hash not in recent}
        if new:
            weights = self.encoder.encode_pictures(list(new.values()))
            recent.update((content, weights.row(i)) for i, content in enumerate(new))
        rows = [recent[decoded.content_hash] for decoded in batch]
        while len(recent) > _REMEMBERED:
            del recent[next(iter(recent))]
        return SparseWeights.from_rows(rows)

    def _pictures(self, items: Iterable[T | Skipped | Document], ahead: int) -> Iterator[tuple[T, Decoded]]:
        report = self.report
        decoded = self.decoders.decode(self._to_decode(items), ahead)
        while True:
            before, elsewhere = time.perf_counter(), report.find_seconds + report.engine_wait_seconds
            item, outcome = next(decoded, (None, None))
            elsewhere = report.find_seconds + report.engine_wait_seconds - elsewhere
            report.open_wait_seconds += time.perf_counter() - before - elsewhere
            if item is None:
                return
            if isinstance(outcome, Decoded):
                yield item, outcome
            elif isinstance(outcome, PictureError):
                self._skip(item.display_path, outcome.reason)

    def _to_decode(self, items: Iterable[T | Skipped | Document]) -> Iterator[T]:
        """The items that have to be decoded; the others go on, or into the report."""
        iterator = iter(items)
        ready: list[Document] = []
        while True:
            if self.stop.is_set():
                self.report.interrupted = True
                break
            before = time.perf_counter()
            item = next(iterator, None)
            self.report.find_seconds += time.perf_counter() - before
            if item is None:
                break
            if isinstance(item, Skipped):
                self._skip(item.display_path, item.reason)
            elif isinstance(item, dict):
                ready.append(item)
                self.progress()
                if len(ready) == _READY:
                    self._put(lambda documents=ready: documents)  # type: ignore[misc]
                    ready = []
            else:
                yield item
        if ready:
            self._put(lambda: ready)

    def _skip(self, path: str, reason: str) -> None:
        self.report.skipped.append((path, reason))
        self.progress()

    def _put(self, batch: Batch | None) -> None:
        before = time.perf_counter()
        while True:
            if self._error is not None:
                raise self._error
            try:
                self._batches.put(batch, timeout=_LOOK)
                break
            except Full:
                continue
        self.report.engine_wait_seconds += time.perf_counter() - before

    def _wait_for(self, threads: Sequence[threading.Thread]) -> None:
        before = time.perf_counter()
        for thread in threads:
            thread.join()
        self.report.engine_wait_seconds += time.perf_counter() - before

    # -- in a sender's thread

    def _sender(self) -> None:
        before = time.perf_counter()
        on_the_way: deque[Document] = deque()
        spent = [0.0, 0.0]  # seconds of waiting for batches, and of making documents
        try:
            for result in self.send(self._documents(on_the_way, spent)):
                with self._lock:
                    (self.account or self._count)(on_the_way.popleft(), result)
        except BaseException as error:
            self._error = self._error or error
        with self._lock:
            self.report.document_seconds += spent[1]
            self.report.send_seconds += time.perf_counter() - before - sum(spent)

    def _documents(self, on_the_way: deque[Document], spent: list[float]) -> Iterator[Document]:
        while True:
            before = time.perf_counter()
            batch = self._next_batch()
            spent[0] += time.perf_counter() - before
            if batch is None:
                return
            before = time.perf_counter()
            documents = list(batch())
            spent[1] += time.perf_counter() - before
            for document in documents:
                on_the_way.append(document)
                yield document

    def _next_batch(self) -> Batch | None:
        while not self._left.is_set() and self._error is None:
            try:
                return self._batches.get(timeout=_LOOK)
            except Empty:
                continue
        return None

    def _count(self, document: Document, result: BulkResult) -> None:
        if result.ok:
            self.report.indexed += 1
        else:
            self.report.failed.append((document["source"]["path"], f"{result.error_type}: {result.reason}"))
