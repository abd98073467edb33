"""What a training run writes while it goes on, so that nothing is lost when it is stopped.

After each epoch the run folder holds the best network so far, the log, the loss plot and the training state,
each of them whole at every moment (command.whole_file). Keras' own BackupAndRestore and ModelCheckpoint are
not used: they leave out Dropout's random state, do not write atomically, and CSVLogger cannot go back.

Imports Keras, so train_keras.py imports this after the options and data are checked.
"""

import csv
import io
import json
import math
import sys
import time
from pathlib import Path

import command
from command import InputError

import keras
import numpy as np

import plot_logs
from model_keras import save_model

LOG_COLUMNS = [
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
    "images_per_second",
]
STATE_FILE = "training_state.npz"
# Kept free before a time limit beside the measured times, for what cannot be measured before.
SPARE_SECONDS = 30


class TimeIsUp(Exception):
    """Training has to stop here, for scoring and saving to end within --max-hours."""


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
    evaluated_images : dict
        How many images ``validation`` and, after training, scoring (``test``) predict, for the time limit.
    deadline : float, optional
        ``time.time()`` at which the whole run must have ended.
    note : str, optional
        For the loss plot.
    keep : str
        What best.keras is: "best", the network of the lowest validation loss, or "last", that of the last epoch.

    Attributes
    ----------
    rows : list of dict
        The log: one dict of LOG_COLUMNS for each epoch that has ended.
    best : float
        The lowest validation loss so far.
    """

    def __init__(
        self,
        folder: Path,
        classes,
        batches,
        schedule,
        epochs,
        evaluated_images,
        deadline=None,
        note=None,
        keep="best",
    ):
        super().__init__()
        self.folder, self.classes, self.batches, self.epochs = folder, classes, batches, epochs
        self.schedule = schedule
        self.evaluated_images, self.deadline, self.note = evaluated_images, deadline, note
        self.keep = keep
        self.rows = []
        self.best = math.inf
        self._seconds_to_save = 0.0
        self._seconds_per_evaluated = 0.0
        self._measured = False  # whether that is by a whole validation
        self._bar = None

    # -- resuming ------------------------------------------------------------------------------------------

    def restore(self, model) -> int:
        """Put a saved state into the compiled ``model``; return the epoch to go on with (from 0).

        Without a saved state that is 0. Raises InputError if the state is broken or of another network.
        """
        path = self.folder / STATE_FILE
        if not path.exists():
            return 0
        remedy = f"start again in another --output, or remove {self.folder}"
        try:
            with np.load(path) as saved:
                about = json.loads(str(saved["about"]))
                values = [saved[f"v{i}"] for i in range(about["variables"])]
        except Exception as problem:  # a broken zip file shows in many ways
            raise InputError(f"{path} cannot be read ({problem}); {remedy}") from problem
        variables = _variables(model)
        if [v.shape for v in values] != [tuple(v.shape) for v in variables]:
            raise InputError(f"{path} is the state of another network; {remedy}")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.rows, self.best = about["rows"], about["best"]
        # The state is written before the log, so after a kill between the two the log and plot lack its last row.
        self._write_log()
        plot_logs.plot_run(self.folder, note=self.note)
        return len(self.rows)

    def _write_state(self) -> None:
        arrays = {f"v{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(_variables(self.model))}
        about = {"variables": len(arrays), "rows": self.rows, "best": self.best}
        with command.whole_file(self.folder / STATE_FILE) as path:
            np.savez(path, about=np.array(json.dumps(about)), **arrays)

    def _write_log(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, LOG_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        with command.whole_file(self.folder / "log.csv") as path:
            path.write_text(text.getvalue())

    # -- Keras calls these ---------------------------------------------------------------------------------

    def on_train_begin(self, logs=None):
        """Write the log's header, so that the file is there from the start."""
        if not self.rows:
            self._write_log()
        # Parameters are written at 100 MB/s at least on what is rented; measured from the first epoch on.
        self._seconds_to_save = self.model.count_params() * 4 / 1e8

    def on_epoch_begin(self, epoch, logs=None):
        """Turn to this epoch's batches."""
        self.batches.set_epoch(epoch)
        self._started = time.time()
        self._evaluation_started = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=len(self.batches), desc=f"epoch {epoch + 1}/{self.epochs}", unit="batch", leave=False
            )

    def on_train_batch_end(self, batch, logs=None):
        """Move the progress bar, and stop while there is time to end the run."""
        if self._bar is not None:
            self._bar.update(1)
        self._stop_in_time(batch, self._started, 0.5)

    def on_test_begin(self, logs=None):
        """Note when training ended and validation began."""
        self._evaluation_started = time.time()

    def on_test_batch_end(self, batch, logs=None):
        """Stop in the middle of validation, too."""
        self._stop_in_time(batch, self._evaluation_started, 1.0)

    def on_epoch_end(self, epoch, logs=None):
        """Log the epoch, and save what has to be saved."""
        self._close_bar()
        now = time.time()
        training_seconds = self._evaluation_started - self._started
        images = len(self.batches.images)
        row = {
            "epoch": epoch + 1,
            "loss": _digits(logs["cross_entropy"]),
            "accuracy": _digits(logs["accuracy"]),
            "val_loss": _digits(logs["val_cross_entropy"]),
            "val_accuracy": _digits(logs["val_accuracy"]),
            "learning_rate": _digits(self.schedule(len(self.batches) * (epoch + 1) - 1)),
            "seconds": round(now - self._started, 2),
            "images_per_second": round(images / training_seconds, 1),
        }
        if not (math.isfinite(row["loss"]) and math.isfinite(row["val_loss"])):
            raise InputError(
                f"training diverged in epoch {epoch + 1} (loss {row['loss']}, validation loss {row['val_loss']}): "
                "use a lower --learning-rate, or --precision float32"
            )
        self.rows.append(row)
        # Several devices may begin to read before on_epoch_begin.
        self.batches.set_epoch(epoch + 1)
        validated = self.evaluated_images["validation"]
        self._seconds_per_evaluated, self._measured = (now - self._evaluation_started) / validated, True
        improved = row["val_loss"] < self.best
        if improved:
            self.best = row["val_loss"]
        if improved or self.keep == "last":
            save_model(self.model, self.folder / "best.keras", self.classes)
        # In this order: whatever is in the log is in the state, so a resumed run never changes a logged row.
        self._write_state()
        self._write_log()
        plot_logs.plot_run(self.folder, note=self.note)
        self._seconds_to_save = time.time() - now
        seconds_left = sum(r["seconds"] for r in self.rows) / len(self.rows) * (self.epochs - epoch - 1)
        print(
            f"epoch {epoch + 1:>{len(str(self.epochs))}}/{self.epochs}  "
            f"loss {row['loss']:.4f}  accuracy {row['accuracy']:.2%}  "
            f"val_loss {row['val_loss']:.4f}  val_accuracy {row['val_accuracy']:.2%}{' best' if improved else '     '}  "
            f"{row['images_per_second']:,.0f} images/s"
            + (f"  {duration(seconds_left)} left" if seconds_left else f"  {row['seconds']:.0f} s"),
            flush=True,
        )
        # An epoch that cannot end in time would be lost: only whole epochs count.
        if epoch + 1 < self.epochs and self.deadline is not None:
            epoch_seconds = row["seconds"] + self._seconds_to_save
            if time.time() + epoch_seconds + self.seconds_to_end() > self.deadline:
                raise TimeIsUp

    # -- time ----------------------------------------------------------------------------------------------

    def _stop_in_time(self, batch, started, share):
        """Raise TimeIsUp if no other batch fits in; scoring an image costs ``share`` of one of these."""
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
                self._seconds_per_evaluated = share * batch_seconds / self.batches.batch_size
        if now + batch_seconds + self.seconds_to_end() > self.deadline:
            self._close_bar()
            raise TimeIsUp

    def seconds_to_end(self) -> float:
        """Estimate the time from now to the end of a run that stops now: saving and scoring."""
        scoring = self._seconds_per_evaluated * self.evaluated_images["test"]
        return 1.25 * (scoring + self._seconds_to_save) + SPARE_SECONDS

    def _close_bar(self):
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _variables(model) -> list:
    """Return all that training changes: weights, statistics, Dropout's random states, the optimizer's."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def _digits(number) -> float:
    """Return a number as it is written to the log: eight digits, enough to tell float32 apart."""
    return float(f"{float(number):.8g}")


def duration(seconds: float) -> str:
    """Return a time in words, such as ``2 h 5 min``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
