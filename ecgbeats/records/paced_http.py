"""HTTP whose answers must come at a pace, status and headers too: a byte now and then would never come to an end."""

import http.client
import io
import socket
import time
import urllib.request

SLOWEST = 1000  # bytes a second on average; the connection's time limit comes on top, once


class _Paced(io.RawIOBase):
    """What a server answers, which must come at a pace."""

    def __init__(self, connection: socket.socket):
        self._stream = connection.makefile("rb", buffering=0)
        self._patience_s = connection.gettimeout()
        self._started = time.monotonic()
        self._received = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, room) -> int:
        """Wait for some bytes. Raises TimeoutError for a silent or a slow server."""
        # The connection's own time limit starts anew with each byte.
        if time.monotonic() - self._started > self._patience_s + self._received / SLOWEST:
            raise TimeoutError(f"slower than {SLOWEST:,d} bytes a second")
        count = self._stream.readinto(room)
        self._received += count or 0
        return count

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, connection, *rest, **options):
        super().__init__(connection, *rest, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Paced(connection))


class _Connection(http.client.HTTPConnection):
    response_class = _Answer


class _SafeConnection(http.client.HTTPSConnection):
    response_class = _Answer


class PacedHttp(urllib.request.HTTPHandler):
    """Opens http addresses, for urllib.request.build_opener."""

    def http_open(self, request):
        """Send the request; return the answer's beginning."""
        return self.do_open(_Connection, request)


class PacedHttps(urllib.request.HTTPSHandler):
    """Opens https addresses."""

    def https_open(self, request):
        """Send the request; return the answer's beginning."""
        return self.do_open(_SafeConnection, request)
