"""A server from which tests/forked.py has processes forked that share one import of the libraries.

    python fork_server.py FOLDER

It listens at FOLDER/plain and FOLDER/tensorflow, says so on standard output, and ends by SIGTERM or with the
process that started it. Each of both is a process of its own from the moment that it is first asked; one has all
packages imported that commands use but TensorFlow and Keras, the other those, too. Nothing of this project is
imported there, and nothing is started: no thread, no device.
"""

import atexit
import contextlib
import importlib
import os
import pickle
import runpy
import selectors
import signal
import socket
import sys
import threading
import time
from pathlib import Path

PLAIN = [
    *("cv2", "jinja2", "matplotlib.backends.backend_agg", "matplotlib.figure", "numpy"),
    *("sklearn.metrics", "sklearn.model_selection", "tqdm", "wfdb"),
]
PACKAGES = {"plain": PLAIN, "tensorflow": [*PLAIN, "tensorflow", "keras"]}


class Server:
    """Forks a process for each connection to its listeners.

    A listener whose packages have to be imported first is handed to a new server at its first connection.
    """

    def __init__(self, packages: dict[socket.socket, list[str]]):
        self.packages = packages
        self.running: dict[int, socket.socket | None] = {}  # by process: who waits for its status
        self.ending = False
        self.parent = os.getppid()
        self.wake, self.wakeup = os.pipe()
        for end in (self.wake, self.wakeup):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self.wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is pytest's, which then ends this

    def serve(self) -> None:
        while not self.ending and os.getppid() == self.parent:
            with selectors.DefaultSelector() as selector:
                for place in (self.wake, *self.packages):
                    selector.register(place, selectors.EVENT_READ)
                ready = [key.fileobj for key, _ in selector.select(1)]
            for place in ready:
                if place == self.wake:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self.wake, 4096)
                elif self.packages[place]:
                    self._hand_over(place)
                else:
                    self._start(place.accept()[0])
            self._reap()
        for pid, waiting in self.running.items():
            os.kill(pid, signal.SIGKILL if waiting else signal.SIGTERM)
        while self.running:
            time.sleep(0.01)
            self._reap()

    def _end(self, *_) -> None:
        self.ending = True

    def _fork(self) -> int:
        """Fork; the new process lets go of all that is the server's but its listeners."""
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            for end in (self.wake, self.wakeup):
                os.close(end)
            for connection in filter(None, self.running.values()):
                connection.close()
        return pid

    def _hand_over(self, listener: socket.socket) -> None:
        packages = self.packages.pop(listener)
        pid = self._fork()
        if pid == 0:
            for other in self.packages:
                other.close()
            import_quietly(packages)
            Server({listener: []}).serve()
            os._exit(0)
        self.running[pid] = None
        listener.close()

    def _start(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            request = pickle.load(stream)
        pid = self._fork()
        if pid == 0:
            for place in (*self.packages, connection):
                place.close()
            be(**request)
        self.running[pid] = connection
        _answer(connection, pid)

    def _reap(self) -> None:
        """Tell who waits for a process that has ended its status, as subprocess has it."""
        for pid in list(self.running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended and (connection := self.running.pop(pid)):
                with connection:
                    _answer(connection, os.waitstatus_to_exitcode(status))


def import_quietly(packages: list[str]) -> None:
    """Import packages without what TensorFlow's native code says meanwhile."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        for package in packages:
            importlib.import_module(package)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _answer(connection: socket.socket, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # who asked has ended
        connection.sendall(b"%d\n" % number)


def be(script, arguments, cwd, environment, path, stdout, stderr, patch) -> None:
    """Be ``python SCRIPT ARGUMENTS``, or of a module ``python -m``, and end.

    Before that a function is called: ``patch`` is pickled, the function and its arguments.
    """
    for number, file, mode in (
        (0, os.devnull, os.O_RDONLY),
        (1, stdout, os.O_WRONLY),
        (2, stderr, os.O_WRONLY),
    ):
        os.dup2(os.open(file, mode), number)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = path
    sys.argv[:] = [script or "-c", *arguments]
    status = 0
    try:
        function, *given = pickle.loads(patch)
        function(*given)
        if script and script.endswith(".py"):
            runpy.run_path(script, run_name="__main__")
        elif script:
            runpy.run_module(script, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status or 0)


def main() -> None:
    packages = {}
    for name, needed in PACKAGES.items():
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(Path(sys.argv[1]) / name))
        listener.listen(64)
        packages[listener] = needed
    print("listening", flush=True)
    Server(packages).serve()


if __name__ == "__main__":
    main()
