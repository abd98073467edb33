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
