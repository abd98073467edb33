"""--max-hours: whether there is time for one more batch or epoch before a run has to be scored and saved."""

import contextlib
import math
import os
import time

from ecgbeats.command import InputError

# Kept free before the deadline beside the measured times, for what cannot be measured before.
SPARE_SECONDS = 30


def read_start() -> float:
    """Return when the run began, as ``time.time()`` gives it: run.sh counts its own preparations in."""
    text = os.environ.get("RUN_STARTED")
    if not text:
        return time.time()
    with contextlib.suppress(ValueError):
        if math.isfinite(started := float(text)):
            return started
    raise InputError(f"RUN_STARTED={text} is no time in seconds since 1970; unset it")


class TimeIsUp(Exception):
    """Training has to stop here, for scoring and saving to end within --max-hours."""


class TimeLimit:
    """Measures how fast a run is, and raises TimeIsUp when no more fits in.

    Parameters
    ----------
    deadline : float or None
        ``time.time()`` at which the whole run must have ended; None is no limit.
    validated, tested : int
        How many images validation and, after training, scoring predict.
    batch_size : int
        Images a batch.

    Attributes
    ----------
    seconds_to_save : float
        What saving the network and the state takes.
    """

    def __init__(self, deadline: float | None, validated: int, tested: int, batch_size: int):
        self.deadline, self.validated, self.tested, self.batch_size = deadline, validated, tested, batch_size
        self.seconds_to_save = 0.0
        self._seconds_per_evaluated = 0.0
        self._measured = False  # whether that is by a whole validation

    def after_batch(self, batch: int, started: float, share: float) -> None:
        """Raise TimeIsUp if no other batch fits in.

        ``batch`` (from 0) is one of those since ``started``; scoring an image costs ``share`` of one of these.
        """
        if self.deadline is None:
            return
        now = time.time()
        if batch == 0:
            # Compiling the network is in its time, so it tells nothing of the rate.
            self._first_batch_ended = now
            batch_seconds = now - started
        else:
            batch_seconds = (now - self._first_batch_ended) / batch
            if not self._measured:
                self._seconds_per_evaluated = share * batch_seconds / self.batch_size
        if now + batch_seconds + self._seconds_to_end() > self.deadline:
            raise TimeIsUp

    def after_validation(self, seconds: float) -> None:
        """Take the time of a whole validation for the rate of scoring."""
        self._seconds_per_evaluated, self._measured = seconds / self.validated, True

    def before_epoch(self, epoch_seconds: float) -> None:
        """Raise TimeIsUp if an epoch of that length does not fit in: only whole epochs count."""
        if self.deadline is None:
            return
        if time.time() + epoch_seconds + self.seconds_to_save + self._seconds_to_end() > self.deadline:
            raise TimeIsUp

    def _seconds_to_end(self) -> float:
        """Estimate the time from now to the end of a run that stops now: saving and scoring."""
        return 1.25 * (self._seconds_per_evaluated * self.tested + self.seconds_to_save) + SPARE_SECONDS


def duration(seconds: float) -> str:
    """Return a time in words, such as ``2 h 05 min``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
