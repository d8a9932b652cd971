"""The proof that a server scores as `weights.reference_scores` does, bit for bit: made documents in an index that is thrown away.

It is the check for servers that no test can start: Elasticsearch 8 and 9 with `rank_features`, and hosted ones.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from lexlip_es.dialects import FIELD_OF, Dialect, FieldType, QueryForm, dialect_for, family_for
from lexlip_es.documents import features
from lexlip_es.engines.errors import UnknownIndexError
from lexlip_es.engines.protocol import Engine
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.lexicon import Lexicon
from lexlip_es.mappings import index_body
from lexlip_es.queries import search_body
from lexlip_es.weights import Floats, SparseWeights, prepare_documents, prepare_queries, reference_scores

DOCUMENTS, QUERIES, POOL = 50, 40, 150
_HEAVIEST = 64.0  # of neural_sparse; all forms get the same queries
# "No handler for type [...] declared on field", "The mapper type [...] declared on field [...] does not exist"
_ABSENT = ("declared on field", "unknown query")


@dataclass(frozen=True)
class FormParity:
    """What came of one query form: `compared` scores of which `wrong` differ, or `absent`, why the server does not have it."""

    field_type: FieldType
    form: QueryForm
    compared: int = 0
    wrong: int = 0
    absent: str | None = None

    @property
    def proven(self) -> bool:
        """Whether scores were compared and all of them were right."""
        return self.compared > 0 and self.wrong == 0

    def to_json(self) -> dict[str, Any]:
        """The outcome as JSON."""
        return asdict(self)


def check_parity(engine: Engine, lexicon: Lexicon, name: str, *, seed: int = 0) -> Iterator[FormParity]:
    """Compare every form of every field type on the server; each has an index `NAME_parity_...` until it is compared.

    The name of that index begins with `name`, so that a user with rights on `NAME*` alone may do this, and no template for
    `NAME-0*` applies. Raises `LexlipError` where the server refuses for another reason than lacking the form.
    """
    rng = np.random.default_rng(seed)
    pool = _pool(rng, lexicon)
    documents = prepare_documents(_rows(rng, DOCUMENTS, pool), 64)
    queries = prepare_queries(_rows(rng, QUERIES, pool), 32)
    expected = reference_scores(queries, documents)
    for field_type in get_args(FieldType):
        dialects: list[Dialect] = []
        for form in (form for form in get_args(QueryForm) if FIELD_OF[form] == field_type):
            try:
                dialects.append(dialect_for(engine.server, field_type, form))
            except UsageError as error:
                yield FormParity(field_type, form, absent=str(error))
        if not dialects:
            continue
        try:
            with _thrown_away(engine, name, field_type, documents, lexicon) as index:
                # Not yielded here: who reads on must not be what the index waits for.
                compared = [_compare(engine, index, dialect, queries, expected, lexicon) for dialect in dialects]
            yield from compared
        except _AbsentError as error:
            yield from (FormParity(field_type, dialect.form, absent=str(error)) for dialect in dialects)


class _AbsentError(LexlipError):
    """The server lacks the field type."""


def _pool(rng: np.random.Generator, lexicon: Lexicon) -> NDArray[np.int64]:
    """Terms to draw from: names that are escaped, signs of query languages, and pieces of any kind."""
    odd = [term for term, piece in enumerate(lexicon.pieces) if lexicon.name(term) != piece]
    odd += [term for sign in '"\\*?:(){}[]~^-+&|!/' if (term := lexicon.piece_id(sign)) is not None]
    odd += [term for term, piece in enumerate(lexicon.pieces) if not piece.isascii()][:20]
    others = rng.choice(len(lexicon), min(POOL, len(lexicon)), replace=False)
    return np.unique(np.concatenate([np.array(odd, np.int64), others]))


def _rows(rng: np.random.Generator, rows: int, pool: NDArray[np.int64]) -> SparseWeights:
    """Rows of 10 to 60 terms whose weights span five orders of magnitude."""
    made = []
    for _ in range(rows):
        terms = rng.choice(pool, min(len(pool), int(rng.integers(10, 60))), replace=False)
        made.append((terms, np.minimum(np.exp(rng.normal(0, 2, len(terms))), _HEAVIEST).astype(np.float32)))
    return SparseWeights.from_rows(made)


@contextmanager
def _thrown_away(engine: Engine, name: str, field_type: FieldType, documents: SparseWeights, lexicon: Lexicon) -> Iterator[str]:
    """Within it an index holds the documents; it is removed whatever happens, an interruption included."""
    index = f"{name}_parity_{secrets.token_hex(6)}"
    body = index_body({}, family=family_for(engine.server, field_type), server=engine.server)
    sent = ({"_id": str(i), "source": {"terms": features(documents.row(i), lexicon)}} for i in range(len(documents)))
    try:
        try:
            engine.create_index(index, body)
        except LexlipError as error:
            if _lacks(error):
                raise _AbsentError(f"the server has no {field_type} fields.") from error
            raise
        for result in engine.bulk(index, sent):
            if not result.ok:
                raise LexlipError(f"the server refused a made document ({result.error_type}: {result.reason}): report this.")
        engine.refresh(index)
        yield index
    finally:
        _remove(engine, index)


def _remove(engine: Engine, index: str) -> None:
    try:
        with suppress(UnknownIndexError):
            engine.delete_index(index)
    except LexlipError as error:
        raise LexlipError(f"{index} could not be removed ({str(error).rstrip('.')}): DELETE /{index}.") from error


def _compare(
    engine: Engine, index: str, dialect: Dialect, queries: SparseWeights, expected: Floats, lexicon: Lexicon
) -> FormParity:
    count = expected.shape[1]
    bodies = [search_body(queries.row(i), lexicon, count, dialect=dialect, fields=[]) for i in range(len(queries))]
    found = np.zeros_like(expected)  # (Q, D), 0 for what is no hit
    try:
        answers = engine.msearch(index, bodies)
    except LexlipError as error:
        if _lacks(error):
            return FormParity(dialect.field_type, dialect.form, absent=f"the server has no {dialect.form} query.")
        raise
    for i, answer in enumerate(answers):
        for hit in answer["hits"]["hits"]:
            found[i, int(hit["_id"])] = hit["_score"]
    compared = int(np.count_nonzero((expected > 0) | (found != 0)))
    wrong = int(np.count_nonzero(found.view(np.uint32) != expected.view(np.uint32)))
    return FormParity(dialect.field_type, dialect.form, compared, wrong)


def _lacks(error: LexlipError) -> bool:
    """Whether a refusal says that there is no such field type or query, told by the servers' own words for it."""
    return any(words in str(error) for words in _ABSENT)
