"""A folder of pictures, or those of it that a list names, with captions from a file."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lexlip_es.captions import Captions, read_captions, read_names
from lexlip_es.entries import Found, Skipped, path_text
from lexlip_es.finding import find_pictures, open_root
from lexlip_es.sources import Extras


class PictureFolder:
    """See `PictureSource`; `files` makes it a list, which is not complete."""

    meta_schema: Mapping[str, str] = {}

    def __init__(
        self, root: Path, *, files: Path | None = None, captions: Path | None = None, exclude: Sequence[str] = ()
    ) -> None:
        """Find the first picture, and read the list and the captions; raises `LexlipError` for what is missing or empty."""
        self._root = open_root(root)
        self._files = read_names(files) if files else None
        self._exclude = tuple(exclude)
        next(self._find(), None)
        self._captions = read_captions(captions) if captions else Captions()
        self.root = path_text(os.fsencode(self._root))
        self.complete = files is None
        self.has_extras = captions is not None

    def entries(self) -> Iterator[Found | Skipped]:
        """See `PictureSource.entries`."""
        for met in self._find():
            if isinstance(met, Found):
                self._captions.of(met.relative)  # which it now knows to be there
            yield met

    def _find(self) -> Iterator[Found | Skipped]:
        return find_pictures(self._root, files=self._files, exclude=self._exclude)

    def extras(self, found: Found) -> Extras:
        """See `PictureSource.extras`."""
        return Extras(captions=tuple(self._captions.of(found.relative)))

    def notes(self) -> list[str]:
        """See `PictureSource.notes`."""
        unused = self._captions.unused
        if not unused or not self.complete:
            return []
        return [
            f"{len(unused)} of {len(self._captions)} captioned pictures were not found, {unused[0]} among them: "
            "names in the captions file are relative to the folder of pictures."
        ]
