"""Which process of how many this is, where several machines train one network: from the environment alone."""

import os
from dataclasses import dataclass

from ecgbeats.command import InputError

# Keras documents these three (keras.distribution.initialize).
ADDRESSES, NUMBER, ID = (
    f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
)
# What JAX finds by itself: what has to be there, and how many processes there are, and which this is.
_LAUNCHERS = {
    "SLURM": (
        ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID"),
        "SLURM_NTASKS",
        "SLURM_PROCID",
    ),
    "Open MPI": (
        (
            "OMPI_MCA_orte_hnp_uri",
            "OMPI_COMM_WORLD_SIZE",
            "OMPI_COMM_WORLD_RANK",
            "OMPI_COMM_WORLD_LOCAL_RANK",
        ),
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_RANK",
    ),
}
_REMEDY = "see docs/gpus.md, or unset all three to train on this machine alone"


@dataclass(frozen=True)
class Place:
    """A process's place among those that train one network.

    Attributes
    ----------
    processes, process : int
        How many there are, and which this is, from 0.
    address : str or None
        Host and port at which process 0 listens; None where JAX finds it, under ``launcher``.
    launcher : str or None
    """

    processes: int = 1
    process: int = 0
    address: str | None = None
    launcher: str | None = None


def read_place() -> Place:
    """Return this process's place. Raises InputError for values that cannot be."""
    values = {name: os.environ.get(name, "").strip() for name in (ADDRESSES, NUMBER, ID)}
    if not any(values.values()):
        return _read_launcher()
    if values[NUMBER] == "1" and not (values[ADDRESSES] or values[ID]):
        return Place()  # alone, whatever the launcher says
    if missing := [name for name, value in values.items() if not value]:
        raise InputError(f"{' and '.join(missing)} not set, which several machines need; {_REMEDY}")
    processes, process = _number(NUMBER, values[NUMBER], 1), _number(ID, values[ID], 0)
    if process >= processes:
        raise InputError(
            f"{ID}={process}: {processes} processes are numbered 0 to {processes - 1}; {_REMEDY}"
        )
    addresses = values[ADDRESSES].split(",")
    if len(addresses) not in (1, processes):
        raise InputError(
            f"{ADDRESSES} holds {len(addresses)} addresses for {processes} processes; that of process 0 is enough"
        )
    address = addresses[0].strip()
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(
            f"{ADDRESSES}={address}: give the address and a free port of process 0, such as 10.0.0.1:1234; {_REMEDY}"
        )
    if processes > 1 and not _is_jax():
        raise InputError(
            f"{NUMBER}={processes}: several machines train under JAX alone; set KERAS_BACKEND=jax, or unset it"
        )
    return Place(processes, process, address) if processes > 1 else Place()


def _read_launcher() -> Place:
    """Return the place that SLURM or Open MPI gives to a process on JAX, which finds the rest by itself."""
    for launcher, (needed, number, rank) in _LAUNCHERS.items():
        if _is_jax() and all(name in os.environ for name in needed):
            processes = _number(number, os.environ[number], 1)
            if processes > 1:
                return Place(processes, _number(rank, os.environ[rank], 0), launcher=launcher)
    return Place()


def _is_jax() -> bool:
    return os.environ.get("KERAS_BACKEND") == "jax"


def _number(name: str, text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise InputError(f"{name}={text} is not a whole number of at least {least}; {_REMEDY}")
    return int(text)
