"""download_database against a server that never ends an answer."""

import contextlib
import socket
import threading
import time

from ecgbeats.command import InputError
from ecgbeats.records.databases import DATABASES
from ecgbeats.records.download import download_database

import pytest

MITDB = DATABASES["mitdb"]
WAITS_S = (0.01,) * 2


@contextlib.contextmanager
def server_that_says(start: bytes, then: bytes):
    """A server that answers with ``start`` at once, then with a byte of ``then``, again and again, each 20 ms."""
    stop = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def answer(connection):
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(start)
            while not stop.wait(0.02):
                connection.sendall(then)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    stop.set()
    listening.close()


ANSWERS = {
    "in the first line": (b"HTTP/1.1 2", b"0"),
    "in the headers": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "in the body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", b"0"),
    "in a body of unknown length": (b"HTTP/1.1 200 OK\r\n\r\n", b"0"),
    "in the length of a piece": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
}


@pytest.mark.parametrize("where", ANSWERS)
def test_a_byte_now_and_then_comes_to_an_end(tmp_path, where):
    with server_that_says(*ANSWERS[where]) as address:
        started = time.perf_counter()
        with pytest.raises(InputError, match=r"SHA256SUMS\.txt: .*slower than 1,000 bytes a second.*by hand"):
            download_database(MITDB, tmp_path, address, waits_s=WAITS_S, timeout_s=0.4)
        assert time.perf_counter() - started < 10
