"""A query of the query language as the search requests that it stands for, made where no server is asked."""

import json
from dataclasses import dataclass, replace
from typing import Any

from lexlip_es.dialects import Dialect, QueryForm, dialect_of_form
from lexlip_es.encoders import Encoder
from lexlip_es.errors import UsageError
from lexlip_es.kibana.objects import BarQuery
from lexlip_es.kibana.pasting import lucene_line, template_call
from lexlip_es.lexicon import Lexicon
from lexlip_es.queries import Filter, search_body
from lexlip_es.query_filters import all_of
from lexlip_es.subjects import Subject
from lexlip_es.weights import Row


@dataclass(frozen=True)
class Asked:
    """The terms of a query and what a hit must match, in the dialect of an index that nobody looked at."""

    row: Row
    only: Filter | None
    lexicon: Lexicon
    dialect: Dialect

    @classmethod
    def of(cls, encoder: Encoder, text: str, form: QueryForm | None = None, *, literal: bool = False) -> "Asked":
        """Encode a query; raises `UsageError` as `Subject.of`, and for `like:`, which asks an index."""
        subject = Subject.of(encoder, text, literal=literal)
        if subject.likes:
            raise UsageError(
                "like: asks the index for a picture's terms, and no server is asked here: leave it out, or use search."
            )
        dialect, lexicon = dialect_of_form(form or "rank_feature"), encoder.model.lexicon
        only = all_of(subject.demanded, subject.banned, subject.filters, lexicon, dialect.field_type)
        return cls(subject.row, only, lexicon, dialect)

    def body(self, k: int) -> dict[str, Any]:
        """The body of `_search` for the k best."""
        return search_body(self.row, self.lexicon, k, dialect=self.dialect, filter=self.only)

    def call(self, k: int) -> dict[str, Any]:
        """The body of `_search/template` for the k best; raises `UsageError` as `template_call`."""
        by_clauses = replace(self, dialect=replace(self.dialect, form=self.dialect.clauses))
        return template_call(by_clauses.body(k)["query"], k)

    @property
    def line(self) -> str:
        """What the query bar takes in the language Lucene: see `lucene_line`."""
        return lucene_line(self.body(1)["query"], self.row, self.lexicon, self.dialect.field_type, self.only)

    @property
    def in_bar(self) -> BarQuery:
        """What a page saves of its bar when that line was typed."""
        line = self.line
        return json.loads(line) if line.startswith("{") else line
