"""What makes of a record another one before its beats are drawn, so that it works with every drawing."""

from dataclasses import dataclass

from ecgbeats.command import InputError
from ecgbeats.records.noise import add_noise, as_typed
from ecgbeats.records.record import Record
from ecgbeats.records.rhythms import RHYTHMS

# Samples a second. With fewer, the noise's band (MOTION_BAND in noise.py) folds, and within WINDOW of a beat there is no
# other sample to measure its swing by. With fewer than 16, waves of fibrillation fold, and a made cycle may end at its beat.
LOWEST_RATE = 20


@dataclass(frozen=True)
class Changes:
    """What is changed, in the order of the fields.

    Attributes
    ----------
    rhythm : str, optional
        One of RHYTHMS: the beats are others then, and at other places.
    noise : list of float, optional
        The signal-to-noise ratio in decibels, or its lowest and highest: see :func:`add_noise`.
    seed : int
        Of all that is random in the changes.
    """

    rhythm: str | None = None
    noise: list[float] | None = None
    seed: int = 0

    @property
    def words(self) -> str | None:
        """What is made, in words; None for nothing."""
        done = [f"rhythm {self.rhythm}"] if self.rhythm else []
        done += [f"noise at {as_typed(self.noise)} dB"] if self.noise else []
        return ", ".join(done) or None

    def check_rate(self, name: str, rate: float) -> None:
        """Raise InputError where a record of this name and rate has too few samples a second to be changed."""
        if self.words and rate < LOWEST_RATE:
            given = [f"--{option}" for option in ("rhythm", "noise") if getattr(self, option)]
            raise InputError(
                f"record {name} has {rate:g} samples a second, and {self.words} needs {LOWEST_RATE} at least; leave out "
                f"{' and '.join(given)}, or choose other --records"
            )

    def apply(self, record: Record) -> Record:
        """Return the record changed; an empty one stays empty. Raises InputError as :meth:`check_rate` does."""
        self.check_rate(record.name, record.rate)
        if self.rhythm:
            record = RHYTHMS[self.rhythm](record, self.seed)
        if self.noise:
            record = add_noise(record, self.noise, self.seed)
        return record
