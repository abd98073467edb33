"""Two hosts, made of network namespaces, train one network, until the link between them is cut."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time

import machines
import pytest
from conftest import PROJECT
from run_folders import losses

if importlib.util.find_spec("jax") is None:
    pytest.skip("JAX is not installed here (requirements-jax.txt)", allow_module_level=True)


def ip(*words) -> subprocess.CompletedProcess:
    return subprocess.run(["ip", *map(str, words)], capture_output=True, text=True, check=False)


@pytest.fixture
def hosts():
    """Two hosts with an address each and a cable between them: their names and the first one's end of the cable."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and ip (Debian: iproute2)")
    names = [f"ecgbeats-{os.getpid()}-{i}" for i in (1, 2)]
    cable = [f"ecg{os.getpid() % 10**8}{end}" for end in "ab"]
    if (made := ip("netns", "add", names[0])).returncode:
        pytest.skip(f"network namespaces cannot be made here: {made.stderr.strip()}")
    try:
        assert not ip("netns", "add", names[1]).returncode
        assert not ip(
            "link",
            "add",
            cable[0],
            "netns",
            names[0],
            "type",
            "veth",
            "peer",
            "name",
            cable[1],
            "netns",
            names[1],
        ).returncode
        for i, (name, end) in enumerate(zip(names, cable, strict=True)):
            ip("-n", name, "address", "add", f"10.213.7.{i + 1}/24", "dev", end)
            for device in ("lo", end):
                assert not ip("-n", name, "link", "set", device, "up").returncode
        yield names, cable[0]
    finally:
        for name in names:
            ip("netns", "delete", name)


@pytest.mark.slow
def test_a_link_that_is_cut_inside_an_epoch_ends_both(hosts, tmp_path, small_images):
    names, cable = hosts
    words = [sys.executable, PROJECT / "train_keras.py", "--data", small_images, "--output", tmp_path / "run"]
    processes = [
        subprocess.Popen(
            ["ip", "netns", "exec", name, *words, "--epochs", "5000", "--batch-size", "2"],
            env={**os.environ, **machines.place(i, 2, "10.213.7.1:1234")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i, name in enumerate(names)
    ]
    try:
        log = tmp_path / "run" / "log.csv"
        while not (log.exists() and losses(tmp_path / "run")):
            assert [process.poll() for process in processes] == [None, None], [
                p.communicate() for p in processes
            ]
            time.sleep(0.1)
        time.sleep(0.5)
        assert not ip("-n", names[0], "link", "set", cable, "down").returncode
        cut = time.monotonic()
        ended = [process.communicate(timeout=90) for process in processes]
        assert time.monotonic() - cut < 60
    finally:
        for process in processes:
            process.kill()
    for process, (_, said) in zip(processes, ended, strict=True):
        assert process.returncode == 1
        (line,) = said.splitlines()
        assert line.startswith("error: process ")
        assert "another process has ended or cannot be reached" in line
    assert (tmp_path / "run" / "training_state.npz").exists()
