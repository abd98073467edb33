"""Commands in processes that share one import of the libraries, and that die when a test wants it.

Each is forked by tests/fork_server.py, which has imported the libraries and started nothing. So it saves the
seconds of the import, and is otherwise like one that a user starts: options, folder, environment, devices,
threads, signals and random state of its own. conftest.run_command starts the processes that users start.
"""

import functools
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


class Command:
    """A command that goes on.

    Parameters
    ----------
    script : str or None
        Its path below the project, or a module of ecgbeats; None is for ``patch`` alone.
    arguments : sequence
        Of the script.
    patch : callable, optional
        Called in the new process before the script, with ``patch_arguments``; a function of a module.
    cwd : path, optional
        The folder to run in; default the test's own.
    env : dict, optional
        Environment variables beside those of the test.
    tensorflow : bool
        Whether TensorFlow, Keras and the rest are imported already; else all but those.
    """

    def __init__(
        self, script, *arguments, patch=None, patch_arguments=(), cwd=None, env=None, tensorflow=True
    ):
        if script and script.endswith(".py"):
            script = str(PROJECT / script)
        self.script, self.arguments = script, list(map(str, arguments))
        self._written = tempfile.TemporaryDirectory()
        self.stdout, self.stderr = (Path(self._written.name) / name for name in ("stdout", "stderr"))
        self.stdout.touch()
        self.stderr.touch()
        # TF_CPP_MIN_LOG_LEVEL as command.quiet_import has it; TensorFlow sets it to 1 when pytest imports it.
        env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **(env or {})}
        path = [str(PROJECT), *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
        request = {
            "script": script,
            "arguments": self.arguments,
            "cwd": cwd or os.getcwd(),
            "environment": env,
            "path": [*path, *sys.path],
            "stdout": self.stdout,
            "stderr": self.stderr,
            "patch": pickle.dumps((patch or _nothing, *patch_arguments)),
        }
        server = Path(os.environ["ECGBEATS_TESTS"]) / ("tensorflow" if tensorflow else "plain")
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(str(server))
        self._server.sendall(pickle.dumps(request))
        self._answers = self._server.makefile("rb", buffering=0)
        self.pid = int(self._answers.readline())

    def kill(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def is_running(self) -> bool:
        try:
            self._server.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        return False

    def end(self, timeout: float = 300) -> subprocess.CompletedProcess:
        """Wait for it; the status is negative after a signal that it did not handle, as subprocess has it."""
        self._server.settimeout(timeout)
        try:
            status = int(self._answers.readline())
        except TimeoutError:
            self.kill(signal.SIGKILL)
            raise TimeoutError(f"{self.script} {self.arguments} still runs after {timeout} s") from None
        finally:
            self._server.close()
        result = subprocess.CompletedProcess(
            self.arguments, status, self.stdout.read_text(), self.stderr.read_text()
        )
        self._written.cleanup()
        return result


def run(script, *arguments, **options) -> subprocess.CompletedProcess:
    """Run a command to its end; see Command."""
    return Command(script, *arguments, **options).end()


def train(*arguments, **options) -> subprocess.CompletedProcess:
    """Run train_keras.py to its end."""
    return run("train_keras.py", *arguments, **options)


def call(function, *arguments, **options) -> subprocess.CompletedProcess:
    """Call a function of a module in a process of its own."""
    return Command(None, patch=function, patch_arguments=arguments, **options).end()


def _nothing() -> None:
    """Leave the process as it is."""


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


def obey_permissions() -> None:
    """Take from root the right to read and write whatever the permissions say; the user stays the same.

    Another user could not read a checkout of the project that lies in a folder of root's own.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    version_3 = (ctypes.c_uint32 * 2)(0x20080522, 0)  # Linux' capset(2); of this process
    if libc.capset(version_3, (ctypes.c_uint32 * 6)()):  # no capability is left
        raise OSError(ctypes.get_errno(), "capset")


def limit_file_size(size: int) -> None:
    """Allow no file beyond ``size`` bytes, like ``ulimit -f`` and, to a program, like a full disk."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def add_networks() -> None:
    """Add small networks to MODELS: ``tiny``, the same as ``twin``, and ``wide``, with more filters."""
    from model_keras import MODELS, Network

    for name, filters in (("tiny", 4), ("twin", 4), ("wide", 16)):
        MODELS[name] = Network(functools.partial(_tiny, filters), f"for a test: {name}", 1e-2, 2)


def _tiny(filters: int, x):
    from keras import layers

    return layers.GlobalAveragePooling2D()(layers.Conv2D(filters, 5, strides=8, padding="same")(x))


def slow_batches(seconds: float) -> None:
    """Let each training batch take so many seconds to be made."""
    import DataGenerator

    take = DataGenerator.DataGenerator.__getitem__

    def take_slowly(self, number):
        if self.shuffle:
            time.sleep(seconds)
        return take(self, number)

    DataGenerator.DataGenerator.__getitem__ = take_slowly


def leave_no_memory() -> None:
    """Let the images be read as they are needed, by threads."""
    from ecgbeats.images import folder

    folder.free_memory = lambda: 0


def block_in_native_code() -> None:
    """Let a batch's preparation never end, in C code that no signal interrupts."""
    import ctypes

    import DataGenerator

    def block(*_):
        print("blocking", flush=True)
        mutex = ctypes.create_string_buffer(64)  # zeros: PTHREAD_MUTEX_INITIALIZER
        for _ in range(2):  # the second time waits for the first
            ctypes.CDLL(None).pthread_mutex_lock(mutex)

    DataGenerator.DataGenerator._draw = block
