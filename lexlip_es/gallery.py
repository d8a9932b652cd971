"""Pages to look at and to send on, each one file that needs nothing else: no script, no network.

What a page says comes from pictures, captions and queries, all of it other people's: every text is escaped, and the page forbids
itself whatever is not in it (a Content-Security-Policy that names its one style sheet by its hash). Pages come in pieces, since
one of many pictures is large.
"""

import base64
import hashlib
import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path

from lexlip_es.errors import LexlipError
from lexlip_es.images import PictureError
from lexlip_es.printable import printable
from lexlip_es.queries import Hit
from lexlip_es.searching import SearchResult
from lexlip_es.subjects import DescribedTerm
from lexlip_es.thumbnails import MEDIA_TYPE
from lexlip_es.why import Reason, reasons


def write_page(file: Path, page: Iterable[str]) -> None:
    """Write a page; raises `LexlipError` where the file cannot be written."""
    try:
        with file.open("w", encoding="utf-8") as opened:
            opened.writelines(page)
    except OSError as error:
        raise LexlipError(f"{file} cannot be written ({error}): choose another file for --html.") from error


def gallery(result: SearchResult, thumbnail: Callable[[str], bytes]) -> Iterator[str]:
    """The page of a search's hits, best first, with what each typed word gave to each.

    Pictures are named by their paths within the collection: whoever gets the page need not know this machine's folders. The hits
    have their details. thumbnail: gives the one of the picture with a content hash, or raises `PictureError`, whose reason the
    page then shows instead.
    """
    hits = result.hits
    said = [f"{len(hits)} {'hit' if len(hits) == 1 else 'hits'} in {result.index}, best first."] if hits else []
    said += [f"{result.folded} duplicates are not shown."] if result.folded else []
    said += [] if hits or result.cut else [f"Nothing in {result.index} matches the query."]
    yield from _top(result.query, [*said, *result.notes])
    yield '<ol class="hits">\n'
    why = [reasons(hit) for hit in hits]
    widest = max((reason.contribution for found in why for reason in found), default=0.0) or 1.0
    for place, (hit, found) in enumerate(zip(hits, why, strict=True), 1):
        yield from _hit(place, hit, found, thumbnail, widest)
    yield "</ol>\n"


def terms_page(subject: str, terms: Sequence[DescribedTerm], thumbnail: bytes | None = None) -> Iterator[str]:
    """The page of the terms by which a picture is found or a text searches, heaviest first."""
    yield from _top(subject, [f"{len(terms)} {'term' if len(terms) == 1 else 'terms'}, heaviest first."])
    yield '<div class="subject">\n'
    if thumbnail is not None:
        yield f'<div class="picture">{_image(thumbnail, subject)}</div>\n'
    yield from _bars([(term.piece, term.weight) for term in terms], max((term.weight for term in terms), default=1.0))
    yield "</div>\n"


def _top(title: str, sentences: Iterable[str]) -> Iterator[str]:
    """All that comes before what a page is about."""
    style = (resources.files("lexlip_es") / "gallery.css").read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    yield (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{style}</style>\n<header>\n<h1><bdi>{_text(title)}</bdi></h1>\n"
    )
    yield from (f"<p>{_text(sentence)}</p>\n" for sentence in sentences)
    yield "</header>\n"


def _hit(place: int, hit: Hit, found: Sequence[Reason], thumbnail: Callable[[str], bytes], widest: float) -> Iterator[str]:
    yield '<li class="hit">\n'
    if "width" in hit.details:  # a text has none
        yield f'<div class="picture">{_picture(hit, thumbnail)}</div>\n'
    yield (
        f'<div class="about">\n<p class="name"><span class="place">{place}.</span> '
        f'<bdi class="path" title="{_text(hit.path)}">{_text(hit.path)}</bdi> '
        f'<span class="score">{hit.score:.3f}</span></p>\n'
    )
    if hit.duplicates:
        yield f'<p class="alike">and {hit.duplicates} like it</p>\n'
    if hit.caption:
        yield f'<p class="caption"><bdi>{_text(hit.caption)}</bdi></p>\n'
    if found:
        yield from _bars([(reason.word, reason.contribution) for reason in found], widest)
        yield "<details><summary>By term</summary>\n"
        yield from _bars(_by_term(found), widest)
        yield "</details>\n"
    yield "</div>\n</li>\n"


def _by_term(found: Iterable[Reason]) -> list[tuple[str, float]]:
    """What each term gave, heaviest first; a reason without terms, which is BM25's, stands for itself."""
    given = [(term.term, term.contribution) for reason in found for term in reason.terms]
    given += [(reason.word, reason.contribution) for reason in found if not reason.terms]
    return sorted(given, key=lambda line: -line[1])


def _picture(hit: Hit, thumbnail: Callable[[str], bytes]) -> str:
    try:
        return _image(thumbnail(hit.details.get("content_hash", "")), hit.path)
    except PictureError as error:
        return f"<p>{_text(error.reason)}</p>"


def _image(thumbnail: bytes, name: str) -> str:
    return f'<img alt="{_text(name)}" src="data:{MEDIA_TYPE};base64,{base64.b64encode(thumbnail).decode()}">'


def _bars(named: Sequence[tuple[str, float]], widest: float) -> Iterator[str]:
    """A bar for each name, as long as its number is of `widest`."""
    yield '<ul class="bars">\n'
    for name, number in named:
        yield (
            f'<li><bdi class="word" title="{_text(name)}">{_text(name)}</bdi> '
            f'<svg aria-hidden="true"><rect width="{100 * number / widest:.1f}%" height="100%"/></svg> '
            f'<span class="given">{number:.3f}</span></li>\n'
        )
    yield "</ul>\n"


def _text(text: str) -> str:
    return html.escape(printable(text))
