"""Where records come from, several sources together, and the databases' beats."""

import hashlib
import http.server
import threading
from collections import Counter
from functools import partial

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.choice import choose_beats
from ecgbeats.records.sources import choose_annotated, choose_records, find_source
from ecgbeats.records.wfdb_files import find_records, read_annotations

import pytest
from made_records import write_record

# ../shared/svdb/README.md counts these.
AAMI = {
    "mitdb": {"N": 90631, "S": 2781, "V": 7236, "F": 803, "Q": 8043},
    "svdb": {"N": 162339, "S": 12198, "V": 9943, "F": 23, "Q": 79},
}


@pytest.mark.parametrize("database", AAMI)
def test_the_beats_of_a_database_by_class(database, request):
    folder = request.getfixturevalue(database)
    counts, behind = Counter(), {}
    for name in find_records(folder):
        beats = read_annotations(folder / name)
        counts.update(choose_beats(beats.samples, beats.symbols, "aami").classes)
        if beats.behind:
            behind[name] = beats.behind
    assert counts == AAMI[database]
    assert behind == ({"860": 1} if database == "svdb" else {})


def test_both_databases_together_have_the_images_that_are_claimed():
    assert [sum(counts.values()) for counts in AAMI.values()] == [109_494, 184_582]
    assert sum(sum(counts.values()) for counts in AAMI.values()) == 294_076


@pytest.fixture
def physionet(svdb, monkeypatch):
    """A server with svdb's files as PhysioNet has them; SVDB_ADDRESS names it."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=svdb))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("SVDB_ADDRESS", f"http://127.0.0.1:{server.server_port}/")
    yield server
    server.shutdown()
    server.server_close()


def test_svdb_is_downloaded_as_physionet_has_it(physionet, svdb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    source = find_source("svdb")
    assert "234 files of the MIT-BIH Supraventricular Arrhythmia Database" in capsys.readouterr().out
    assert (str(source.folder), source.database, source.simulated) == ("records/svdb", "svdb", False)
    assert len(source.names) == 78
    for line in (svdb / "SHA256SUMS.txt").read_text().splitlines():
        checksum, name = line.split()
        if name.endswith((".hea", ".atr", ".dat")):
            assert hashlib.sha256((source.folder / name).read_bytes()).hexdigest() == checksum
    physionet.shutdown()
    assert find_source("svdb") == source  # it is there, and nobody is asked


def test_an_address_of_svdb_that_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SVDB_ADDRESS", "physionet.org")
    with pytest.raises(InputError, match=r"SVDB_ADDRESS .*https://physionet\.org/files/svdb/1\.0\.0/"):
        find_source("svdb")


def made_folder(folder, *names):
    folder.mkdir()
    for name in names:
        write_record(folder, name)
    return folder


def test_a_folder_names_its_database(tmp_path, monkeypatch):
    folder = made_folder(tmp_path / "ward 7", "a")
    monkeypatch.chdir(folder)
    for given in (str(folder), ".", f"../{folder.name}/"):
        assert find_source(given).database == "ward 7"
    header = folder / "a.hea"
    header.write_text(f"{header.read_text()}# {command.SIMULATED_NOTICE}\n")
    assert find_source(".").database == "simulated"


def test_records_of_several_sources(tmp_path):
    sources = [find_source(str(made_folder(tmp_path / name, *"ab"[i:], name))) for i, name in enumerate("xy")]
    x, y = sources
    with pytest.raises(InputError, match=r"record b is in .*x and .*y, but"):
        choose_records(sources, None)
    assert choose_records(sources, ["y", "a", "a"]) == {"a": x, "y": y}
    with pytest.raises(InputError, match=r"--records c d: not in .*x, which holds a, b, x; .*y, which"):
        choose_records(sources, ["a", "c", "d"])
    with pytest.raises(InputError, match=r"record b is in .* \(and 1 more are in two\)"):
        choose_records([x, y, x], ["b", "x"])


def test_records_without_annotations(tmp_path):
    source = find_source(str(made_folder(tmp_path / "x", "a", "b", "c")))
    wanted = choose_records([source], None)
    assert choose_annotated(wanted, "atr", skip=False) == wanted
    (source.folder / "a.atr").rename(source.folder / "a.qrs")
    (source.folder / "c.atr").unlink()
    with pytest.raises(InputError, match=r"2 of 3 records \(a\.atr, c\.atr\);.*--annotator.*--skip-unanno"):
        choose_annotated(wanted, "atr", skip=False)
    assert list(choose_annotated(wanted, "atr", skip=True)) == ["b"]
    assert list(choose_annotated(wanted, "qrs", skip=True)) == ["a"]
    with pytest.raises(InputError, match=r"3 of 3 records .*with --annotator$"):
        choose_annotated(wanted, "ecg", skip=True)
