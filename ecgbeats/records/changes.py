"""What makes of a record another one before its beats are drawn, so that it works with every drawing."""

from dataclasses import dataclass

from ecgbeats.records.noise import add_noise, as_typed
from ecgbeats.records.record import Record
from ecgbeats.records.rhythms import RHYTHMS


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

    def apply(self, record: Record) -> Record:
        """Return the record changed."""
        if self.rhythm:
            record = RHYTHMS[self.rhythm](record, self.seed)
        if self.noise:
            record = add_noise(record, self.noise, self.seed)
        return record
