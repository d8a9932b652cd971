"""A folder of pictures, or those of it that a list names, with captions from a file."""

import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path

from lexlip_es.captions import Captions, read_captions, read_names
from lexlip_es.entries import Found, Skipped, path_text
from lexlip_es.finding import find_again, find_pictures, folder_identity, open_root
from lexlip_es.sources import Extras


class PictureFolder:
    """See `PictureSource`; `files` makes it a list, which is not complete. `path` is the folder's absolute path."""

    meta_schema: Mapping[str, str] = {}

    def __init__(
        self, root: Path, *, files: Path | None = None, captions: Path | None = None, exclude: Sequence[str] = ()
    ) -> None:
        """Find the first picture, and read the list and the captions; raises `LexlipError` for what is missing or empty."""
        self.path = open_root(root)
        self._identity = folder_identity(self.path)
        self._files = read_names(files) if files else None
        self._exclude = tuple(exclude)
        self._met: Sequence[Found | Skipped] | None = None
        next(self._find(), None)
        self._captions = read_captions(captions) if captions else Captions()
        self.root = path_text(os.fsencode(self.path))
        self.complete = files is None
        self.has_extras = captions is not None

    def entries(self) -> Iterator[Found | Skipped]:
        """See `PictureSource.entries`."""
        for met in self._find():
            if isinstance(met, Found):
                self._captions.of(met.relative)  # which it now knows to be there
            yield met

    def again(self, paths: Iterable[bytes], but: Container[bytes] = ()) -> "PictureFolder":
        """The same folder, of which nothing is listed but what is at these paths and below them now: see `find_again`.

        `but` are files that are not listed.
        """
        again = copy(self)
        met = find_again(self.path, paths, exclude=self._exclude)
        again._met = [each for each in met if not (isinstance(each, Found) and each.relative in but)]
        return again

    def _find(self) -> Iterator[Found | Skipped]:
        if self._met is not None:
            return iter(self._met)
        return find_pictures(self.path, files=self._files, exclude=self._exclude)

    def extras(self, found: Found) -> Extras:
        """See `PictureSource.extras`."""
        return Extras(captions=tuple(self._captions.of(found.relative)))

    def is_there(self) -> bool:
        """See `PictureSource.is_there`."""
        return folder_identity(self.path) == self._identity

    def has_lost(self, relative: bytes) -> bool:
        """See `PictureSource.has_lost`."""
        return not os.path.lexists(os.path.join(os.fsencode(self.path), relative)) and self.is_there()

    def notes(self) -> list[str]:
        """See `PictureSource.notes`."""
        unused = self._captions.unused
        if not unused or not self.complete or self._met is not None:
            return []
        return [
            f"{len(unused)} of {len(self._captions)} captioned pictures were not found, {unused[0]} among them: "
            "names in the captions file are relative to the folder of pictures."
        ]
