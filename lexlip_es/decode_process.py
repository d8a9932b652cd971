"""How a process that decodes pictures is started, and what it means when one ends."""

import contextlib
import os
import signal
import subprocess
import sys
from multiprocessing import spawn

_PIPE_BYTES = 1 << 20  # room for the outcomes of the pictures that it has


def launch() -> "subprocess.Popen[bytes]":
    """Start one; it takes work and places from its stdin, and sends outcomes to its stdout."""
    # The child imports what this process would; a path on the command line, since a variable would reach its children too.
    path = [entry for entry in sys.path if isinstance(entry, str)]
    program = f"import sys; sys.path[:] = {path!r}; from lexlip_es.decode_worker import main; main()"
    process = subprocess.Popen(
        [os.fsdecode(spawn.get_executable()), "-X", f"utf8={sys.flags.utf8_mode}", "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=_environment(),
        process_group=0,  # not in the terminal's: Ctrl-C is for this process
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    if sys.platform == "linux":
        import fcntl

        assert process.stdout is not None
        with contextlib.suppress(OSError):  # the user has many large pipes already
            fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return process


def _environment() -> dict[str, str]:
    """This process's, less the logins of engine and server; file systems' (AWS_..., FSSPEC_...) are needed to read places."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEXLIP_ES_", "LEXLIP_SERVE_"))}
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # numpy would start one a processor


def cause_of_death(code: int | None, late: float | None) -> str:
    """Why there is no picture where a process ended with this code; `late`: the seconds after which it was ended."""
    name = next((number.name for number in signal.Signals if code == -number), f"exit code {code}")
    if late is not None or name == "SIGALRM":
        return f"The picture takes too long to decode{'' if late is None else f': more than {late:g} seconds'}."
    if name in ("SIGKILL", "SIGTERM"):
        return "The process that decoded the picture was ended from outside, perhaps because the machine ran out of memory."
    return f"The decoder crashed on the picture ({name})."
