"""What became of everything that a run found: each picture and text is indexed, or listed with the reason why not."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class Report:
    """Counts, what was left out and why, and where the time went.

    Times are seconds of work in a stage, over all its workers; stages run beside each other. The caller's thread finds, encodes
    and waits for the two others (`open_wait_seconds` for opened pictures, `engine_wait_seconds` for documents to be taken): what
    it spends most time on is the bottleneck. `notes` are warnings about the run as a whole.

    `indexed` is how many documents were written: for `added` files, for `changed` ones, for `moved` ones and for those that were
    only touched, which are among the `unchanged`. `removed` documents had no file any more; `gone` ones have none either, but are
    so many that nobody believes it. In a `dry_run` nothing is written, and these say what would be.
    """

    indexed: int = 0
    added: int = 0
    changed: int = 0
    moved: int = 0
    removed: int = 0
    unchanged: int = 0
    gone: int = 0
    dry_run: bool = False
    skipped: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False
    open_seconds: float = 0.0
    encode_seconds: float = 0.0
    send_seconds: float = 0.0
    find_seconds: float = 0.0
    document_seconds: float = 0.0
    open_wait_seconds: float = 0.0
    engine_wait_seconds: float = 0.0
    total_seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 all indexed, 1 nothing could be, 3 some were left out, 130 interrupted after draining (design contract 5)."""
        if self.interrupted:
            return 130
        if self.failed and not self.indexed and not self.unchanged:
            return 1
        return 3 if self.skipped or self.failed or self.gone else 0

    @property
    def per_second(self) -> float:
        """What was done over the whole run's seconds."""
        return self.indexed / self.total_seconds if self.total_seconds else 0.0

    @property
    def bottleneck(self) -> str | None:
        """The stage that the others wait for: `finding`, `opening`, `encoding` or `sending`; None if waiting was not measured."""
        seconds = {
            "finding": self.find_seconds,
            "opening": self.open_wait_seconds,
            "encoding": self.encode_seconds,
            "sending": self.engine_wait_seconds,
        }
        measured = self.open_wait_seconds or self.engine_wait_seconds
        return max(seconds, key=seconds.__getitem__) if measured else None

    def count(self, fate: Literal["added", "changed", "moved", "unchanged"]) -> None:
        """Count a document that was written, or in a dry run would be."""
        self.indexed += 0 if self.dry_run else 1
        setattr(self, fate, getattr(self, fate) + 1)

    def summary(self) -> str:
        """One line for a person."""
        counts = {
            "added": self.added,
            "changed": self.changed,
            "moved": self.moved,
            "removed": self.removed,
            "unchanged": self.unchanged,
            "left out": len(self.skipped) + len(self.failed),
        }
        told = ", ".join(f"{number} {what}" for what, number in counts.items() if number) or "nothing to do"
        if self.dry_run:
            return f"{told}: nothing was written, as this was a dry run"
        return (
            f"{told}{', interrupted' if self.interrupted else ''}"
            f" in {self.total_seconds:.1f} s, {self.per_second:.1f} a second (opening {self.open_seconds:.1f} s of worker time,"
            f" encoding {self.encode_seconds:.1f} s, sending {self.send_seconds:.1f} s"
            f"{f'; {self.bottleneck} is the bottleneck' if self.bottleneck else ''})"
        )

    def to_json(self) -> dict[str, Any]:
        """The report as JSON. `skipped` could not be read, `failed` was refused by the engine."""
        return {
            "indexed": self.indexed,
            "added": self.added,
            "changed": self.changed,
            "moved": self.moved,
            "removed": self.removed,
            "unchanged": self.unchanged,
            "gone": self.gone,
            "dry_run": self.dry_run,
            "skipped": [{"path": path, "reason": reason} for path, reason in self.skipped],
            "failed": [{"path": path, "reason": reason} for path, reason in self.failed],
            "notes": self.notes,
            "interrupted": self.interrupted,
            "seconds": {
                "open": round(self.open_seconds, 3),
                "encode": round(self.encode_seconds, 3),
                "send": round(self.send_seconds, 3),
                "find": round(self.find_seconds, 3),
                "documents": round(self.document_seconds, 3),
                "wait_for_opened": round(self.open_wait_seconds, 3),
                "wait_for_engine": round(self.engine_wait_seconds, 3),
                "total": round(self.total_seconds, 3),
            },
            "per_second": round(self.per_second, 1),
            "bottleneck": self.bottleneck,
        }
