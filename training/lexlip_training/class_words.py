"""What a backbone's own classifier sees, said in words: ImageNet's 1,000 classes become evidence for word pieces.

A model trained on six thousand captioned pictures has seen no rocket; the classifier that its backbone was pretrained with has.
`class_words.tsv` says which words name a class: its own names and those of what it is a kind of (WordNet's hypernyms), so that a
missile is a rocket and a convertible a car. The file is made from WordNet 3.0 (Debian's `wordnet-base`) by

    python -m lexlip_training.class_words /usr/share/wordnet/data.noun > training/lexlip_training/class_words.tsv
"""

import copy
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexlip_es.errors import LexlipError
from lexlip_es.lexicon import Lexicon

CLASSES = 1000
_MOST_CLASSES = 20  # a kind that covers more of the classes ("device", "animal") is too vague to be evidence
_SHORTEST = 3  # letters
_LEAST = 1e-9


class ClassWords(nn.Module):
    """The classifier with the layers below it as they were pretrained, and which of the model's terms its classes name.

    The logit of term v is gain x (log p_v - log floor), p_v being the probability of all classes that v names: it is positive
    where p_v is above the floor. Only gain and floor train.
    """

    def __init__(self, network: Any, terms: int, words: int) -> None:
        """Shapes as timm's `network` has them in `conv_head` and `bn2`; A `terms`, of which `words` name classes."""
        super().__init__()
        self.conv = copy.deepcopy(network.conv_head)
        self.norm = copy.deepcopy(network.bn2)
        self.classifier = nn.Linear(network.num_features, CLASSES)
        self.gain = nn.Parameter(torch.ones(()))
        self.log_floor = nn.Parameter(torch.tensor(0.05).log())
        self.named: Tensor
        self.word_of: Tensor
        self.register_buffer("named", torch.zeros(CLASSES, words))  # 1 where the word names the class
        self.register_buffer("word_of", torch.full((terms,), words))  # (A,) each term's place among the words; `words`: none

    def forward(self, below: Tensor) -> Tensor:
        """What all blocks of the network give (B, C, H, W) -> logits (B, A); minus infinity for terms that name no class."""
        features = self.norm(self.conv(below)).mean((2, 3))  # (B, F)
        named = self.classifier(features).softmax(1) @ self.named  # (B, W)
        logits = self.gain * (named.clamp(min=_LEAST).log() - self.log_floor)
        return F.pad(logits, (0, 1), value=float("-inf"))[:, self.word_of]

    def train(self, mode: bool = True) -> "ClassWords":
        """Never in training mode: batch normalisation keeps its statistics."""
        return super().train(False)


def read_class_words() -> list[list[str]]:
    """The words of each of ImageNet's 1,000 classes, in the classifier's order."""
    text = (resources.files("lexlip_training") / "class_words.tsv").read_text("utf-8")
    return [line.split("\t")[1].split() for line in text.splitlines() if not line.startswith("#")]


def named_terms(lexicon: Lexicon, active: Sequence[int]) -> tuple[Tensor, Tensor]:
    """(`named` (1000, W), `word_of` (A,)) for a model that speaks the `active` vocabulary ids: see `ClassWords`."""
    place = {lexicon.pieces[term]: i for i, term in enumerate(active)}
    classes = read_class_words()
    words = sorted({word for names in classes for word in names if word in place})
    of = {word: i for i, word in enumerate(words)}
    named = torch.zeros(CLASSES, len(words))
    for row, names in enumerate(classes):
        named[row, [of[word] for word in names if word in of]] = 1.0
    word_of = torch.full((len(active),), len(words))
    word_of[[place[word] for word in words]] = torch.arange(len(words))
    return named, word_of


# -- making the file


def synsets() -> list[str]:
    """WordNet's names of the classes, in the classifier's order, as timm ships them."""
    return (resources.files("timm") / "data" / "_info" / "imagenet_synsets.txt").read_text("utf-8").split()


def read_nouns(path: Path) -> dict[str, tuple[list[str], list[str]]]:
    """WordNet's `data.noun` (its format: wndb(5WN)): offset -> (lemmas, offsets of hypernyms). Raises `LexlipError`."""
    nouns = {}
    try:
        for line in path.read_text("utf-8").splitlines():
            if line.startswith(" "):
                continue  # the licence
            fields = line.split(" | ")[0].split()
            lemmas = int(fields[3], 16)
            pointers = fields[5 + 2 * lemmas :]
            above = [pointers[i + 1] for i in range(0, len(pointers) - 1, 4) if pointers[i] in ("@", "@i")]
            nouns[fields[0]] = [fields[4 + 2 * i] for i in range(lemmas)], above
    except (OSError, ValueError, IndexError) as error:
        raise LexlipError(f"{path} is not WordNet's data.noun: install wordnet-base and name its file.") from error
    return nouns


def words_of_classes(nouns: dict[str, tuple[list[str], list[str]]], classes: Sequence[str]) -> Iterator[list[str]]:
    """For each class (`n02084071` is the noun at offset 02084071) its words: the last word of every name, own and inherited."""
    kinds = [set(_with_hypernyms(nouns, name[1:])) for name in classes]
    covered = Counter(kind for of_one in kinds for kind in of_one)
    for own, of_one in zip(classes, kinds, strict=True):
        close = [kind for kind in of_one if kind == own[1:] or covered[kind] <= _MOST_CLASSES]
        heads = {lemma.lower().replace("_", " ").split()[-1] for kind in close for lemma in nouns[kind][0]}
        yield sorted(head for head in heads if len(head) >= _SHORTEST)


def _with_hypernyms(nouns: dict[str, tuple[list[str], list[str]]], offset: str) -> Iterator[str]:
    yield offset
    for above in nouns[offset][1]:
        yield from _with_hypernyms(nouns, above)


def main() -> None:
    """Write the file's lines to stdout."""
    if len(sys.argv) != 2:
        sys.exit("give the path of WordNet's data.noun.")
    for name, words in zip(synsets(), words_of_classes(read_nouns(Path(sys.argv[1])), synsets()), strict=True):
        sys.stdout.write(f"{name}\t{' '.join(words)}\n")


if __name__ == "__main__":
    main()
