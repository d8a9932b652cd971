"""Which pieces of a caption stage 1 hides: whole words, so that no piece is given away by the rest of its word.

The shares within what is hidden are BERT's (Devlin et al. 2019, section 3.1), whole words those of its later release. The budget
counts real pieces only: the official code of LexLIP counts padding too, and so hides far more of a short caption than it says.
"""

import numpy as np
from numpy.typing import NDArray

from lexlip_es.errors import LexlipError
from lexlip_es.lexicon import Lexicon
from lexlip_training.pieces import speakable

MASKED = 0.8  # of the selected pieces become [MASK] ...
RANDOM = 0.1  # ... and so many any ordinary piece; the rest stay, because outside training nothing is masked


class WholeWordMasker:
    """Hides a share of a caption's pieces, whole words at a time; what it hides depends on the random generator only."""

    def __init__(self, lexicon: Lexicon) -> None:
        """Raises `LexlipError` for a vocabulary without [MASK]."""
        mask = lexicon.piece_id("[MASK]")
        if mask is None:
            raise LexlipError("the vocabulary has no [MASK] piece: stage 1 needs the tokenizer of a masked language model.")
        self._mask = mask
        self._special = lexicon.is_special  # (V,)
        self._continues = np.array([piece.startswith("##") and len(piece) > 2 for piece in lexicon.pieces])  # (V,)
        self._ordinary = np.flatnonzero(speakable(lexicon)).astype(np.int32)

    def words(self, ids: NDArray[np.int32]) -> list[list[int]]:
        """The positions of each word in ids (l,); a `##` piece that follows no word begins one."""
        words: list[list[int]] = []
        inside = False
        for position, (special, continues) in enumerate(zip(self._special[ids], self._continues[ids], strict=True)):
            if special:
                inside = False
            elif continues and inside:
                words[-1].append(position)
            else:
                words.append([position])
                inside = True
        return words

    def mask(self, ids: NDArray[np.int32], share: float, rng: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """ids (l,) with [CLS] and [SEP], padded or not -> ids with words hidden (l,), and which pieces were selected (l,).

        `share` (0..1) of the real pieces, rounded, at least one, is the budget. Words are drawn in random order, and one that
        would exceed what is left is passed over. Where every word alone exceeds the budget, a shortest one is selected; a
        caption of special pieces only has none to select.
        """
        selected = np.zeros(len(ids), np.bool_)
        hidden = ids.copy()
        words = self.words(ids)
        if not words:
            return hidden, selected
        left = max(1, round(share * sum(map(len, words))))
        drawn = [words[i] for i in rng.permutation(len(words))]
        for word in drawn:
            if len(word) <= left:
                selected[word] = True
                left -= len(word)
        if not selected.any():
            selected[min(drawn, key=len)] = True
        places = np.flatnonzero(selected)
        fate = rng.random(len(places))
        hidden[places[fate < MASKED]] = self._mask
        replaced = places[(fate >= MASKED) & (fate < MASKED + RANDOM)]
        hidden[replaced] = rng.choice(self._ordinary, len(replaced))
        return hidden, selected
