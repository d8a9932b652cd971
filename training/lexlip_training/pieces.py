"""Which word pieces a model may speak, and the matrix that it starts speaking them with.

A model trained on six thousand pictures learns nothing about most of BERT's 30,522 pieces. Its *active* pieces are those of the
training captions, those of ImageNet's class names (the backbone knows these things), and near neighbours of both (synonyms).
"""

from importlib import resources
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from lexlip_es.lexicon import Lexicon
from lexlip_training.data import Pieces

_STOP = frozenset(("of", "the", "and", "a", "in", "-", "'", ","))

FUNCTION_WORDS = frozenset(
    """
    a an the of and or but if as is are was were be been being am it its he she they them their his her him i you we us our your
    my me this that these those there here what which who whom whose when where why how all any both each few more most other
    some such no nor not only own same so than too very s t can will just don should now do does did has have had having about
    again then once also really during because until against to by for from ##s ##ing ##ed ##er
    """.split()  # noqa: SIM905 (ninety quoted words read worse)
)
"""Pieces that name nothing to be seen. Words of place (in, on, under, between ...) are not among them: pictures show those."""


def function_words(lexicon: Lexicon) -> NDArray[np.bool_]:
    """(V,) function words and punctuation."""
    return np.array(
        [piece in FUNCTION_WORDS or not any(sign.isalnum() for sign in piece.removeprefix("##")) for piece in lexicon.pieces]
    )


def speakable(lexicon: Lexicon) -> NDArray[np.bool_]:
    """(V,) all pieces but special and unused ones."""
    spoken: NDArray[np.bool_] = ~(lexicon.is_special | lexicon.is_unused)
    return spoken


def document_frequency(pieces: Pieces, vocabulary: int) -> NDArray[np.int64]:
    """(V,) in how many captions each piece occurs."""
    counts = np.zeros(vocabulary, np.int64)
    for i in range(len(pieces)):
        counts[np.unique(pieces.caption(i))] += 1
    return counts


def bag_start(counts: NDArray[np.int64], captions: int) -> Tensor:
    """(V,) start weights of the bag of pieces: a third of the smoothed inverse document frequency."""
    return torch.from_numpy(np.log((captions + 1) / (counts + 1)) / 3).float()


def imagenet_pieces(lexicon: Lexicon, tokenizer_file: Path) -> NDArray[np.int64]:
    """Ids of the whole-word pieces in the names of ImageNet's 1,000 classes, which timm ships."""
    info = resources.files("timm") / "data" / "_info"
    names = dict(
        line.split("\t", 1) for line in (info / "imagenet_synset_to_lemma.txt").read_text("utf-8").splitlines() if "\t" in line
    )
    synsets = (info / "imagenet_synsets.txt").read_text("utf-8").split()
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    found = set()
    for synset in synsets:
        for name in names[synset].split(","):
            encoded = tokenizer.encode(name.strip().lower(), add_special_tokens=False)
            found |= {
                i
                for i, piece in zip(encoded.ids, encoded.tokens, strict=True)
                if len(piece) > 1 and piece[:2] != "##" and piece not in _STOP
            }
    return np.array(sorted(found), np.int64)


def centred(embeddings: Tensor, lexicon: Lexicon) -> Tensor:
    """Word embeddings (V, D) without the mean that all pieces share, at unit norm: what is left says how pieces differ."""
    real = torch.tensor([not piece.startswith("[") for piece in lexicon.pieces])
    return F.normalize(embeddings - embeddings[real].mean(0), dim=1)


def near_neighbours(
    base: NDArray[np.int64], directions: Tensor, lexicon: Lexicon, cosine: float, count: int
) -> NDArray[np.int64]:
    """Alphabetic pieces among the `count` nearest of some base piece, by cosine of unit `directions` (V, D), above `cosine`."""
    if count == 0 or len(base) == 0:
        return np.empty(0, np.int64)
    silent = ~torch.tensor([piece.isalpha() for piece in lexicon.pieces])
    found: set[int] = set()
    for chunk in torch.split(torch.from_numpy(base), 1024):
        similarity = directions[chunk] @ directions.t()  # (chunk, V)
        similarity[:, silent] = -1.0
        similarity[torch.arange(len(chunk)), chunk] = -1.0
        near = similarity.topk(count, dim=1)
        found |= set(near.indices[near.values > cosine].tolist())
    return np.array(sorted(found), np.int64)


def active_pieces(
    counts: NDArray[np.int64],
    lexicon: Lexicon,
    tokenizer_file: Path,
    directions: Tensor,
    cosine: float,
    neighbours: int,
) -> NDArray[np.int64]:
    """Ascending vocabulary ids of the pieces of captions (counts (V,) > 0), of ImageNet's names, and of their near neighbours."""
    base = np.union1d(np.flatnonzero(counts > 0), imagenet_pieces(lexicon, tokenizer_file))
    both = np.union1d(base, near_neighbours(base, directions, lexicon, cosine, neighbours))
    kept: NDArray[np.int64] = both[speakable(lexicon)[both]]
    return kept
