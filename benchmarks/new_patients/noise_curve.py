"""What noise does to a network: the same test beats drawn with more and more of it, as a curve."""

import csv
import hashlib
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.folder import Images
from ecgbeats.runs import prediction
from ecgbeats.runs.networks import load_model
from ecgbeats.scores.figure_style import COLOURS, clean, new_figure, save_figure
from ecgbeats.scores.metrics import score

import numpy as np

import make_dataset
from benchmarks import harness
from benchmarks.new_patients.by_protocol import HEADLINE, Run, headline, spread

CLEAN = "clean"
ALIKE = 0.995  # share of clean beats that must be taken for the same class as in predictions.csv
CURVES = ("accuracy", "V_f1", "S_f1")


def measure(runs: list[Run], source: str, levels: list[int], output: Path) -> list[dict]:
    """Return the scores of each run at each level of noise, CLEAN first: see :func:`headline`, with ``noise``, ``seed``.

    ``levels`` are in decibels. Images are drawn into folders of ``output``, and what networks say of them is kept there, so
    that it goes on where it was interrupted. Raises InputError where clean images do not give what the runs tell: then
    the records are others than theirs, or are drawn otherwise.
    """
    names = [CLEAN, *(str(level) for level in levels)]
    folders = {name: draw(runs[0], source, name, output) for name in names}  # before TensorFlow is imported
    with command.quiet_import():
        import keras  # noqa: F401
    rows = []
    for name, folder in folders.items():
        images = None
        for run in runs:
            kept = output / f"noise-{name}-{digest(run.network)}.npy"
            if not kept.exists():
                images = images or read_images(run, folder)
                with command.whole_file(kept) as partial:
                    np.save(partial, predict(run, images))
            probabilities = np.load(kept)
            if name == CLEAN:
                check_same(run, probabilities)
            scored = score(run.true, probabilities, run.classes)
            rows.append({"noise": name, "seed": run.seed} | headline(scored))
            print(f"noise {name}, seed {run.seed}: accuracy {scored['accuracy']:.4f}", flush=True)
    return rows


def draw(run: Run, source: str, noise: str, output: Path) -> Path:
    """Draw the run's test records with so much noise, and return the folder."""
    folder = output / f"noise-{noise}"
    words = [source, "--output", folder, "--classes", "aami", "--drawing", run.config["drawing"]]
    words += ["--records", *run.config["test_records"]] + (["--noise", noise] if noise != CLEAN else [])
    make_dataset.main([str(word) for word in words])
    return folder


def read_images(run: Run, folder: Path) -> Images:
    """Return the images of a folder in the order of the run's predictions."""
    images = Images(folder, run.classes)
    if sorted(images.names) != sorted(run.files):
        raise InputError(
            f"{folder} holds other beats than {run.folder / 'predictions.csv'}; give --source that run's records"
        )
    place = {name: number for number, name in enumerate(images.names)}
    return images.subset(np.array([place[name] for name in run.files]))


def predict(run: Run, images: Images) -> np.ndarray:
    """Return the probabilities that the run's network gives: float32, shape (images, classes)."""
    from DataGenerator import DataGenerator

    model, _ = load_model(run.network, IMAGE_SIZE)
    probabilities = prediction.predict(model, DataGenerator(images, shuffle=False, devices=1))
    prediction.check_probabilities(probabilities, run.network)
    return probabilities


def digest(file: Path) -> str:
    """Return what tells a file from others, short."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def check_same(run: Run, probabilities: np.ndarray) -> None:
    """Raise InputError where a network says another thing of clean images than in its predictions.csv."""
    alike = np.mean(probabilities.argmax(axis=1) == run.probabilities.argmax(axis=1))
    if alike < ALIKE:
        raise InputError(
            f"{run.folder}: of clean beats {alike:.1%} are taken for what predictions.csv has; --source holds other "
            "records, or the images are drawn otherwise than that run's"
        )


def write(rows: list[dict], output: Path) -> None:
    """Write noise.csv and noise.png."""
    with command.whole_file(output / "noise.csv") as partial, open(partial, "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    save_figure(plot(rows), output / "noise.png")


def plot(rows: list[dict]):
    """Return a figure of CURVES against the ratio: the mean over the seeds, and their range."""
    names = list(dict.fromkeys(row["noise"] for row in rows))
    figure = new_figure(6.4, 4.2)
    axes = figure.add_subplot()
    for colour, marker, key in zip(COLOURS, "os^", CURVES, strict=False):
        values = np.array([[row[key] for row in rows if row["noise"] == name] for name in names], float)
        places = np.arange(len(names))
        axes.fill_between(
            places, values.min(axis=1), values.max(axis=1), color=colour, alpha=0.2, linewidth=0
        )
        axes.plot(places, values.mean(axis=1), color=colour, marker=marker, markersize=4, label=HEADLINE[key])
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("Signal-to-noise ratio (dB)", fontsize=9)
    axes.set_ylabel("Score", fontsize=9)
    axes.margins(y=0.08)  # the axis spans what there is: near each other the curves are told apart
    axes.legend(frameon=False, fontsize=9, loc="best")
    clean(axes)
    return figure


def describe(rows: list[dict]) -> str:
    """Return a Markdown table: a row for each level of noise."""
    table = []
    for name in dict.fromkeys(row["noise"] for row in rows):
        of = [row for row in rows if row["noise"] == name]
        table.append([name, *(spread([row[key] for row in of], key) for key in HEADLINE)])
    return harness.table(["Signal-to-noise ratio, dB", *HEADLINE.values()], table) + "\n"
