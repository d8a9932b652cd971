"""How like real pictures are made ones? By the same figures of made pictures and of real ones that they were not made from.

    python -m benchmarks.versus.likeness --images DIR --captions FILE --files DEV.txt [--model DIR] [--dense WHERE]
        [--others DIR [FILE]] [--cache DIR] [--share 0.5] [--out FILE.json]

The real pictures are parted at random: `share` of them are parents, the others are held out, and as many are made of the parents
as are held out. Where there are as many parents, their figures stand beside: made ones cannot come nearer to those held out than
two samples of real ones do. A small share shows how made ones do when they grow far beyond their parents, as 1 M made from 45 k
do. Queries are captions of held-out pictures, which are no answers here: only pictures compete that a query was not written for,
as among distractors.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.markdown import table
from benchmarks.versus.collection import Collection, rows_of
from benchmarks.versus.distractors import made
from benchmarks.versus.vectors import collection_of, collection_options
from lexlip_es.model_folder import Pruning
from lexlip_es.weights import SparseWeights, prepare_documents, prepare_queries, reference_scores

QUERIES = 300
KEPT = Pruning(64, 16)
_DEPTHS = (1, 10, 100)
_RANKS = (1, 10, 100, 1000)  # of terms by how many pictures have them
_PAIRED = 200  # most frequent terms whose pairs are counted
_NEIGHBOURS_OF = 500  # pictures
Figures = dict[str, float]
Scores = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sample:
    """Some pictures, unpruned and as they are stored, and the place among them of each query's own picture (-1: elsewhere)."""

    pictures: SparseWeights
    kept: SparseWeights
    dense: NDArray[np.float32]
    own: NDArray[np.int64]  # (Q,)

    def others(self, scores: Scores) -> Scores:
        """Scores (Q, N) without those of the queries' own pictures, which become the least."""
        rows = np.flatnonzero(self.own >= 0)
        scores[rows, self.own[rows]] = scores.min()
        return scores

    def frequencies(self, vocabulary: int) -> NDArray[np.float64]:
        """(V,) share of the pictures that keep each term."""
        return np.bincount(self.kept.terms, minlength=vocabulary) / len(self.kept)


def likeness(
    collection: Collection, *, share: float = 0.5, seed: int = 0, pruning: Pruning = KEPT, queries: int = QUERIES
) -> dict[str, Any]:
    """The figures by name, each of the real pictures held out, the made ones and their parents, and what was compared."""
    random = np.random.default_rng(seed)
    order = random.permutation(collection.real)
    parents, held = np.split(order, [max(1, round(share * len(order)))])
    asked = np.flatnonzero(np.isin(collection.gold, held))
    asking = collection.asking(random.permutation(asked)[:queries].tolist())
    sparse, dense = zip(*made(collection, len(held), seed, parents), strict=True)
    nobody = np.full(len(asking.gold), -1)
    place = np.full(collection.real, -1)
    place[held] = np.arange(len(held))

    def sample(pictures: SparseWeights, vectors: NDArray[np.float32], own: NDArray[np.int64]) -> Sample:
        return Sample(pictures, prepare_documents(pictures, pruning.picture_terms), vectors, own)

    samples = {
        "held out": sample(rows_of(collection.pictures, held), collection.dense[held], place[asking.gold]),
        "made": sample(SparseWeights.concat(sparse), np.concatenate(dense), nobody),
    }
    if len(parents) >= len(held):
        real = parents[: len(held)]
        samples["parents"] = sample(rows_of(collection.pictures, real), collection.dense[real], nobody)
    figures = {name: _figures(one, samples["held out"], asking, pruning.query_terms) for name, one in samples.items()}
    compared = {"collection": collection.label, "parents": len(parents), "held out and made": len(held)}
    return compared | {"queries": len(asking.gold), **asdict(pruning), "seed": seed, "figures": figures}


def rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures as rows of a table, with the ratio of made to held out."""
    figures: dict[str, Figures] = found["figures"]
    return [
        {
            "figure": name,
            **{sample: float(f"{of[name]:.3g}") for sample, of in figures.items()},
            "made / held out": round(figures["made"][name] / real, 2) if real else "",
        }
        for name, real in figures["held out"].items()
    ]


def _figures(sample: Sample, held: Sample, asking: Collection, query_terms: int) -> Figures:
    vocabulary = len(asking.lexicon)
    found = _of_pictures(sample, vocabulary) | _of_terms(sample, held, vocabulary)
    for side, queries in (("table", asking.table_queries), ("tower", asking.tower_queries)):
        found |= _of_queries(sample, prepare_queries(queries, query_terms), side, vocabulary)
    return found if asking.origin == "random" else found | _of_dense(sample, asking)


def _of_pictures(sample: Sample, vocabulary: int) -> Figures:
    counts, shares = sample.pictures.counts, np.sort(sample.frequencies(vocabulary))[::-1]
    found = {"terms a picture, mean": float(counts.mean())}
    found |= _spread("terms a picture", counts)
    for n in (1, 10, 50):
        starts = sample.kept.indptr[:-1][sample.kept.counts >= n]
        found[f"weight of its {n}. term, mean"] = _mean(sample.kept.weights[starts + n - 1])
    found["different terms kept"] = float(np.count_nonzero(shares))
    found |= {f"share of pictures with the {n}. most frequent term": float(shares[n - 1]) for n in _RANKS if n <= len(shares)}
    return found | {"terms that two pictures share, mean": float((shares**2).sum())}


def _of_terms(sample: Sample, held: Sample, vocabulary: int) -> Figures:
    """How far terms, and pairs of them, come as often as among the pictures held out."""
    ours, theirs = sample.frequencies(vocabulary), held.frequencies(vocabulary)
    either = (ours > 0) | (theirs > 0)
    floor = 0.5 / len(held.kept)
    frequent = np.argsort(-theirs)[:_PAIRED]
    above = np.triu_indices(len(frequent), 1)
    pairs = [_lifts(one.kept, frequent, vocabulary)[above] for one in (sample, held)]
    return {
        "its terms' share of the postings held out": float(theirs[ours > 0].sum() / theirs.sum()),
        "correlation of terms' frequencies (log)": _correlation(np.log(ours[either] + floor), np.log(theirs[either] + floor)),
        f"correlation of how {_PAIRED} frequent terms come together (log lift)": _correlation(*pairs),
    }


def _lifts(kept: SparseWeights, terms: NDArray[np.int64], vocabulary: int) -> NDArray[np.float64]:
    """(T, T) logarithm of how much oftener two terms come together than if each came alone, one more counted on both sides."""
    column = np.full(vocabulary, -1)
    column[terms] = np.arange(len(terms))
    places, rows_of = column[kept.terms], np.repeat(np.arange(len(kept)), kept.counts)
    has = np.zeros((len(kept), len(terms)), np.float32)
    has[rows_of[places >= 0], places[places >= 0]] = 1
    single = has.sum(0, dtype=np.float64)
    return np.asarray(np.log((has.T @ has + 1) / (np.outer(single, single) / len(kept) + 1)))


def _of_queries(sample: Sample, queries: SparseWeights, side: str, vocabulary: int) -> Figures:
    """What a query finds and how far it has to look."""
    scores = sample.others(reference_scores(queries, sample.kept))
    matched = (scores > 0).mean(1)
    read = np.array([sample.frequencies(vocabulary)[queries.row(i)[0]].sum() for i in range(len(queries))])
    heaviest = np.zeros(vocabulary, np.float32)
    np.maximum.at(heaviest, sample.kept.terms, sample.kept.weights)
    most = np.array([(queries.row(i)[1] * heaviest[queries.row(i)[0]]).sum() for i in range(len(queries))])
    best = _best(scores)
    found = {f"{side}: share of pictures that match, mean": float(matched.mean())}
    found |= _spread(f"{side}: share of pictures that match", matched)
    found |= {f"{side}: postings read a picture and query, mean": float(read.mean())}
    for n, of in best.items():
        found |= _spread(f"{side}: score of the {n}. picture", of)
    return found | {f"{side}: score of the 10. by the most that there could be, mean": _mean(best[10] / np.maximum(most, 1e-9))}


def _of_dense(sample: Sample, asking: Collection) -> Figures:
    found: Figures = {}
    for n, of in _best(sample.others(asking.dense_queries @ sample.dense.T)).items():
        found |= _spread(f"dense: cosine of the {n}. picture", of)
    some = sample.dense[:_NEIGHBOURS_OF]
    alike = some @ sample.dense.T
    alike[np.arange(len(some)), np.arange(len(some))] = -1
    return found | _spread("dense: cosine of a picture's nearest", alike.max(1))


def _best(scores: Scores) -> dict[int, Scores]:
    """The scores (Q,) of the pictures at each depth, as far as there are as many."""
    descending = -np.sort(-scores, axis=1)
    return {n: descending[:, n - 1] for n in _DEPTHS if n <= scores.shape[1]}


def _spread(name: str, values: NDArray[Any]) -> Figures:
    return {f"{name}, {at} %": float(np.percentile(values, at)) for at in (10, 50, 90)}


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare and print a table; the figures also go to a JSON file."""
    parser = collection_options(__doc__)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    found = likeness(collection_of(options), share=options.share, seed=options.seed)
    print(table(rows(found)))
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
