"""Where results may go: odd names, mounts, the current folder, two processes at once; and machines that lack something."""

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import process
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.folders import UNFINISHED, alone, whole_folder
from ecgbeats.images.folder import Images
from ecgbeats.reading import read_json

import pytest
from conftest import PROJECT

MAKE = PROJECT / "make_dataset.py"
FEW = ["--records", "100", "--limit", "3"]
MADE = ["APC", "NOR", "PVC", "dataset.json", "preview.png"]


def run_words(words, **options):
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, **options)


def make(mitdb, output, *more, **options):
    return run_words([sys.executable, MAKE, mitdb, "--output", output, *FEW, *more], **options)


def as_root(script: str):
    """Run a shell script where mounts concern nobody else, or skip."""
    if os.geteuid() != 0 or run_words(["unshare", "-m", "true"]).returncode:
        pytest.skip("only root may mount")
    return run_words(["unshare", "-m", "sh", "-ec", script])


def obeying_modes(*words):
    """Run a command that obeys the modes of files, which root does not, or skip."""
    drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if drop and run_words([*drop, "true"]).returncode:
        pytest.skip("no setpriv here")
    return run_words([*drop, *words])


def listing(folder) -> list[str]:
    return sorted(os.listdir(folder))


EMPTY = {
    "make_dataset.py": [["records", "--output", ""], ["", "--output", "out"]],
    "train_keras.py": [["--data", "data", "--output", ""], ["--data", "", "--output", "out"]],
    "evaluate_keras.py": [
        ["a.keras", "--data", "data", "--output", ""],
        ["", "--data", "d", "--output", "out"],
    ],
    "compare_networks.py": [["--data", "data", "--output", ""]],
    "plot_logs.py": [["log.csv", "--output", ""]],
}


@pytest.mark.parametrize(("script", "words"), [(s, w) for s, words in EMPTY.items() for w in words])
def test_an_empty_name_is_not_the_current_folder(tmp_path, run, refused, script, words):
    refused(run(script, *words, cwd=tmp_path), "empty")
    assert listing(tmp_path) == []


@pytest.mark.parametrize("script", EMPTY)
def test_two_dashes_are_no_value(tmp_path, run, refused, script):
    option = "--seed" if script in ("make_dataset.py", "train_keras.py") else "--output"
    words = EMPTY[script][0][:-1]
    refused(run(script, *words, "out", f"{option}=--", cwd=tmp_path), option)
    assert listing(tmp_path) == []


NAMES = {"no UTF-8": b"o\xff", "255": b"n" * 255, "255, Chinese": "心".encode() * 85}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_a_folder_may_have(mitdb, tmp_path, name):
    output = tmp_path / os.fsdecode(NAMES[name])
    for words in ("7 images of 1 record in", "nothing to do"):
        result = make(mitdb, output)
        assert (result.returncode, result.stderr) == (0, "")
        assert words in result.stdout
    assert listing(tmp_path) == [output.name]
    assert len(Images(output)) == 7


def test_a_source_whose_name_is_no_utf8(mitdb, tmp_path):
    source = tmp_path / os.fsdecode(b"s\xff")
    source.symlink_to(mitdb)
    for words in ("7 images of 1 record in", "nothing to do"):
        assert words in make(source, tmp_path / "out").stdout


def test_json_of_any_path_can_be_read_again(tmp_path):
    command.write_json(tmp_path / "a.json", {"path": os.fsdecode(b"a\xff"), "class": "心"})
    assert read_json(tmp_path / "a.json", dict, "") == {"path": "a?", "class": "心"}
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["path"] == "a?"


def test_a_folder_of_two_thousand_levels(mitdb, tmp_path):
    deep = Path(*["d"] * ((4096 - len(str(tmp_path)) - 100) // 2))
    result = make(mitdb, tmp_path / deep)
    assert len(list((tmp_path / deep).glob("NOR/*.png"))) == 3
    run_words(["rm", "-r", tmp_path / "d"])  # pytest would call itself for each level
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", ["n" * 256, "n" * 300, "/".join("d" * 2100), "/".join(["n" * 250] * 20)])
@pytest.mark.parametrize("script", ["make_dataset.py", "train_keras.py"])
def test_a_longer_name_or_path_is_refused(tmp_path, run, refused, script, name):
    words = ["."] if script == "make_dataset.py" else ["--data", "."]
    refused(run(script, *words, "--output", tmp_path / name), "--output", "too long")
    assert listing(tmp_path) == []


def test_a_figure_of_a_long_name(tmp_path, run):
    (tmp_path / "log.csv").write_text("epoch,loss\n1,0.5\n2,0.4\n")
    result = run("plot_logs.py", tmp_path / "log.csv", "--output", tmp_path / ("n" * 250 + ".png"))
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("kind", ["link", "dot", "empty"])
def test_an_empty_folder_is_filled(mitdb, tmp_path, kind):
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o750)
    (tmp_path / "link").symlink_to("place")
    output = {"link": tmp_path / "link", "dot": ".", "empty": place}[kind]
    result = make(mitdb, output, cwd=place)
    assert (result.returncode, result.stderr) == (0, "")
    assert listing(place) == MADE
    assert listing(tmp_path) == ["link", "place"]
    assert os.readlink(tmp_path / "link") == "place"
    assert "nothing to do" in make(mitdb, output, cwd=place).stdout


@pytest.mark.parametrize("mount", ["mount -t tmpfs none place", "mount --bind place place"])
def test_a_mount_is_filled_in_place(mitdb, tmp_path, mount):
    (tmp_path / "place").mkdir()
    words = shlex.join(map(str, [sys.executable, MAKE, mitdb, "--output", "place", *FEW]))
    result = as_root(f"cd {tmp_path}; {mount}; {words}; ls place; {words}; ls -a .")
    assert (result.returncode, result.stderr) == (0, "")
    assert "\n".join(MADE) in result.stdout
    assert "nothing to do" in result.stdout
    assert ".place" not in result.stdout


def test_a_folder_below_one_that_may_not_be_written_to(mitdb, tmp_path):
    (tmp_path / "above" / "place").mkdir(parents=True)
    (tmp_path / "above").chmod(0o555)
    words = [sys.executable, MAKE, mitdb, *FEW, "--output"]
    try:
        result = obeying_modes(*words, tmp_path / "above" / "place")
        assert (result.returncode, result.stderr) == (0, "")
        assert listing(tmp_path / "above" / "place") == MADE
        result = obeying_modes(*words, tmp_path / "above" / "other")
    finally:
        (tmp_path / "above").chmod(0o755)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: --output {tmp_path}/above/other: no permission to write to")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""  # nothing was drawn
    assert listing(tmp_path / "above") == ["place"]


@pytest.mark.parametrize("what", [".hea", ".atr", ".dat", ""])
def test_records_that_may_not_be_read_are_bad_input(mitdb, tmp_path, what):
    source = tmp_path / "records"
    source.mkdir()
    for suffix in (".hea", ".atr", ".dat"):
        (source / f"100{suffix}").write_bytes((mitdb / f"100{suffix}").read_bytes())
    locked = source / f"100{what}" if what else source
    locked.chmod(0)
    result = obeying_modes(sys.executable, MAKE, source, "--output", tmp_path / "out")
    locked.chmod(0o700)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {locked} cannot be read (Permission denied)")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("what", ["NOR", "NOR/r0_0.png", ""])
def test_images_that_may_not_be_read_are_bad_input(image_maker, tmp_path, what):
    data = image_maker(tmp_path / "data", {"NOR": 3, "PVC": 3})
    (data / what).chmod(0)
    try:
        result = obeying_modes(
            sys.executable, PROJECT / "train_keras.py", "--data", data, "--output", tmp_path / "o"
        )
    finally:
        (data / what).chmod(0o700)
    assert result.returncode == 2
    assert "Permission denied" in result.stderr
    assert what in result.stderr
    assert result.stderr.count("\n") == 1


def start(mitdb, output, *more, **options):
    words = [sys.executable, MAKE, mitdb, "--output", output, *more]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def wait_for_images(process_, folder, pattern):
    while not list(folder.glob(pattern)):
        time.sleep(0.02)
        assert process_.poll() is None


def test_what_was_killed_in_place_is_unfinished_and_begun_again(mitdb, tmp_path, run, refused):
    killed = start(mitdb, ".", cwd=tmp_path)
    wait_for_images(killed, tmp_path, "NOR/*.png")
    refused(make(mitdb, ".", cwd=tmp_path), "another process")
    killed.kill()
    killed.communicate(timeout=60)
    assert (tmp_path / UNFINISHED).exists()
    with pytest.raises(InputError, match=r"not whole.*make the data set again"):
        Images(tmp_path)
    result = make(mitdb, ".", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert listing(tmp_path) == MADE
    assert len(Images(tmp_path)) == 7


def test_what_is_ended_in_place_leaves_the_folder_as_it_was(mitdb, tmp_path):
    ended = start(mitdb, ".", cwd=tmp_path)
    wait_for_images(ended, tmp_path, "NOR/*.png")
    ended.send_signal(signal.SIGTERM)
    assert ended.communicate(timeout=60)[1] == ""
    assert ended.returncode == 143
    assert listing(tmp_path) == []


def test_the_second_of_two_says_that_another_is_at_work(mitdb, tmp_path, refused):
    first = start(mitdb, tmp_path / "data", "--records", "100", "207", "--jobs", "1")
    wait_for_images(first, tmp_path, ".data.partial-*/NOR/*.png")
    first.send_signal(signal.SIGSTOP)
    refused(make(mitdb, tmp_path / "data"), str(tmp_path / "data"), "another process")
    first.send_signal(signal.SIGCONT)
    assert first.communicate(timeout=120)[1] == ""
    assert first.returncode == 0
    assert listing(tmp_path) == ["data"]


def test_a_place_that_somebody_fills_meanwhile_is_left_alone(tmp_path):
    with pytest.raises(InputError, match="meanwhile"), whole_folder(tmp_path / "data") as folder:
        (folder / "mine").write_text("")
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "theirs").write_text("")
    assert listing(tmp_path) == ["data"]
    assert listing(tmp_path / "data") == ["theirs"]


def test_a_folder_that_holds_something_is_not_filled(tmp_path):
    (tmp_path / "theirs").write_text("")
    with pytest.raises(InputError, match="not empty"), whole_folder(tmp_path):
        pytest.fail("it was filled")
    assert listing(tmp_path) == ["theirs"]


def test_a_lock_ends_with_its_process(tmp_path):
    program = f"import sys, time; sys.path.insert(0, {str(PROJECT)!r})\nfrom ecgbeats.folders import alone\n"
    program += "with alone(sys.argv[1], 'no'):\n    print('held', flush=True)\n    time.sleep(60)\n"
    holder = subprocess.Popen([sys.executable, "-c", program, tmp_path / "lock"], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(InputError, match="busy"), alone(tmp_path / "lock", "busy"):
        pytest.fail("two hold it")
    holder.kill()
    holder.communicate()
    with alone(tmp_path / "lock", "busy"), pytest.raises(InputError), alone(tmp_path / "lock", "busy"):
        pytest.fail("two hold it")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_a_disk_without_locks_will_do(tmp_path, monkeypatch, number):
    import fcntl

    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with whole_folder(tmp_path / "a") as folder:
        (folder / "file").write_text("")
    assert listing(tmp_path / "a") == ["file"]


@pytest.mark.parametrize(
    "how", ["mount -t tmpfs -o ro none /dev/shm", "mount -t tmpfs none /dev; mknod /dev/null c 1 3"]
)
def test_data_is_made_without_shared_memory(mitdb, tmp_path, how):
    words = shlex.join(map(str, [sys.executable, MAKE, mitdb, "--output", tmp_path / "data", *FEW]))
    result = as_root(f"{how}; mknod /dev/urandom c 1 9 2>/dev/null || true; {words}")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("No processes can be started") == 1
    assert listing(tmp_path / "data") == MADE


@pytest.mark.parametrize("files", [10, 12])
def test_data_is_made_with_few_open_files(mitdb, tmp_path, files):
    words = shlex.join(
        map(str, [sys.executable, MAKE, mitdb, "--output", tmp_path / "data", *FEW, "--jobs", "2"])
    )
    result = run_words(["bash", "-c", f"ulimit -n {files}; exec {words}"])
    if result.returncode:  # some libraries cannot do with so few
        assert result.returncode == 2
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        assert listing(tmp_path) == []
    else:
        assert result.stderr == ""
        assert listing(tmp_path / "data") == MADE


CHECK = """
import sys
from ecgbeats.images import folder
from ecgbeats.images.folder import Images

folder._MANY_IMAGES, folder._CHUNK = 20, 7


def main(_):
    images = Images(sys.argv[1])
    print(images.check(3), images.gather(range(len(images))).sum())


folder.command.run(main)
"""


def test_images_are_checked_without_shared_memory(small_images):
    words = shlex.join([sys.executable, "-c", CHECK, str(small_images)])
    environment = f"cd {shlex.quote(str(PROJECT))}; mount -t tmpfs -o ro none /dev/shm"
    result = as_root(f"{environment}; {words}")
    assert (result.returncode, result.stderr) == (0, "")
    with_processes = run_words([sys.executable, "-c", CHECK, str(small_images)], cwd=PROJECT)
    assert "No processes" not in with_processes.stdout
    said, *same = result.stdout.splitlines()
    assert said.startswith("No processes can be started")
    assert same == with_processes.stdout.splitlines()


def test_processes_that_have_started_are_ended_where_not_all_can(monkeypatch, capsys):
    import multiprocessing

    begun = []
    start_ = multiprocessing.context.ForkProcess.start

    def start_one(self):
        if begun:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        begun.append(self)
        start_(self)

    monkeypatch.setattr(process.mp.context.ForkProcess, "start", start_one)
    assert command.process_pool(3, command.start_worker) is None
    assert "No processes can be started" in capsys.readouterr().out
    begun[0].join(10)
    assert begun[0].exitcode is not None
