"""Several machines train one network, under JAX; here they are processes on the loopback address."""

import importlib.util
import shutil
import signal
import time

from ecgbeats.command import InputError
from ecgbeats.runs import guard
from ecgbeats.runs.machines import Place, read_place

import forked
import machines
import numpy as np
import pytest
from conftest import assert_refused
from run_folders import assert_finished, losses, read

from DataGenerator import DataGenerator

if importlib.util.find_spec("jax") is None:
    pytest.skip("JAX is not installed here (requirements-jax.txt)", allow_module_level=True)

TINY = ("--model", "tiny", "--epochs", 3, "--batch-size", 16)
FAST = ("--model", "fast", "--epochs", 3, "--batch-size", 16, "--augment")
LOST = "another process has ended or cannot be reached"


def assert_one_line(result, status: int, *words: str) -> None:
    """Assert that a process ended with this status and one line on standard error, which holds the words."""
    assert result.returncode == status, (result.stdout, result.stderr)
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: "), line
    for word in words:
        assert word in line, f"{word!r} is not in: {line}"


def train_alone(*arguments, patches=()) -> None:
    (result,) = machines.end(
        machines.start(*arguments, processes=1, env=lambda _: machines.on_jax(), patches=patches)
    )
    assert (result.returncode, result.stderr) == (0, "")


def assert_equal_losses(folder, other, tolerance: float) -> None:
    ours, theirs = (np.array(losses(run), float) for run in (folder, other))
    assert len(ours) == 3
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path, small_images):
    """Batches of 18 images of 48: each makes half of every one, the last of 12 and padding."""
    arguments = ("--data", small_images, "--model", "tiny", "--epochs", 3, "--batch-size", 18, "--output")
    both = machines.start(*arguments, tmp_path / "two")
    train_alone(*arguments, tmp_path / "one")
    lead, other = machines.end(both)
    assert (lead.returncode, lead.stderr, other.returncode, other.stderr) == (0, "", 0, "")
    assert_equal_losses(tmp_path / "two", tmp_path / "one", 1e-3)
    assert "for the other process at" in lead.stdout
    assert "in 2 processes, each on cpu:0\n" in lead.stdout
    assert "epoch 3/3" in lead.stdout
    assert "Process 0 scores alone" in lead.stdout
    assert other.stdout.count("\n") == 1  # that it waits
    assert_finished(tmp_path / "two")
    assert len(read(tmp_path / "two", "config.json")["devices"]) == 2


@pytest.mark.slow
def test_four_processes_of_two_devices_train_as_one(tmp_path, small_images):
    arguments = ("--data", small_images, *FAST, "--output")
    four = machines.start(*arguments, tmp_path / "four", "--devices", 2, processes=4)
    train_alone(*arguments, tmp_path / "one")
    assert {result.returncode for result in machines.end(four)} == {0}
    assert len(read(tmp_path / "four", "config.json")["devices"]) == 8
    assert_equal_losses(tmp_path / "four", tmp_path / "one", 1e-3)


@pytest.mark.slow
def test_losses_are_those_of_one_process_but_for_rounding(tmp_path, small_images):
    options = {"patches": [(None, machines.take_double_precision)]}
    arguments = ("--data", small_images, *FAST, "--output")
    both = machines.start(*arguments, tmp_path / "two", **options)
    train_alone(*arguments, tmp_path / "one", **options)
    assert {result.returncode for result in machines.end(both)} == {0}
    assert_equal_losses(tmp_path / "two", tmp_path / "one", 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_dies_ends_the_other_and_one_or_two_go_on(victim, tmp_path, small_images):
    arguments = ("--data", small_images, *FAST, "--resume", "--output")
    train_alone(*arguments, tmp_path / "unbroken")
    commands = machines.start(*arguments, tmp_path / "run", patches=[(victim, forked.die_at_batch, 2, 1)])
    assert_one_line(machines.end(commands[victim : victim + 1])[0], 1, "training was killed")
    died = time.monotonic()
    assert_one_line(commands[1 - victim].end(), 1, f"process {1 - victim}: {LOST}", "--resume")
    assert time.monotonic() - died < 60
    assert len(losses(tmp_path / "run")) == 2
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    train_alone(*arguments, tmp_path / "run")
    assert_equal_losses(tmp_path / "run", tmp_path / "unbroken", 1e-3)
    assert {result.returncode for result in machines.end(machines.start(*arguments, tmp_path / "copy"))} == {
        0
    }
    assert_equal_losses(tmp_path / "copy", tmp_path / "unbroken", 1e-3)
    assert_finished(tmp_path / "copy")


@pytest.mark.slow
def test_a_run_of_one_goes_on_with_two_inside_an_epoch(tmp_path, small_images):
    arguments = ("--data", small_images, *FAST, "--resume", "--output")
    train_alone(*arguments, tmp_path / "unbroken")
    (result,) = machines.end(
        machines.start(
            *arguments,
            tmp_path / "run",
            processes=1,
            env=lambda _: machines.on_jax(),
            patches=[(None, forked.die_inside_an_epoch, 2)],
        )
    )
    assert result.returncode == -signal.SIGKILL
    lead, other = machines.end(machines.start(*arguments, tmp_path / "run"))
    assert (lead.returncode, other.returncode) == (0, 0), (lead.stderr, other.stderr)
    assert "going on in epoch 1, after 2 of 3 batches" in lead.stdout
    assert_equal_losses(tmp_path / "run", tmp_path / "unbroken", 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_one_ends_both(number, status, tmp_path, small_images):
    commands = machines.start(
        *("--data", small_images, *TINY, "--output", tmp_path / "run"),
        patches=[(None, forked.slow_batches, 0.5)],
    )
    wait_for(tmp_path / "run" / "log.csv", commands)
    commands[1].kill(number)
    (other,) = machines.end(commands[1:])
    ended = time.monotonic()
    assert (other.returncode, other.stderr) == (status, "")
    assert_one_line(commands[0].end(), 1, LOST)
    assert time.monotonic() - ended < 60


def wait_for(path, commands) -> None:
    while not path.exists():
        assert all(command.is_running() for command in commands)
        time.sleep(0.1)


@pytest.mark.slow
def test_a_time_limit_ends_both(tmp_path, small_images):
    arguments = ("--data", small_images, *TINY, "--output", tmp_path / "run", "--epochs", 100)
    # Process 1's own limit does not count.
    own = {0: ["--max-hours", 0.001], 1: ["--max-hours", 5]}
    lead, other = machines.end(machines.start(*arguments, own=own))
    assert (lead.returncode, other.returncode) == (0, 0), (lead.stderr, other.stderr)
    assert read(tmp_path / "run", "metrics.json")["stopped_early"] is True


@pytest.mark.slow
def test_what_one_process_refuses_ends_both(tmp_path, small_images):
    arguments = ("--data", small_images, *TINY, "--output")
    (tmp_path / "held").mkdir()
    (tmp_path / "held" / "log.csv").touch()
    lead, other = machines.end(machines.start(*arguments, tmp_path / "held"))
    assert_refused(lead, f"{tmp_path / 'held'} holds a run")
    assert "process 0 refused" not in lead.stderr
    assert_refused(other, "process 0 refused: ", "holds a run")

    # What the others write is nothing, so process 1's folder may hold a run; its images are another's.
    own = {0: [tmp_path / "new"], 1: [tmp_path / "held", "--data", tmp_path / "none"]}
    lead, other = machines.end(machines.start(*arguments, own=own))
    assert_refused(other, "none")
    assert_refused(lead, "process 1 refused: ", "none")
    assert not (tmp_path / "new").exists()

    lead, other = machines.end(machines.start(*arguments, tmp_path / "new", own={1: ["--seed", 5]}))
    assert_refused(other, "process 1 has another --seed than process 0 (5, not 0)")
    assert_refused(lead, "process 1 refused: ", "--seed")
    lead, other = machines.end(machines.start(*arguments, tmp_path / "new", own={0: ["--model", "none"]}))
    assert_refused(lead, "--model none")
    assert_refused(other, "process 0 refused: ", "--model none")


@pytest.mark.slow
@pytest.mark.parametrize("process", [0, 1])
def test_a_process_that_starts_alone_says_for_what_it_waits(process, tmp_path, small_images):
    address = f"127.0.0.1:{machines.free_port()}"
    (result,) = machines.end(
        machines.start(
            *("--data", small_images, *TINY, "--output", tmp_path / "run"),
            processes=1,
            env=lambda _: machines.place(process, 3, address),
            patches=[(None, machines.wait_less, 6)],
        )
    )
    whom = "process 0" if process else "the 2 other processes"
    assert_one_line(result, 1, f"process {process} of 3", f"for {whom} at {address}")
    assert f"waits at most 0 minutes for {whom}" in result.stdout
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_slurm_says_is_enough(tmp_path, small_images):
    def env(process):
        return machines.on_jax() | {
            "SLURM_JOB_ID": "7",
            "SLURM_STEP_NODELIST": "localhost",
            "SLURM_NTASKS": "2",
            "SLURM_PROCID": str(process),
            "SLURM_LOCALID": str(process),
            "JAX_COORDINATOR_PORT": str(port),
        }

    port = machines.free_port()
    arguments = ("--data", small_images, *TINY, "--output", tmp_path / "run")
    results = machines.end(machines.start(*arguments, env=env))
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 2
    assert len(read(tmp_path / "run", "config.json")["devices"]) == 2


@pytest.mark.parametrize(
    ("problem", "lost"),
    [
        (ValueError("UNKNOWN: Gloo AllGather failed: Connection reset by peer"), True),
        (RuntimeError("UNAVAILABLE: Socket closed"), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), False),
        (InputError("--data Gloo : no such folder"), False),
    ],
)
def test_an_error_says_whether_another_process_is_gone(problem, lost):
    assert guard._lost_others(problem) == lost


def test_wrong_variables_are_refused_before_anything_is_imported(run, no_keras, tmp_path):
    env = machines.place(2, 2, "127.0.0.1:1234") | no_keras
    result = run("train_keras.py", "--data", "x", "--output", tmp_path / "run", env=env)
    assert_refused(result, "KERAS_DISTRIBUTION_PROCESS_ID=2", "numbered 0 to 1")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (("127.0.0.1", "2", "0"), "a free port"),
        (("127.0.0.1:0", "2", "0"), "a free port"),
        ((":1234", "2", "0"), "a free port"),
        (("a:1,b:1", "3", "0"), "2 addresses for 3 processes"),
        (("a:1", "2", "-1"), "PROCESS_ID=-1"),
        (("a:1", "0", "0"), "NUM_PROCESSES=0"),
        (("a:1", "two", "0"), "NUM_PROCESSES=two"),
        (("", "2", "0"), "JOB_ADDRESSES not set"),
        (("a:1", "", ""), "NUM_PROCESSES and KERAS_DISTRIBUTION_PROCESS_ID not set"),
    ],
)
def test_values_that_cannot_be_are_refused(values, words, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    for name, value in zip(machines.NAMES, values, strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=words):
        read_place()


def test_the_place_of_a_process(monkeypatch):
    assert read_place() == Place()
    for name, value in machines.place(1, 2, "a:1,b:2").items():
        monkeypatch.setenv(name, value)
    assert read_place() == Place(2, 1, "a:1")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(InputError, match="KERAS_BACKEND=jax"):
        read_place()


@pytest.mark.parametrize("processes", [2, 3])
def test_the_parts_of_a_batch_make_up_the_whole(processes, small_images):
    options = {"batch_size": 14, "augment": True, "shift": 3, "balance": 0.5, "seed": 4, "devices": 6}
    whole = DataGenerator(small_images, **options)
    parts = [DataGenerator(small_images, **options, part=(i, processes)) for i in range(processes)]
    for batch in (0, len(whole) - 1):  # 18 of 14 images, and of 4
        pieces = [part[batch] for part in parts]
        for i, array in enumerate(whole[batch]):
            np.testing.assert_array_equal(np.concatenate([piece[i] for piece in pieces]), array)
    with pytest.raises(ValueError, match="part"):
        DataGenerator(small_images, devices=2, part=(0, 3))
