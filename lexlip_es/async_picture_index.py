"""`PictureIndex` for services on asyncio: the same calls in a few threads, so that the event loop never waits."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

from lexlip_es.dialects import QueryForm
from lexlip_es.engines import ConnectionSettings
from lexlip_es.errors import UsageError
from lexlip_es.picture_index import PictureIndex
from lexlip_es.queries import Filter, Hit
from lexlip_es.searching import SearchResult

P = ParamSpec("P")
T = TypeVar("T")


class AsyncPictureIndex:
    """`search`, `explain` and `count` of a `PictureIndex`, awaited; opened and closed by `async with`.

    >>> import asyncio
    >>> from lexlip_es import AsyncPictureIndex
    >>> async def find(*sentences):
    ...     async with AsyncPictureIndex(name="holiday") as index:
    ...         return await asyncio.gather(*map(index.search, sentences))
    >>> [result.hits[0].path for result in asyncio.run(find("a red wall", "a blue wall"))]
    ['red.png', 'blue.png']

    Each call runs in one of `threads` threads; more calls than threads wait their turn, in order. Encoding a sentence is a
    look-up and the rest is waiting for the server, so a second client library would gain nothing. A cancelled call that waits
    is never begun; one that has begun ends in its thread, unseen, and changes nothing, since none of them writes. To index and
    to delete, use `PictureIndex`.
    """

    def __init__(
        self,
        url: str | ConnectionSettings | None = None,
        name: str = "pictures",
        model: str | Path | None = None,
        *,
        form: QueryForm | None = None,
        threads: int = 8,
    ) -> None:
        """Nothing is opened yet; see `PictureIndex` for the arguments. threads: how many calls are under way at a time."""
        if threads < 1:
            raise UsageError(f"threads is {threads}: at least one has to do the work.")
        self._open = lambda: PictureIndex(url, name, model, form=form)
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._index: PictureIndex | None = None

    async def __aenter__(self) -> "AsyncPictureIndex":
        """Connect; raises what `PictureIndex` raises."""
        self._pool = ThreadPoolExecutor(self._threads, "pictures")
        try:
            self._index = await self._in_thread(self._open)
        except BaseException:
            self._pool.shutdown(wait=False)
            self._pool = None
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Wait for the calls that have begun, then let go of the connections."""
        pool, index, self._pool, self._index = self._pool, self._index, None, None
        if pool is not None and index is not None:
            await asyncio.to_thread(_close, pool, index)

    async def search(
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
        """See `PictureIndex.search`."""
        search = partial(self._opened.search, all=all, literal=literal, hybrid=hybrid, min_score=min_score, cut_off=cut_off)
        return await self._in_thread(search, query, k, filter)

    async def explain(self, query: str | Path, picture: str | Path, *, literal: bool = False, hybrid: bool = False) -> Hit:
        """See `PictureIndex.explain`."""
        return await self._in_thread(partial(self._opened.explain, literal=literal, hybrid=hybrid), query, picture)

    async def count(self, filter: Filter | None = None) -> int:
        """See `PictureIndex.count`."""
        return await self._in_thread(self._opened.count, filter)

    @property
    def _opened(self) -> PictureIndex:
        if self._index is None:
            raise UsageError("this index is not open: use it within `async with AsyncPictureIndex(...) as index`.")
        return self._index

    async def _in_thread(self, call: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *args)


def _close(pool: ThreadPoolExecutor, index: PictureIndex) -> None:
    pool.shutdown(cancel_futures=True)
    index.close()
