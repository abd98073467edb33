"""What a process other than 0 does while several train one network: it follows process 0, and writes nothing.

Imports Keras, as the recorder does.
"""

from pathlib import Path

from ecgbeats.runs.folder import STATE_FILE
from ecgbeats.runs.state import load_state, set_means
from ecgbeats.runs.team import Team

import keras


class Follower(keras.callbacks.Callback):
    """Has Keras do what it does under process 0's Recorder; where that decides, this one asks.

    Parameters
    ----------
    folder : pathlib.Path
        Named in errors alone.
    batches : DataGenerator
        The training batches.
    epochs : int
    limited : bool
        Whether process 0 has a time limit.
    together : Team
    """

    def __init__(self, folder: Path, batches, epochs: int, limited: bool, together: Team):
        super().__init__()
        self.state, self.batches, self.epochs = folder / STATE_FILE, batches, epochs
        self.limited, self.together = limited, together
        self.rows = []  # process 0 has the log
        self._means_before = []

    def restore(self, model) -> tuple[int, int]:
        """Put the state that process 0 has read into the compiled ``model``; return the epoch and the batch to go on with."""
        saved = load_state(self.state, model, self.epochs, len(self.batches), self.together)
        if saved is None:
            return 0, 0
        about, means = saved
        self._means_before = means if about.get("batches") else []
        return len(about["rows"]), about.get("batches", 0)

    def save_network(self) -> None:
        """Leave that to process 0."""

    def on_epoch_begin(self, epoch, logs=None):
        """Turn to this epoch's batches."""
        self.batches.set_epoch(epoch)
        if self._means_before:
            set_means(self.model, self._means_before, self.state)

    def on_train_batch_end(self, batch, logs=None):
        """Stop when process 0 does."""
        if self.limited:
            self.together.decided()

    def on_test_batch_end(self, batch, logs=None):
        """Stop when process 0 does."""
        if self.limited:
            self.together.decided()

    def on_epoch_end(self, epoch, logs=None):
        """Wait until process 0 has saved the epoch."""
        self._means_before = []
        self.batches.set_epoch(epoch + 1)
        self.together.decided()
