"""From a source to documents in a store: the new is decoded and encoded, the known is used again, the same is left.

One run over one source. Where the documents come from and go to is a `Store`: an index, or a file of bulk lines.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from lexlip_es.batches import batched
from lexlip_es.changes import Comparison, Encode, Fate, Reuse, Same, Task
from lexlip_es.decoding import Decoded, Decoders
from lexlip_es.documents import SAID, Document, document_again, picture_document, said_fields
from lexlip_es.encoders import Encoder
from lexlip_es.engines.protocol import BulkResult, Engine, JsonObject
from lexlip_es.entries import Found, Skipped, path_bytes, path_text
from lexlip_es.holdings import Holdings, read_documents
from lexlip_es.images import PictureError
from lexlip_es.names import Kind
from lexlip_es.pipeline import Pipeline
from lexlip_es.report import Report
from lexlip_es.shards import WHOLE, Shard
from lexlip_es.sources import PictureSource
from lexlip_es.texts import TextFile
from lexlip_es.weights import SparseWeights, prepare_documents

Source = PictureSource | TextFile
_TASKS = 200  # looked at together, so that what is known is asked for in few requests


@dataclass
class Run:
    """What one run shares: the encoder, the number of terms a document keeps, the collection, the report and a way to stop.

    `shard` is the part of the collection that this run is about, `with_location` whether documents say where a picture was
    taken, `workers` how many processes decode (default: one a processor; 0: threads of this one).
    """

    encoder: Encoder
    terms: int
    collection: str
    report: Report = field(default_factory=Report)
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Callable[[], None] = lambda: None
    shard: Shard = WHOLE
    with_location: bool = False
    workers: int | None = None

    @classmethod
    def of(cls, encoder: Encoder, source: Path | str, *, collection: str | None = None, terms: int | None = None) -> "Run":
        """A run over a source, a path or a `PictureSource.root`.

        By default the collection is where it lies, and terms is what the model was tuned for.
        """
        # abspath and not absolute(): `../photos` and `photos` must be one collection; links stay, as in `find_pictures`.
        place = source if isinstance(source, str) else path_text(os.fsencode(os.path.abspath(source)))
        return cls(encoder, terms or encoder.model.pruning.picture_terms, collection or place)


class Store(Protocol):
    """Where documents go, and where those are that went there before."""

    @property
    def senders(self) -> int:
        """How many threads may send at the same time."""
        ...

    def send(self, documents: Iterable[Document]) -> Iterable[BulkResult]:
        """Take documents; one result for each, in their order."""
        ...

    def read(self, ids: Sequence[str], fields: Sequence[str] | None = None) -> Mapping[str, JsonObject]:
        """The sources, or some fields of them, of those of these documents that it has."""
        ...


@dataclass(frozen=True)
class IndexStore:
    """An index."""

    engine: Engine
    index: str
    senders: int = 2

    def send(self, documents: Iterable[Document]) -> Iterable[BulkResult]:
        """See `Store.send`."""
        return self.engine.bulk(self.index, documents)

    def read(self, ids: Sequence[str], fields: Sequence[str] | None = None) -> Mapping[str, JsonObject]:
        """See `Store.read`."""
        return read_documents(self.engine, self.index, ids, fields)


def kind_of(source: Source) -> Kind:
    """Whether a source has pictures or texts."""
    return "text" if isinstance(source, TextFile) else "picture"


def columns_declared(source: Source) -> Mapping[str, str]:
    """The columns that a source declares, name -> type; texts have none."""
    return {} if isinstance(source, TextFile) else source.meta_schema


def load(run: Run, source: Source, store: Store, comparison: Comparison | None = None) -> Comparison:
    """Bring everything of a source into a store, or its reason into the run's report.

    comparison: with what the store holds; by default with nothing. It is given back with what the run has met. Ends early, after
    what is begun, when `run.stop` is set. Raises what the source, the encoder and the store raise.
    """
    comparison = comparison or Comparison(Holdings(), run.collection, source.root, run.shard)
    if isinstance(source, TextFile):
        loading = _Loading(run, store, comparison)
        items: Iterator[Encode | Skipped | Document] = _texts(run, source, comparison)
    else:
        loading = _LoadingPictures(run, store, comparison, source)
        items = loading.items()
    with Decoders(run.encoder.model.picture_spec, workers=run.workers, with_location=run.with_location) as decoders:
        Pipeline(
            decoders,
            run.encoder,
            loading.documents,
            store.send,
            run.report,
            run.stop,
            run.progress,
            loading.account,
            store.senders,
        ).run(items)
        for result in store.send(loading.outdated()):  # of those that were written last
            loading.account_deletion(result)
    if not isinstance(source, TextFile) and not run.report.interrupted:
        run.report.notes += source.notes()
    return loading.comparison


def tasks_of(run: Run, source: PictureSource, store: Store, comparison: Comparison) -> Iterator[Task]:
    """What `load` would do, in nearly the order of the entries; writes nothing."""
    return chain.from_iterable(_LoadingPictures(run, store, comparison, source).tasks())


def _texts(run: Run, source: TextFile, comparison: Comparison) -> Iterator[Skipped | Document]:
    """The documents of the texts that are new or changed."""

    def wanted(document: str, content_hash: str) -> bool:
        if not run.shard.has(document):
            return False
        held = comparison.held.see(document)
        same = held is not None and held.content_hash == content_hash
        run.report.unchanged += same
        return not same

    return source.documents(run.encoder, run.terms, run.collection, run.report, wanted)


@dataclass(frozen=True)
class _Sent:
    """A document on its way: of what known `content` it is, and which document it takes the place of."""

    fate: Fate
    content: str | None = None
    moved_from: str | None = None


@dataclass
class _Loading:
    """Accounts for what is sent. `_under_way` says of each document on its way what it is."""

    run: Run
    store: Store
    comparison: Comparison
    _under_way: dict[str, "_Sent"] = field(default_factory=dict, init=False)
    _outdated: deque[str] = field(default_factory=deque, init=False)

    def documents(self, batch: Sequence[tuple[Encode, Decoded]], weights: SparseWeights) -> Iterable[Document]:
        """The documents of encoded pictures; a source of texts has none."""
        return ()

    def account(self, document: Document, result: BulkResult) -> None:
        """Count what became of a document."""
        report = self.run.report
        if document.get("delete"):
            return self.account_deletion(result)
        sent = self._under_way.pop(document["_id"], _Sent("added"))
        if not result.ok:
            report.failed.append((document["source"]["path"], f"{result.error_type}: {result.reason}"))
            return
        report.count(sent.fate)
        if sent.moved_from is not None:
            self._outdated.append(sent.moved_from)
        elif sent.content is not None and sent.fate == "added":
            self.comparison.reused[sent.content] += 1

    def account_deletion(self, result: BulkResult) -> None:
        """Note a document that is outdated and could not be deleted."""
        if not result.ok:
            self.run.report.failed.append((f"document {result.id}", f"{result.error_type}: {result.reason}"))

    def outdated(self) -> Iterator[Document]:
        """Deletions of documents whose pictures have one at another place, where that was written."""
        while self._outdated:
            moved_from = self._outdated.popleft()
            self.comparison.held.see(moved_from)
            yield {"_id": moved_from, "delete": True}


@dataclass
class _LoadingPictures(_Loading):
    source: PictureSource
    _left: set[str] = field(default_factory=set, init=False)  # documents whose pictures have moved
    _told: dict[str, JsonObject] = field(default_factory=dict, init=False)  # what is said of pictures that are encoded again

    def items(self) -> Iterator[Encode | Skipped | Document]:
        """What is to be decoded and encoded, and the documents that are made out of others."""
        for tasks in self.tasks():
            if self.run.stop.is_set():  # the pipeline looks between two items, and there may be none
                self.run.report.interrupted = True
                return
            yield from self.outdated()
            known = self.store.read([id for task in tasks if isinstance(task, Reuse) for id in self._needed(task)])
            for task in tasks:
                if isinstance(task, Skipped):
                    yield task
                elif isinstance(task, Same):
                    self.run.report.unchanged += 1
                    self.run.progress()
                else:
                    yield from self._item(task, known)

    def tasks(self) -> Iterator[list[Task]]:
        """What is to be done, some at a time."""
        for batch in batched(self.comparison.tasks(self.source.entries()), _TASKS):
            yield self._with_news(batch)

    def documents(self, batch: Sequence[tuple[Encode, Decoded]], weights: SparseWeights) -> Iterator[Document]:
        """The documents of encoded pictures."""
        pruned = prepare_documents(weights, self.run.terms)
        before = self.store.read([task.id for task, _ in batch if task.fate == "changed"], SAID)
        for i, (task, decoded) in enumerate(batch):
            told = self._told.pop(task.id, before.get(task.id, {}))
            said = self._said(task.found, told) if self.source.has_extras else told
            if isinstance(said, PictureError):
                self.run.report.skipped.append((task.display_path, said.reason))
                continue
            source = picture_document(
                task.found,
                decoded.picture,
                decoded.content_hash,
                pruned.row(i),
                self.run.encoder.model.lexicon,
                collection=self.run.collection,
                root=self.source.root,
                said=said,
            )
            yield {"_id": task.id, "source": source}

    def _item(self, task: Encode | Reuse, known: Mapping[str, JsonObject]) -> Iterator[Encode | Skipped | Document]:
        if isinstance(task, Encode):
            self._under_way[task.id] = _Sent(task.fate)
            yield task
            return
        document = known.get(task.source, {})
        sent = self._under_way[task.id] = self._sent(task, document)
        own = document if sent.moved_from is not None else known.get(task.id, {})
        said = self._said(task.found, own) if self.source.has_extras else None
        if isinstance(said, PictureError):
            yield Skipped(task.found.display_path, said.reason)
        elif "terms" not in document:  # gone meanwhile, or an index that keeps no terms in its sources
            if told := own if self.source.has_extras else document:
                self._told[task.id] = {name: told[name] for name in SAID if name in told}
            yield Encode(task.found, task.id, task.fate)
        else:
            again = document_again(
                document,
                task.found,
                collection=self.run.collection,
                root=self.source.root,
                said=said,
                with_location=self.run.with_location,
            )
            yield {"_id": task.id, "source": again}

    def _sent(self, task: Reuse, document: JsonObject) -> "_Sent":
        """What becomes of a document for known content: a move, if the file that it was known from is not there any more."""
        if task.source == task.id or task.fate != "added":
            return _Sent(task.fate)
        path = document.get("path")
        was_mine = document.get("root") == self.source.root and self.run.shard.has(task.source) and isinstance(path, str)
        if not was_mine or task.source in self._left or not self.source.has_lost(path_bytes(str(path))):
            return _Sent(task.fate, task.content_hash)
        self._left.add(task.source)
        return _Sent("moved", moved_from=task.source)

    def _needed(self, task: Reuse) -> set[str]:
        """The documents that it is made of: of what is said, only its own is asked."""
        return {task.source, task.id} if self.source.has_extras and task.fate == "changed" else {task.source}

    def _with_news(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks; a picture that is the same, but of which something else is said now, gets a document again."""
        if not self.source.has_extras:
            return list(tasks)
        said = self.store.read([task.id for task in tasks if isinstance(task, Same)], SAID)
        return [self._news(task, said.get(task.id)) if isinstance(task, Same) else task for task in tasks]

    def _news(self, task: Same, before: JsonObject | None) -> Task:
        now = self._said(task.found, before or {})
        if isinstance(now, PictureError):
            return Skipped(task.found.display_path, now.reason)
        return task if now == before else Reuse(task.found, task.id, "changed", task.id, "")

    def _said(self, found: Found, before: JsonObject) -> dict[str, Any] | PictureError:
        """What the source says of a picture; of columns that it does not declare, its document keeps what it said `before`."""
        try:
            said = said_fields(self.source.extras(found))
        except PictureError as error:
            return error
        kept = {name: value for name, value in before.get("meta", {}).items() if name not in self.source.meta_schema}
        meta = {**kept, **said.get("meta", {})}
        return {**said, "meta": meta} if meta else said
