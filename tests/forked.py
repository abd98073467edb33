"""train_keras.py in processes that share one import of TensorFlow, and that die when a test wants it.

Each is forked from a server that has imported the libraries and started nothing. So it saves the seconds of
the import, and is otherwise like one that a user starts: devices, threads, signals and random state of its own.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["tensorflow", "keras", "cv2", "sklearn.model_selection", "sklearn.metrics", "matplotlib.figure"]
)


class Training:
    """A training that goes on.

    Parameters
    ----------
    arguments : sequence
        Of train_keras.py.
    patch : callable, optional
        Called in the new process before the training, with ``patch_arguments``; a function of a module.
    """

    def __init__(self, *arguments, patch=None, patch_arguments=()):
        # As command.quiet_import has it; TensorFlow sets it to 1 when pytest imports it.
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
        self.arguments = [str(argument) for argument in arguments]
        self._written = tempfile.TemporaryDirectory()
        self.stdout, self.stderr = (Path(self._written.name) / name for name in ("stdout", "stderr"))
        self.stdout.touch()
        self.stderr.touch()
        self._process = _context.Process(
            target=_train, args=(self.arguments, self.stdout, self.stderr, patch, patch_arguments)
        )
        self._process.start()
        self.pid = self._process.pid

    def kill(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def is_running(self) -> bool:
        return self._process.is_alive()

    def end(self, timeout: float = 300) -> subprocess.CompletedProcess:
        """Wait for it; the status is negative after a signal that it did not handle, as subprocess has it."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError(f"train_keras.py {' '.join(self.arguments)} still runs after {timeout} s")
        result = subprocess.CompletedProcess(
            self.arguments, self._process.exitcode, self.stdout.read_text(), self.stderr.read_text()
        )
        self._written.cleanup()
        return result


def train(*arguments, **options) -> subprocess.CompletedProcess:
    """Run train_keras.py to its end."""
    return Training(*arguments, **options).end()


def _train(arguments, stdout, stderr, patch, patch_arguments):
    """In the new process: be train_keras.py."""
    for number, path in ((1, stdout), (2, stderr)):
        os.dup2(os.open(path, os.O_WRONLY), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # multiprocessing's server ignores it
    sys.path.insert(0, str(PROJECT))
    sys.argv = ["train_keras.py", *arguments]
    from ecgbeats import command

    import train_keras

    if patch:
        patch(*patch_arguments)
    command.run(train_keras.main)


# -- what tests do to a training -----------------------------------------------------------------------------


def die_at_file(name: str, when: str, which: int) -> None:
    """Make the process end as by SIGKILL when it puts the file ``name`` in its place for the time ``which``.

    ``when``: half (of the file is written), written (but not in its place yet), or replaced.
    """
    replace, seen = os.replace, 0

    def replace_or_die(source, target):
        nonlocal seen
        seen += Path(target).name == name
        if Path(target).name != name or seen != which:
            return replace(source, target)
        if when == "half":
            os.truncate(source, os.path.getsize(source) // 2)
        if when == "replaced":
            replace(source, target)
        os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace_or_die


def die_at_batch(epoch: int, batch: int) -> None:
    """Make the process end as by SIGKILL when it asks for this batch (both from 0) of the training images."""
    import DataGenerator

    take = DataGenerator.DataGenerator.__getitem__

    def take_or_die(self, number):
        if self.shuffle and (self.epoch, number) == (epoch, batch):
            os.kill(os.getpid(), signal.SIGKILL)
        return take(self, number)

    DataGenerator.DataGenerator.__getitem__ = take_or_die


def die_inside_an_epoch(states: int) -> None:
    """Save the state after each batch, as long epochs do each twenty minutes, and end after so many of them."""
    from ecgbeats.runs import recorder

    recorder.SECONDS_BETWEEN_STATES = 0
    die_at_file("training_state.npz", "replaced", states)


def limit_file_size(size: int) -> None:
    """Allow no file beyond ``size`` bytes, like ``ulimit -f`` and, to a program, like a full disk."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def leave_no_memory() -> None:
    """Let the images be read as they are needed, by threads."""
    from ecgbeats.images import folder

    folder.free_memory = lambda: 0


def block_in_native_code() -> None:
    """Let a batch's preparation never end, in C code that no signal interrupts."""
    import ctypes

    import DataGenerator

    def block(_self, _index, _random):
        print("blocking", flush=True)
        mutex = ctypes.create_string_buffer(64)  # zeros: PTHREAD_MUTEX_INITIALIZER
        for _ in range(2):  # the second time waits for the first
            ctypes.CDLL(None).pthread_mutex_lock(mutex)

    DataGenerator.DataGenerator._draw = block
