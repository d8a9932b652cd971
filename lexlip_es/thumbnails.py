"""Small pictures for people to look at: made once from a picture's file, upright, without metadata, kept on disk."""

import io
import os
import threading
from pathlib import Path

from lexlip_es.images import Picture, PictureError, PictureSpec, content_hash
from lexlip_es.query_pictures import QueryPictures

SIDE = 400
"""The longer side of a thumbnail, in pixels: sharp at half the width of a phone."""
MEDIA_TYPE = "image/webp"
_QUALITY = 78  # of 100; a photograph takes about 25 KB


class Thumbnails:
    """Thumbnails in a folder, each under its picture's content hash; any of them may be deleted at any time.

    Several threads and several processes may use one folder. A picture is hostile: a process of its own decodes it, started for
    the first one and kept until `close`, and what comes back from there are pixels.
    """

    def __init__(self, folder: Path, side: int = SIDE) -> None:
        """folder: made when the first thumbnail is kept. side: the longer one's pixels, up to 4096."""
        self._folder, self._side = folder, side
        # Both sides decoded to the same length, which costs the longer one nothing: see `_thumbnail`.
        self._pictures = QueryPictures(PictureSpec(side, "squash"))

    def __enter__(self) -> "Thumbnails":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process that decodes."""
        self._pictures.close()

    def of(self, picture: Path, expected: str | None = None) -> bytes:
        """A picture file's thumbnail, a WebP file. expected: the file's SHA-256 in hexadecimal, if it is known.

        Raises `PictureError` for what is no picture or has another content than expected, `LexlipError` where no process can be
        started.
        """
        kept = self._folder / f"{expected or content_hash(picture)}-{self._side}.webp"
        if kept.is_file():
            return kept.read_bytes()
        decoded = self._pictures.decoded(picture)
        if expected not in (None, decoded.content_hash):
            raise PictureError("The file has changed since it was indexed.", picture)
        made = _thumbnail(decoded.picture, self._side)
        self._folder.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        part.write_bytes(made)
        part.replace(kept)
        return made


def _thumbnail(picture: Picture, side: int) -> bytes:
    """The picture's square of pixels, with the shorter side brought back to what it was."""
    from PIL import Image

    longer = max(picture.width, picture.height)
    scale = min(side, longer) / longer  # none is made larger than it is
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    file = io.BytesIO()
    Image.fromarray(picture.pixels).resize(size, Image.Resampling.BICUBIC).save(file, "WEBP", quality=_QUALITY)
    return file.getvalue()
