"""The processes that train one network together: how they meet, agree, and refuse in one line each.

Process 0 alone reads and writes the run folder. What it finds there reaches the others through the key-value store of
JAX's coordination service, in which a process can wait for as long as another one works; arrays go from device to device.
"""

import contextlib
import functools
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator

from ecgbeats.command import InputError, quiet_import
from ecgbeats.runs import guard
from ecgbeats.runs.machines import ADDRESSES, Place, read_place
from ecgbeats.runs.time_limit import TimeIsUp

import numpy as np

SECONDS_TO_MEET = 120
# After which a process that is silent is taken for dead. JAX looks for it every few seconds: all know within a minute.
SECONDS_OF_SILENCE = 30
# To hear that another process refused, and to end together.
_SECONDS_TO_PART = 20
_FOREVER = 1000 * 3600 * 24 * 365  # milliseconds; a process that is dead ends the waiting


@contextlib.contextmanager
def team() -> Iterator["Team"]:
    """Yield the processes that train together, by the environment: this one alone, or several, which part at the end."""
    together = Team(read_place())
    yield together
    together.part()


class Team:
    """Several processes that do the same in the same order, or one alone, which need not ask anybody.

    Parameters
    ----------
    place : Place

    Attributes
    ----------
    processes, process : int
        How many there are, and which this is, from 0.
    leads : bool
        Whether this is process 0.
    """

    def __init__(self, place: Place):
        self.place, self.processes, self.process = place, place.processes, place.process
        self.leads = self.process == 0
        self._client = None
        self._asked = 0

    def checked(self, check: Callable[[], object]):
        """Return what ``check`` returns here, once no process's has raised InputError; else all end."""
        if self.processes == 1:
            return check()
        problem, value = None, None
        try:
            value = check()
        except InputError as raised:
            problem = str(raised)
        # Who knows already that it refuses does not wait long to tell.
        self._meet(_SECONDS_TO_PART if problem else SECONDS_TO_MEET, problem)
        self._asked += 1
        self._set(f"{self._asked}/{self.process}", problem)
        answers = [self._get(f"{self._asked}/{process}") for process in range(self.processes)]
        if problem:
            self._refuse(problem)
        for process, answer in enumerate(answers):
            if answer:
                self._refuse(f"process {process} refused: {answer}")
        return value

    def first(self, do: Callable[[], object]):
        """Return what ``do`` returns in process 0, where alone it is called: what JSON holds.

        If it raises InputError, or TimeIsUp, all end, or stop.
        """
        if self.processes == 1:
            return do()
        self._meet(SECONDS_TO_MEET)
        self._asked += 1
        if self.leads:
            try:
                answer = {"value": do()}
            except InputError as raised:
                answer = {"refused": str(raised)}
            except TimeIsUp:
                answer = {"time": "is up"}
            self._set(self._asked, answer)
        else:
            answer = self._get(self._asked)
        if "time" in answer:
            raise TimeIsUp
        if "refused" in answer:
            self._refuse(answer["refused"] if self.leads else f"process 0 refused: {answer['refused']}")
        return answer["value"]

    def check_same(self, values: dict[str, object]) -> None:
        """Let all end unless each process has the values of process 0; the names are for the user."""

        def check():
            for name, value in values.items():
                if value != theirs[name]:
                    raise InputError(
                        f"process {self.process} has another {name} than process 0 ({value}, not {theirs[name]}); "
                        "start all with the same command and the same images"
                    )

        theirs = self.first(lambda: values)
        self.checked(check)

    def share(self, arrays: list[np.ndarray], like: list) -> list[np.ndarray]:
        """Return the arrays of process 0; the shapes and dtypes of ``like`` (Keras' variables) are theirs."""
        if self.processes == 1:
            return arrays
        import keras
        from jax.experimental.multihost_utils import broadcast_one_to_all

        shared = []
        for i, variable in enumerate(like):
            dtype = keras.backend.standardize_dtype(variable.dtype)
            mine = arrays[i].astype(dtype) if self.leads else np.zeros(variable.shape, dtype)
            shared.append(np.asarray(broadcast_one_to_all(mine)))
        return shared

    def part(self) -> None:
        """End together, the work being done."""
        if self._client is None:
            return
        import jax

        guard.say(end="", status=0)
        jax.distributed.shutdown()

    def decided(self, decide: Callable[[], object] | None = None) -> None:
        """Go on as process 0 decides: its ``decide`` may raise InputError or TimeIsUp."""
        self.first(lambda: decide() and None)

    # -- how ---------------------------------------------------------------------------------------------------

    def _meet(self, seconds: int, problem: str | None = None) -> None:
        """Connect with the others, if that is not done; ``problem`` is what to say if nobody comes."""
        if self._client is not None:
            return
        place = self.place
        where = f" at {place.address}" if place.address else f" under {place.launcher}"
        count = self.processes - 1
        others = "process 0"
        if self.leads:
            others = "the other process" if count == 1 else f"the {count} other processes"
        who = f"process {self.process} of {self.processes} (numbered from 0)"
        if problem:
            guard.say(end=problem, status=2)
        else:
            print(f"{who} waits at most {seconds // 60} minutes for {others}{where}", flush=True)
            guard.say(
                lost=f"{who} could not join the others{where}: another has the same number, or ended at once; see its line",
                late=f"{who} waited {seconds // 60} minutes for {others}{where}; start all within that time, with "
                "the same address, at which every machine reaches process 0",
                at=time.time() + seconds - 5,
            )
        self._client = _connect(place, seconds)
        if not self.leads:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        if not problem:
            guard.say(
                lost=f"process {self.process}: another process has ended or cannot be reached any more; see what it "
                "says, and go on with --resume"
            )

    def _set(self, key, value) -> None:
        self._client.key_value_set(f"ecgbeats/{key}", json.dumps(value))

    def _get(self, key):
        return json.loads(self._client.blocking_key_value_get(f"ecgbeats/{key}", _FOREVER))

    def _refuse(self, line: str) -> None:
        """End with this line and status 2, once all know theirs."""
        guard.say(end=line, status=2)
        with contextlib.suppress(Exception):  # whoever is gone knows its own
            self._client.wait_at_barrier("refused", _SECONDS_TO_PART * 1000)
        raise SystemExit(2)


def _connect(place: Place, seconds: int):
    """Start JAX's distributed runtime; return its client."""
    with quiet_import():
        import jax
        from jax._src import distributed  # the client of the key-value store has no public name
        from jax._src.lib import _jax
    # JAX would take SIGTERM for itself.
    jax.config.update("jax_enable_preemption_service", False)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    here = {
        "coordinator_address": place.address,
        "num_processes": place.processes,
        "process_id": place.process,
    }
    try:
        jax.distributed.initialize(
            **here | {"cluster_detection_method": "deactivate"} if place.address else {},
            initialization_timeout=seconds,
            heartbeat_timeout_seconds=SECONDS_OF_SILENCE,
            shutdown_timeout_seconds=_SECONDS_TO_PART,
        )
    except Exception as problem:  # where it does not come in time, JAX aborts
        if place.process or not place.address:
            raise
        raise InputError(
            f"{ADDRESSES}={place.address}: process 0 cannot listen at that port; give one that is free"
        ) from problem
    state = distributed.global_state
    # JAX gives Gloo no address, and Gloo takes the host name's, which on many machines is 127.0.1.1.
    _jax.make_gloo_tcp_collectives = functools.partial(
        _jax.make_gloo_tcp_collectives, hostname=_own_address(state.coordinator_address)
    )
    return state.client


def _own_address(other: str) -> str:
    """Return the address from which this machine reaches ``other``, a host and port; nothing is sent."""
    host, _, port = other.rpartition(":")
    family, kind, protocol, _, address = socket.getaddrinfo(
        host.strip("[]"), int(port), type=socket.SOCK_DGRAM
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(address)
        return probe.getsockname()[0]


ALONE = Team(Place())
