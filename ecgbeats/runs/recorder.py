"""What a training run writes when an epoch ends, so that nothing is lost when it is stopped.

After each epoch the run folder holds the best network so far, the training state, the log and the loss plot,
each of them whole at every moment (command.whole_file). In long epochs the state is saved inside them too. Keras' own BackupAndRestore and ModelCheckpoint are
not used: they leave out Dropout's random state, do not write atomically, and CSVLogger cannot go back.

Imports Keras, so train_keras.py imports this after the options and data are checked.
"""

import csv
import io
import math
import time
from collections.abc import Callable
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.process import terminal
from ecgbeats.runs.devices import undistributed
from ecgbeats.runs.folder import STATE_FILE
from ecgbeats.runs.networks import save_model
from ecgbeats.runs.row import Row
from ecgbeats.runs.state import load_state, save_state, set_means
from ecgbeats.runs.team import ALONE, Team
from ecgbeats.runs.time_limit import TimeIsUp, TimeLimit, duration

import keras

# How often the state is saved inside an epoch. One of the paper's network takes hours on two cores.
SECONDS_BETWEEN_STATES = 20 * 60


class Recorder(keras.callbacks.Callback):
    """Log, save and report each epoch; keep what an unbroken run would have.

    Parameters
    ----------
    folder : pathlib.Path
        The run folder.
    classes : list of str
    batches : DataGenerator
        The training batches; their epoch is set here, since Keras calls ``on_epoch_end`` at other times too.
    schedule : callable
        Gives the learning rate of a step (from 0).
    epochs : int
        How many there are in all.
    limit : TimeLimit
    draw : callable
        Called without arguments when the log has changed, to draw it.
    keep : str
        What best.keras is: "best", the network of the lowest validation loss, or "last", that of the last epoch.
    drawing : str, optional
        How the images are drawn, where it is known.
    together : Team
        The processes that train; this is process 0, and the others have a Follower, which goes on as this one does.

    Attributes
    ----------
    rows : list of dict
        The log: one Row for each epoch that has ended.
    best : float
        The lowest validation loss so far.
    """

    def __init__(
        self,
        folder: Path,
        classes: list[str],
        batches,
        schedule,
        epochs: int,
        limit: TimeLimit,
        draw: Callable[[], object],
        keep: str = "best",
        drawing: str | None = None,
        together: Team = ALONE,
    ):
        super().__init__()
        self.together = together
        self.folder, self.classes, self.batches, self.epochs = folder, classes, batches, epochs
        self.schedule, self.limit, self.draw, self.keep = schedule, limit, draw, keep
        self.drawing = drawing
        self.rows = []
        self.best = math.inf
        self._bar = None
        # Of an epoch that was broken off: batches done, seconds spent, and the running means by then.
        self._batches_before, self._seconds_before, self._means_before = 0, 0.0, []

    def restore(self, model) -> tuple[int, int]:
        """Put a saved state into the compiled ``model``; return the epoch and the batch to go on with (from 0).

        Without a saved state both are 0. Raises InputError if the state is broken or of another network.
        """
        saved = load_state(self.folder / STATE_FILE, model, self.epochs, len(self.batches), self.together)
        if saved is None:
            return 0, 0
        about, means = saved
        self.rows = about["rows"]
        self.best = math.inf if about["best"] is None else about["best"]
        if about.get("batches"):
            self._batches_before, self._seconds_before = about["batches"], about["seconds"]
            self._means_before = means
        # The state is written before the log, so after a kill between the two the log and plot lack its last row.
        self._write_log()
        if self.rows:
            self.draw()
        return len(self.rows), self._batches_before

    def save_network(self) -> None:
        """Write best.keras as the network is now."""
        # On JAX, Keras attaches the trained state only to the network that a callback is asked for.
        network = self.model
        with undistributed():  # the other processes save nothing
            save_model(network, self.folder / "best.keras", self.classes, self.drawing)

    # -- Keras calls these ---------------------------------------------------------------------------------

    def on_train_begin(self, logs=None):
        """Write the log's header, so that the file is there from the start."""
        if not self.rows:
            self._write_log()
        # Parameters are written at 100 MB/s at least on what is rented; measured from the first epoch on.
        self.limit.seconds_to_save = self.model.count_params() * 4 / 1e8

    def on_epoch_begin(self, epoch, logs=None):
        """Turn to this epoch's batches."""
        self.batches.set_epoch(epoch)
        self._began = self._saved = time.time()
        self._started = self._began - self._seconds_before
        self._evaluation_started = None
        if self._means_before:
            set_means(self.model, self._means_before, self.folder / STATE_FILE)
        if terminal().isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=len(self.batches),
                initial=self._batches_before,
                desc=f"epoch {epoch + 1}/{self.epochs}",
                unit="batch",
                leave=False,
                file=terminal(),
            )

    def on_train_batch_end(self, batch, logs=None):
        """Move the progress bar, save the state now and then, and stop while there is time to end the run."""
        if self._bar is not None:
            self._bar.update(1)
        done = self._batches_before + batch + 1
        # After the last one the epoch's own state follows.
        if done < len(self.batches) and time.time() - self._saved > SECONDS_BETWEEN_STATES:
            self._save_state(done)
        self._stop_in_time(batch, self._began, 0.5)

    def on_test_begin(self, logs=None):
        """Note when training ended and validation began."""
        self._evaluation_started = time.time()

    def on_test_batch_end(self, batch, logs=None):
        """Stop in the middle of validation, too."""
        self._stop_in_time(batch, self._evaluation_started, 1.0)

    def on_epoch_end(self, epoch, logs=None):
        """Log the epoch, save what has to be saved, say so in a line, and stop if no other epoch fits in."""
        self.together.decided(lambda: self._end_epoch(epoch, logs))

    # -- what they do --------------------------------------------------------------------------------------

    def _end_epoch(self, epoch: int, logs: dict) -> None:
        self._close_bar()
        ended = time.time()
        row = self._row(epoch, logs, ended)
        if not (math.isfinite(row["loss"]) and math.isfinite(row["val_loss"])):
            raise InputError(
                f"training diverged in epoch {epoch + 1} (loss {row['loss']}, validation loss {row['val_loss']}): "
                "use a lower --learning-rate, or --precision float32"
            )
        self._batches_before, self._seconds_before, self._means_before = 0, 0.0, []
        # Several devices may begin to read before on_epoch_begin.
        self.batches.set_epoch(epoch + 1)
        self.limit.after_validation(ended - self._evaluation_started)
        improved = self._save(row)
        self.limit.seconds_to_save = time.time() - ended
        self._report(row, improved)
        if epoch + 1 < self.epochs:
            self.limit.before_epoch(row["seconds"])

    def _row(self, epoch: int, logs: dict, ended: float) -> Row:
        """Return the log's row of an epoch (from 0) that has just ended."""
        return {
            "epoch": epoch + 1,
            "loss": _digits(logs["cross_entropy"]),
            "accuracy": _digits(logs["accuracy"]),
            "val_loss": _digits(logs["val_cross_entropy"]),
            "val_accuracy": _digits(logs["val_accuracy"]),
            "learning_rate": _digits(self.schedule(len(self.batches) * (epoch + 1) - 1)),
            "seconds": round(ended - self._started, 2),
            "images_per_second": round(
                self.batches.images_of_epoch / (self._evaluation_started - self._started), 1
            ),
        }

    def _save(self, row: dict) -> bool:
        """Write network, state, log and plot; return whether the epoch is the best so far.

        In this order: whatever is in the log is in the state, so a resumed run never changes a logged row.
        """
        self.rows.append(row)
        improved = row["val_loss"] < self.best
        if improved:
            self.best = row["val_loss"]
        if improved or self.keep == "last":
            self.save_network()
        self._save_state()
        self._write_log()
        self.draw()
        return improved

    def _save_state(self, batches: int = 0) -> None:
        """Write the training state after the epochs in the log and so many batches of the next one."""
        about = {"rows": self.rows, "best": self.best if self.rows else None, "batches": batches}
        about["seconds"] = round(time.time() - self._started, 2) if batches else 0.0
        save_state(self.folder / STATE_FILE, self.model, about)
        self._saved = time.time()

    def _write_log(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, Row.__annotations__, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        with command.whole_file(self.folder / "log.csv") as path:
            path.write_text(text.getvalue())

    def _report(self, row: dict, improved: bool) -> None:
        """Print an epoch's line."""
        left = sum(r["seconds"] for r in self.rows) / len(self.rows) * (self.epochs - row["epoch"])
        print(
            f"epoch {row['epoch']:>{len(str(self.epochs))}}/{self.epochs}  "
            f"loss {row['loss']:.4f}  accuracy {row['accuracy']:.2%}  "
            f"val_loss {row['val_loss']:.4f}  val_accuracy {row['val_accuracy']:.2%}{' best' if improved else '     '}  "
            f"{row['images_per_second']:,.0f} images/s"
            + (f"  {duration(left)} left" if left else f"  {row['seconds']:.0f} s"),
            flush=True,
        )

    def _stop_in_time(self, batch: int, started: float, share: float) -> None:
        if self.limit.deadline is None:
            return
        try:
            self.together.decided(lambda: self.limit.after_batch(batch, started, share))
        except TimeIsUp:
            self._close_bar()
            raise

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _digits(number) -> float:
    """Return a number as it is written to the log: eight digits, enough to tell float32 apart."""
    return float(f"{float(number):.8g}")
