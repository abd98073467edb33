"""What the tests share: real records, small data sets, trained runs, and ways to run a command as a user would.

pytest's workers (-n 2) share a folder: what one of them has made there by ``once``, the others find.
"""

import fcntl
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

PROJECT = Path(__file__).resolve().parent.parent
SHARED = PROJECT.parent / "shared"


# By the seconds that they take.
LONG = (
    "test_run_sh.py test_dbc.py test_train_keras.py test_compare_networks.py test_resume.py test_report.py "
    "test_jax.py test_export.py test_networks.py test_make_dataset.py test_model_keras.py test_evaluate_keras.py test_folds.py"
).split()


def pytest_collection_modifyitems(items) -> None:
    """Begin with the long files, so that at the end both workers have short tests to share."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


def pytest_configure(config) -> None:
    """Make what all workers share: a folder, and the server from which tests/forked.py has processes forked."""
    if hasattr(config, "workerinput"):
        return
    os.environ["ECGBEATS_TESTS"] = tempfile.mkdtemp(prefix="ecgbeats-tests-")
    config.fork_server = subprocess.Popen(
        [sys.executable, str(PROJECT / "tests" / "fork_server.py"), os.environ["ECGBEATS_TESTS"]],
        stdout=subprocess.PIPE,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},  # as command.quiet_import has it
    )
    config.fork_server.stdout.readline()


def pytest_unconfigure(config) -> None:
    if hasattr(config, "fork_server"):
        config.fork_server.terminate()
        config.fork_server.wait()
        shutil.rmtree(os.environ["ECGBEATS_TESTS"])


def once(name: str, make: Callable[[Path], object]):
    """Return ``(folder, make(folder))``, made by the first of all workers that asks for it by this name.

    Nobody may change the folder: whoever wants to, copies it. What ``make`` returns can be pickled.
    """
    place = Path(os.environ["ECGBEATS_TESTS"]) / "once" / name
    place.mkdir(parents=True, exist_ok=True)
    folder, answer = place / "made", place / "answer"
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not answer.exists():
            shutil.rmtree(folder, ignore_errors=True)  # by one that failed
            folder.mkdir()
            answer.write_bytes(pickle.dumps(make(folder)))
    return folder, pickle.loads(answer.read_bytes())


@pytest.fixture(scope="session")
def mitdb() -> Path:
    """The 48 real records of the MIT-BIH Arrhythmia Database."""
    return shared("mitdb")


@pytest.fixture(scope="session")
def svdb() -> Path:
    """The 78 real records of the MIT-BIH Supraventricular Arrhythmia Database, with PhysioNet's lists."""
    return shared("svdb")


@pytest.fixture(scope="session")
def cases() -> Path:
    """The first minute of record 208 in many dresses."""
    return shared("cases")


def shared(name: str) -> Path:
    """Return a folder of ../shared, or skip the test without it."""
    if not (SHARED / name).is_dir():
        pytest.skip(f"../shared/{name} is not there")
    return SHARED / name


def run_python(*arguments, cwd=None, env=None, timeout=300) -> subprocess.CompletedProcess:
    """Run Python in a process of its own, without a terminal; ``env`` is beside the test's environment."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **(env or {})},
        check=False,
    )


def start_python(*arguments, **options) -> subprocess.Popen:
    """Start Python in a process of its own, with its output as text; Ctrl-C ends it also where pytest ignores it."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options,
        # A job in the background of a shell ignores SIGINT, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run_command(script: str, *arguments, **options) -> subprocess.CompletedProcess:
    """Run one of the project's scripts, or a module of ecgbeats, as a user would; see run_python."""
    what = [PROJECT / script] if script.endswith(".py") else ["-m", script]
    return run_python(*what, *arguments, **options)


def assert_refused(result: subprocess.CompletedProcess, *words: str) -> None:
    """Assert status 2 and exactly one line on standard error, `error: ...`, that holds the words."""
    assert result.returncode == 2, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: "), result.stderr
    for word in words:
        assert word in lines[0], f"{word!r} is not in: {lines[0]}"


@pytest.fixture(scope="session")
def run():
    """See run_command."""
    return run_command


@pytest.fixture(scope="session")
def refused():
    """See assert_refused."""
    return assert_refused


def make_images(folder: Path, counts: dict[str, int], records: int = 10, seed: int = 0) -> Path:
    """Write random images with a bar whose place tells the class, named as make_dataset.py names them."""
    import cv2

    random = np.random.default_rng(seed)
    for number, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            image = random.integers(200, 256, (128, 128), dtype=np.uint8)
            image[:, 14 * number : 14 * number + 10] = 0
            cv2.imwrite(str(folder / name / f"r{i % records}_{1000 * number + i}.png"), image)
    return folder


@pytest.fixture
def mixed_policy(request):
    """Keras' dtype policy while a test lasts; its name is the parameter."""
    import keras

    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def image_maker():
    """See make_images."""
    return make_images


@pytest.fixture(scope="session")
def small_images() -> Path:
    """A folder of 3 classes that a network tells apart at once, 60 images in 10 records."""
    import trainings

    return trainings.data("small")


@pytest.fixture(scope="session")
def no_keras() -> dict[str, str]:
    """An environment in which whoever imports TensorFlow, Keras or JAX ends at once with status 77."""

    def make(folder):
        for name in ("tensorflow", "keras", "jax"):
            (folder / f"{name}.py").write_text("import os\nos._exit(77)\n")

    return {"PYTHONPATH": str(once("no-keras", make)[0])}
