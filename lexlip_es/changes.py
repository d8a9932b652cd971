"""What a run has to do: each entry of a source beside what the engine holds of it.

    the same size and time       -> nothing (but what is told of it, captions and the like, may have changed)
    content that is known        -> a document out of another one's terms, without decoding or encoding: a file that was moved,
                                    copied or only touched
    everything else              -> to be encoded

Afterwards what was not met is gone, under the rules of design contract 5.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from lexlip_es.batches import batched
from lexlip_es.documents import ancestors, document_id
from lexlip_es.entries import Found, Place, Skipped, digest
from lexlip_es.holdings import Held, Holdings, milliseconds
from lexlip_es.images import PictureError
from lexlip_es.shards import WHOLE, Shard

Fate = Literal["added", "changed", "moved", "unchanged"]
MOST_GONE = 0.2  # share of a root's documents beyond which nothing is removed unless told so (design contract 5)
_READ_AT_ONCE = 64  # files whose content is looked at together, to see whether it is known


@dataclass(frozen=True)
class Encode:
    """A picture whose content is new; decoders take it for its `place` and `display_path`."""

    found: Found
    id: str
    fate: Fate

    @property
    def place(self) -> Place:
        """Where its content is."""
        return self.found.place

    @property
    def display_path(self) -> str:
        """Its path as people know it."""
        return self.found.display_path


@dataclass(frozen=True)
class Reuse:
    """A picture of known content: `source` is the id of a document that has its terms, which may be its own."""

    found: Found
    id: str
    fate: Fate
    source: str
    content_hash: str


@dataclass(frozen=True)
class Same:
    """A picture that is as the engine has it; `id` is its document's."""

    found: Found
    id: str


Task = Encode | Reuse | Same | Skipped


@dataclass
class Comparison:
    """Compares the entries found under `root` with what the engine holds of a collection.

    Only those of a shard. `hidden` is filled on the way with the paths behind which pictures could not be seen; `reused`, by who
    makes the documents, with how many new places a known content has. `takes_over`: a picture of another content may replace one
    that was found under another root, if that is not there now.
    """

    held: Holdings
    collection: str
    root: str
    shard: Shard = WHOLE
    takes_over: bool = False
    hidden: set[str] = field(default_factory=set)
    reused: Counter[str] = field(default_factory=Counter)

    def tasks(self, entries: Iterable[Found | Skipped]) -> Iterator[Task]:
        """What is to be done for each entry, in nearly their order."""
        with ThreadPoolExecutor(4, "hash") as pool:
            for batch in batched(self._first_looks(entries), _READ_AT_ONCE):
                asked = [look for look in batch if isinstance(look, _Look)]
                known = dict(zip(map(id, asked), pool.map(_content_hash, asked), strict=True))
                for look in batch:
                    yield self._second_look(look, known[id(look)]) if isinstance(look, _Look) else look

    def _first_looks(self, entries: Iterable[Found | Skipped]) -> Iterator["Task | _Look"]:
        for entry in entries:
            if isinstance(entry, Skipped):
                if entry.hides:
                    self.hidden.add(entry.display_path)
                yield entry
                continue
            identifier = document_id(self.collection, entry.relative)
            if not self.shard.has(identifier):
                continue
            held = self.held.see(identifier)
            if held is None:
                yield _Look(entry, identifier, None) if self.held.may_have(entry.size) else Encode(entry, identifier, "added")
            elif held.root != self.root and self._clashes(held, entry):
                yield self._clash(entry, held)
            elif held.size != entry.size:
                yield Encode(entry, identifier, "changed")
            elif held.modified != milliseconds(entry.modified) or held.root != self.root:
                yield _Look(entry, identifier, held)
            else:
                yield Same(entry, identifier)

    def _second_look(self, look: "_Look", found: str | PictureError) -> Task:
        if isinstance(found, PictureError):
            return Skipped(look.found.display_path, found.reason)
        if look.held is not None and look.held.content_hash == found:
            return Reuse(look.found, look.id, "unchanged", look.id, found)
        if look.held is not None and look.held.root != self.root and not self._may_replace(look.held):
            return self._clash(look.found, look.held)
        twin = self.held.with_content(found)
        if twin is not None:
            return Reuse(look.found, look.id, "added" if look.held is None else "changed", twin.id, found)
        return Encode(look.found, look.id, "added" if look.held is None else "changed")

    def _clashes(self, held: Held, entry: Found) -> bool:
        """Whether the document is of another folder's picture: one that is there, or one that is away and of another content."""
        return _is_another_folder(held.root, self.root) or (held.size != entry.size and not self._may_replace(held))

    def _may_replace(self, held: Held) -> bool:
        return self.takes_over or os.path.isdir(held.root)  # what is there by now is this very folder, by another name

    def _clash(self, entry: Found, held: Held) -> Skipped:
        there = "" if os.path.isdir(held.root) else ", which is not there now"
        clash = f"The collection has another picture of this path, from {held.root}{there}"
        return Skipped(entry.display_path, f"{clash}: give this folder a --collection of its own.")


def _is_another_folder(folder: str, root: str) -> bool:
    try:
        return os.path.isdir(folder) and not os.path.samefile(folder, root)
    except OSError:  # the root is a URL, for instance
        return os.path.isdir(folder)


@dataclass(frozen=True)
class _Look:
    """An entry whose content decides: `held` is its own document, of the same size but another time or place."""

    found: Found
    id: str
    held: Held | None


def _content_hash(look: _Look) -> str | PictureError:
    try:
        return digest(look.found.place)
    except PictureError as error:
        return error


def below(path: str, folders: Set[str]) -> bool:
    """Whether a path is one of these, or lies below one; "" is the root itself.

    >>> below("a/b.jpg", {"a"}), below("ab.jpg", {"a"}), below("ab.jpg", {""})
    (True, False, True)
    """
    return not folders.isdisjoint(("", path, *ancestors(path)))
