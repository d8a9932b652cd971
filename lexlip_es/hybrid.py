"""The words of a query asked of an index's texts by BM25, beside its terms and in the same request: pure functions.

Clauses score side by side, so a hit's score is the sum of its terms' shares and of one share a text field, bit for bit: on all
servers of the tests the engines round what a boosted clause gives to float32 and add clauses in double.
"""

from collections.abc import Sequence
from typing import Any

from lexlip_es.explanations import TEXT
from lexlip_es.printable import encodable

CAPTION_WEIGHT = 0.3
"""The best for R@10 on the dev split of Flickr8k, four captions indexed and the fifth asked: 88.9 %, where terms alone find
56.5 % and captions alone 83.7 % (`benchmarks.hybrid_weight` with the starter model; from 0.2 to 0.7 all are above 87 %)."""
TAGS_WEIGHT = NAME_WEIGHT = 0.3
"""As captions: not tuned, for want of tagged pictures with queries."""
# What each text field weighs, under the name of its share.
_FIELDS = {"caption": ("caption", CAPTION_WEIGHT), "tags": ("tags.words", TAGS_WEIGHT), "name": ("name", NAME_WEIGHT)}


def text_clauses(text: str, phrases: Sequence[str] = ()) -> list[dict[str, Any]]:
    """A clause for each text field, named by it; a field that an index lacks gives nothing. Phrases are phrases in captions only.

    >>> [clause["bool"]["_name"] for clause in text_clauses("a dog")]
    ['text.caption', 'text.tags', 'text.name']
    """
    made = []
    for name, (field, weight) in _FIELDS.items():
        words = text if name == "caption" else " ".join((text, *phrases))
        asked: list[dict[str, Any]] = [{"match": {field: {"query": encodable(words)}}}] if words.strip() else []
        if name == "caption":
            asked += [{"match_phrase": {field: {"query": encodable(phrase)}}} for phrase in phrases]
        if asked:
            made.append({"bool": {"should": asked, "boost": weight, "_name": TEXT + name}})
    return made
