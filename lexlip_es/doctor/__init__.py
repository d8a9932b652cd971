"""`lexlip-es doctor`: what is right and what is wrong between a server, an index and a model, one line each.

`facts` asks the server and changes nothing; `judgement` and `proofs` turn what it said into lines, without asking anybody.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lexlip_es.doctor.facts import gather
from lexlip_es.doctor.judgement import judge
from lexlip_es.doctor.lines import Line, failure
from lexlip_es.doctor.proofs import parity_lines
from lexlip_es.engines import ConnectionSettings, Engine, connect, embedded
from lexlip_es.errors import LexlipError, UsageError
from lexlip_es.model_folder import ModelFolder, open_model
from lexlip_es.parity import FormParity, check_parity

__all__ = ["Examination", "Line", "examine"]


@dataclass
class Examination:
    """All lines about an index name, and the outcomes of the parity check where one was made.

    `address` is the server's, without credentials; None where there is none to examine.
    """

    name: str
    address: str | None = None
    lines: list[Line] = field(default_factory=list)
    parity: list[FormParity] | None = None

    @property
    def failed(self) -> bool:
        """Whether any line is a failure."""
        return any(line.state == "failure" for line in self.lines)

    def to_json(self) -> dict[str, Any]:
        """The examination as JSON."""
        proofs = {} if self.parity is None else {"parity": [proof.to_json() for proof in self.parity]}
        lines = [line.to_json() for line in self.lines]
        return {"ok": not self.failed, "address": self.address, "index": self.name, "lines": lines, **proofs}


def examine(settings: ConnectionSettings, name: str, model: Path | None = None, *, parity: bool = False) -> Examination:
    """Examine the server of the settings, the index of this name and the model (default: the starter model).

    Without a URL that is the embedded engine, if it runs: nothing is started. What goes wrong is a line, and nothing is changed;
    parity: compare scores too, in an index that is made and removed. Raises `UsageError` alone, for settings that make no sense.
    """
    if not settings.urls:
        node = embedded.status()
        if node is None:
            no_server = (
                "no URL is set and the embedded engine is not running: set LEXLIP_ES_URL, or run `lexlip-es engine start`."
            )
            return Examination(name, lines=[failure("server", no_server)])
        settings = ConnectionSettings(urls=(node.url,))
    found = Examination(name, settings.display)
    opened: ModelFolder | LexlipError
    try:
        opened = open_model(model)
    except LexlipError as error:
        opened = error
    try:
        engine = connect(settings)
    except UsageError:
        raise
    except LexlipError as error:
        found.lines.append(_no_answer(settings.display, error))
        return found
    try:
        found.lines += judge(gather(engine, settings.display, name, opened))
        if parity:
            _compare(engine, opened, found)
    except LexlipError as error:
        found.lines.append(_no_answer(settings.display, error))
    finally:
        engine.close()
    return found


def _no_answer(address: str, error: LexlipError) -> Line:
    said = str(error)
    return failure("server", said if address in said else f"{address}: {said}")


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
