"""What a parity check means to a person."""

from collections.abc import Sequence

from lexlip_es.doctor.lines import Line, failure, ok
from lexlip_es.parity import FormParity


def parity_lines(proofs: Sequence[FormParity]) -> list[Line]:
    """A line a query form, and one more where nothing could be compared."""
    lines = [_line(proof) for proof in proofs]
    if not any(proof.compared for proof in proofs):
        lines.append(failure("parity", "no score could be compared: use a server with rank_features or sparse_vector fields."))
    return lines


def _line(proof: FormParity) -> Line:
    said = f"{proof.form} on {proof.field_type}"
    if proof.absent is not None:
        return ok("parity", f"{said}: not checked, since {proof.absent}")
    if proof.proven:
        return ok("parity", f"{said}: {proof.compared:,} scores compared, all equal to the reference bit for bit.")
    return failure(
        "parity",
        f"{said}: {proof.wrong:,} of {proof.compared:,} scores differ from the reference: do not use this form on this server.",
    )
