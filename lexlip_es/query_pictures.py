"""Pictures that are searched by: as hostile as those of an index, since a service may take them from anybody."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lexlip_es.entries import LocalFile
from lexlip_es.errors import LexlipError
from lexlip_es.images import PictureError, PictureSpec
from lexlip_es.pixels import Pixels

if TYPE_CHECKING:  # what it imports takes longer than a search by text
    from lexlip_es.decoding import Decoded, Decoders


@dataclass(frozen=True)
class _Asked:
    place: LocalFile
    display_path: str


class QueryPictures:
    """Decodes one picture at a time in a process, which starts with the first of them and stays until `close`."""

    def __init__(self, spec: PictureSpec) -> None:
        """spec: what the model wants to see; nothing is started yet."""
        self._spec = spec
        self._lock = threading.Lock()
        self._started: tuple[int, Decoders] | None = None  # and by which process: a fork has no part in it

    def __enter__(self) -> "QueryPictures":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pixels(self, picture: Path) -> Pixels:
        """A picture's pixels, (S, S, 3) RGB; raises as `decoded`."""
        return self.decoded(picture).picture.pixels

    def decoded(self, picture: Path) -> "Decoded":
        """A picture and its file's hash; raises `PictureError`, `LexlipError` where no process can be started."""
        from lexlip_es.decoding import Decoders

        with self._lock:
            if self._started is None or self._started[0] != os.getpid():
                self._started = os.getpid(), Decoders(self._spec, workers=1)
            try:
                ((_, outcome),) = self._started[1].decode([_Asked(LocalFile(picture.absolute()), str(picture))], 1)
            except LexlipError:  # no process could be started: perhaps one can the next time
                self._end()
                raise
        if isinstance(outcome, PictureError):
            raise PictureError(outcome.reason, picture)
        return outcome

    def close(self) -> None:
        """End the process; the next picture starts another."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._started is not None and self._started[0] == os.getpid():
            self._started[1].close()
        self._started = None
