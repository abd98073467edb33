"""What a row of log.csv holds: an epoch of a run."""

from typing import Annotated, TypedDict

from ecgbeats.reading import AtLeastOne, Share

from msgspec import Meta

AtLeastZero = Annotated[float, Meta(ge=0)]


class Row(TypedDict):
    """An epoch: the columns of log.csv in their order."""

    epoch: AtLeastOne
    loss: float
    accuracy: Share
    val_loss: float
    val_accuracy: Share
    learning_rate: AtLeastZero
    seconds: AtLeastZero
    images_per_second: AtLeastZero


def kept_epoch(rows: list[Row], keep: str) -> int | None:
    """Return the epoch whose network best.keras is, by --keep: "best" or "last"; None where none has ended."""
    if not rows:
        return None
    return (rows[-1] if keep == "last" else min(rows, key=lambda row: row["val_loss"]))["epoch"]
