"""The download against a small server on this machine that misbehaves on demand."""

import email.utils
import fcntl
import hashlib
import http.server
import os
import pty
import re
import signal
import termios
import threading
import time

from ecgbeats import command
from ecgbeats.process import SECONDS_TO_UNWIND
from ecgbeats.records import download
from ecgbeats.records.databases import DATABASES
from ecgbeats.records.download import AT_A_TIME, _seconds_of, download_database

import pytest
import wfdb
from conftest import PROJECT, start_python

MITDB = DATABASES["mitdb"]
WAITS_S = (0.01,) * 5


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files`` by name; ``faults[name]`` are used up one for each request, ``always[name]`` stays.

    A fault is a dict: ``status`` and ``headers`` (no body), ``body`` (other bytes), ``send`` (break off after
    so many bytes), ``stall`` (then keep silent until the server ends), ``whole`` (ignore Range),
    ``content_range`` (another one than asked), ``no_length``, ``delay`` (seconds before the answer).
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, files: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.faults: dict[str, list[dict]] = {}
        self.always: dict[str, dict] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.agents: set[str] = set()
        self.silent = threading.Event()  # set when a stall has begun
        self.ended = threading.Event()
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/files/mitdb/1.0.0/"

    def ranges(self, name: str) -> list[str | None]:
        return [asked for asked_name, asked in self.requests if asked_name == name]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        try:
            self.answer()
        finally:
            self.close_connection = True

    def answer(self):
        server = self.server
        name = self.path.removeprefix("/files/mitdb/1.0.0/")
        asked = self.headers.get("Range")
        with server.lock:
            server.requests.append((name, asked))
            server.agents.add(self.headers["User-Agent"])
            fault = server.faults[name].pop(0) if server.faults.get(name) else server.always.get(name, {})
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        time.sleep(fault.get("delay", 0))
        with server.lock:  # before the answer: with it the client is free to ask for the next
            server.at_once -= 1
        if "status" in fault or name not in server.files:
            self.send_response(fault.get("status", 404))
            for key, value in fault.get("headers", {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = fault.get("body", server.files[name])
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and not fault.get("whole") else 0
        if start >= len(body) > 0:
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if asked and not fault.get("whole"):
            self.send_response(206)
            right = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self.send_header("Content-Range", fault.get("content_range", right))
        else:
            self.send_response(200)
        if not fault.get("no_length"):
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:][: fault.get("send")])
        self.wfile.flush()
        if fault.get("stall"):
            server.silent.set()
            server.ended.wait(20)

    def log_message(self, *_):
        pass


def with_lists(data: dict[str, bytes], line: str = "{sha256}  {name}\n") -> dict[str, bytes]:
    """The files with the two lists that PhysioNet gives, which name more than is to be fetched."""
    files = dict(data)
    files["RECORDS"] = b"".join(b"%s\n" % name[:-4].encode() for name in data if name.endswith(".hea"))
    others = {"ANNOTATORS": b"atr\n", "mitdbdir/intro.htm": b"<html>", "x_mitdb/x_108.atr": b"\0\0"}
    sums = "".join(
        line.format(sha256=hashlib.sha256(content).hexdigest(), name=name)
        for name, content in (files | others).items()
    )
    files["SHA256SUMS.txt"] = sums.encode()
    return files


def made_up_files(records: int = 2) -> dict[str, bytes]:
    data = {}
    for number in range(100, 100 + records):
        data[f"{number}.hea"] = f"{number} 2 360 650000\n".encode()
        data[f"{number}.atr"] = bytes(range(256)) * 8 + str(number).encode()
        data[f"{number}.dat"] = hashlib.shake_256(str(number).encode()).digest(200_000)
    return with_lists(data)


def serve(files):
    server = Server(files)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("MITDB_ADDRESS", raising=False)


@pytest.fixture
def server():
    server = serve(made_up_files())
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()


def fetch(server, folder, **options):
    return download_database(MITDB, folder, server.address, **{"waits_s": WAITS_S, "timeout_s": 5, **options})


def check_whole(folder, server):
    """Exactly the served files are there, byte for byte, and nothing partial."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".download.lock"}
    assert found == server.files


def check_no_false_file(folder, server):
    """What has a final name is whole and right."""
    for path in folder.iterdir():
        if not path.name.startswith("."):
            assert path.read_bytes() == server.files[path.name]


def test_fetches_each_file_once_and_returns_the_folder(server, tmp_path):
    folder = tmp_path / "records" / "mitdb"
    assert fetch(server, folder) == folder
    check_whole(folder, server)
    assert sorted(server.requests) == sorted((name, None) for name in server.files)


def test_real_records_are_read_by_wfdb_after_the_download(tmp_path, mitdb):
    names = [f"{record}.{kind}" for record in (100, 207) for kind in ("hea", "atr", "dat")]
    server = serve(with_lists({name: (mitdb / name).read_bytes() for name in names}))
    server.faults["207.dat"] = [{"send": 300_000}]
    fetch(server, tmp_path)
    server.shutdown()
    server.server_close()
    check_whole(tmp_path, server)
    assert server.ranges("207.dat") == [None, "bytes=300000-"]
    assert wfdb.rdrecord(str(tmp_path / "207")).sig_len == 650000


def test_a_second_run_asks_and_writes_nothing(server, tmp_path):
    fetch(server, tmp_path)
    server.requests.clear()
    (tmp_path / ".download.lock").unlink()
    fetch(server, tmp_path)
    assert server.requests == []
    check_whole(tmp_path, server)
    assert not (tmp_path / ".download.lock").exists()  # so a read-only folder will do


def test_only_what_is_missing_or_changed_is_fetched_again(server, tmp_path):
    fetch(server, tmp_path)
    server.requests.clear()
    (tmp_path / "100.hea").unlink()
    with open(tmp_path / "101.dat", "r+b") as file:
        file.write(b"other")
    fetch(server, tmp_path)
    assert {name for name, _ in server.requests} == {"SHA256SUMS.txt", "100.hea", "101.dat"}
    check_whole(tmp_path, server)


def test_names_project_and_version_to_the_server(server, tmp_path):
    fetch(server, tmp_path)
    assert server.agents == {f"ecg-beats-keras/{command.VERSION}"}


def test_asks_for_a_few_files_at_a_time(tmp_path, server):
    server.files = made_up_files(records=8)
    server.always = {name: {"delay": 0.05} for name in server.files}
    fetch(server, tmp_path)
    assert 2 <= server.most_at_once <= AT_A_TIME


@pytest.mark.parametrize("line", ["{sha256} {name}\n", "{sha256} *{name}\r\n", "{sha256}  ./{name}\n"])
def test_reads_every_usual_form_of_sums(line, server, tmp_path):
    data = {name: content for name, content in server.files.items() if name[0] == "1"}
    server.files = with_lists(data, line)
    fetch(server, tmp_path)
    check_whole(tmp_path, server)


def test_address_comes_from_the_environment(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MITDB_ADDRESS", server.address.rstrip("/"))
    download_database(MITDB, tmp_path)
    check_whole(tmp_path, server)


def test_goes_on_after_a_break_within_a_run(server, tmp_path):
    server.faults["100.dat"] = [{"send": 70_000}, {"send": 50_000}]
    fetch(server, tmp_path)
    check_whole(tmp_path, server)
    assert server.ranges("100.dat") == [None, "bytes=70000-", "bytes=120000-"]


def test_goes_on_in_the_next_run(server, tmp_path):
    server.faults["100.dat"] = [{"send": 70_000}]
    with pytest.raises(
        command.InputError, match=r"100\.dat: the connection broke at 70000 of 200000 bytes.* run again"
    ):
        fetch(server, tmp_path, waits_s=())
    check_no_false_file(tmp_path, server)
    assert (tmp_path / ".100.dat.partial").stat().st_size == 70_000
    server.requests.clear()
    fetch(server, tmp_path)
    check_whole(tmp_path, server)
    assert server.ranges("100.dat") == ["bytes=70000-"]


def test_a_partial_file_that_is_whole_needs_no_request(server, tmp_path):
    (tmp_path / ".100.dat.partial").write_bytes(server.files["100.dat"])
    fetch(server, tmp_path)
    assert server.ranges("100.dat") == []
    check_whole(tmp_path, server)


@pytest.mark.parametrize(
    ("partial", "fault", "ranges"),
    [
        pytest.param(70_000, {"whole": True}, ["bytes=70000-"], id="server ignores Range"),
        pytest.param(
            70_000, {"content_range": "bytes 0-9/10"}, ["bytes=70000-", None], id="other range than asked"
        ),
        pytest.param(70_000, {"content_range": "garbage"}, ["bytes=70000-", None], id="unreadable range"),
        pytest.param(300_000, {}, ["bytes=300000-", None], id="416, partial file too long"),
        pytest.param(200_000, {}, ["bytes=200000-", None], id="416, partial file whole but wrong"),
    ],
)
def test_continuing_with_an_odd_server_or_partial_file(partial, fault, ranges, server, tmp_path):
    start = b"x" * partial if partial >= 200_000 else server.files["100.dat"][:partial]
    (tmp_path / ".100.dat.partial").write_bytes(start)
    server.faults["100.dat"] = [fault]
    fetch(server, tmp_path)
    check_whole(tmp_path, server)
    assert server.ranges("100.dat") == ranges


def test_a_partial_file_of_other_bytes_is_fetched_from_the_start(server, tmp_path):
    (tmp_path / ".100.dat.partial").write_bytes(b"x" * 1000)
    fetch(server, tmp_path)
    check_whole(tmp_path, server)
    assert server.ranges("100.dat") == ["bytes=1000-", None]


def test_a_wrong_byte_is_fetched_again(server, tmp_path):
    wrong = b"\xff" + server.files["101.atr"][1:]
    server.faults["101.atr"] = [{"body": wrong}, {"body": wrong}]
    fetch(server, tmp_path)
    check_whole(tmp_path, server)
    assert server.ranges("101.atr") == [None] * 3


def test_a_file_that_is_always_wrong_ends_with_its_name(server, tmp_path):
    server.always["101.atr"] = {"body": b"<html>please log in</html>"}
    with pytest.raises(
        command.InputError, match=r"101\.atr: .*SHA-256.* 3 times over.*by hand from https://physionet"
    ):
        fetch(server, tmp_path)
    assert not (tmp_path / "101.atr").exists()
    check_no_false_file(tmp_path, server)


def test_short_file_of_a_server_that_tells_no_length(server, tmp_path):
    server.faults["100.dat"] = [{"no_length": True, "send": 1000}]
    fetch(server, tmp_path)
    check_whole(tmp_path, server)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(status, server, tmp_path):
    server.faults["SHA256SUMS.txt"] = [{"status": status}]
    server.faults["100.hea"] = [{"status": status}] * 2
    fetch(server, tmp_path)
    check_whole(tmp_path, server)


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_honoured(as_date, server, tmp_path):
    # A date has whole seconds, so it is up to one second nearer than it says.
    after = email.utils.formatdate(time.time() + 2, usegmt=True) if as_date else "1"
    server.faults["100.hea"] = [{"status": 503, "headers": {"Retry-After": after}}]
    start = time.monotonic()
    fetch(server, tmp_path)
    assert 0.9 <= time.monotonic() - start < 4
    check_whole(tmp_path, server)


def test_a_retry_after_beyond_reason_ends_at_once(server, tmp_path):
    server.always["100.hea"] = {"status": 429, "headers": {"Retry-After": "3600"}}
    start = time.monotonic()
    with pytest.raises(command.InputError, match=r"429.* come back in 3600 seconds"):
        fetch(server, tmp_path)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("text", ["", "soon", "-5", "9" * 5000, "Mon, 99 Foo 2020"])
def test_an_unreadable_retry_after_counts_as_none(text):
    assert _seconds_of(text) == 0


def test_a_server_that_stays_busy_ends_after_the_attempts(server, tmp_path):
    server.always["100.hea"] = {"status": 503}
    with pytest.raises(command.InputError, match=r"100\.hea: the server answers 503 .* after 6 attempts"):
        fetch(server, tmp_path)
    assert server.ranges("100.hea") == [None] * 6


def test_a_stall_times_out_and_goes_on(server, tmp_path):
    server.faults["100.dat"] = [{"send": 70_000, "stall": True}]
    fetch(server, tmp_path, timeout_s=0.3)
    check_whole(tmp_path, server)
    assert server.ranges("100.dat") == [None, "bytes=70000-"]


@pytest.mark.parametrize("name", ["SHA256SUMS.txt", "RECORDS", "101.dat"])
@pytest.mark.parametrize("status", [403, 404])
def test_a_refused_or_missing_file_is_not_asked_twice(name, status, server, tmp_path):
    server.always[name] = {"status": status}
    with pytest.raises(
        command.InputError, match=rf"{re.escape(server.address + name)}: .*{status}"
    ) as caught:
        fetch(server, tmp_path)
    assert "https://physionet.org/content/mitdb/1.0.0/" in str(caught.value)
    assert "`simulated`" in str(caught.value)
    assert server.ranges(name) == [None]
    check_no_false_file(tmp_path, server)


def test_one_failure_stops_the_other_files(tmp_path, server):
    server.files = made_up_files(records=48)
    server.always["100.hea"] = {"status": 404}
    with pytest.raises(command.InputError, match="404"):
        fetch(server, tmp_path)
    assert len(server.requests) < 40
    assert [thread.name for thread in threading.enumerate() if "work" in thread.name] == []


def test_an_unreachable_host_ends_at_once(server, tmp_path):
    server.shutdown()
    server.server_close()
    start = time.monotonic()
    with pytest.raises(
        command.InputError, match=rf"{re.escape(server.address)}.* cannot be reached .*simulated"
    ):
        download_database(MITDB, tmp_path, server.address)
    assert time.monotonic() - start < 3


def test_a_host_that_does_not_exist_ends_at_once(tmp_path):
    with pytest.raises(command.InputError, match=r"http://nowhere\.invalid/.* cannot be reached"):
        download_database(MITDB, tmp_path, "http://nowhere.invalid/")


@pytest.mark.parametrize(
    "address",
    ["physionet.org", "file:///etc/", "ftp://a/b", "http://", "http://[x/", "http://a b/", "http://a:x/"],
)
def test_what_is_no_address_is_refused(address, tmp_path):
    with pytest.raises(command.InputError, match="MITDB_ADDRESS"):
        download_database(MITDB, tmp_path / "new", address)
    assert not (tmp_path / "new").exists()


SUM = "0" * 64


@pytest.mark.parametrize("name", ["SHA256SUMS.txt", "RECORDS"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n \n",
        b"<!DOCTYPE html>\n<html><body>Please log in</body></html>\n",
        b"\xff\xfe\x00\x01",
        b"../../evil\n",
        b"/etc/passwd\n",
        b"..\n",
        b"sub/100\n",
        f"{SUM}  ../100.dat\n".encode(),
        f"{SUM}  /100.dat\n".encode(),
        f"{SUM}  a/../../100.dat\n".encode(),
        f"{SUM}  a\\..\\100.dat\n".encode(),
        f"{SUM[:-1]}  100.dat\n".encode(),
    ],
)
def test_lists_that_are_not_physionets_are_refused(name, body, server, tmp_path):
    server.files[name] = body
    if name == "RECORDS":  # without a sum of its own, so that it is its content that is refused
        data = {key: content for key, content in server.files.items() if key[0] == "1"}
        server.files["SHA256SUMS.txt"] = b"".join(
            f"{hashlib.sha256(content).hexdigest()}  {key}\n".encode() for key, content in data.items()
        )
    with pytest.raises(command.InputError, match=rf"{re.escape(server.address + name)}: not ") as caught:
        fetch(server, tmp_path / "folder")
    assert len(str(caught.value)) < 600
    assert not (tmp_path / "folder" / name).exists()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert {asked for asked, _ in server.requests} <= {"SHA256SUMS.txt", "RECORDS"}


def test_a_record_without_sums_is_refused(server, tmp_path):
    server.files["RECORDS"] = b"100\n101\n102\n"
    server.files["SHA256SUMS.txt"] = re.sub(rb"\w{64}  RECORDS\n", b"", server.files["SHA256SUMS.txt"])
    with pytest.raises(command.InputError, match=r"RECORDS: 102\.hea has no line in SHA256SUMS\.txt"):
        fetch(server, tmp_path)


def test_a_list_of_records_without_a_sum_of_its_own_will_do(server, tmp_path):
    server.files["SHA256SUMS.txt"] = re.sub(rb"\w{64}  RECORDS\n", b"", server.files["SHA256SUMS.txt"])
    fetch(server, tmp_path)
    fetch(server, tmp_path)
    check_whole(tmp_path, server)
    assert server.ranges("RECORDS") == [None]


def test_garbage_once_does_not_spoil_the_next_run(server, tmp_path):
    server.faults["SHA256SUMS.txt"] = [{"body": b"<html>\n"}]
    with pytest.raises(command.InputError):
        fetch(server, tmp_path)
    fetch(server, tmp_path)
    check_whole(tmp_path, server)


def test_an_endless_file_is_cut_off(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_BYTES", 250_000)
    server.always["100.dat"] = {"body": bytes(5_000_000), "no_length": True}
    with pytest.raises(command.InputError, match=r"100\.dat: longer than any file"):
        fetch(server, tmp_path)
    assert (tmp_path / ".100.dat.partial").stat().st_size <= 250_000


def test_a_file_in_the_folders_place_is_named(server, tmp_path):
    (tmp_path / "mitdb").write_text("mine")
    with pytest.raises(command.InputError, match="mitdb: a file stands"):
        fetch(server, tmp_path / "mitdb")
    assert (tmp_path / "mitdb").read_text() == "mine"


def test_waits_for_another_download_into_the_folder(server, tmp_path, capsys):
    with open(tmp_path / ".download.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        runner = threading.Thread(target=fetch, args=(server, tmp_path))
        runner.start()
        runner.join(0.3)
        assert runner.is_alive()
        assert server.requests == []
    runner.join(5)
    check_whole(tmp_path, server)
    assert "waiting for another download" in capsys.readouterr().out


def test_a_log_gets_a_few_lines_and_no_carriage_return(server, tmp_path, capsys):
    server.files = made_up_files(records=8)
    fetch(server, tmp_path)
    output = capsys.readouterr()
    assert output.err == ""
    assert "\r" not in output.out
    assert re.fullmatch(
        r"fetching 24 of 24 files .*\n6 of 24 files, .*\n12 of 24 .*\n18 of 24 .* MB\n.*all 24 files.*\n",
        output.out,
    )


# The next tests run the download as make_dataset.py does, in a process of its own.
SCRIPT = (
    "from ecgbeats import command\n"
    "from ecgbeats.records.databases import DATABASES\n"
    "from ecgbeats.records.download import download_database\n"
    "command.run(lambda argv: print(download_database(DATABASES['mitdb'], argv[0])) or 0)\n"
)


def start(server, folder, **options):
    env = os.environ | {"MITDB_ADDRESS": server.address, "PYTHONPATH": str(PROJECT)}
    return start_python("-c", SCRIPT, folder, env=env, **options)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_soon_and_the_next_run_goes_on(number, status, server, tmp_path):
    server.faults["100.dat"] = [{"send": 70_000, "stall": True}]
    process = start(server, tmp_path)
    assert server.silent.wait(20)
    begin = time.monotonic()
    while not (tmp_path / "101.dat").exists():  # the other threads' files come meanwhile
        assert time.monotonic() - begin < 20
        time.sleep(0.01)
    time.sleep(0.2)
    begin = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - begin < SECONDS_TO_UNWIND
    assert (process.returncode, errors) == (status, "")
    assert (tmp_path / ".100.dat.partial").stat().st_size == 70_000
    server.requests.clear()
    fetch(server, tmp_path)
    check_whole(tmp_path, server)
    assert server.ranges("100.dat") == ["bytes=70000-"]
    assert {name for name, _ in server.requests} == {"SHA256SUMS.txt", "100.dat"}


def test_a_full_disk_ends_with_1(server, tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    (tmp_path / ".100.dat.partial").symlink_to("/dev/full")
    process = start(server, tmp_path)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert re.fullmatch(r"error: no space left on the disk.*\n", errors)
    assert server.ranges("100.dat") == [None]


def test_a_missing_file_ends_with_2_and_one_line(server, tmp_path):
    server.always["100.hea"] = {"status": 404}
    process = start(server, tmp_path)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert re.fullmatch(r"error: http://127.*100\.hea: the server answers 404 Not Found; .*\n", errors)


def test_a_terminal_gets_a_bar(server, tmp_path):
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    termios.tcsetwinsize(theirs, (24, 80))  # tqdm writes nothing into no columns
    process = start(server, tmp_path, stderr=theirs)
    output, _ = process.communicate(timeout=30)
    bar = os.read(ours, 100_000).decode()
    os.close(theirs)
    os.close(ours)
    assert process.returncode == 0
    assert re.search(r"\rmitdb: .*/6 ", bar)
    assert len(output.splitlines()) == 3  # start, end, and the script's own line
