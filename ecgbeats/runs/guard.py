"""Where several processes train one network, each trains below a small parent that says how it ended.

JAX ends a process from C++ when another one is gone (SIGABRT, with a stack of its own). The parent makes one line and a
status of that, hands signals on, and ends its child with itself. A process that trains alone has no such parent.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from ecgbeats import command, process
from ecgbeats.ending import InputError, fail, wants_traceback
from ecgbeats.runs.machines import read_place

# The status of a child that lost the others while it was in Python, where it could still choose one.
_LOST = 75
# What JAX says when another process is gone, and not when this one is at fault: by Gloo, NCCL or the coordination service.
_SIGNS = ("Gloo ", "NCCL ", "UNAVAILABLE: ", "DEADLINE_EXCEEDED: ", "CANCELLED: ", "coordination_service")

_to_parent = None  # the child's end of the pipe


def say(**word) -> None:
    """Let the parent know how to say this process's end; the last word counts, and without a parent none does.

    ``end`` and ``status``: it has ended, with this line (empty is none), whatever comes. ``lost``: what to say if another
    process is gone from now on; after the time ``at``, ``late`` instead.
    """
    if _to_parent is not None:
        os.write(_to_parent, json.dumps(word).encode() + b"\n")


def run(main: Callable[[list[str]], int | None]) -> None:
    """``command.run(main)``, below a parent where the environment asks for several processes."""
    try:
        several = read_place().processes > 1
    except InputError:  # main says it
        several = False
    if not several:
        command.run(main)
    sys.stdout.flush()
    words, say = os.pipe()
    alive, hold = os.pipe()  # at whose end the child knows that its parent is gone
    child = os.fork()
    if child:
        os.close(say)
        os.close(alive)
        _hand_signals_on(child)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with open(words, encoding="utf-8") as lines:
            raise SystemExit(_tell(status, [json.loads(line) for line in lines]))
    os.close(words)
    os.close(hold)
    _be_child(main, say, alive)


def _hand_signals_on(child: int) -> None:
    """Give SIGINT and SIGTERM to the child, which ends by them; a background job goes on to ignore SIGINT."""

    def hand_on(number, _frame):
        try:
            os.kill(child, number)
        except ProcessLookupError:  # it has just ended
            return

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, hand_on)


def _tell(status: int, words: list[dict]) -> int:
    """Say in a line how the child ended, if it has not, and return the status to leave with."""
    last = words[-1] if words else {}
    if "end" in last:
        if last["end"]:
            fail(last["end"])
        return last["status"]
    if status in (-signal.SIGINT, -signal.SIGTERM):
        return 128 - status
    if status == -signal.SIGKILL:
        fail(
            "training was killed; most likely no memory was left (dmesg tells): free some, or use fewer images (--limit)"
        )
        return 1
    if status == _LOST or status < 0:
        lost = last.get(
            "lost", f"training was ended by signal {-status}; run it again with ECGBEATS_TRACEBACK=1"
        )
        fail(last["late"] if last.get("late") and time.time() > last["at"] else lost)
        return 1
    return status


def _be_child(main: Callable[[list[str]], int | None], say: int, alive: int) -> None:
    """Run the command and end, at once where it failed: JAX would first wait for the others."""

    def end_with_parent():
        os.read(alive, 1)
        os._exit(1)

    def watched(arguments):
        try:
            return main(arguments)
        except Exception as problem:
            if not _lost_others(problem):
                raise
            if wants_traceback():
                import traceback

                traceback.print_exc(file=process.terminal())
            os._exit(_LOST)

    global _to_parent
    _to_parent = say
    threading.Thread(target=end_with_parent, daemon=True).start()
    process.open_missing_streams()
    if not wants_traceback():
        process.silence_native_output()  # of Gloo
    try:
        command.run(watched)
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code or 0)


def _lost_others(problem: BaseException) -> bool:
    """Return whether an error says that another process is gone. It comes as JaxRuntimeError, but as ValueError too."""
    if isinstance(problem, InputError | OSError):
        return False
    return any(sign in str(problem) for sign in _SIGNS)
