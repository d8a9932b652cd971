"""The query language for people: pure, and without an error for any text, since what is no syntax is plain text.

| typed | means |
| --- | --- |
| `a dog on a beach` | encoded as one sentence, with the words that stand between syntax |
| `dog^2` | the terms that this word wins weigh twice as much; above 0, up to 1,000 |
| `"red car"` | these pieces and no others, without expansion; a phrase of captions in a hybrid search |
| `+beach`, `-leash`, `-"red car"` | pictures that carry the word's terms, or do not; changes no score |
| `taken:2024`, `taken:2024-05..2025`, `width:>2000`, `height:1000..2000` | when it was taken; its size in pixels |
| `folder:holidays/`, `camera:fuji`, `tag:x`, `tag:"two words"` | anywhere below a folder; part of the camera's name; a tag |
| `like:PATH` | the own terms of a picture of the index, or of a file |

A field's filter may be negated: `-tag:x`. Everything counts at the start of a word only: `t-shirt` is a word.

>>> parse('a dog^2 +beach -leash "red ball" taken:2024')
ParsedQuery(text='a dog ', boosts=((2, 2.0),), phrases=('red ball',), demanded=('beach',), banned=('leash',), \
filters=({'range': {'taken_at': {'gte': '2024-01-01', 'lt': '2025-01-01'}}},), likes=())
>>> parse('6" nails: a "stray quote')
ParsedQuery(text='6" nails: a "stray quote', boosts=(), phrases=(), demanded=(), banned=(), filters=(), likes=())
"""

import re
from dataclasses import dataclass
from functools import cache

from lexlip_es.queries import Filter
from lexlip_es.query_filters import field_clause

HEAVIEST_BOOST = 1_000.0
_SIGNS = frozenset('^"+-:')  # without one of them a text is no more than itself


@cache  # not compiled before it is needed: that takes longer than many a search
def _syntax() -> re.Pattern[str]:
    """Quantifiers run over one class each and lookaheads are short, so a text of any length is parsed in linear time."""
    return re.compile(
        r"""(?<!\S)(?:
          (?![+-])(?P<boosted>[^\s"^]+)\^(?P<factor>\d+(?:\.\d+)?)(?=[,;.!?)]{0,3}(?:\s|\Z))
        | (?P<sign>[+-]?)(?:
            (?P<name>[a-z]+):(?:"(?P<quoted>[^"]+)"|(?P<value>[^\s"]+))(?!\S)
          | "(?P<phrase>[^"]+)"(?=[,;.!?)]{0,3}(?:\s|\Z))
          | (?<=[+-])(?P<word>\w[^\s":^]*?)(?=[,;.!?)]{0,3}(?:\s|\Z))
          )[,;.!?)]{0,3}\s*
        )""",
        re.VERBOSE,
    )


@dataclass(frozen=True)
class ParsedQuery:
    """What a text asks for. `text` is what is encoded as a sentence and may be empty.

    boosts: where a word begins in `text`, and its factor. demanded and banned are words, or phrases without their quotes; filters
    are clauses of the engine's.
    """

    text: str
    boosts: tuple[tuple[int, float], ...] = ()
    phrases: tuple[str, ...] = ()
    demanded: tuple[str, ...] = ()
    banned: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    likes: tuple[str, ...] = ()


def parse(text: str, literal: bool = False) -> ParsedQuery:
    """What a text asks for; `literal` takes all of it for a sentence."""
    if literal or _SIGNS.isdisjoint(text):
        return ParsedQuery(text)
    plain, done = "", 0
    boosts: list[tuple[int, float]] = []
    filters: list[Filter] = []
    likes: list[str] = []
    words: dict[str, list[str]] = {"": [], "+": [], "-": []}  # by sign; without one they are phrases
    for found in _syntax().finditer(text):
        sign, name, value = found["sign"], found["name"], found["quoted"] or found["value"]
        if kept := found["boosted"] or "":
            factor = float(found["factor"])
            if not 0 < factor <= HEAVIEST_BOOST or not _says_something(kept):
                continue
            boosts.append((len(plain) + found.start() - done, factor))
        elif name == "like" and not sign:
            likes.append(value)
        elif name:
            clause = field_clause(name, value)
            if clause is None:
                continue
            filters.append({"bool": {"must_not": clause}} if sign == "-" else clause)
        else:
            word = found["phrase"] or found["word"]
            if not _says_something(word):
                continue
            words[sign].append(word)
        plain += text[done : found.start()] + kept
        done = found.end()
    return ParsedQuery(
        plain + text[done:],
        tuple(boosts),
        phrases=tuple(words[""]),
        demanded=tuple(words["+"]),
        banned=tuple(words["-"]),
        filters=tuple(filters),
        likes=tuple(likes),
    )


def _says_something(word: str) -> bool:
    return any(map(str.isalnum, word))
