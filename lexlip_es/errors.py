"""What can go wrong for a user: one sentence that names the thing and the remedy, and the exit code that a command ends with."""


class LexlipError(Exception):
    """A failure or a refusal that a person can act on; `str(error)` is the whole message, without a stack trace."""

    exit_code = 1


class UsageError(LexlipError):
    """The request itself makes no sense (an empty query, an unknown option value)."""

    exit_code = 2


class ModelMismatchError(LexlipError):
    """The index was made with another model (or other pruning) than the one at hand; mixing them would rank nonsense."""
