"""The figure of one or more training logs."""

import errno
import json
import os
import threading
import time
from pathlib import Path

from ecgbeats import command
from ecgbeats.scores.figure_style import COLOURS, DPI
from ecgbeats.scores.log_plot import MARKERS_PER_CURVE, plot_run, plot_training
from ecgbeats.scores.logs import read_keep, read_log

import numpy as np
import pytest
from made_logs import VAL_LOSS, lines, write_run


def curves(figure):
    """Return the lines with data: all but the star and the vertical line at the best epoch."""
    return [line for line in figure.axes[0].get_lines() if line.get_linestyle() in ("-", "--")]


def star(figure):
    stars = [line for line in figure.axes[0].get_lines() if line.get_marker() == "*"]
    assert len(stars) == 1
    return stars[0].get_xdata()[0], stars[0].get_ydata()[0]


def legend_words(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def rendered(figure):
    """Draw the figure and return its pixels as gray values."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].mean(axis=-1)


def log_of(epochs, factor=1.0, **columns):
    epoch = np.arange(1.0, epochs + 1)
    loss = factor / (1 + epoch)
    log = {
        "epoch": epoch,
        "loss": loss,
        "accuracy": 1 - loss,
        "val_loss": loss * 1.1,
        "val_accuracy": 1 - loss,
    }
    return log | columns


def test_curves_hold_the_log():
    log = log_of(7)
    train, validation = curves(plot_training({"run-1": log}))
    np.testing.assert_array_equal(train.get_xdata(), log["epoch"])
    np.testing.assert_array_equal(train.get_ydata(), log["loss"])
    np.testing.assert_array_equal(validation.get_ydata(), log["val_loss"])


def test_training_and_validation_differ_in_line_and_marker():
    train, validation = curves(plot_training({"run-1": log_of(7)}))
    assert (train.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    assert train.get_marker() != validation.get_marker()


def test_the_star_stands_at_the_lowest_validation_loss_in_each_metric():
    log = log_of(5, val_loss=np.array(VAL_LOSS), val_accuracy=np.array([0.5, 0.6, 0.7, 0.9, 0.8]))
    assert star(plot_training({"run-1": log}, "loss")) == (3, 0.25)
    assert star(plot_training({"run-1": log}, "accuracy")) == (3, 0.7)
    assert "best.keras: epoch 3, 0.7" in legend_words(plot_training({"run-1": log}, "accuracy"))


def test_where_the_last_epoch_is_kept_the_star_stands_there(tmp_path):
    folder = write_run(tmp_path / "run")
    log = read_log(folder / "log.csv")
    last = len(log["epoch"])
    (folder / "config.json").write_text(json.dumps({"options": {"keep": "last"}}))
    assert read_keep(folder) == "last"
    figure = plot_training({"run": log}, keep={"run": "last"})
    assert star(figure) == (last, log["val_loss"][-1])
    assert f"best.keras: epoch {last}, {log['val_loss'][-1]:.4g}" in legend_words(figure)
    two = plot_training({"run": log, "other": log}, keep={"run": "last", "other": "best"})
    assert "best.keras: the epoch kept" in legend_words(two)


def test_axes_are_labelled():
    loss, accuracy = (plot_training({"a": log_of(3)}, metric).axes[0] for metric in ("loss", "accuracy"))
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("Epoch", "Loss (cross-entropy)")
    assert accuracy.get_ylabel() == "Accuracy"


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 30, 200])
def test_epoch_ticks_are_whole_numbers(epochs):
    figure = plot_training({"run-1": log_of(epochs)})
    low, high = figure.axes[0].get_xlim()
    ticks = [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high]
    assert ticks
    assert all(tick == round(tick) for tick in ticks)


def test_a_single_epoch_is_visible():
    figure = plot_training({"run-1": log_of(1, loss=np.array([0.9]), val_loss=np.array([0.5]))})
    page = rendered(figure)
    across, up = figure.axes[0].transData.transform((1, 0.9)).astype(int)
    assert page[page.shape[0] - 1 - up, across] < 100  # dark, which the vertical line there is not


@pytest.mark.parametrize("epochs", [25, 200, 1000])
def test_long_curves_are_not_hidden_by_markers(epochs):
    for line in curves(plot_training({"run-1": log_of(epochs)})):
        start, step = line.get_markevery()
        assert 5 <= len(range(start, epochs, step)) <= 2 * MARKERS_PER_CURVE


def test_six_runs_differ_in_colour_and_marker_and_name():
    runs = {f"run-{place}": log_of(8, 1 + place) for place in range(6)}
    figure = plot_training(runs)
    trained = curves(figure)[::2]
    assert len({line.get_color() for line in trained}) == len({line.get_marker() for line in trained}) == 6
    words = "\n".join(legend_words(figure))
    assert all(name in words for name in runs)


def test_colours_differ_in_gray():
    from matplotlib.colors import to_rgb

    gray = sorted(np.dot(to_rgb(colour), [0.299, 0.587, 0.114]) for colour in COLOURS)
    assert min(np.diff(gray)) > 0.1
    assert gray[-1] < 0.8  # stands out from white paper


def test_legends_cover_no_curve():
    for runs in (
        {"run-1": log_of(9)},
        {f"a-long-name-of-a-run-{place}" * 6: log_of(9) for place in range(6)},
    ):
        figure = plot_training(runs)
        page = rendered(figure).shape
        inside = figure.axes[0].get_window_extent()
        assert inside.height > 2.5 * DPI  # the names take no room from the curves
        for legend in figure.legends:
            box = legend.get_window_extent()
            assert not box.overlaps(inside)
            assert box.x0 >= 0
            assert box.y0 >= 0
            assert box.x1 <= page[1]
            assert box.y1 <= page[0]


@pytest.mark.parametrize(("lowest", "scale"), [(0.004, "log"), (0.02, "linear"), (0.0, "linear")])
def test_a_loss_over_two_decades_has_a_log_scale(lowest, scale):
    log = log_of(3, loss=np.array([1.0, 0.5, lowest]), val_loss=np.array([1.0, 0.9, 0.8]))
    assert plot_training({"run-1": log}).axes[0].get_yscale() == scale


def test_validation_at_each_fifth_epoch_is_one_line():
    val_loss = np.where(np.arange(1, 21) % 5 == 0, 0.5, np.nan)
    validation = curves(plot_training({"run-1": log_of(20, val_loss=val_loss)}))[1]
    np.testing.assert_array_equal(validation.get_xdata(), [5, 10, 15, 20])


def test_a_run_that_diverged_is_named_beside_the_others():
    nothing = np.full(3, np.nan)
    figure = plot_training({"good": log_of(3), "bad": log_of(3, loss=nothing, val_loss=nothing)})
    rendered(figure)
    assert "bad (no finite value)" in legend_words(figure)


def test_a_figure_without_any_finite_value_says_so():
    nothing = np.full(3, np.nan)
    figure = plot_training({"bad": log_of(3, loss=nothing, val_loss=nothing)})
    rendered(figure)
    assert [text.get_text() for text in figure.axes[0].texts] == ["no finite value"]


@pytest.mark.parametrize("name", ["a_$x$", "$\\bad{$", "_hidden", os.fsdecode(b"caf\xe9"), "x" * 300])
def test_any_name_of_a_run_can_be_drawn(name):
    figure = plot_training({name: log_of(3), "other": log_of(3)})
    rendered(figure)
    assert len(figure.legends[1].get_texts()) == 2


def test_the_note_is_printed_in_the_figure():
    figure = plot_training({"run-1": log_of(3)}, note="SIMULATED, not medical data")
    assert figure.axes[0].get_title() == "SIMULATED, not medical data"


def test_a_log_without_the_metric_is_refused():
    with pytest.raises(command.InputError, match=r"run-1.*--metric f1.*loss, accuracy"):
        plot_training({"run-1": log_of(3)}, "f1")


def test_plot_run_writes_the_picture_and_nothing_else(tmp_path):
    import cv2

    folder = write_run(tmp_path / "run-1")
    assert plot_run(folder) == folder / "loss.png"
    assert sorted(path.name for path in folder.iterdir()) == ["log.csv", "loss.png"]
    assert cv2.imread(str(folder / "loss.png")).shape == (600, 960, 3)


def test_plots_while_a_thread_appends_to_the_log(tmp_path):
    """Each picture drawn meanwhile is whole, and no value in it is one that was not written."""
    import cv2

    losses = np.random.default_rng(0).uniform(0.1, 0.9, 4000)
    rows = lines(losses)
    folder = write_run(tmp_path / "run-1", rows[:1])
    stop = threading.Event()

    def write():
        with open(folder / "log.csv", "a") as file:
            for row in rows[1:]:
                half = len(row) // 2
                for piece in (row[:half], row[half:] + "\n"):
                    file.write(piece)
                    file.flush()
                    time.sleep(0.001)
                if stop.is_set():
                    return

    thread = threading.Thread(target=write)
    thread.start()
    try:
        counts = []
        for _ in range(12):
            picture = cv2.imread(str(plot_run(folder)))
            log = read_log(folder / "log.csv")
            assert picture is not None
            np.testing.assert_array_equal(log["val_loss"], losses[: len(log["epoch"])])
            counts.append(len(log["epoch"]))
    finally:
        stop.set()
        thread.join()
    assert counts[-1] > counts[0]


def test_the_old_picture_stays_where_the_new_one_cannot_be_finished(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    picture = plot_run(write_run(tmp_path))
    before = picture.read_bytes()

    def fill_the_disk(_figure, path):
        Path(path).write_bytes(before[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fill_the_disk)
    with pytest.raises(OSError, match="No space"):
        plot_run(tmp_path)
    assert picture.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "loss.png"]


def test_figures_may_be_drawn_in_several_threads(tmp_path):
    folders = [write_run(tmp_path / f"run-{place}") for place in range(4)]
    threads = [threading.Thread(target=plot_run, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pictures = {(folder / "loss.png").read_bytes() for folder in folders}
    assert len(pictures) == 1
