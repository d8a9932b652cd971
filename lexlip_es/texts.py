"""A file of texts, to be found by a picture."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lexlip_es.batches import batched
from lexlip_es.captions import Text, read_names, read_texts
from lexlip_es.documents import Document, document_id, text_document, text_hash
from lexlip_es.encoders import Encoder
from lexlip_es.entries import Skipped, path_text
from lexlip_es.errors import LexlipError
from lexlip_es.report import Report
from lexlip_es.weights import prepare_documents

TEXT_BATCH = 256


class TextFile:
    """The texts of a file; with a list of pictures, only the texts of those. `root` is its absolute path as text."""

    def __init__(self, path: Path, files: Path | None = None) -> None:
        """Read the texts; raises `LexlipError` for a bad file or one without any."""
        wanted = set(read_names(files)) if files else None
        self.complete = files is None
        self._texts = [text for text in read_texts(path) if wanted is None or text.picture in wanted]
        if not self._texts:
            raise LexlipError(f"{path} has no text to index: give one a line, or a table with a caption column.")
        self.root = path_text(os.fsencode(os.path.abspath(path)))

    def documents(
        self, encoder: Encoder, terms: int, collection: str, report: Report, wanted: Callable[[str, str], bool]
    ) -> Iterator[Document | Skipped]:
        """Encode and describe the texts whose id and content hash are `wanted`; one without any term is a `Skipped`.

        The time goes to the report's encoding.
        """
        chosen = (text for text in self._texts if wanted(_id(text, collection), text_hash(text.text)))
        for batch in batched(chosen, TEXT_BATCH):
            yield from self._batch(batch, encoder, terms, collection, report)

    def _batch(
        self, batch: list[Text], encoder: Encoder, terms: int, collection: str, report: Report
    ) -> Iterator[Document | Skipped]:
        started = time.perf_counter()
        weights = prepare_documents(encoder.encode_texts([text.text for text in batch]), terms)
        report.encode_seconds += time.perf_counter() - started
        for i, text in enumerate(batch):
            row = weights.row(i)
            if not len(row[0]):
                yield Skipped(text.key, "The text has no word that this model knows.")
                continue
            source = text_document(text.key, text.text, row, encoder.model.lexicon, collection=collection)
            yield {"_id": _id(text, collection), "source": source}


def key_bytes(key: str) -> bytes:
    """What of a text's key its document's id is made of."""
    return key.encode("utf-8", "surrogateescape")


def _id(text: Text, collection: str) -> str:
    return document_id(collection, key_bytes(text.key))
