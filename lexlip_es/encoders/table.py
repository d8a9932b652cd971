"""The text side without a network: a table of what each word piece asks for, made from the text tower when a model is packed.

A query's weights are, for each term, the maximum over its pieces' rows: the same max-pooling as LexLIP's towers (paper section
3.1), with positions that cannot see each other.
"""

from collections.abc import Sequence
from pathlib import Path

from safetensors.numpy import load_file

from lexlip_es.encoders.tokens import open_tokenizer, token_ids
from lexlip_es.errors import LexlipError
from lexlip_es.model_folder import ModelFolder
from lexlip_es.weights import SparseWeights


class TableEncoder:
    """Encodes texts by looking up each piece's row: `indptr` int64 (V + 1,), `terms` int32 and `weights` float32 (nnz,)."""

    def __init__(self, path: Path, model: ModelFolder) -> None:
        """Read the table; raises `LexlipError` if it does not fit the model's vocabulary."""
        self.tokenizer = open_tokenizer(model)
        try:
            table = load_file(path)
            self._indptr, self._terms, self._weights = table["indptr"], table["terms"], table["weights"]
        except OSError as error:
            raise LexlipError(f"{path} cannot be read ({error.strerror or error}): check its permissions.") from error
        except Exception as error:  # safetensors raises its own type, a missing key another
            raise LexlipError(f"{path} is not a query table: pack the model again with lexlip-es pack.") from error
        if len(self._indptr) != self.tokenizer.get_vocab_size() + 1:
            raise LexlipError(f"{path} was made for another vocabulary: pack the model again with lexlip-es pack.")

    def encode_texts(self, texts: Sequence[str]) -> SparseWeights:
        """Weights of B texts, `origins` = the position of the piece whose row won."""
        rows, origins = [], []
        for ids in token_ids(self.tokenizer, texts):
            best: dict[int, tuple[float, int]] = {}
            for position, piece in enumerate(ids):
                start, end = self._indptr[piece], self._indptr[piece + 1]
                for term, weight in zip(self._terms[start:end].tolist(), self._weights[start:end].tolist(), strict=True):
                    if term not in best or weight > best[term][0]:
                        best[term] = (weight, position)
            rows.append((list(best), [weight for weight, _ in best.values()]))
            origins.append([position for _, position in best.values()])
        return SparseWeights.from_rows(rows, origins)
