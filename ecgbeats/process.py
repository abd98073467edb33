"""What a command does to its own process: standard streams, libraries that talk, signals."""

from __future__ import annotations  # so that an old Python gets as far as command.check_python

import contextlib
import io
import os
import signal
import sys
import threading

# A signal first lets Python unwind (temporary files go); a process that is deep inside a training
# step cannot, and is ended after this many seconds. DBC and Docker kill after about ten.
SECONDS_TO_UNWIND = 4.0

_terminal = None  # the user's standard error, once libraries are kept off it


def terminal() -> io.TextIOBase:
    """Return the stream for this project's own lines and progress bars: the user's standard error."""
    return _terminal or sys.stderr


def open_missing_streams() -> None:
    """Let a command run whose standard streams are closed, or cannot show every character."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened would be taken for the stream
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not a notebook's
            stream.reconfigure(errors="backslashreplace")


def silence_libraries() -> None:
    """Let what libraries write to standard error go nowhere: native code by its number, Python by sys.stderr."""
    global _terminal
    sys.stderr.flush()
    _terminal = open(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")  # noqa: SIM115
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    os.dup2(sys.stderr.fileno(), 2)


def silence_native_output() -> None:
    """Let what native code writes to standard output go nowhere; Python's print goes on to be seen."""
    sys.stdout.flush()
    sys.stdout = open(os.dup(1), "w", encoding=sys.stdout.encoding, errors="backslashreplace")  # noqa: SIM115
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def let_go_of_streams() -> None:
    """Drop what a standard stream still holds and nobody takes, else Python complains of it at its end."""
    for stream in (sys.stdout, terminal()):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def end_on_signals(seconds_to_unwind: float) -> list[int]:
    """Make SIGINT and SIGTERM end the process soon, even while native code holds the main thread.

    Returns a list that will hold the number of the signal that came.

    Python runs a signal's handler only between two bytecodes, and one training step of the paper's
    network can take 16 s. The C-level handler writes the signal's number to a pipe at once, so a thread
    waits on that pipe and ends the process if the main thread has not.
    """
    receive, send = os.pipe()
    os.set_blocking(send, False)
    received = []

    def unwind(number, _frame):
        received.append(number)
        for other in (signal.SIGINT, signal.SIGTERM):
            signal.signal(other, signal.SIG_IGN)  # a second one would cut off the tidying up
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    def watch():
        number = os.read(receive, 1)[0]
        threading.Event().wait(seconds_to_unwind)
        os._exit(128 + number)

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a background job keeps ignoring it
        signal.signal(signal.SIGINT, unwind)
    signal.signal(signal.SIGTERM, unwind)
    signal.set_wakeup_fd(send, warn_on_full_buffer=False)
    threading.Thread(target=watch, daemon=True).start()
    return received
