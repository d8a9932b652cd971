"""Recall on captioned pictures, in memory and through an engine: text to picture, and picture to text.

In memory the scores are the reference scores of truncated documents and pruned queries, which is what the engine computes;
asking the engine as well shows that nothing is lost on the way.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexlip_es.batches import batched
from lexlip_es.bootstrap import Interval
from lexlip_es.captions import Text, read_captions, read_names, read_texts
from lexlip_es.clause_limit import ClauseLimit
from lexlip_es.dialects import Dialect, QueryForm, dialect_for
from lexlip_es.drift import Drift
from lexlip_es.encoders import Encoder
from lexlip_es.engines.protocol import Engine
from lexlip_es.entries import path_text
from lexlip_es.errors import LexlipError
from lexlip_es.evaluation import Hits, Ranks, Recall, rank_of_best, ranks, recall_intervals
from lexlip_es.images import open_picture
from lexlip_es.lexicon import Lexicon
from lexlip_es.model_folder import ModelFolder, Pruning
from lexlip_es.names import index_name
from lexlip_es.queries import ranking_body
from lexlip_es.searching import read_index_meta
from lexlip_es.sparsity import Sparsity
from lexlip_es.texts import TEXT_BATCH
from lexlip_es.weights import SparseWeights, prepare_documents, prepare_queries, reference_scores

_SEARCHES_AT_ONCE = 50
Identity = tuple[str, str]  # collection and path of a document
_RESULT_WINDOW = 10_000  # index.max_result_window, the most hits that an engine returns by default


@dataclass(frozen=True)
class CaptionedPictures:
    """Pictures by relative name, and their captions; `gold[j]` is the picture that caption j describes.

    `missing` is how many captioned pictures are no files under the folder, and are left out of the measure.
    """

    root: Path
    names: list[str]
    texts: list[Text]
    missing: int = 0

    @property
    def gold(self) -> list[int]:
        """For each text the position of its picture."""
        place = {name: i for i, name in enumerate(self.names)}
        return [place[text.picture or ""] for text in self.texts]

    @property
    def captions_of(self) -> list[list[int]]:
        """For each picture the positions of its texts."""
        owned: list[list[int]] = [[] for _ in self.names]
        for j, i in enumerate(self.gold):
            owned[i].append(j)
        return owned


def read_captioned_pictures(root: Path, captions: Path, files: Path | None = None) -> CaptionedPictures:
    """The captioned pictures under the folder (of those that `files` lists); raises `LexlipError` if there are none."""
    captioned = read_captions(captions)
    wanted = list(dict.fromkeys(read_names(files))) if files else list(captioned)
    captioned_names = [name for name in wanted if captioned.get(name)]
    names = [name for name in captioned_names if os.path.isfile(root / name)]
    if not names:
        raise LexlipError(f"no picture under {root} has a caption in {captions}: the names there are relative to the folder.")
    chosen = set(names)
    texts = [text for text in read_texts(captions) if text.picture in chosen]
    return CaptionedPictures(root, names, texts, len(captioned_names) - len(names))


@dataclass(frozen=True)
class EncodedPictures:
    """Both sides of an evaluation, as the encoder gave them."""

    pictures: SparseWeights
    texts: SparseWeights

    def sparsity(self, pruning: Pruning | None = None) -> Sparsity:
        """Mean terms and FLOPS of texts asking for pictures: as encoded, or of stored pictures and pruned queries."""
        if pruning is None:
            return Sparsity.of(self.pictures, self.texts)
        return Sparsity.of(
            prepare_documents(self.pictures, pruning.picture_terms), prepare_queries(self.texts, pruning.query_terms)
        )

    def drift(self, lexicon: Lexicon, pruning: Pruning) -> Drift:
        """Terms of the stored pictures that say little about any of them."""
        return Drift.of(prepare_documents(self.pictures, pruning.picture_terms), lexicon)


def encode(encoder: Encoder, data: CaptionedPictures, progress: Callable[[], None] = lambda: None) -> EncodedPictures:
    """Encode all pictures and texts; raises `PictureError` as `encode_pictures` does."""
    pictures = encode_pictures(encoder, data.root, data.names, progress)
    texts = [encoder.encode_texts([text.text for text in batch]) for batch in batched(data.texts, TEXT_BATCH)]
    return EncodedPictures(pictures, SparseWeights.concat(texts))


def encode_pictures(encoder: Encoder, root: Path, names: list[str], progress: Callable[[], None]) -> SparseWeights:
    """Encode pictures in order; raises `PictureError` for an unreadable one, since a measure must not leave it out."""
    batches = []
    for batch in batched(names, encoder.batch_size):
        pixels = [open_picture(root / name, encoder.model.picture_spec).pixels for name in batch]
        batches.append(encoder.encode_pictures(pixels))
        for _ in batch:
            progress()
    return SparseWeights.concat(batches)


@dataclass(frozen=True)
class Measured:
    """Ranks in both directions and their summary; `picture_to_text` counts a hit of any of a picture's texts."""

    text_to_picture: Recall
    picture_to_text: Hits
    text_ranks: Ranks
    picture_ranks: Ranks

    def differing(self, other: "Measured") -> int:
        """How many ranks are not the same, both directions together."""
        pairs = ((self.text_ranks, other.text_ranks), (self.picture_ranks, other.picture_ranks))
        return sum(int(np.count_nonzero(one != another)) for one, another in pairs)

    def to_json(self) -> dict[str, Any]:
        """The summaries as JSON."""
        return {"text_to_picture": self.text_to_picture.to_json(), "picture_to_text": self.picture_to_text.to_json()}

    def intervals(self, data: CaptionedPictures, times: int, seed: int) -> dict[str, dict[str, Interval]]:
        """The 95 % intervals over pictures, both directions of the same resamples, by the names of `to_json`."""
        pictures = len(data.names)
        to_picture = recall_intervals(self.text_ranks, np.array(data.gold, np.int64), pictures, times, seed)
        to_text = recall_intervals(self.picture_ranks, np.arange(pictures), pictures, times, seed)
        return {"text_to_picture": to_picture, "picture_to_text": Hits.named(to_text)}


def _measured(text_ranks: Ranks, picture_ranks: Ranks, n_pictures: int, n_texts: int) -> Measured:
    return Measured(Recall.of(text_ranks, n_pictures), Hits.of(picture_ranks, n_texts), text_ranks, picture_ranks)


def measure(encoded: EncodedPictures, data: CaptionedPictures, pruning: Pruning) -> Measured:
    """Rank in memory, with the scores that an engine computes."""
    documents = prepare_documents(encoded.pictures, pruning.picture_terms)
    text_ranks = measure_text_to_picture(prepare_queries(encoded.texts, pruning.query_terms), documents, data)
    texts = prepare_documents(encoded.texts, pruning.picture_terms)
    queries = prepare_queries(encoded.pictures, pruning.picture_terms)
    return _measured(text_ranks, ranks(reference_scores(queries, texts), data.captions_of), len(data.names), len(data.texts))


def measure_text_to_picture(queries: SparseWeights, documents: SparseWeights, data: CaptionedPictures) -> Ranks:
    """The rank of each text's picture, of prepared texts and pictures."""
    return ranks(reference_scores(queries, documents), [[i] for i in data.gold])


@dataclass(frozen=True)
class IndexedData:
    """Captioned pictures in two indices that `lexlip-es index` made: places of their documents, and all that compete there.

    `terms` is how many a document keeps, in both, and the dialects say how each index is asked; candidates count other documents
    of the indices too, and documents that are missing because they have no term, which compete with score 0.
    """

    engine: Engine
    data: CaptionedPictures
    pictures: str
    texts: str
    terms: int
    picture_dialect: Dialect
    text_dialect: Dialect
    place_of_picture: Mapping[Identity, int]
    place_of_text: Mapping[Identity, int]

    @classmethod
    def check(
        cls,
        engine: Engine,
        model: ModelFolder,
        data: CaptionedPictures,
        *,
        pictures: str | None,
        texts: str | None,
        picture_collection: str,
        text_collection: str,
        form: QueryForm | None = None,
    ) -> "IndexedData":
        """Look at both indices; raises `LexlipError` for one that is missing or prunes otherwise, or another model.

        `form` overrides the query that suits the server, as for a `Searcher`.
        """
        names = index_name(pictures), index_name(texts, "text")
        metas = [read_index_meta(engine, name) for name in names]
        for meta in metas:
            meta.require_model(model)
        terms, other = (meta.meta["pruning"]["terms"] for meta in metas)
        if terms != other:
            raise LexlipError(f"{names[0]} keeps {terms} terms and {names[1]} {other}: index one of them again with --terms.")
        picture_dialect, text_dialect = (dialect_for(engine.server, meta.field_type, form) for meta in metas)
        return cls(
            engine,
            data,
            *names,
            terms,
            picture_dialect,
            text_dialect,
            {(picture_collection, path_text(os.fsencode(name))): i for i, name in enumerate(data.names)},
            {(text_collection, text.key): j for j, text in enumerate(data.texts)},
        )


def measure_on_engine(
    indexed: IndexedData,
    model: ModelFolder,
    encoded: EncodedPictures,
    pruning: Pruning,
    report: Callable[[str], None] = lambda _: None,
) -> Measured:
    """Rank by searching; raises `LexlipError` when a picture or a text is not in its index.

    `report` is told once for each direction if queries had more terms than the server takes.
    """
    engine, data = indexed.engine, indexed.data
    n_pictures = _candidates(engine, indexed.pictures, indexed.place_of_picture, encoded.pictures)
    n_texts = _candidates(engine, indexed.texts, indexed.place_of_text, encoded.texts)

    def queries(
        weights: SparseWeights, terms: int, index: str, dialect: Dialect, candidates: int
    ) -> Iterator[dict[str, Any] | None]:
        fitted = _fitted(prepare_queries(weights, terms), engine, index, model, dialect, report)
        return search_bodies(fitted, model, candidates, dialect)

    text_queries = queries(encoded.texts, pruning.query_terms, indexed.pictures, indexed.picture_dialect, n_pictures)
    picture_queries = queries(encoded.pictures, pruning.picture_terms, indexed.texts, indexed.text_dialect, n_texts)
    by_text = _search_all(engine, indexed.pictures, text_queries, indexed.place_of_picture, n_pictures)
    by_picture = _search_all(engine, indexed.texts, picture_queries, indexed.place_of_text, n_texts)
    text_ranks = np.array([rank_of_best(scores, [gold]) for scores, gold in zip(by_text, data.gold, strict=True)])
    picture_ranks = np.array([rank_of_best(scores, gold) for scores, gold in zip(by_picture, data.captions_of, strict=True)])
    return _measured(text_ranks, picture_ranks, n_pictures, n_texts)


def _fitted(
    queries: SparseWeights, engine: Engine, index: str, model: ModelFolder, dialect: Dialect, report: Callable[[str], None]
) -> SparseWeights:
    """Queries cut to as many terms as the server takes of the longest of them, which it is asked."""
    if not len(queries.terms):
        return queries
    longest = queries.row(int(np.argmax(queries.counts)))
    asked = ClauseLimit().ask(longest, lambda row: engine.search(index, ranking_body(row, model.lexicon, 1, dialect=dialect)))
    for note in asked.notes:
        report(note)
    return queries.top_k(len(asked.row[0]))


def search_bodies(
    queries: SparseWeights, model: ModelFolder, candidates: int, dialect: Dialect
) -> Iterator[dict[str, Any] | None]:
    """A request for each query that returns the scores of all candidates, or of the most that an engine gives at once.

    None for a query without a term, which is no request.
    """
    size = min(candidates, _RESULT_WINDOW)
    for i in range(len(queries)):
        row = queries.row(i)
        yield ranking_body(row, model.lexicon, size, dialect=dialect) if len(row[0]) else None


def _search_all(
    engine: Engine, index: str, bodies: Iterable[dict[str, Any] | None], places: Mapping[Identity, int], candidates: int
) -> Iterator[NDArray[np.float32]]:
    """For each query every candidate's score (N,), known documents first; 0 for what the engine did not return."""
    for batch in batched(bodies, _SEARCHES_AT_ONCE):
        asked = [body for body in batch if body is not None]
        answers = iter(engine.msearch(index, asked))
        for body in batch:
            scores = np.zeros(candidates, np.float32)
            others = len(places)
            for hit in next(answers)["hits"]["hits"] if body is not None else ():
                place = places.get((hit["fields"]["collection"][0], hit["fields"]["path"][0]))
                if place is None:
                    place, others = others, others + 1
                scores[place] = np.float32(hit["_score"])
            yield scores


def _candidates(engine: Engine, index: str, places: Mapping[Identity, int], encoded: SparseWeights) -> int:
    fields = ("collection", "path")
    there = {(hit["source"]["collection"], hit["source"]["path"]) for hit in engine.scan(index, fields=fields)}
    missing = sum(encoded.counts[place] > 0 for identifier, place in places.items() if identifier not in there)
    if missing:
        raise LexlipError(
            f"{missing} of {len(places)} documents are not in index {index}: "
            "index the same files, from the same folder or with the same --collection, before evaluating."
        )
    return len(places.keys() | there)
