"""What the commands share, in a room for each step of the flow.

records -> images -> runs -> scores: a record is read, its beats become images, a run trains on them, its
predictions become scores. A room imports only rooms before it, and nothing here imports a command.
"""

import os
import signal
import sys


def is_command() -> bool:
    """Return whether this process is one of the project's commands, and no notebook or test."""
    main = getattr(sys.modules["__main__"], "__file__", None)
    if main is None:  # python -m ecgbeats.ROOM.FILE, whose file is not known while its rooms are imported
        return sys.argv[:1] == ["-m"] and any(
            word.startswith("ecgbeats.") for word in getattr(sys, "orig_argv", [])
        )
    return os.path.realpath(main).startswith(
        os.path.dirname(os.path.dirname(os.path.realpath(__file__))) + os.sep
    )


# Ctrl-C while packages are imported, which takes a second, ends a command without a traceback.
if is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
