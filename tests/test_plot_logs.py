"""plot_logs.py: reading logs, the figure, and the command."""

import errno
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from ecgbeats import command
from ecgbeats.scores.figure_style import COLOURS, DPI
from ecgbeats.scores.log_plot import MARKERS_PER_CURVE, plot_run, plot_training
from ecgbeats.scores.logs import best_epoch, read_keep, read_log, read_note

import numpy as np
import pytest

import plot_logs

COLUMNS = "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds,images_per_second"
VAL_LOSS = [0.9, 0.4, 0.25, 0.31, 0.25]  # lowest at epoch 3, and again at epoch 5


def lines(val_loss=VAL_LOSS, first=1):
    return [
        f"{epoch},{0.8 / (epoch + 1)},{1 - 0.4 / (epoch + 1)},{loss},{1 - loss / 2},1e-4,3.5,812.5"
        for epoch, loss in enumerate(val_loss, first)
    ]


def write_run(folder, rows=None, columns=COLUMNS):
    folder.mkdir(parents=True, exist_ok=True)
    rows = lines() if rows is None else rows
    (folder / "log.csv").write_text("\n".join([columns, *rows]) + "\n")
    return folder


def read_text(tmp_path, text):
    path = tmp_path / "some.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_log(path)


def plot_command(*arguments, folder):
    script = Path(plot_logs.__file__).resolve()
    return subprocess.run(
        [sys.executable, script, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


def assert_refused(done, *words):
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(r"error: [^\n]+\n", done.stderr)
    for word in words:
        assert word in done.stderr


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


# Reading


def test_columns_are_float_arrays(tmp_path):
    log = read_log(write_run(tmp_path / "run-1") / "log.csv")
    assert list(log) == COLUMNS.split(",")
    assert {values.dtype for values in log.values()} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(log["val_loss"], VAL_LOSS)
    np.testing.assert_array_equal(log["epoch"], [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    "tail", ["3", "3,0.1", "3,0.1,", "3,0.1,0.", '3,0.1,"0', "3,0.1,0.2,-", "3,0.1,0.2,1e"]
)
def test_a_last_line_that_is_cut_off_is_left_out(tmp_path, tail):
    log = read_text(tmp_path, "epoch,loss,accuracy,val_loss\n1,0.5,0.8,0.6\n2,0.4,0.9,0.5\n" + tail)
    np.testing.assert_array_equal(log["epoch"], [1, 2])


def test_a_whole_last_line_counts_without_its_line_end(tmp_path):
    np.testing.assert_array_equal(read_text(tmp_path, "epoch,loss\n1,0.5\n2,0.25")["loss"], [0.5, 0.25])


@pytest.mark.parametrize(
    "text",
    [
        "epoch,loss\r\n1,0.5\r\n2,0.25\r\n",
        "\nepoch,loss\n\n1,0.5\n\n  \n2,0.25\n\n",
        b"\xef\xbb\xbfepoch,loss\n1,0.5\n2,0.25\n",
        "loss, epoch\n0.5, 1\n0.25, 2\n",
        'epoch,loss,begun,tags\n1,0.5,10:15,"[1, 2]"\n2,0.25,10:16,\n',
    ],
    ids=["windows", "blank lines", "byte order mark", "spaces", "columns of text"],
)
def test_other_writers_of_csv(tmp_path, text):
    log = read_text(tmp_path, text)
    assert set(log) == {"epoch", "loss"}
    np.testing.assert_array_equal(log["epoch"], [1, 2])
    np.testing.assert_array_equal(log["loss"], [0.5, 0.25])


def test_missing_values_are_nan(tmp_path):
    log = read_text(tmp_path, "epoch,loss,val_loss\n0,nan,NA\n1,0.5,\n2,inf,0.25\n")
    np.testing.assert_array_equal(log["loss"], [np.nan, 0.5, np.inf])
    np.testing.assert_array_equal(log["val_loss"], [np.nan, np.nan, 0.25])


def test_an_epoch_that_was_trained_again_counts_once(tmp_path):
    log = read_text(tmp_path, "epoch,loss\n1,0.5\n2,0.4\n3,0.3\n2,0.2\n")
    np.testing.assert_array_equal(log["epoch"], [1, 2, 3])
    np.testing.assert_array_equal(log["loss"], [0.5, 0.2, 0.3])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no epoch yet"),
        ("epoch,loss\n", "no epoch yet"),
        ("epoch,loss\n1,", None),
        ("epoch,loss\n1", "no epoch yet"),
        ("epoch;loss\n1;0.5\n", "no column 'epoch'"),
        ("Some words, and more.\n", "no column 'epoch'"),
        (bytes(range(256)) * 50, "training log"),
        (b"epoch,loss\n1,0.5\n" + bytes(200_000), "training log"),
        ("epoch,loss\n1,0.5\n2\n3,0.2\n", "line 3"),
        ("epoch,loss\n1,0.5\n2,0.4,0.3\n", "line 3"),
        ("epoch,loss\n1,0.5\n2,O.4\n", "line 3: loss is 'O.4'"),
        ("epoch,loss\none,0.5\n", "line 2: epoch is 'one'"),
        ("epoch,loss\nnan,0.5\n", "epoch"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path, text, words):
    if words is None:  # an empty last cell is a value that is missing, not a mistake
        assert np.isnan(read_text(tmp_path, text)["loss"]).all()
        return
    with pytest.raises(command.InputError, match=re.escape(words)) as problem:
        read_text(tmp_path, text)
    assert "some.csv" in str(problem.value)


# The epoch of best.keras


def test_best_epoch_is_the_first_of_the_lowest_validation_losses(tmp_path):
    log = read_log(write_run(tmp_path) / "log.csv")
    assert log["epoch"][best_epoch(log)] == 3


def test_best_epoch_ignores_nan():
    assert best_epoch({"val_loss": np.array([np.nan, 0.5, np.nan, 0.4])}) == 3


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


@pytest.mark.parametrize("content", [None, "no json", "[]", '{"options": 3}', '{"options": {"keep": 7}}'])
def test_without_word_of_it_the_lowest_validation_loss_is_taken(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert read_keep(tmp_path) == "best"


@pytest.mark.parametrize("log", [{}, {"val_loss": np.array([np.nan, np.nan])}])
def test_without_validation_there_is_no_best_epoch(log):
    assert best_epoch(log) is None


# The figure


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


# plot_run


def test_plot_run_writes_the_picture_and_nothing_else(tmp_path):
    import cv2

    folder = write_run(tmp_path / "run-1")
    assert plot_run(folder) == folder / "loss.png"
    assert sorted(path.name for path in folder.iterdir()) == ["log.csv", "loss.png"]
    assert cv2.imread(str(folder / "loss.png")).shape == (600, 960, 3)


@pytest.mark.parametrize(
    ("config", "note"),
    [
        ('{"simulated": true}', command.SIMULATED_NOTICE),
        ('{"simulated": false}', None),
        ("{}", None),
        ("[1]", None),
        ("{", None),
        (None, None),
    ],
)
def test_a_run_on_simulated_data_says_so(tmp_path, config, note):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    assert read_note(tmp_path) == note


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


# Names in the legend


@pytest.mark.parametrize(
    ("logs", "names"),
    [
        (["output/run-1/log.csv"], ["run-1"]),
        (["output/run-1/log.csv", "output/run-2/log.csv"], ["run-1", "run-2"]),
        (
            ["output/run-1/log.csv", "other/run-1/log.csv", "output/run-2/log.csv"],
            ["output/run-1", "other/run-1", "run-2"],
        ),
        (
            ["run-1/fold-0/log.csv", "run-1/fold-1/log.csv", "run-2/fold-0/log.csv"],
            ["run-1/fold-0", "fold-1", "run-2/fold-0"],
        ),
        (["/run-1/log.csv", "/a/run-1/log.csv"], ["/run-1", "a/run-1"]),
        (["a/keras.csv", "b/keras.csv"], ["a/keras.csv", "b/keras.csv"]),
    ],
)
def test_runs_go_by_the_shortest_path_that_tells_them_apart(logs, names):
    assert plot_logs.short_names([Path(log) for log in logs]) == names


# The command


def test_with_no_argument_the_newest_run_is_drawn(tmp_path):
    for age, place in enumerate(["output/run-1/fold-1", "output/run-2", "output", "output/run-3"]):
        log = write_run(tmp_path / place) / "log.csv"
        os.utime(log, (1_000_000 - age, 1_000_000 - age))
    done = plot_command(folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")] == [
        "output/run-1/fold-1/loss.png"
    ]
    assert "fold-1: 5 epochs, lowest val_loss 0.25 at epoch 3" in done.stdout


def test_one_run_goes_beside_its_log(tmp_path):
    write_run(tmp_path / "elsewhere")
    assert plot_command("elsewhere", "--metric", "accuracy", folder=tmp_path).returncode == 0
    assert (tmp_path / "elsewhere/accuracy.png").is_file()


def test_several_runs_go_into_the_current_folder(tmp_path):
    folders = [write_run(tmp_path / name) for name in ("a", "b")]
    done = plot_command(folders[0], folders[1] / "log.csv", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.rglob("*.png")] == ["loss.png"]
    assert (tmp_path / "loss.png").is_file()


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")]
)
def test_formats(tmp_path, suffix, start):
    write_run(tmp_path)
    output = tmp_path / f"new/figures/compare.{suffix}"
    done = plot_command(tmp_path, "--output", output, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert output.read_bytes().startswith(start)


def test_a_log_of_keras_itself_with_another_metric(tmp_path):
    text = "epoch,acc,loss,val_acc,val_loss\n0,0.5,0.7,0.4,0.8\n1,0.6,0.6,0.5,0.7\n"
    (tmp_path / "history.csv").write_text(text)
    done = plot_command("history.csv", "--metric", "acc", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "at epoch 1" in done.stdout
    assert (tmp_path / "acc.png").is_file()


def test_simulated_data_is_told_on_the_terminal_and_in_the_figure(tmp_path):
    folder = write_run(tmp_path / "run-1")
    (folder / "config.json").write_text(json.dumps({"simulated": True}))
    done = plot_command(folder, "--output", "loss.svg", folder=tmp_path)
    assert command.SIMULATED_NOTICE in done.stdout
    assert command.SIMULATED_NOTICE in (tmp_path / "loss.svg").read_text()


def test_a_plot_is_replaced_but_not_another_file(tmp_path):
    folder = write_run(tmp_path / "run-1")
    assert plot_command(folder, folder=tmp_path).returncode == 0
    assert plot_command(folder, folder=tmp_path).returncode == 0
    (folder / "loss.png").write_bytes(b"my own words")
    assert_refused(plot_command(folder, folder=tmp_path), "loss.png", "--output")
    assert (folder / "loss.png").read_bytes() == b"my own words"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing"], "missing: no such file"),
        (["empty"], "empty: no log.csv"),
        (["folds"], "folds/fold-*"),
        (["garbage.csv"], "garbage.csv"),
        (["young"], "log.csv: no epoch yet"),
        (["run", "missing"], "missing"),
        (["run", "--metric", "f1"], "loss, accuracy, learning_rate"),
        (["run", "--metric", "val_loss"], "--metric val_loss"),
        (["run", "--metric", "epoch"], "--metric epoch"),
        (["run", "--output", "figure.jpg"], ".png, .svg or .pdf"),
        (["run", "--output", "figure"], ".png, .svg or .pdf"),
        (["run", "--output", "garbage.csv/figure.png"], "is a file"),
        (["run", "--output", "folder.png"], "is a folder"),
        (["run", "--output", "x" * 300 + ".png"], "cannot be written"),
        (["x" * 300], "File name too long"),
        (["run", "--metrics", "loss"], "--metrics"),
        ([], "./output"),
    ],
)
def test_mistakes_end_with_status_2_and_one_line(tmp_path, arguments, words):
    write_run(tmp_path / "run")
    write_run(tmp_path / "folds/fold-0")
    write_run(tmp_path / "young", [])
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "garbage.csv").write_bytes(b"\x00\xff\x13" * 1000)
    before = sorted(tmp_path.rglob("*"))
    assert_refused(plot_command(*arguments, folder=tmp_path), words)
    assert sorted(tmp_path.rglob("*")) == before


def test_mistakes_are_answered_before_matplotlib_is_loaded():
    code = "import sys, plot_logs; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(plot_logs.__file__).parent).returncode == 0
