"""Fetches a database from PhysioNet, as ``make_dataset.py mitdb`` does.

Layout on the server: https://physionet.org/content/mitdb/1.0.0/ . Every file is checked against the
SHA256SUMS.txt that PhysioNet publishes beside it, and a broken download goes on where it stopped.
"""

import email.utils
import hashlib
import http.client
import os
import queue
import re
import ssl
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from ecgbeats import command
from ecgbeats.folders import alone
from ecgbeats.process import terminal
from ecgbeats.reading import need, read_file
from ecgbeats.records.databases import Database
from ecgbeats.records.paced_http import PacedHttp, PacedHttps

from tqdm import tqdm

SUMS = "SHA256SUMS.txt"
RECORDS = "RECORDS"
SUFFIXES = (".hea", ".atr", ".dat")
AT_A_TIME = 4  # a new connection for each file costs more than its bytes; more would be impolite
WAITS_S = (1, 2, 4, 8, 16)  # before each new attempt at a file
TIMEOUT_S = 30.0  # without one byte
LONGEST_RETRY_AFTER_S = 120
WRONG_COPIES = 3  # a file that came whole and wrong this often is wrong on the server, or on the way
MAX_BYTES = 16 * 2**20  # the largest file of mitdb has 1.95 MB; what never ends must not fill the disk
CHUNK_BYTES = 64 * 2**10


def download_database(
    database: Database,
    folder: str | os.PathLike,
    address: str | None = None,
    *,
    waits_s: tuple[float, ...] = WAITS_S,
    timeout_s: float = TIMEOUT_S,
) -> Path:
    """Fetch the ``.hea .dat .atr`` files of all records of a database into ``folder``.

    ``RECORDS`` and ``SHA256SUMS.txt`` come along. Files that are there and right stay; others of these
    names are replaced. Where all is there and right by the saved ``SHA256SUMS.txt``, nothing is asked of
    the server. A file has its name only once it is whole and right; until then it is ``.NAME.partial``,
    and the next run goes on from there.

    Parameters
    ----------
    database : Database
        One of databases.DATABASES.
    folder : path
        Made if it is missing.
    address : str, optional
        Folder on a server with PhysioNet's files, http or https. Default: the environment variable
        ``database.variable`` (for a mirror), else PhysioNet's own.
    waits_s : tuple of float
        Seconds to wait before each new attempt at a file; their number plus one is the number of attempts.
    timeout_s : float
        Seconds without an answer or a byte after which an attempt is given up; also where the answer is so much
        later than paced_http.SLOWEST allows for its bytes.

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    command.InputError
        No server there, a file missing or always wrong on it, or lists that are not PhysioNet's.
    OSError
        The disk is full or refuses a file.
    """
    folder = Path(folder)
    if _is_whole(folder, database):
        return folder
    address = address or os.environ.get(database.variable) or database.address
    address = _checked_address(address, database)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise command.InputError(f"{folder}: a file stands where the records' folder should be") from None
    with alone(folder / ".download.lock", wait=f"waiting for another download into {folder} to end"):
        if not _is_whole(folder, database):  # another run may have fetched all while this one waited
            _Download(database, folder, address, waits_s, timeout_s).run()
    return folder


class _Broken(Exception):
    """An attempt failed in a way that a new one may mend."""

    def __init__(self, reason: object, retry_after_s: float = 0.0):
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class _Stopped(Exception):
    """Another file failed, or the user stopped the run."""


class _Download:
    """One run: what its threads share."""

    def __init__(
        self, database: Database, folder: Path, address: str, waits_s: tuple[float, ...], timeout_s: float
    ):
        self.database = database
        self.folder = folder
        self.address = address
        self.waits_s = waits_s
        self.timeout_s = timeout_s
        self.answered = False  # whether the server ever did in this run
        self.stop = threading.Event()
        self.opener = urllib.request.build_opener(PacedHttp, PacedHttps)
        self.opener.addheaders = [("User-Agent", f"ecg-beats-keras/{command.VERSION}")]

    def run(self) -> None:
        """Fetch the two lists, then every file of theirs that is missing or wrong."""
        partial = self._receive(SUMS, None)
        sums = _read_sums(partial, self.address + SUMS, self.database)
        os.replace(partial, self.folder / SUMS)

        sum_of_list = sums.get(RECORDS)
        if sum_of_list is None or not _is_right(self.folder / RECORDS, sum_of_list):
            partial = self._receive(RECORDS, sum_of_list)
            _files_of_records(partial, sums, self.address + RECORDS, self.database)
            os.replace(partial, self.folder / RECORDS)

        names = _files_of_records(self.folder / RECORDS, sums, self.address + RECORDS, self.database)
        missing = [name for name in names if not _is_right(self.folder / name, sums[name])]
        print(
            f"fetching {len(missing)} of {len(names)} files of the {self.database.title} "
            f"(about {self.database.size} in all) from {self.address} into {self.folder}",
            flush=True,
        )
        self._fetch_all(missing, sums)
        print(f"{self.folder}: all {len(names)} files are there and right", flush=True)

    def _fetch_all(self, names: Iterable[str], sums: dict[str, str]) -> None:
        """Fetch ``names``, a few at a time; the first failure stops the others and is raised."""
        waiting = deque(names)
        total = len(waiting)
        results = queue.SimpleQueue()

        def work():
            try:
                while not self.stop.is_set():
                    try:
                        name = waiting.popleft()
                    except IndexError:
                        return
                    results.put(self._fetch(name, sums[name]))
            except BaseException as problem:
                results.put(problem)

        # Daemons, not a ThreadPoolExecutor: that one makes Ctrl-C wait until the last socket answers.
        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(AT_A_TIME, total))]
        megabytes = 0.0
        try:
            for thread in threads:
                thread.start()
            with tqdm(
                total=total,
                desc=self.database.name,
                unit="file",
                leave=False,
                file=terminal(),
                disable=not terminal().isatty(),
            ) as bar:
                for done in range(1, total + 1):
                    result = results.get()
                    if isinstance(result, BaseException):
                        raise result
                    megabytes += result / 1e6
                    bar.update()
                    bar.set_postfix_str(f"{megabytes:.1f} MB", refresh=False)
                    # A log gets a line for each quarter.
                    if bar.disable and done < total and done * 4 // total > (done - 1) * 4 // total:
                        print(f"{done} of {total} files, {megabytes:.1f} MB", flush=True)
        finally:
            self.stop.set()
            latest = time.monotonic() + 0.5  # one that waits for a silent server is left behind
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(0, latest - time.monotonic()))

    def _fetch(self, name: str, sha256: str) -> int:
        """Fetch one file and give it its name; return its size in bytes."""
        partial = self._receive(name, sha256)
        size = partial.stat().st_size
        os.replace(partial, self.folder / name)
        return size

    def _receive(self, name: str, sha256: str | None) -> Path:
        """Return the temporary file that holds ``name`` whole, and right where its sum is known."""
        url = self.address + name
        partial = self.folder / f".{name}.partial"
        if sha256 is None:  # what is left of an earlier run cannot be told from other text
            partial.unlink(missing_ok=True)
        wrong = 0
        for wait in (*self.waits_s, None):
            if _is_right(partial, sha256):  # an earlier run ended before it could rename
                return partial
            retry_after = 0.0
            try:
                self._continue(url, partial)
            except _Broken as problem:
                reason, retry_after = problem, problem.retry_after_s
            else:
                if sha256 is None or _is_right(partial, sha256):
                    return partial
                partial.unlink()
                wrong += 1
                reason = f"its bytes do not have the SHA-256 that {SUMS} gives"
            if wrong == WRONG_COPIES:
                raise command.InputError(
                    f"{url}: {reason}, {wrong} times over (the server's copy is wrong, or a proxy "
                    f"changes it): run again later, or {self.database.by_hand}"
                )
            if wait is None:
                raise command.InputError(
                    f"{url}: {reason}, after {len(self.waits_s) + 1} attempts; what came is kept: "
                    f"run again to go on, or {self.database.by_hand}"
                )
            if retry_after > LONGEST_RETRY_AFTER_S:
                raise command.InputError(
                    f"{url}: {reason} and asks to come back in {retry_after:.0f} seconds; what came is "
                    f"kept: run again then to go on, or {self.database.by_hand}"
                )
            if self.stop.wait(max(wait, retry_after)):
                raise _Stopped

    def _continue(self, url: str, partial: Path) -> None:
        """Ask once for what ``partial`` lacks and append it; raise _Broken if it does not come whole."""
        start = partial.stat().st_size if partial.exists() else 0
        request = urllib.request.Request(url)
        if start:
            request.add_header("Range", f"bytes={start}-")
        with self._open(request, partial) as response:
            if response.status == 206:
                if not re.match(rf"bytes {start}-\d", response.headers.get("Content-Range", "")):
                    partial.unlink(missing_ok=True)  # so that the next attempt asks for all
                    raise _Broken("the server sends another range than was asked")
            else:
                start = 0  # it ignores the range and sends all
            end = None if response.length is None else start + response.length  # None: not told beforehand
            size = start
            with open(partial, "ab" if start else "wb") as file:
                for chunk in self._chunks(response):
                    size += len(chunk)
                    if size > MAX_BYTES:
                        raise command.InputError(
                            f"{url}: longer than any file of the database; {self.database.another_server}"
                        )
                    file.write(chunk)
            if end is not None and size < end:
                raise _Broken(f"the connection broke at {size} of {end} bytes")

    def _open(self, request: urllib.request.Request, partial: Path) -> http.client.HTTPResponse:
        """Send the request; raise _Broken where a new attempt may help, else InputError."""
        url = request.full_url
        try:
            response = self.opener.open(request, timeout=self.timeout_s)
        except urllib.error.HTTPError as problem:
            problem.close()
            self.answered = True
            answer = f"the server answers {problem.code} {problem.reason}"
            if problem.code == 416:  # nothing after that byte, and what is there is wrong
                partial.unlink(missing_ok=True)
            if problem.code in (408, 416, 429) or problem.code >= 500:
                raise _Broken(answer, _seconds_of(problem.headers.get("Retry-After", ""))) from None
            raise command.InputError(f"{url}: {answer}; {self.database.by_hand}") from None
        except (OSError, http.client.HTTPException, ValueError) as problem:
            reason = getattr(problem, "reason", None) or problem
            # One that never answered is most likely offline or misspelt: no long wait for that.
            if not self.answered or isinstance(reason, ssl.SSLCertVerificationError):
                raise command.InputError(
                    f"{url}: cannot be reached ({reason}); check the network, or {self.database.by_hand}"
                ) from None
            raise _Broken(f"no connection ({reason})") from None
        self.answered = True
        return response

    def _chunks(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        """Yield the body as it comes; a fault of the network, but not one of the disk, becomes _Broken."""
        while True:
            if self.stop.is_set():
                raise _Stopped
            try:
                chunk = response.read1(CHUNK_BYTES)  # read() would lose what came before a break
            except (OSError, http.client.HTTPException, ValueError) as problem:
                raise _Broken(f"the connection broke ({problem})") from None
            if not chunk:
                return
            yield chunk


def _is_whole(folder: Path, database: Database) -> bool:
    """Return whether ``folder`` holds all files that its own lists name, each with the right SHA-256."""
    try:
        sums = _read_sums(folder / SUMS, SUMS, database)
        names = _files_of_records(folder / RECORDS, sums, RECORDS, database)
    except command.InputError:
        return False
    if RECORDS in sums:
        names = [RECORDS, *names]
    return all(_is_right(folder / name, sums[name]) for name in names)


def _is_right(path: Path, sha256: str | None) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _read_sums(path: Path, source: str, database: Database) -> dict[str, str]:
    """Return the SHA-256 in hex by name, from lines ``HEX NAME``, ``HEX  NAME`` or ``HEX *NAME``.

    Names in sub-folders are PhysioNet's (``mitdbdir/``, ``x_mitdb/``); they are not fetched.
    """
    sums = {}
    for line in _lines(path, source, database):
        match = re.fullmatch(r"([0-9a-fA-F]{64})\s+\*?(?:\./)?(\S.*)", line)
        if not match or not _stays_below(match[2]):
            raise _not_the_list(source, "a list of SHA-256 sums", line, database)
        sums[match[2]] = match[1].lower()
    if not sums:
        raise _not_the_list(source, "a list of SHA-256 sums", "", database)
    return sums


def _stays_below(name: str) -> bool:
    return not name.startswith("/") and "\\" not in name and ".." not in name.split("/")


def _files_of_records(path: Path, sums: dict[str, str], source: str, database: Database) -> list[str]:
    """Return the names of the files of the records that ``path`` lists; each of them has a sum."""
    records = _lines(path, source, database)
    for record in records or [""]:
        # WFDB's rule for record names (WFDB Applications Guide, header(5)).
        if not re.fullmatch(r"[A-Za-z0-9_-]+", record):
            raise _not_the_list(source, "a list of record names", record, database)
    names = [record + suffix for record in dict.fromkeys(records) for suffix in SUFFIXES]
    for name in names:
        if name not in sums:
            raise command.InputError(f"{source}: {name} has no line in {SUMS}; {database.another_server}")
    return names


def _lines(path: Path, source: str, database: Database) -> list[str]:
    try:
        text = need(read_file(path, "remove it", MAX_BYTES), path, database.by_hand).decode("utf-8")
    except UnicodeDecodeError:
        raise _not_the_list(source, "text", "", database) from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _not_the_list(source: str, wanted: str, line: str, database: Database) -> command.InputError:
    found = f"it has the line {line[:60]!r}" if line else "it is empty or not text"
    return command.InputError(
        f"{source}: not {wanted} ({found}; a proxy's or login page?); {database.another_server}"
    )


def _checked_address(address: str, database: Database) -> str:
    """Return the address with one slash at its end; raise InputError if it is none of http or https."""
    try:
        parts = urllib.parse.urlsplit(address)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or re.search(r"[\s?#]", address):
        raise command.InputError(
            f"{database.variable} {address!r}: not an address of a folder on a server, such as {database.address}"
        )
    return address.rstrip("/") + "/"


def _seconds_of(retry_after: str) -> float:
    """Return the seconds that a Retry-After header (RFC 9110) asks for; 0 if it cannot be read."""
    try:
        if re.fullmatch(r"[0-9]{1,9}", retry_after):
            return float(retry_after)
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
