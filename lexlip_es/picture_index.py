"""Pictures in an index, for programs: index, search, explain, count, delete.

`PictureIndex` only joins what the command line uses too: a connection, an encoder, `index_source` and `Searcher`.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from lexlip_es.dialects import FieldType, QueryForm
from lexlip_es.encoders import load_encoder
from lexlip_es.engines import ConnectionSettings, connect
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.indexing import index_source
from lexlip_es.lexicon import Lexicon
from lexlip_es.loading import Run
from lexlip_es.model_folder import open_model
from lexlip_es.names import index_name
from lexlip_es.queries import MOST_HITS, Filter, Hit
from lexlip_es.query_pictures import QueryPictures
from lexlip_es.report import Report
from lexlip_es.searching import Searcher, SearchResult, read_index_meta
from lexlip_es.sources import open_picture_source
from lexlip_es.subjects import Subject


class PictureIndex:
    """One index of pictures on a server, with the model that made it.

    >>> from pathlib import Path
    >>> from lexlip_es import PictureIndex
    >>> with PictureIndex(name="holiday") as index:
    ...     report = index.index("photos")
    ...     result = index.search("a red wall", k=3)
    >>> report.added, report.unchanged  # they were there already
    (0, 3)
    >>> [hit.path for hit in result.hits]
    ['red.png']

    Several threads may use one at a time. An index that was rebuilt with another model is refused and never searched with the
    wrong one: each hit says which index it is of, and a search that comes `searching.TRUSTED_SECONDS` or more after the last
    look asks first what is there now, one small request. Errors that a person can act on are `LexlipError`, one sentence each,
    and `UsageError` among them for a request that makes no sense; an index that lexlip-es did not make is never written to.
    """

    def __init__(
        self,
        url: str | ConnectionSettings | None = None,
        name: str = "pictures",
        model: str | Path | None = None,
        *,
        form: QueryForm | None = None,
        local_files: bool = True,
        report: Callable[[str], None] | None = None,
    ) -> None:
        """Connect to the server and open the model; the index itself need not exist yet.

        url: the server's address, by default `LEXLIP_ES_URL`, else the embedded OpenSearch, which is started and stays. Logins
        and certificates come from the `LEXLIP_ES_...` variables, or give `ConnectionSettings` instead of an address.
        name: the index's alias. model: a model folder; default: `LEXLIP_ES_MODEL`, else the package's starter model. form: how
        queries are written, by default what suits the server. local_files: whether `like:PATH` in a query may read a picture file
        of this machine; not where strangers write the queries. report is told what a person has to wait for.

        Raises `LexlipError` where nothing answers or the folder is no model, `UsageError` for a name that no index can have.
        """
        self.name = index_name(name)
        self.encoder = load_encoder(open_model(model))
        given = url if isinstance(url, ConnectionSettings) else ConnectionSettings.from_environment(os.environ, url=url)
        self.engine = connect(given, report=report)
        self._form, self._local_files = form, local_files
        self._kept: Searcher | None = None
        self._pictures = QueryPictures(self.encoder.model.picture_spec)

    def __enter__(self) -> "PictureIndex":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections, and of the process that decoded pictures; the server and the index stay."""
        self._pictures.close()
        self.engine.close()

    def index(
        self,
        source: str | Path,
        *,
        captions: str | Path | None = None,
        files: str | Path | None = None,
        collection: str | None = None,
        exclude: Sequence[str] = (),
        meta: Sequence[str] = (),
        paths_below: str | Path | None = None,
        with_location: bool = False,
        terms: int | None = None,
        field_type: FieldType | None = None,
        write_once: bool | None = None,
        compress: bool | None = None,
        keep_missing: bool = False,
        even_if_many: bool = False,
        progress: Callable[[], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Report:
        """Bring the index up to date with a folder, a table of paths, tar shards or a URL (see `sources.open_picture_source`).

        Only new content is encoded. Documents whose files are gone are removed, unless `keep_missing`, and unless they are more
        than a fifth, which `even_if_many` allows. The report counts what was done, and lists what was left out, and why.

        captions: a CSV, TSV, JSONL or JSON file whose texts are kept beside the pictures. files: a list of the only pictures
        to take, one name a line. collection: the name of this set of pictures, by default where it lies. terms: how many a
        picture keeps, by default what the model was tuned for. field_type: of a new index, `rank_features` unless said.
        exclude: patterns as in `.gitignore` of what to leave out. meta: columns of a table or of shards to keep, as
        `"price:double"`; a filter then finds them as `meta.price`, and later runs without it leave the values as they are.
        paths_below: the folder that a table's paths are relative to, by default its own. with_location: keep where a picture
        was taken. write_once: keep no terms in `_source`; compress: pack it tightly; both for a new index, see the README.
        progress is called for each picture; setting `stop` ends the run after what is begun (`report.interrupted`).

        Raises `LexlipError` for a source without a picture, an index that does not fit, or a server that went away.

        >>> index = PictureIndex(name="holiday")
        >>> report = index.index("photos", collection="summer")
        >>> report.indexed, report.skipped
        (3, [])
        """
        opened = open_picture_source(
            str(source),
            files=Path(files) if files else None,
            captions=Path(captions) if captions else None,
            paths_below=Path(paths_below) if paths_below else None,
            meta=meta,
            exclude=exclude,
        )
        run = Run.of(self.encoder, opened.root, collection=collection, terms=terms)
        run.with_location = with_location
        run.progress = progress or run.progress
        run.stop = stop or run.stop
        return index_source(
            self.engine,
            run,
            opened,
            self.name,
            field_type=field_type,
            write_once=write_once,
            compress=compress,
            keep_missing=keep_missing,
            even_if_many=even_if_many,
        )

    def search(
        self,
        query: str | Path,
        k: int = 10,
        filter: Filter | None = None,
        *,
        all: bool = False,
        literal: bool = False,
        hybrid: bool = False,
        min_score: float | None = None,
        cut_off: bool = False,
    ) -> SearchResult:
        """The k best pictures (1 to 10,000) for a query (`str`, see `query_language`) or for a picture file (`Path`).

        A picture may be anybody's: a process of its own decodes it, started for the first one, and kept until `close`.

        filter: a clause of the engine's query language that a hit must match as well; it gives no score. all: show each of
        several duplicates; else the best stands for its group (`hit.duplicates`, `result.folded`). literal: the query is a
        sentence, whatever signs are in it. hybrid: captions, tags and file names are asked too (`hit.texts`). min_score: hide
        hits that score less; cut_off: those with too little of the best score (`result.cut`, see `relevance`).

        Raises `UsageError` for a query without a word that the model knows, `UnknownIndexError` where there is no such index,
        `ModelMismatchError` where another model made it.

        >>> index = PictureIndex(name="holiday")
        >>> best = index.search("a red or green thing", filter={"term": {"folder": "deep"}}).hits[0]
        >>> best.path, [(share.term, share.query_weight) for share in best.terms]
        ('deep/green.jpg', [('green', 1.0)])
        >>> index.search(Path("photos/blue.png"), k=1).hits[0].path
        'blue.png'
        >>> [hit.path for hit in index.search("a wall -red folder:deep").hits]
        ['deep/green.jpg']
        """
        if not 1 <= k <= MOST_HITS:
            raise UsageError(f"k is {k}: ask for 1 to {MOST_HITS} hits.")
        return self._searcher().search(
            self._subject(query, literal, hybrid), k, filter=filter, all=all, hybrid=hybrid, min_score=min_score, cut_off=cut_off
        )

    def explain(self, query: str | Path, picture: str | Path, *, literal: bool = False, hybrid: bool = False) -> Hit:
        """A picture as a hit of the query, each term with exactly what it gave, heaviest first; filters and cut-offs aside.

        picture: its id, its path in the index, or a picture file (a `str` only with `local_files`): one that the index does not
        have is encoded now, and its hit has no id. literal, hybrid: as for `search`. The contributions are the engine's own, or
        the reference function's of such a file: their sum, rounded to float32, is the score, bit for bit. A picture that shares
        no term with the query has score 0 and no terms. Raises `LexlipError` where there is no such picture, and what `search`
        raises.

        >>> import numpy as np
        >>> index = PictureIndex(name="holiday")
        >>> hit = index.search("a green thing").hits[0]
        >>> why = index.explain("a green thing", hit.id)
        >>> bool(np.float32(sum(share.contribution for share in why.terms)) == np.float32(why.score))
        True
        >>> index.explain("a green thing", "deep/green.jpg") == why
        True
        """
        from lexlip_es.explaining import explain

        return explain(self._searcher(), self._subject(query, literal, hybrid), str(picture), hybrid=hybrid)

    def count(self, filter: Filter | None = None) -> int:
        """How many pictures the index has (that match a clause of the engine's).

        >>> index = PictureIndex(name="holiday")
        >>> index.count(), index.count({"prefix": {"path": "deep/"}})
        (3, 1)
        """
        return self.engine.count(self.name, filter)

    def delete(self, ids: Iterable[str] | None = None, *, filter: Filter | None = None) -> int:
        """Delete the documents of these ids, or those that match a clause of the engine's; returns how many there were.

        Only documents go: the files and the index stay, and `{"match_all": {}}` leaves an empty index. Searches see it when
        this returns. Raises `UsageError` unless one of both is given, `LexlipError` for an index that lexlip-es did not make,
        one that was rebuilt meanwhile (where they may be there still), or where the engine refused to delete some.

        >>> index = PictureIndex(name="holiday")
        >>> index.delete(filter={"term": {"folder": "deep"}})
        1
        >>> index.delete([hit.id for hit in index.search("red").hits])
        1
        >>> index.count()
        1
        """
        if (ids is None) == (not filter):
            raise UsageError('say what to delete: ids, or a filter ({"match_all": {}} is every picture).')
        if isinstance(ids, str):
            raise UsageError("ids is one text: give a list of ids.")
        index = read_index_meta(self.engine, self.name).index
        found = ids if ids is not None else (str(hit["_id"]) for hit in self.engine.scan(index, filter, fields=[]))
        deleted, refused = 0, []
        for result in self.engine.bulk(index, _deletions(found)):
            if not result.ok:
                refused.append(f"{result.id}: {result.reason}")
            elif result.status != 404:  # not there is no failure, and no deletion either
                deleted += 1
        self.engine.refresh(index)
        if index not in self.engine.indices(self.name):
            raise LexlipError(
                f"{self.name} was rebuilt meanwhile and {index}, from which {deleted} pictures were deleted, serves no more: "
                "delete once more."
            )
        if refused:
            raise LexlipError(f"{len(refused)} pictures could not be deleted from {index} ({refused[0]}): {deleted} were.")
        return deleted

    @property
    def _lexicon(self) -> Lexicon:
        return self.encoder.model.lexicon

    def _searcher(self) -> Searcher:
        if self._kept is None:  # two threads may both make one: either serves
            self._kept = Searcher(
                self.engine, self.encoder, self.name, self._form, local_files=self._local_files, pictures=self._pictures
            )
        return self._kept

    def _subject(self, query: str | Path, literal: bool, hybrid: bool) -> Subject:
        if isinstance(query, Path):
            return Subject.of(self.encoder, picture=query, pictures=self._pictures)
        return Subject.of(self.encoder, query, literal=literal, hybrid=hybrid)


def _deletions(ids: Iterable[str]) -> Iterator[dict[str, Any]]:
    for one in ids:
        yield {"_id": one, "delete": True}
