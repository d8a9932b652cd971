"""Why a hit scores what it does, as lines for people."""

from collections.abc import Iterator

from lexlip_es.cli import common
from lexlip_es.printable import printable
from lexlip_es.queries import Hit
from lexlip_es.why import Reason, reasons

_WIDEST = 32  # letters of a column


def show_reasons(hit: Hit, indent: str) -> None:
    """Print a line for each term of each typed word: query weight x picture weight = contribution, and their sum, the score."""
    rows = [row for reason in reasons(hit) for row in _rows(reason)]
    rows.append(("", "", "", f"= {hit.score:.4f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for word, term, product, given in rows:
        common.show(f"{indent}{word:{widths[0]}}  {term:{widths[1]}}  {product:>{widths[2]}}  {given:>{widths[3]}}")


def _rows(reason: Reason) -> Iterator[tuple[str, str, str, str]]:
    """Word, term, weights and contribution; of a term of several pieces each piece, behind the term that they make."""
    word = _short(reason.word)
    if not reason.terms:
        yield word, "", "", f"{reason.contribution:.4f}"
    for term in reason.terms:
        of = f"{term.term}: " if len(term.shares) > 1 else ""
        for share in term.shares:
            weights = f"{share.query_weight:.4f} x {share.picture_weight:.4f}"
            yield word, _short(of + share.piece), weights, f"{share.contribution:.4f}"
            word = ""


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
