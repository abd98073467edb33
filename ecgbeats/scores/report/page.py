"""The report page of a run: chooses the beats, prepares the values of each section, writes the file."""

import shlex
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.canvas import IMAGE_SIZE
from ecgbeats.images.protocols import PARTS
from ecgbeats.scores.aami import SPELLED
from ecgbeats.scores.figures import plot_confusion_matrix, plot_curves, plot_per_class, plot_reliability
from ecgbeats.scores.log_plot import AXIS_LABELS, plot_training
from ecgbeats.scores.logs import best_epoch, read_keep, read_run_log
from ecgbeats.scores.metrics import METRICS
from ecgbeats.scores.reliability import DOUBTFUL, doubtful_rows
from ecgbeats.scores.report import by_record
from ecgbeats.scores.report.attention import PATCH, overlay, what_it_looks_at
from ecgbeats.scores.report.choices import SAME_ERRORS, Beat, choose_errors, choose_typical, read_beat
from ecgbeats.scores.report.rendering import render
from ecgbeats.scores.report.run import Run, read_run
from ecgbeats.scores.words import interval_words

import numpy as np

# How far a probability may be from predictions.csv: other devices round otherwise, other images differ more.
TOLERANCE = 0.05
FEW_RECORDS = 20  # with fewer of them, intervals over records are rough
CONFUSIONS = 5  # kinds of error that are named
WORST = 25  # records that are shown at once


def write_report(folder, data_folder, model=None) -> Path:
    """Write ``report.html`` into a run folder that train_keras.py has filled; an older one is replaced.

    Parameters
    ----------
    folder : path-like
        Holds config.json, metrics.json, predictions.csv, log.csv and best.keras.
    data_folder : path-like
        The images that ``file`` in predictions.csv is relative to.
    model : keras.Model, optional
        The network of best.keras, where it is loaded already.

    Returns
    -------
    pathlib.Path
        The report.

    Raises
    ------
    InputError
        A file is missing or broken, or the images are not those of the run.
    """
    run = read_run(Path(folder), Path(data_folder))
    # A wrong --data is told before Keras is imported.
    typical = [[read_beat(run, i) for i in chosen] for chosen in choose_typical(run)]
    errors = [read_beat(run, i) for i in choose_errors(run)]
    if model is None:
        from ecgbeats.runs.networks import load_model

        with command.quiet_import():
            model, _ = load_model(run.folder / "best.keras", IMAGE_SIZE)
    page = render(page_values(run, model, typical, errors))
    path = run.folder / "report.html"
    with command.whole_file(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8", errors="replace")
    return path


def page_values(run: Run, model, typical: list[list[Beat]], errors: list[Beat]) -> dict:
    """Return what report.html.jinja prints, by the names that it uses.

    ``typical`` holds some beats of each class, ``errors`` those of any.
    """
    metrics = run.metrics
    return {
        "name": run.folder.resolve().name,
        "note": run.note,
        "version": command.VERSION,
        "config": run.config,
        "options": run.config["options"],
        "metrics": metrics,
        "score_keys": METRICS,
        "parts": [
            {"name": part, "beats": run.config["images"][part], "records": run.records(part)}
            for part in PARTS
        ],
        "protocol": protocol_values(run),
        "interval_words": interval_words(metrics["intervals"]),
        "few_records": FEW_RECORDS,
        "per_class": plot_per_class(metrics, metrics["intervals"], run.note),
        "confusions": most_frequent_errors(run),
        "confusion_matrix": plot_confusion_matrix(metrics, run.note),
        "curves": plot_curves(run.true, run.probabilities, run.classes, run.note),
        "reliability": plot_reliability(metrics["reliability"], run.note),
        "biases": biases_by_class(run),
        "doubtful": DOUBTFUL,
        "doubtful_rows": doubtful_rows(run.true, run.probabilities),
        "record_rows": by_record.record_rows(run),
        "worst": WORST,
        "failing": by_record.words_of_bounds(run.classes),
        "ectopic": by_record.ectopic_rows(run),
        "spelled": SPELLED,
        "training": training_values(run) if metrics["epochs"] else None,
        "classes": [
            {
                "name": name,
                "support": metrics["per_class"][name]["support"],
                "beats": beats,
                "look": look(run, model, beats[0]) if beats else None,
            }
            for name, beats in zip(run.classes, typical, strict=True)
        ],
        "patch": PATCH,
        "errors": errors,
        "wrong": int((run.true != run.predicted).sum()),
        "same_errors": SAME_ERRORS,
        **origin_values(run, model),
    }


def protocol_values(run: Run) -> dict:
    """Return what the page says of --split: ``kind`` (of protocols.html.jinja), ``name``, ``shares_patient``, ``validates``."""
    protocol = run.protocol
    name = Path(protocol.name).name
    return {
        "kind": name if name in ("beats", "records", "ds1-ds2") else "list",
        "name": name,
        "shares_patient": protocol.has_ds1_ds2,
        "validates": "validation" in (protocol.parts or {}).values(),
    }


def biases_by_class(run: Run) -> dict[str, float]:
    """Return the bias that each class got by calibration, of those that got one."""
    biases = (
        run.metrics["calibration"]["biases"] if "calibration" in run.metrics else [0.0] * len(run.classes)
    )
    return {name: bias for name, bias in zip(run.classes, biases, strict=True) if bias}


def most_frequent_errors(run: Run) -> list[dict]:
    """Return the kinds of error with the most beats: ``count``, ``support``, ``true``, ``predicted``."""
    counts = np.array(run.metrics["confusion_matrix"])
    wrong = counts - np.diag(np.diag(counts))
    kinds = [
        np.unravel_index(i, counts.shape) for i in np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
    ]
    return [
        {
            "count": wrong[true, predicted],
            "support": counts[true].sum(),
            "true": run.classes[true],
            "predicted": run.classes[predicted],
        }
        for true, predicted in kinds
        if wrong[true, predicted]
    ]


def training_values(run: Run) -> dict:
    """Return the curves of loss and accuracy, with their validation at the kept epoch and at the last one."""
    log = read_run_log(run.folder)
    keep = read_keep(run.folder)
    best = best_epoch(log, keep)
    name = run.folder.resolve().name
    curves = []
    for metric in ("loss", "accuracy"):
        figure = plot_training({name: log}, metric, run.note, {name: keep})
        figure.set_size_inches(5.2, 3.6)  # so small that a phone shows it whole
        kept, last = (f"{log[f'val_{metric}'][i]:.4g}" for i in (best, -1))
        curves.append({"figure": figure, "title": AXIS_LABELS[metric], "kept": kept, "last": last})
    kept_epoch, last_epoch = (f"{log['epoch'][i]:.10g}" for i in (best, -1))
    speed = log.get("images_per_second")
    return {
        "curves": curves,
        "keep": keep,
        "kept_epoch": kept_epoch,
        "last_epoch": last_epoch,
        "speed": None if speed is None else np.median(speed),
    }


def look(run: Run, model, beat: Beat) -> dict:
    """Return what the network looks at in a beat that it classifies rightly.

    ``picture`` is the image with the places that matter, ``before`` the class's probability, ``after`` that
    without the place that matters most (None where there is none), ``predicted`` the class predicted then.

    Raises
    ------
    InputError
        The network gives other probabilities than predictions.csv holds.
    """
    number = run.classes.index(beat.true)
    heat, before, after = what_it_looks_at(model, beat.image, number)
    if not abs(before - run.probabilities[beat.index]).max() <= TOLERANCE:  # NaN is not either
        raise InputError(
            f"{run.data_folder / run.files[beat.index]}: best.keras gives other probabilities for it than "
            "predictions.csv holds; let --data name the images that the run was trained on"
        )
    return {
        "picture": overlay(beat.image, heat),
        "before": before[number],
        "after": after[number] if heat.any() else None,
        "predicted": run.classes[after.argmax()],
    }


def origin_values(run: Run, model) -> dict:
    """Return what is needed to make this run again, but for what config.json holds."""
    from ecgbeats.runs.networks import multiply_adds
    from ecgbeats.runs.time_limit import duration

    here = ["python", "-m", "ecgbeats.scores.report", str(run.folder), "--data", str(run.data_folder)]
    return {
        "parameters": model.count_params(),
        "multiply_adds": multiply_adds(model),
        "duration": duration(run.metrics["seconds"]),
        "source": run.description.get("source"),
        "report_command": shlex.join(here),
        "options_as_given": {
            f"--{name.replace('_', '-')}": shlex.join(value) if isinstance(value, list) else value
            for name, value in run.config["options"].items()
        },
        "records": {f"{part} records": " ".join(run.records(part)) for part in PARTS},
    }
