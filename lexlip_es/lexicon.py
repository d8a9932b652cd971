"""The lexicon: BERT's word pieces, and the names that they carry in the engine and before people.

A term is stored in the engine as a feature of a `rank_features` field. Any UTF-8 text is accepted there except a dot (OpenSearch
and Elasticsearch 7.17 take such a document and never find the term; Elasticsearch 8.7+ refuses it) and the empty text, so
names escape just what is unsafe, reversibly:

>>> feature_name("dog"), feature_name("##ing"), feature_name("."), feature_name("%")
('dog', '##ing', '%2E', '%25')
>>> piece_of("%2E")
'.'
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from lexlip_es.errors import LexlipError

# A dot, the escape itself, white space and control characters; the last two are harmless to the engine today but
# unreadable in Dev Tools and easily lost by a copy.
_UNSAFE = re.compile(r"[.%\s\x00-\x1f\x7f-\x9f]")
_UNUSED = re.compile(r"\[unused\d+\]\Z")
SPECIAL = frozenset({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"})


@cache  # as many as a vocabulary has; a document asks for dozens
def feature_name(piece: str) -> str:
    """The engine's name of a word piece: the piece itself, with unsafe characters percent-escaped as UTF-8 bytes."""
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), piece)


def piece_of(name: str) -> str:
    """The word piece that an engine's feature name stands for; the inverse of `feature_name`."""
    return unquote(name, errors="strict")


class Lexicon:
    """A WordPiece vocabulary: term ids 0..V-1, their pieces, engine names and readable words.

    Readable words are for people only and are not unique (`dog` and `##dog` both read `dog`).
    """

    def __init__(self, pieces: Sequence[str]) -> None:
        """Take the pieces in the order of their ids; raises `LexlipError` if one is empty or occurs twice."""
        self.pieces = tuple(pieces)
        self._ids = {piece: term for term, piece in enumerate(self.pieces)}
        if len(self._ids) != len(self.pieces) or "" in self._ids:
            raise LexlipError("the vocabulary has an empty or a repeated piece: use the tokenizer.json of the model's folder.")

    @classmethod
    def from_tokenizer(cls, path: Path) -> "Lexicon":
        """Read the vocabulary out of a Hugging Face `tokenizer.json`; raises `LexlipError` if it is not a WordPiece one."""
        try:
            model = json.loads(path.read_text(encoding="utf-8"))["model"]
            ids: dict[str, int] = model["vocab"]
            if model.get("type", "WordPiece") != "WordPiece":
                raise KeyError("WordPiece")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LexlipError(f"{path} is not a WordPiece tokenizer.json: use the one of the model's folder.") from error
        pieces = sorted(ids, key=ids.__getitem__)
        if [ids[piece] for piece in pieces] != list(range(len(pieces))):
            raise LexlipError(f"{path} has gaps in its vocabulary ids: use the tokenizer.json of the model's folder.")
        return cls(pieces)

    def __len__(self) -> int:
        return len(self.pieces)

    def name(self, term: int) -> str:
        """The engine's feature name of a term id."""
        return feature_name(self.pieces[term])

    def id(self, name: str) -> int:
        """The term id of an engine's feature name; raises `KeyError` for a name that this vocabulary does not have."""
        return self._ids[piece_of(name)]

    def piece_id(self, piece: str) -> int | None:
        """The term id of a word piece, or None."""
        return self._ids.get(piece)

    def word(self, term: int) -> str:
        """The piece as a person reads it: without the `##` of a continuation."""
        piece = self.pieces[term]
        return piece[2:] if piece.startswith("##") and len(piece) > 2 else piece

    def names(self, terms: Iterable[int]) -> list[str]:
        """`name` of several terms."""
        return [feature_name(self.pieces[term]) for term in terms]

    @cached_property
    def is_special(self) -> NDArray[np.bool_]:
        """(V,) true for [PAD], [UNK], [CLS], [SEP] and [MASK]."""
        return np.array([piece in SPECIAL for piece in self.pieces])

    @cached_property
    def is_unused(self) -> NDArray[np.bool_]:
        """(V,) true for BERT's reserved places `[unused0]` to `[unused993]`."""
        return np.array([bool(_UNUSED.match(piece)) for piece in self.pieces])

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) over the pieces in order: two models with the same hash speak the same language."""
        return hashlib.sha256("\n".join(self.pieces).encode()).hexdigest()
