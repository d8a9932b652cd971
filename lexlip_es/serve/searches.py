"""Searches as the page shows them: hits with their reasons, their pictures' details, and what the query itself says."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import lexlip_es
from lexlip_es.queries import CAPTION, DETAILS, Hit, TermShare
from lexlip_es.searching import Searcher
from lexlip_es.subjects import Subject, picture_row
from lexlip_es.weights import SparseWeights
from lexlip_es.why import explained_json, reasons

DROPPED = "the picture"
"""What brought the terms of a picture that was sent: `like:the picture`."""
_NOTHING = SparseWeights.from_rows([([], [])]).row(0)


class Searches:
    """Answers searches of one index; several threads may use one at a time."""

    def __init__(self, searcher: Searcher, thumbnails_at: str) -> None:
        """thumbnails_at: what a thumbnail's address has before the content hash."""
        self._searcher, self._thumbnails_at = searcher, thumbnails_at
        self._details: tuple[str, ...] = ()
        self.about()

    def answer(
        self, text: str, k: int, *, picture: Path | None = None, all: bool = False, hybrid: bool = False, cut_off: bool = False
    ) -> dict[str, Any]:
        """The k best hits for a query, for a picture, or for both, as JSON; raises as `Subject.of` and `Searcher.search`.

        It is design contract 9, with `reasons` of every hit and of the query (`asked`), and each picture's details.
        """
        subject = self._subject(text, picture, hybrid)
        result = self._searcher.search(subject, k, all=all, hybrid=hybrid, cut_off=cut_off, details=self._details)
        return {**result.to_json(self._hit), "asked": self._asked(subject)}

    def _hit(self, hit: Hit) -> dict[str, Any]:
        said = explained_json(hit)
        details = said.pop("details", {})
        if content_hash := details.pop("content_hash", None):
            details["thumbnail"] = f"{self._thumbnails_at}{content_hash}"
        return {**said, **details}

    def about(self) -> dict[str, Any]:
        """What is searched, as JSON; `hybrid`: whether the index has texts that a hybrid search could ask.

        Hits come with captions if there were some when this was asked last, which is whenever the page is opened.
        """
        searcher = self._searcher
        engine, index = searcher.engine, searcher.index
        captioned, tagged = (engine.count(index, {"exists": {"field": field}}) > 0 for field in (CAPTION, "tags"))
        self._details = (*DETAILS, CAPTION) if captioned else DETAILS
        return {
            "index": index,
            "model": searcher.encoder.model.name,
            "server": engine.server.display,
            "version": lexlip_es.__version__,
            "pictures": engine.count(index),
            "hybrid": captioned or tagged,
        }

    def _subject(self, text: str, picture: Path | None, hybrid: bool) -> Subject:
        encoder, started = self._searcher.encoder, time.perf_counter()
        if picture is None:
            subject = Subject.of(encoder, text, hybrid=hybrid)
        else:
            row = picture_row(encoder, picture, pictures=self._searcher.pictures)
            beside = Subject.of(encoder, text, hybrid=hybrid) if text.strip() else Subject(DROPPED, _NOTHING, started)
            subject = replace(beside.with_picture(row, DROPPED), started=started)
        return self._searcher.with_likes(subject)  # whose terms the page is told too

    def _asked(self, subject: Subject) -> list[dict[str, Any]]:
        """What each typed word asks for: the reasons of a picture that held every term with weight 1."""
        lexicon = self._searcher.encoder.model.lexicon
        terms = [
            TermShare(lexicon.word(term), lexicon.pieces[term], weight, 1.0, weight, by)
            for term, weight, by in zip(subject.row[0].tolist(), subject.row[1].tolist(), subject.brought_by, strict=True)
        ]
        return [reason.to_json() for reason in reasons(Hit("", "", 0.0, terms))]
