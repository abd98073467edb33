"""Write report.html into a run folder: the scores of a run and what they mean, for people to read.

    python -m ecgbeats.scores.report RUN_DIR --data DIR

One self-contained file: no network, no scripts; pictures and figures stand in it as data. It fits a phone and
paper, dark and light. train_keras.py calls write_report() when a run ends.
"""

import base64
import io
import json
import shlex
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.canvas import IMAGE_SIZE, WHITE
from ecgbeats.images.dataset import read_description
from ecgbeats.images.image_files import decode
from ecgbeats.images.names import parse_image_name, record_names
from ecgbeats.images.splits import PARTS
from ecgbeats.scores.figures import plot_confusion_matrix, plot_curves, plot_per_class
from ecgbeats.scores.intervals import bootstrap_intervals
from ecgbeats.scores.log_plot import AXIS_LABELS, plot_training
from ecgbeats.scores.logs import LOG_NAME, best_epoch, read_keep, read_log
from ecgbeats.scores.metrics import METRICS
from ecgbeats.scores.predictions import read_predictions
from ecgbeats.scores.words import TITLES, in_words, interval_words

import cv2
import numpy as np

TYPICAL_BEATS = 6  # of each class, in the gallery
ALL_TYPICAL_BEATS = 96  # of all classes together: other people's folders have many
ERRORS = 24
SAME_ERRORS = 3  # of one record, true and predicted class: one patient would else fill the gallery
# The erased squares of what_it_looks_at, in pixels. At half a square apart their tents add up to one.
PATCH = 16
STRIDE = PATCH // 2
# How far a probability may be from predictions.csv: other devices round otherwise, other images differ more.
TOLERANCE = 0.05
LARGEST_SVG = 300_000  # bytes; curves of 10,000 beats can take a megabyte
# What config.json names the records of each part by.
RECORD_KEYS = {"training": "train_records", "validation": "validation_records", "test": "test_records"}
FEW_RECORDS = 20  # with fewer of them, intervals over records are rough
# For each split: what it means, and what leaks.
PROTOCOLS = {
    "beats": (
        "All beats of all patients are shuffled and parted into training, validation and test, the same share of "
        "each class: the paper's protocol.",
        "Beats of the same patients stand on both sides, and the images of neighbouring beats even hold the same "
        "samples of signal. So this score says how well more beats of patients that the network already knows "
        "are told apart, and it is far too high for a new patient; the paper's 99.05 % is of this kind.",
    ),
    "records": (
        "Whole records are parted into training, validation and test, and records of one patient (201 and 202 of "
        "MIT-BIH) stay together.",
        "No patient of the test part stands in training or validation, so nothing of a patient leaks. What both "
        "sides share is the database, its recorders and its annotators, and with few records the score depends "
        "much on which patients the test part got.",
    ),
    "ds1-ds2": (
        "The field's list (de Chazal et al. 2004, classes of AAMI): trained on the 22 records of DS1, some of "
        "which validate, and tested on the 22 records of DS2.",
        "Patients are kept apart but for one: record 201 (DS1) and record 202 (DS2) are of the same patient, a "
        "known flaw of the list. DS2 is therefore scored without record 202 too.",
    ),
}


@dataclass
class Run:
    """What a run folder holds, checked; ``files``, ``true`` and ``probabilities`` are the test part's."""

    folder: Path
    data_folder: Path
    config: dict
    metrics: dict
    description: dict
    files: list[str]
    true: np.ndarray
    probabilities: np.ndarray
    classes: list[str]

    @property
    def predicted(self) -> np.ndarray:
        """The number of each test beat's predicted class."""
        return self.probabilities.argmax(axis=1)

    @property
    def note(self) -> str | None:
        """What must stand beside every result of this run, if anything."""
        return command.SIMULATED_NOTICE if self.config["simulated"] else None

    def image(self, i: int) -> np.ndarray:
        """Return test beat ``i`` as the network sees it: uint8, shape (128, 128)."""
        path = self.data_folder / self.files[i]
        try:
            return decode(path.read_bytes(), path)
        except OSError as problem:
            raise InputError(
                f"{path} cannot be read ({problem.strerror}); let --data name the images that the run was trained on"
            ) from problem

    def place(self, i: int) -> str:
        """Return where test beat ``i`` stands: its record and minutes:seconds, or else its file."""
        record, sample = parse_image_name(self.files[i]) or (None, 0)
        rate = self.description.get("sampling_rate", {}).get(record)
        if not rate:
            return self.files[i]
        minutes, seconds = divmod(int(sample / rate), 60)
        return f"record {record}, {minutes:02d}:{seconds:02d}"


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
    typical, errors = choose_typical(run), choose_errors(run)
    # A wrong --data is told before Keras is imported.
    pictures = {i: run.image(i) for i in [*errors, *(i for chosen in typical for i in chosen)]}
    if model is None:
        from ecgbeats.runs.networks import load_model

        with command.quiet_import():
            model, _ = load_model(run.folder / "best.keras")
    sections = {
        "Scores": score_section(run),
        "Confusion": confusion_section(run),
        "Curves": curves_section(run),
        "Training": training_section(run),
        "What the network looks at": attention_section(run, model, typical, pictures),
        "Most confident errors": errors_section(run, errors, pictures),
        "Typical beats": typical_section(run, typical, pictures),
        "How this was made": origin_section(run, model),
    }
    path = run.folder / "report.html"
    with command.whole_file(path) as unfinished:
        unfinished.write_text(page(run, model, sections), encoding="utf-8", errors="replace")
    return path


def read_run(folder: Path, data_folder: Path) -> Run:
    """Read and check a run folder. Raises InputError for what is missing, broken or of another run."""
    from ecgbeats.runs.networks import read_classes

    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name a run folder of train_keras.py")
    if not data_folder.is_dir():
        raise InputError(f"--data {data_folder} is no folder; name the images that the run was trained on")
    config = _read_json(folder / "config.json", "options", "simulated", "versions", "devices", "images")
    metrics = _read_json(folder / "metrics.json", "accuracy", "per_class", "confusion_matrix", "epochs")
    files, true, probabilities, classes = read_predictions(folder / "predictions.csv")
    for name, found in (
        ("metrics.json", metrics.get("classes")),
        ("config.json", config.get("classes")),
        ("best.keras", read_classes(folder / "best.keras")),
    ):
        if found != classes:
            raise InputError(
                f"{folder / name} and predictions.csv have other classes, so they are not of one run; "
                "finish it with train_keras.py --resume, or train again"
            )
    if metrics["test_images"] != len(files):
        raise InputError(
            f"{folder / 'predictions.csv'} has {len(files)} beats and metrics.json {metrics['test_images']}, so they "
            "are not of one run; finish it with train_keras.py --resume, or train again"
        )
    run = Run(
        folder,
        data_folder,
        config,
        metrics,
        read_description(data_folder),
        files,
        true,
        probabilities,
        classes,
    )
    over_records = config["options"]["split"] != "beats"
    records = record_names(files) if over_records else None
    with_202 = metrics.get("without_record_202")
    if not metrics.get("intervals"):
        metrics["intervals"] = bootstrap_intervals(true, probabilities, classes, records)
    if with_202 and not with_202.get("intervals"):
        others = records != "202"
        with_202["intervals"] = bootstrap_intervals(
            true[others], probabilities[others], classes, records[others]
        )
    return run


def _read_json(path: Path, *needed: str) -> dict:
    """Return a JSON file's content. Raises InputError where it cannot be read or lacks a needed name."""
    try:
        content = json.loads(path.read_text())
        lacks = [name for name in needed if name not in content]
    except (OSError, ValueError, TypeError) as problem:
        raise InputError(
            f"{path} cannot be read ({problem}); name a finished run of train_keras.py"
        ) from None
    if lacks:
        raise InputError(f"{path} lacks {', '.join(lacks)}; name a finished run of train_keras.py")
    return content


def choose_typical(run: Run) -> list[list[int]]:
    """Return for each class some of its test beats that are predicted rightly, the most typical first.

    Typical is what has a probability near the median of its record. Records take turns, those with the most
    beats first.
    """
    records = record_names(run.files)
    if records is None:
        records = np.zeros(len(run.files), int)
    most = max(1, min(TYPICAL_BEATS, ALL_TYPICAL_BEATS // len(run.classes)))
    typical = []
    for number in range(len(run.classes)):
        right = np.flatnonzero((run.true == number) & (run.predicted == number))
        order = []
        for record in np.unique(records[right]):
            own = right[records[right] == record]
            own = own[np.argsort(run.probabilities[own, number], kind="stable")]
            near_median = np.argsort(np.abs(np.arange(len(own)) - (len(own) - 1) / 2), kind="stable")
            order += [(turn, -len(own), int(i)) for turn, i in enumerate(own[near_median])]
        typical.append([i for _, _, i in sorted(order)[:most]])
    return typical


def choose_errors(run: Run) -> list[int]:
    """Return the errors with the highest probability, at most SAME_ERRORS of one kind and record."""
    wrong = np.flatnonzero(run.true != run.predicted)
    wrong = wrong[np.argsort(-run.probabilities[wrong].max(axis=1), kind="stable")]
    chosen, seen = [], {}
    for i in wrong.tolist():
        record, _ = parse_image_name(run.files[i]) or (None, None)
        kind = (record, run.true[i], run.predicted[i])
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= SAME_ERRORS and len(chosen) < ERRORS:
            chosen.append(i)
    return chosen


def what_it_looks_at(model, image: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Erase one small square of an image after another, and see what that does to the prediction.

    Unlike Grad-CAM this needs no gradients, so it is the same on every backend, and is as fine for every
    network: the last convolution of Inception-v3 has only 2x2 places on these images.

    Parameters
    ----------
    model : keras.Model
    image : numpy.ndarray, uint8, shape (128, 128)
    label : int
        The class whose evidence is looked for.

    Returns
    -------
    heat : numpy.ndarray, float64, shape (128, 128)
        How much the class's log odds fall when the line there is erased; 0 where they do not.
    before : numpy.ndarray, float64, shape (classes,)
        The probabilities for the whole image.
    after : numpy.ndarray, float64, shape (classes,)
        Those for the image without the square that matters most.

    Source: Zeiler and Fergus 2014 (arXiv:1311.2901), section 4.2.
    """
    corners, erased = [], [image]
    for y in range(-STRIDE, IMAGE_SIZE, STRIDE):
        for x in range(-STRIDE, IMAGE_SIZE, STRIDE):
            square = np.s_[max(y, 0) : y + PATCH, max(x, 0) : x + PATCH]
            if (image[square] != WHITE).any():  # where nothing is, erasing changes nothing
                corners.append((y, x))
                erased.append(image.copy())
                erased[-1][square] = WHITE
    # One size for every image, so that the network is compiled once; 32 fit any device.
    count = len(erased)
    erased += [image] * (-count % 32)
    probabilities = model.predict(np.stack(erased)[..., np.newaxis], batch_size=32, verbose=0)
    probabilities = np.asarray(probabilities, np.float64)[:count]
    # Log odds, since the probability of a sure class stays near 1. Not log(p / (1 - p)): p rounds to 1.
    others = np.delete(probabilities, label, axis=1).sum(axis=1)
    tiny = np.finfo(np.float32).tiny
    odds = np.log(np.maximum(probabilities[:, label], tiny)) - np.log(np.maximum(others, tiny))
    falls = odds[0] - odds[1:]
    tent = 1 - np.abs(np.arange(PATCH) - (PATCH - 1) / 2) / STRIDE
    heat = np.zeros((IMAGE_SIZE + 2 * STRIDE,) * 2)
    for (y, x), fall in zip(corners, falls, strict=True):
        heat[y + STRIDE : y + STRIDE + PATCH, x + STRIDE : x + STRIDE + PATCH] += fall * np.outer(tent, tent)
    strongest = int(odds.argmin())  # 0, the whole image, where no square counts
    return (
        np.maximum(heat[STRIDE:-STRIDE, STRIDE:-STRIDE], 0),
        probabilities[0],
        probabilities[strongest],
    )


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return the image on a ground of its heat, from white (0) to red (its maximum): uint8 RGB, (128, 128, 3)."""
    import matplotlib

    ground = matplotlib.colormaps["Reds"](0.75 * heat / (heat.max() or 1))[..., :3]
    ground = 1 - (1 - ground) * (heat > 0)[..., np.newaxis]  # the map's own lowest colour is not white
    return np.round(ground * image[..., np.newaxis]).astype(np.uint8)


def score_section(run: Run) -> str:
    """Return the protocol in words, the overall scores and those of each class, with intervals."""
    metrics, options = run.metrics, run.config["options"]
    meaning, leak = PROTOCOLS[options["split"]]
    if options["folds"] is not None:
        meaning += f" This is fold {options['fold']} (from 0) of {options['folds']}, the test part."
    sizes = []
    for part in PARTS:
        words = f"{part} {run.config['images'][part]:,d} beats"
        records = run.config.get(RECORD_KEYS[part])
        sizes.append(words + (f" of {len(records)} records" if records else ""))
    absent = [name for name in run.classes if not metrics["per_class"][name]["support"]]
    chosen = "Validation alone chose the network that is scored here."
    if options.get("keep") == "last":
        chosen = "The network that is scored here is the last epoch's, by --keep last; nothing was chosen by validation."
    html = [
        f"<p><strong>Protocol <code>--split {escape(options['split'])}</code>.</strong> {escape(meaning)} "
        f"({escape('; '.join(sizes))}. {chosen})</p>",
        f"<p><strong>What leaks.</strong> {escape(leak)}</p>",
    ]
    if absent:
        html.append(
            f"<p><strong>Absent:</strong> the test part has no beats of {escape(', '.join(absent))}, so nothing is known "
            "of them here, and means are over the other classes.</p>"
        )
    columns = {"": metrics}
    if "without_record_202" in metrics:
        columns = {"DS2": metrics, "DS2 without 202": metrics["without_record_202"]}
    rows = []
    for key in ("accuracy", *METRICS):
        cells = "".join(
            f"<td>{_value(m[key], key)}</td><td>{_interval(m['intervals'].get(key), key)}</td>"
            for m in columns.values()
        )
        rows.append(f'<tr><th scope="row">{_title(key)}</th>{cells}</tr>')
    heads = "".join(
        f'<th scope="col">{name} {m["test_images"]:,d} beats</th><th scope="col">95 % interval</th>'
        for name, m in columns.items()
    )
    html.append(
        _table(
            "Overall scores", f'<tr><th scope="col">Score</th>{heads}</tr>', rows, "Accuracy is the share of test beats that are right. "
            "The others are means over the classes, each class counting alike and measured against the rest.",
        )
    )  # fmt: skip
    html.append(
        _table(
            "Scores of each class",
            '<tr><th scope="col">Class</th><th scope="col">Beats</th>'
            + "".join(f'<th scope="col">{_title(key)}</th>' for key in METRICS)
            + "</tr>",
            [_class_row(run, name) for name in run.classes],
            _about_intervals(run),
        )
    )
    figure = plot_per_class(metrics, metrics["intervals"], run.note)
    html.append(
        _figure(
            figure,
            "Sensitivity, specificity, PPV and F1 of each class with intervals, as in the table above.",
        )
    )
    return "\n".join(html)


def _class_row(run: Run, name: str) -> str:
    """Return a class's row of the table: each score, and its interval below it."""
    values = run.metrics["per_class"][name]
    ends = run.metrics["intervals"]["per_class"][name]
    head = f'<tr><th scope="row">{escape(name)}</th><td>{values["support"]:,d}</td>'
    if not values["support"]:
        return f'{head}<td class="absent" colspan="{len(METRICS)}">absent: no test beats</td></tr>'
    cells = "".join(
        f"<td>{_value(values[key], key)}<small>{_interval(ends[key], key)}</small></td>" for key in METRICS
    )
    return f"{head}{cells}</tr>"


def _about_intervals(run: Run) -> str:
    """Say how the intervals were made, where there are none, and how far they can be trusted."""
    intervals = run.metrics["intervals"]
    words = f"Small print: {interval_words(intervals)}, {intervals['repeats']:,d} repeats. "
    words += "One without any error has no width, which does not mean that there can be none. PPV: positive predictive value (precision). AUC: area under the ROC curve."
    missing = {name: why for name, why in intervals.get("missing", {}).items() if why != "no beats"}
    if missing:
        words += " No interval: " + "; ".join(f"{name} ({why})" for name, why in missing.items()) + "."
    if intervals["resampled"] == "records" and intervals["units"] < FEW_RECORDS:
        words += f" With only {intervals['units']} records the intervals are rough: the test part may lack kinds of patients."
    return words


def confusion_section(run: Run) -> str:
    """Return the confusion matrix and the most frequent confusions in words."""
    counts = np.array(run.metrics["confusion_matrix"])
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:5]
    kinds = [
        f"{wrong.flat[i]:,d} of {counts[i // len(counts)].sum():,d} {run.classes[i // len(counts)]} taken for "
        f"{run.classes[i % len(counts)]}"
        for i in order.tolist()
        if wrong.flat[i]
    ]
    words = f"Most frequent: {'; '.join(kinds)}." if kinds else "No test beat is classified wrongly."
    alt = f"Confusion matrix, rows are the true classes. {words}"
    return f"<p>{escape(words)}</p>" + _figure(plot_confusion_matrix(run.metrics, run.note), alt)


def curves_section(run: Run) -> str:
    """Return the ROC and precision-recall curves."""
    figure = plot_curves(run.true, run.probabilities, run.classes, run.note)
    areas = [
        f"{name} {_value(run.metrics['per_class'][name]['auc'], 'auc')}"
        for name in run.classes
        if run.metrics["per_class"][name]["support"]
    ]
    alt = "ROC curves and precision-recall curves, each class against the rest. Areas under the ROC curve: "
    return _figure(figure, alt + ", ".join(areas) + ".")


def training_section(run: Run) -> str:
    """Return the curves of loss and accuracy."""
    if not run.metrics["epochs"]:
        return "<p>No epoch had ended when training stopped, so the network is scored as it was.</p>"
    log = read_log(run.folder / LOG_NAME)
    keep = read_keep(run.folder)
    best = best_epoch(log, keep)
    name = run.folder.resolve().name
    html = []
    for metric in ("loss", "accuracy"):
        figure = plot_training({name: log}, metric, run.note, {name: keep})
        figure.set_size_inches(5.2, 3.6)  # so small that a phone shows it whole
        last, lowest = (log[f"val_{metric}"][i] for i in (-1, best))
        alt = (
            f"{AXIS_LABELS[metric]} of training and validation against epochs; validation {lowest:.4g} at epoch "
            f"{log['epoch'][best]:.10g}, which is best.keras, and {last:.4g} at the last, {log['epoch'][-1]:.10g}."
        )
        html.append(_figure(figure, alt))
    chosen = "the last one, by --keep last" if keep == "last" else "the lowest validation loss"
    words = f"The star is the epoch of best.keras, {chosen}: the network that is scored here."
    if run.metrics.get("stopped_early"):
        words += (
            " Training was stopped early by --max-hours, so this network is not what all epochs would give."
        )
    return f'<p>{words}</p><div class="pair">{"".join(html)}</div>'


def attention_section(run: Run, model, typical: list[list[int]], pictures: dict) -> str:
    """Return a typical beat of each class, plain and with what the network looks at."""
    items = []
    for number, (name, chosen) in enumerate(zip(run.classes, typical, strict=True)):
        title = f"<strong>{escape(name)}</strong>"
        if not chosen:
            support = run.metrics["per_class"][name]["support"]
            words = "none of its test beats is classified rightly" if support else "absent: no test beats"
            items.append(f'<li class="empty">{title}<br>{words}</li>')
            continue
        i = chosen[0]
        heat, before, after = what_it_looks_at(model, pictures[i], number)
        if abs(before - run.probabilities[i]).max() > TOLERANCE:
            raise InputError(
                f"{run.data_folder / run.files[i]}: best.keras gives other probabilities for it than predictions.csv "
                "holds; let --data name the images that the run was trained on"
            )
        where = escape(run.place(i))
        words = f"{title} {_value(before[number])}"
        if heat.any():
            words += f"; without the reddest place {_value(after[number])}"
            if after.argmax() != number:
                words += f", and {escape(run.classes[after.argmax()])} is predicted"
        else:
            words += "; no single place lowers that"
        alt = escape(f"Beat of class {name}", quote=True)
        items.append(
            f'<li><figure><div class="two">{_picture(pictures[i], alt)}'
            f"{_picture(overlay(pictures[i], heat), alt + ' with the places that matter in red')}</div>"
            f"<figcaption>{words}<small>{where}</small></figcaption></figure></li>"
        )
    return (
        "<p>A typical beat of each class from the test part, rightly classified. Beside it, the redder a place is, the "
        f"more the class's odds fall when the line there is erased: a white square of {PATCH}x{PATCH} pixels is put on one "
        "place after another (occlusion, Zeiler and Fergus 2014). Red is scaled to each image's own maximum; the "
        "probability under it says how much that is. Erasing shows the parts of the line that count, but not where the "
        "network counts on there being none, such as a missing P wave.</p>"
        f'<ul class="gallery wide">{"".join(items)}</ul>'
    )


def errors_section(run: Run, errors: list[int], pictures: dict) -> str:
    """Return the gallery of the most confident errors."""
    total = int((run.true != run.predicted).sum())
    if not total:
        return "<p>No test beat is classified wrongly.</p>"
    items = []
    for i in errors:
        true, predicted = run.classes[run.true[i]], run.classes[run.predicted[i]]
        values = run.probabilities[i]
        items.append(
            f"<li><figure>{_picture(pictures[i], escape(f'Beat of class {true} taken for {predicted}'))}"
            f"<figcaption><strong>{escape(true)}</strong>, taken for <strong>{escape(predicted)}</strong> "
            f"({_value(float(values.max()))}; {escape(true)} "
            f"{_value(float(values[run.true[i]]))})"
            f"<small>{escape(run.place(i))}</small></figcaption></figure></li>"
        )
    return (
        f"<p>{total:,d} of {len(run.files):,d} test beats are classified wrongly. These {len(errors)} are the ones that the "
        f"network is surest of, with at most {SAME_ERRORS} of the same kind from one record.</p>"
        f'<ul class="gallery">{"".join(items)}</ul>'
    )


def typical_section(run: Run, typical: list[list[int]], pictures: dict) -> str:
    """Return the gallery of typical beats of each class."""
    html = [
        "<p>Test beats that are classified rightly, with a probability near the median of their record; records take "
        "turns.</p>"
    ]
    for name, chosen in zip(run.classes, typical, strict=True):
        html.append(f"<h3>{escape(name)}</h3>")
        if not chosen:
            support = run.metrics["per_class"][name]["support"]
            html.append(
                f"<p>None of its {support:,d} test beats is classified rightly.</p>" if support
                else "<p>Absent: no test beats.</p>"
            )  # fmt: skip
            continue
        number = run.classes.index(name)
        items = "".join(
            f"<li><figure>{_picture(pictures[i], escape(f'Typical beat of class {name}'))}"
            f"<figcaption>{_value(float(run.probabilities[i, number]))}"
            f"<small>{escape(run.place(i))}</small></figcaption></figure></li>"
            for i in chosen
        )
        html.append(f'<ul class="gallery">{items}</ul>')
    return "\n".join(html)


def origin_section(run: Run, model) -> str:
    """Return all that is needed to make this run again: options, versions, devices, times, commands."""
    from ecgbeats.runs.networks import multiply_adds
    from ecgbeats.runs.recorder import duration

    config, metrics = run.config, run.metrics
    facts = {
        "network": f"{config['options']['model']}: {model.count_params():,d} parameters, "
        f"{multiply_adds(model):,d} multiply-adds an image",
        "started": config.get("started"),
        "time": duration(metrics["seconds"]),
        "epochs": f"{metrics['epochs']} of {config['options']['epochs']}, kept is {metrics.get('best_epoch')}",
        "resumed": f"{config.get('resumed', 0)} times",
        "devices": ", ".join(config["devices"]),
        "precision": config.get("precision"),
        "backend": config.get("backend"),
        "machine": config.get("machine"),
        "source of the data": run.description.get("source"),
        "checksum of the data": config.get("data_sha256"),
    }
    if metrics["epochs"]:
        speed = read_log(run.folder / LOG_NAME).get("images_per_second")
        facts["speed"] = (
            f"{np.median(speed):,.0f} images/s in training (median epoch)" if speed is not None else None
        )
    options = {f"--{name.replace('_', '-')}": value for name, value in config["options"].items()}
    records = {f"{part} records": " ".join(config.get(RECORD_KEYS[part]) or []) for part in PARTS}
    here = ["python", "-m", "ecgbeats.scores.report", str(run.folder), "--data", str(run.data_folder)]
    commands = "\n".join([config.get("command", ""), shlex.join(here)])
    return (
        f'<h3>Commands</h3><pre tabindex="0">{escape(commands)}</pre>'
        f'<h3>Run</h3>{_facts(facts)}<div class="pair"><div><h3>Options</h3>{_facts(options)}</div>'
        f"<div><h3>Versions</h3>{_facts(config['versions'])}</div></div>"
        f"<h3>Records</h3>{_facts(records)}"
    )


STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1b1e22; --soft: #565d66; --line: #d3d8de;
  --panel: #f4f6f8; --link: #0b4f9e; --notice: #fff0c2; --notice-text: #4d3800; }
@media (prefers-color-scheme: dark) { :root { --ground: #15181b; --text: #e6e9ec; --soft: #a7aeb6; --line: #3b4249;
  --panel: #1f2429; --link: #8fbdf5; --notice: #493900; --notice-text: #ffe8a6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 66rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; padding-bottom: .2rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--link); }
small, .soft { color: var(--soft); font-size: .8rem; line-height: 1.35; }
td small, figcaption small { display: block; }
.notice { background: var(--notice); color: var(--notice-text); padding: .5rem .8rem; border-radius: .4rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .8rem 0; padding: 0; list-style: none; }
nav a { display: inline-block; padding: .25rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .6rem; margin: 1rem 0; }
.tiles div { background: var(--panel); padding: .6rem .8rem; border-radius: .4rem; }
.tiles dt { color: var(--soft); font-size: .85rem; }
.tiles dd { margin: 0; font-size: 1.45rem; font-weight: 600; line-height: 1.3; overflow-wrap: normal; }
.tiles small { display: block; font-weight: 400; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; white-space: nowrap; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap;
  vertical-align: top; line-height: 1.35; }
th:first-child { text-align: left; }
thead th { font-size: .85rem; vertical-align: bottom; }
.absent { text-align: left; color: var(--soft); }
.facts th { font-weight: 400; color: var(--soft); padding-left: 0; }
.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
figure { margin: 0; }
.plot { margin: .8rem 0; background: #fff; border: 1px solid var(--line); border-radius: .4rem; overflow-x: auto;
  padding: .3rem; }
.plot img { display: block; margin: 0 auto; max-width: none; height: auto; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 0 1rem; }
.pair > * { min-width: 0; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .9rem; margin: .8rem 0;
  padding: 0; list-style: none; }
.gallery.wide { grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
.gallery img { display: block; width: 100%; max-width: 10rem; height: auto; background: #fff;
  border: 1px solid var(--line); border-radius: .25rem; }
.gallery .two { display: flex; gap: .4rem; }
.gallery .two img { min-width: 0; flex: 0 1 10rem; }
figcaption { font-size: .85rem; line-height: 1.35; margin-top: .25rem; }
.empty { color: var(--soft); }
pre { overflow-x: auto; background: var(--panel); padding: .6rem .8rem; border-radius: .4rem; font-size: .85rem; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: .5rem; }
.narrow { display: none; }
@media (max-width: 40rem) { .narrow { display: block; } th, td { padding: .35rem .4rem; font-size: .9rem; } }
@media print {
  @page { margin: 14mm; }
  :root { color-scheme: light; --ground: #fff; --text: #000; --soft: #444; --line: #bbb; --panel: #f4f6f8;
    --link: #000; --notice: #fff0c2; --notice-text: #4d3800; }
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  nav, footer, .narrow { display: none; }
  .scroll, .plot, pre { overflow: visible; }
  pre { white-space: pre-wrap; }
  .plot { border: none; }
  .plot img { width: auto !important; min-width: 0 !important; max-width: 100%; max-height: 140mm; }
  .pair { grid-template-columns: 1fr 1fr; }
  .gallery { grid-template-columns: repeat(6, 1fr); gap: 3mm; }
  .gallery.wide { grid-template-columns: repeat(3, 1fr); }
  h2, h3, caption, section > p { break-after: avoid; }
  figure, tr, li, .notice, .tiles, section:has(.plot):not(:has(table)) { break-inside: avoid; }
}
"""


def page(run: Run, model, sections: dict[str, str]) -> str:
    """Return the whole page: title, what it is, summary, contents, sections."""
    metrics, options = run.metrics, run.config["options"]
    name = run.folder.resolve().name
    heading = escape(f"Run {name}: network {options['model']}, split {options['split']}")
    notice = f'<p class="notice"><strong>{escape(run.note)}</strong></p>' if run.note else ""
    tiles = ""
    for key in ("accuracy", "sensitivity", "ppv", "f1"):
        interval = _interval(metrics["intervals"].get(key), key)
        title = _title(key) if key == "accuracy" else f"{_title(key)}, mean of classes"
        tiles += (
            f"<div><dt>{title}</dt><dd>{_value(metrics[key], key)}"
            f"<small>{f'95 %: {interval}' if metrics['intervals'].get(key) else 'no interval'}</small></dd></div>"
        )
    anchors = [f"s{number}" for number in range(len(sections))]
    contents = "".join(
        f'<li><a href="#{anchor}">{escape(words)}</a></li>'
        for anchor, words in zip(anchors, sections, strict=True)
    )
    body = "".join(
        f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{escape(words)}</h2>\n{html}\n</section>\n'
        for anchor, (words, html) in zip(anchors, sections.items(), strict=True)
    )
    # The policy keeps a browser from loading or running anything, whatever names the data brought in.
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{heading}</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{heading}</h1>
<p class="soft">ECG beats as images, classified by a network. For research and teaching: this is no medical device, and
not for diagnosis.</p>
{notice}
<p>The network <strong>{escape(options["model"])}</strong> ({model.count_params():,d} parameters) was trained for
{metrics["epochs"]} epochs on {run.config["images"]["training"]:,d} images of beats in {len(run.classes)} classes. Of
{metrics["test_images"]:,d} test beats it classifies {_value(metrics["accuracy"], "accuracy")} rightly.
{escape(SUMMARY[options["split"]])}</p>
<dl class="tiles">{tiles}</dl>
<nav aria-label="Contents"><ul>{contents}</ul></nav>
<p class="soft narrow">Wide tables and figures scroll sideways.</p>
</header>
<main>
{body}</main>
<footer class="soft">Made by ecgbeats.scores.report, version {escape(command.VERSION)}. No medical device.</footer>
</body>
</html>
"""


SUMMARY = {
    "beats": "These are beats of patients that it was trained on, so expect far less for new patients.",
    "records": "These are beats of patients that it has not seen.",
    "ds1-ds2": "These are beats of patients that it has not seen, but for one.",
}


def _value(value: float | None, key: str = "accuracy") -> str:
    """Return a score in words (see scores), without a line break before the percent sign."""
    return in_words(value, key).replace(" %", "\N{NO-BREAK SPACE}%")


def _title(key: str) -> str:
    """Return a score's name with a capital."""
    return TITLES[key][0].upper() + TITLES[key][1:]


def _interval(ends: list[float] | None, key: str) -> str:
    """Return an interval in words, in the unit of the score beside it, or a dash."""
    return " to ".join(_value(end, key).partition("\N{NO-BREAK SPACE}")[0] for end in ends) if ends else "–"


def _table(caption: str, head: str, rows: list[str], words: str) -> str:
    """Return a table in a box of its own to scroll in, and words below it."""
    return (
        f'<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0"><table>'
        f"<caption>{escape(caption)}</caption><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table></div>"
        f'<p class="soft">{escape(words)}</p>'
    )


def _facts(facts: dict) -> str:
    """Return names and values as a table; what is not known is left out."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(value))}</td></tr>'
        for name, value in facts.items()
        if value not in (None, "")
    )
    return f'<table class="facts"><tbody>{rows}</tbody></table>'


def _figure(figure, alt: str) -> str:
    """Return a Matplotlib figure on a white card; on a phone the card scrolls, so text stays readable.

    It is SVG, which stays sharp on paper, or PNG where many points would make that large.
    """
    import matplotlib

    drawn, kind = io.BytesIO(), "svg+xml"
    with matplotlib.rc_context({"svg.hashsalt": "report"}):  # the same figure gives the same bytes
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    if drawn.tell() > LARGEST_SVG:
        drawn, kind = io.BytesIO(), "png"
        figure.savefig(drawn, format=kind)
    width = figure.get_figwidth()
    source = base64.b64encode(drawn.getvalue()).decode()
    return (
        f'<figure class="plot" tabindex="0"><img style="width: min(100%, {96 * width:.0f}px); '
        f'min-width: {62 * width:.0f}px" src="data:image/{kind};base64,{source}" alt="{escape(alt)}"></figure>'
    )


def _picture(image: np.ndarray, alt: str) -> str:
    """Return an image, uint8 gray (H, W) or RGB (H, W, 3), as HTML; ``alt`` is escaped already."""
    encoded = cv2.imencode(".png", image[..., ::-1] if image.ndim == 3 else image)[1].tobytes()
    source = base64.b64encode(encoded).decode()
    return (
        f'<img width="{IMAGE_SIZE}" height="{IMAGE_SIZE}" src="data:image/png;base64,{source}" alt="{alt}">'
    )


def main(arguments: list[str]) -> None:
    """Read the options, write the report."""
    parser = command.Parser(prog="python -m ecgbeats.scores.report", description=__doc__)
    parser.add_argument("run", metavar="RUN_DIR", type=Path, help="a finished run folder of train_keras.py")
    parser.add_argument(
        "--data", metavar="DIR", type=Path, required=True, help="the images that the run was trained on"
    )
    options = parser.parse_args(arguments)
    path = write_report(options.run, options.data)
    print(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
