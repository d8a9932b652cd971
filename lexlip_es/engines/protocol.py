"""What lexlip-es asks of a search engine, and nothing more: one small protocol that OpenSearch and Elasticsearch can both keep.

Every method raises `LexlipError` (one sentence with the remedy): `UnknownIndexError` where the index does not exist,
`EngineUnreachableError` where nothing answers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class ServerInfo:
    """Which server answers: `product` is "opensearch" or "elasticsearch", `version` compares as a tuple of integers."""

    product: str
    version: tuple[int, ...]
    number: str

    @property
    def display(self) -> str:
        """As people write it: "OpenSearch 3.9.0"."""
        written = {"opensearch": "OpenSearch", "elasticsearch": "Elasticsearch"}
        return f"{written.get(self.product, self.product)} {self.number}"


@dataclass(frozen=True)
class BulkResult:
    """What became of one document; a refused one carries the engine's error type and reason. `status` is HTTP's."""

    id: str
    ok: bool
    status: int
    error_type: str | None = None
    reason: str | None = None


class Engine(Protocol):
    """A connected engine. Several threads may use it at a time."""

    def patient(self) -> "Engine":
        """This engine, asking again as long as `bulk` does (a node's restart) where it otherwise asks for half a second.

        For what comes at the end of an hour's work. It shares the connections, so only one of the two is closed.
        """
        ...

    @property
    def server(self) -> ServerInfo:
        """Which server answers, asked once."""
        ...

    def info(self) -> ServerInfo:
        """Ask which server answers."""
        ...

    def create_index(self, name: str, body: Mapping[str, Any]) -> None:
        """Create an index from settings, mappings and aliases; refused where the name is taken."""
        ...

    def delete_index(self, name: str) -> None:
        """Delete one index by its own name; an alias or a wildcard is refused."""
        ...

    def indices(self, pattern: str) -> dict[str, JsonObject]:
        """Indices that a name, an alias or a wildcard stands for: name -> {aliases, mappings, settings}; empty when none."""
        ...

    def put_template(self, name: str, body: Mapping[str, Any]) -> None:
        """Install a composable index template, or replace the one of this name."""
        ...

    def update_aliases(self, actions: Sequence[Mapping[str, Any]]) -> None:
        """Carry out the alias actions, all of them or none."""
        ...

    def put_settings(self, index: str, settings: Mapping[str, Any]) -> None:
        """Change dynamic settings of an index; `None` restores a default."""
        ...

    def put_mapping(self, index: str, body: Mapping[str, Any]) -> None:
        """Add fields to the mapping, or replace its `_meta`."""
        ...

    def bulk(self, index: str, documents: Iterable[Mapping[str, Any]]) -> Iterator[BulkResult]:
        """Send documents and yield one result each, in their order, while more are read: memory stays flat.

        A document is `{"_id": str, "source": {...}}`, indexed whatever was there before, `{"_id": str, "update": {...}}`, whose
        fields replace those that are there, or `{"_id": str, "delete": True}`. That a document to update or to delete was not
        there (status 404) is a success. What a document did wrong is in its result and raises nothing; overload and
        lost connections are retried with growing pauses, for the documents that failed alone.
        """
        ...

    def refresh(self, index: str) -> None:
        """Make everything written so far visible to searches."""
        ...

    def count(self, index: str, query: Mapping[str, Any] | None = None) -> int:
        """Number of documents (that match a query)."""
        ...

    def search(self, index: str, body: Mapping[str, Any], **params: Any) -> JsonObject:
        """Run one search; `params` are URL parameters. A search that some shard could not answer is an error, not fewer hits."""
        ...

    def msearch(self, index: str, bodies: Sequence[Mapping[str, Any]]) -> list[JsonObject]:
        """Run many searches in one request: one response each, in order."""
        ...

    def scan(
        self, index: str, query: Mapping[str, Any] | None = None, fields: Sequence[str] | None = None
    ) -> Iterator[JsonObject]:
        """Yield every document (that matches) as {"_id", "source"}, in no order; `fields` limits the source, [] leaves it out.

        A page that was lost is not asked for again, and raises: who can take a document twice begins anew.
        """
        ...

    def columns(self, index: str, fields: Sequence[str], query: Mapping[str, Any] | None = None) -> Iterator[list[Any]]:
        """Yield each document's first values of some keyword, number or date fields (None where it has none), in no order.

        Read from the columns that the engine keeps for sorting, so that a million documents are a matter of seconds. A lost page
        raises, as in `scan`.
        """
        ...

    def force_merge(self, index: str) -> None:
        """Merge an index that is no longer written to into one segment; may take minutes."""
        ...

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        index: str | None = None,
        repeatable: bool = True,
    ) -> JsonObject:
        """Ask for anything that the other methods do not cover; the answer must be a JSON object.

        `path` is escaped already; `body` is bytes or becomes JSON; `index` is named in errors. What is not `repeatable` is
        sent again only if it never arrived.
        """
        ...

    def close(self) -> None:
        """Let go of the connections; the engine itself runs on."""
        ...
