"""What does pruning cost: recall and FLOPS over the numbers of terms kept a picture and a query, from one encoding."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lexlip_es.evaluating import CaptionedPictures, EncodedPictures, measure_text_to_picture
from lexlip_es.evaluation import Recall
from lexlip_es.model_folder import Pruning
from lexlip_es.sparsity import flops
from lexlip_es.weights import prepare_documents, prepare_queries

PICTURE_TERMS = (16, 32, 64, 128)
QUERY_TERMS = (8, 16, 32)


@dataclass(frozen=True)
class Point:
    """One pruning, the recall that it leaves, text to picture, and the mean number of terms that query and document share."""

    pruning: Pruning
    text_to_picture: Recall
    flops: float

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "picture_terms": self.pruning.picture_terms,
            "query_terms": self.pruning.query_terms,
            "text_to_picture": self.text_to_picture.to_json(),
            "flops": self.flops,
        }


def curve(
    encoded: EncodedPictures,
    data: CaptionedPictures,
    picture_terms: tuple[int, ...] = PICTURE_TERMS,
    query_terms: tuple[int, ...] = QUERY_TERMS,
) -> Iterator[Point]:
    """The points of the grid, by terms a picture, then by terms a query; ranked in memory with the engine's scores."""
    for kept in picture_terms:
        documents = prepare_documents(encoded.pictures, kept)
        for asked in query_terms:
            queries = prepare_queries(encoded.texts, asked)
            found = Recall.of(measure_text_to_picture(queries, documents, data), len(documents))
            yield Point(Pruning(kept, asked), found, round(flops(queries, documents), 4))
