"""How little of a query may a hit have and still be shown? Right pictures lost and strangers hidden, on dev data.

    python -m benchmarks.relevance --images DIR --captions FILE --files DEV.txt [--model DIR]

Two measures: the share of the query's weight whose terms the picture carries, and the score as a share of the best that a picture
could have. Right are, for a caption, its picture, and for a word of captions, the pictures whose captions have it, where they are
among the ten best. Strangers are the ten best hits of what `strangers.toml` asks, which no picture shows.
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.markdown import table
from benchmarks.options import captioned_pictures
from lexlip_es.encoders import Encoder, load_encoder
from lexlip_es.evaluating import encode_pictures, read_captioned_pictures
from lexlip_es.model_folder import open_model
from lexlip_es.weights import SparseWeights, prepare_documents, prepare_queries, reference_scores

K = 10
STRANGERS = Path(__file__).with_name("strangers.toml")
SHARES = {"weight": (0.15, 0.18, 0.2, 0.22, 0.25, 0.3), "best score": (0.08, 0.1, 0.11, 0.12, 0.13, 0.15, 0.17)}


@dataclass(frozen=True)
class Asked:
    """The ten best pictures (Q, 10) of each query, whether each is right, and its shares by either measure; no score, no hit."""

    right: NDArray[np.bool_]
    found: NDArray[np.bool_]
    shares: dict[str, NDArray[np.float64]]

    @classmethod
    def of(cls, encoder: Encoder, texts: Sequence[str], documents: SparseWeights, right: Sequence[set[int]] = ()) -> "Asked":
        queries = prepare_queries(encoder.encode_texts(texts), encoder.model.pruning.query_terms)
        terms = len(encoder.model.lexicon)
        asked = queries.to_dense(terms).astype(np.float64)  # (Q, V)
        scores = reference_scores(queries, documents)  # (Q, D)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        scores = np.take_along_axis(scores, best, 1)
        matched = np.take_along_axis(asked @ (documents.to_dense(terms) > 0).T, best, 1)
        some = np.finfo(float).tiny  # a query without a term finds nothing
        shares = {
            "weight": matched / (asked.sum(1, keepdims=True) + some),
            "best score": scores / (np.linalg.norm(asked, axis=1, keepdims=True) + some),
        }
        chosen = right or [set()] * len(texts)
        is_right = np.array([[picture in these for picture in row] for row, these in zip(best, chosen, strict=True)])
        return cls(is_right & (scores > 0), scores > 0, shares)

    def hidden(self, measure: str, least: float, *, right: bool = False) -> str:
        """How many per cent of the hits, or of the right ones, have less."""
        share = self.shares[measure][self.right if right else self.found]
        return f"{100 * (share < least).mean():.1f} %"


def rows(right: dict[str, Asked], strangers: dict[str, Asked]) -> Iterator[dict[str, str]]:
    """A row for each measure and threshold."""
    for measure, shares in SHARES.items():
        for least in shares:
            yield {
                "share of": measure,
                "least": str(least),
                **{f"right lost, {name}": asked.hidden(measure, least, right=True) for name, asked in right.items()},
                **{f"hidden, {name}": asked.hidden(measure, least) for name, asked in strangers.items()},
            }


def main() -> None:
    """Measure and print a table."""
    options = captioned_pictures(__doc__).parse_args()
    encoder = load_encoder(open_model(options.model))
    data = read_captioned_pictures(options.images, options.captions, options.files)
    pictures = encode_pictures(encoder, data.root, data.names, lambda: None)
    documents = prepare_documents(pictures, encoder.model.pruning.picture_terms)
    showing: dict[str, set[int]] = defaultdict(set)
    for text, picture in zip(data.texts, data.gold, strict=True):
        for word in re.findall("[a-z]{4,}", text.text.lower()):
            showing[word].add(picture)
    usual = {word: these for word, these in showing.items() if len(these) >= 20}
    rare = {word: these for word, these in showing.items() if 5 <= len(these) < 20}
    right = {
        "captions": Asked.of(encoder, [text.text for text in data.texts], documents, [{picture} for picture in data.gold]),
        "words of 20+ pictures": Asked.of(encoder, list(usual), documents, list(usual.values())),
        "words of 5-19": Asked.of(encoder, list(rare), documents, list(rare.values())),
    }
    texts: dict[str, list[str]] = tomllib.loads(STRANGERS.read_text())
    strangers = {
        name: Asked.of(encoder, [text for text in these if text not in showing], documents) for name, these in texts.items()
    }
    print(table([{"queries": name, "count": len(asked.found), "right": asked.right.sum()} for name, asked in right.items()]))
    print(table([{"strangers": name, "count": len(asked.found), "hits": asked.found.sum()} for name, asked in strangers.items()]))
    print(table(list(rows(right, strangers))))


if __name__ == "__main__":
    main()
