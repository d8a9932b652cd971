"""Text to word-piece ids with the model's own tokenizer."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer

from lexlip_es.errors import LexlipError
from lexlip_es.model_folder import ModelFolder
from lexlip_es.printable import encodable


def open_tokenizer(model: ModelFolder) -> Tokenizer:
    """The folder's tokenizer: [CLS] ... [SEP], cut at the model's `max_tokens`, never padded. Raises `LexlipError`."""
    try:
        tokenizer = Tokenizer.from_file(str(model.tokenizer_path))
    except Exception as error:  # the library raises bare Exception
        raise LexlipError(f"{model.tokenizer_path} is missing or damaged: restore the model folder.") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(model.max_tokens)
    return tokenizer


def token_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The ids of each text. Lone surrogates (half an emoji from a broken file name or caption) become question marks."""
    if len(texts) == 1:
        return [_encoding(tokenizer, texts[0]).ids]
    return [encoding.ids for encoding in tokenizer.encode_batch([encodable(text) for text in texts])]


class Token(NamedTuple):
    """A word piece of a text: its id, from which character it stands there, and to before which; [CLS] and [SEP] from 0 to 0."""

    id: int
    start: int
    end: int


def tokens(tokenizer: Tokenizer, text: str) -> list[Token]:
    """The tokens of a text, those of `token_ids`, in the order that an encoder's `origins` count."""
    encoding = _encoding(tokenizer, text)
    return [Token(id, *span) for id, span in zip(encoding.ids, encoding.offsets, strict=True)]


@lru_cache(maxsize=8)  # of one query an encoder wants the ids, and then somebody the words that its tokens stand in
def _encoding(tokenizer: Tokenizer, text: str) -> Encoding:
    return tokenizer.encode(encodable(text))
