"""`lexlip-es doctor`: what is right and what is wrong between a server, an index and a model, one line each.

`facts` asks the server and changes nothing; `judgement` and `proofs` turn what it said into lines, without asking anybody.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lexlip_es.doctor.facts import gather
from lexlip_es.doctor.judgement import judge
from lexlip_es.doctor.lines import Line, failure
from lexlip_es.doctor.proofs import parity_lines
from lexlip_es.engines.protocol import Engine
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.model_folder import ModelFolder, open_model
from lexlip_es.parity import FormParity, check_parity

__all__ = ["Examination", "Line", "examine"]


@dataclass
class Examination:
    """All lines about an index name, and the outcomes of the parity check where one was made."""

    name: str
    lines: list[Line] = field(default_factory=list)
    parity: list[FormParity] | None = None

    @property
    def failed(self) -> bool:
        """Whether any line is a failure."""
        return any(line.state == "failure" for line in self.lines)

    def to_json(self) -> dict[str, Any]:
        """The examination as JSON."""
        proofs = {} if self.parity is None else {"parity": [proof.to_json() for proof in self.parity]}
        return {"ok": not self.failed, "index": self.name, "lines": [line.to_json() for line in self.lines], **proofs}


def examine(connect: Callable[[], Engine], name: str, model: Path | None = None, *, parity: bool = False) -> Examination:
    """Examine the server that `connect` gives, the index of this name and the model (default: the starter model).

    What goes wrong is a line, and nothing is changed; parity: compare scores too, in an index that is made and removed. Raises
    `UsageError` alone, for settings that make no sense.
    """
    found = Examination(name)
    opened: ModelFolder | LexlipError
    try:
        opened = open_model(model)
    except LexlipError as error:
        opened = error
    try:
        engine = connect()
        found.lines += judge(gather(engine, name, opened))
    except UsageError:
        raise
    except LexlipError as error:
        found.lines.append(failure("server", str(error)))
        return found
    if parity:
        _compare(engine, opened, found)
    return found


def _compare(engine: Engine, model: ModelFolder | LexlipError, found: Examination) -> None:
    found.parity = []
    try:
        if isinstance(model, LexlipError):
            raise model
        for proof in check_parity(engine, model.lexicon, found.name):
            found.parity.append(proof)
        found.lines += parity_lines(found.parity)
    except LexlipError as error:
        found.lines.append(failure("parity", str(error)))
