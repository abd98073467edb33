"""Trainings of several processes, each as on a machine of its own: all on the loopback address."""

import os
import socket

import forked
from conftest import once

NAMES = [f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")]


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def place(process: int, processes: int, address: str) -> dict[str, str]:
    """Return the environment of a process."""
    return on_jax() | dict(zip(NAMES, (address, str(processes), str(process)), strict=True))


def on_jax() -> dict[str, str]:
    """Return an environment for JAX in which TensorFlow is not installed, which Keras else imports too."""

    def make(folder):
        (folder / "tensorflow.py").write_text("raise ImportError('No module named tensorflow')\n")

    return {"KERAS_BACKEND": "jax", "PYTHONPATH": str(once("no-tensorflow", make)[0])}


def start(
    *arguments, processes: int = 2, own: dict[int, list] | None = None, patches=(), env=None, **options
) -> list[forked.Command]:
    """Start train_keras.py so many times, with ``tiny`` among the networks.

    ``own`` are a process's further arguments; ``patches`` are calls, ``(process or None for all, function, *arguments)``;
    ``env`` returns the environment of a process, instead of the three variables.
    """
    address = f"127.0.0.1:{free_port()}"
    return [
        forked.Command(
            *("train_keras.py", *arguments, *(own or {}).get(process, [])),
            env=env(process) if env else place(process, processes, address),
            tensorflow=False,
            patch=prepare,
            patch_arguments=[call for whose, *call in patches if whose in (None, process)],
            **options,
        )
        for process in range(processes)
    ]


def prepare(*calls) -> None:
    forked.add_networks()
    for function, *arguments in calls:
        function(*arguments)


def end(commands: list[forked.Command]) -> list:
    """Wait for all; return their results. Four processes share two cores, so that may take long."""
    return [command.end(timeout=900) for command in commands]


# -- what tests do to a process --------------------------------------------------------------------------------


def wait_less(seconds: int) -> None:
    """Let processes wait so long for each other."""
    from ecgbeats.runs import team

    team.SECONDS_TO_MEET = seconds


def take_double_precision() -> None:
    """Compute in float64 from the pixels to the logits, and in the loss."""
    os.environ["JAX_ENABLE_X64"] = "1"
    from ecgbeats.runs import devices

    def choose(*_):
        import keras

        keras.config.set_floatx("float64")
        return "float64"

    devices.choose_precision = choose
