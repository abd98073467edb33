"""sitting.py: it scores finished runs as other commands do, and refuses what does not belong together."""

import json
import shutil

from ecgbeats.command import InputError
from ecgbeats.images.folder import Images
from ecgbeats.images.protocols import DS2
from ecgbeats.runs.networks import save_model
from ecgbeats.scores.predictions import write_predictions
from ecgbeats.scores.scoring import score_beats

import cv2
import forked
import numpy as np
import pytest
from conftest import PROJECT, assert_refused, once
from made_predictions import predict
from run_folders import change, read, rows
from sklearn.metrics import f1_score

from benchmarks.new_patients import by_protocol, noise_curve

CLASSES = list("NSVFQ")
FITTED = {"classes": CLASSES, "temperature": 1.5, "biases": [0.0] * 5}
OPTIONS = {"split": "ds1-ds2", "folds": None, "fold": None, "limit": None, "epochs": 3, "data": "data"}


def write_run(folder, seed, files, probabilities, **config):
    """Write what a finished run leaves, of these predictions: every file's folder is its class."""
    folder.mkdir(exist_ok=True)
    true = np.array([CLASSES.index(file[0]) for file in files])
    records = np.array([file[2:].partition("_")[0] for file in files])
    write_predictions(folder / "predictions.csv", files, true, probabilities, CLASSES)
    metrics = score_beats(true, probabilities, CLASSES, records, None)
    if set(DS2) <= set(records):
        inside = records != "202"
        metrics["without_record_202"] = score_beats(
            true[inside], probabilities[inside], CLASSES, records[inside], None
        )
    (folder / "metrics.json").write_text(json.dumps(metrics))
    config = {
        "options": OPTIONS | {"seed": seed, "output": str(folder)},
        "finished": True,
        "devices": ["CPU:0"],
        "versions": {},
        "data_sha256": "0",
        "simulated": False,
        "classes": CLASSES,
        "images": {"training": 1, "validation": 1, "test": len(files)},
    } | config
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def runs(tmp_path):
    """Two seeds on DS2's records, 90 made beats each; half of S is in 232."""
    random = np.random.default_rng(0)
    files = []
    for record in DS2:
        shares = [0.5, 0.5, 0, 0, 0] if record == "232" else [0.8, 0.05, 0.1, 0.03, 0.02]
        files += [
            f"{CLASSES[label]}/{record}_{i}.png" for i, label in enumerate(random.choice(5, 90, p=shares))
        ]
    true = np.array([CLASSES.index(file[0]) for file in files])
    return [write_run(tmp_path / f"run-{seed}", seed, files, predict(true, 3.0, 5, seed)) for seed in (3, 4)]


def test_scores_are_scikit_learns_and_the_runs_own(runs):
    found = by_protocol.read_runs(runs)
    assert list(found) == ["ds1-ds2"]
    scored = [by_protocol.score_run(run) for run in found["ds1-ds2"]]
    for folder, one in zip(runs, scored, strict=True):
        table, metrics = rows(folder / "predictions.csv"), read(folder, "metrics.json")
        true, predicted = ([row[name] for row in table] for name in ("true", "predicted"))
        expected = f1_score(true, predicted, labels=["S", "V"], average=None)
        assert [one["all"]["S_f1"], one["all"]["V_f1"]] == pytest.approx(expected.tolist())
        assert one["all"]["VEB_sensitivity"] == metrics["ec57"]["gross"]["VEB"]["sensitivity"]
        if "reliability" in metrics:
            told = metrics["reliability"]["expected_calibration_error"]
            assert one["all"]["calibration_error"] == told
        assert one["without_record_202"]["accuracy"] == metrics["without_record_202"]["accuracy"]
        of_232 = [row for row in table if "232_" in row["file"]]
        s_found = sum(row["true"] == row["predicted"] == "S" for row in of_232)
        assert one["records"]["232"]["S_found"] == s_found
        assert sum(record["S_false"] for record in one["records"].values()) == sum(
            row["predicted"] == "S" != row["true"] for row in table
        )
        # 232 alone has 20 beats of S.
        alone = f1_score(
            [r["true"] for r in of_232], [r["predicted"] for r in of_232], labels=["S"], average=None
        )
        assert one["patients"]["S"] == {"number": 1, "quartiles": pytest.approx([alone[0]] * 3)}
        assert one["patients"]["accuracy"]["number"] == len(DS2)
    text = by_protocol.describe({"ds1-ds2": scored})
    values = [one["all"]["S_f1"] for one in scored]
    assert f"| {np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f}) |" in text
    assert "| ds1-ds2, without record 202 | 2 | 1,890 |" in text


def test_runs_that_do_not_belong_together_are_refused(runs, tmp_path):
    change(runs[1] / "config.json", options=OPTIONS | {"seed": 4, "epochs": 4})
    arguments = [*runs, "--output", tmp_path / "out", "--reason", "none", "--source", tmp_path]
    result = forked.run("benchmarks/new_patients/sitting.py", *arguments)
    assert_refused(result, "run-4", "differ in epochs", "one recipe")
    assert not (tmp_path / "out").exists()
    for mend, words in (
        (lambda: change(runs[1] / "config.json", options=OPTIONS | {"seed": 3}), "another run has its seed"),
        (lambda: change(runs[1] / "config.json", finished=False), "run-4: this run is not finished"),
        (
            lambda: shutil.copy(runs[0] / "metrics.json", runs[1]),
            "metrics.json is not of its predictions.csv",
        ),
    ):
        mend()
        if "another" not in words:
            change(runs[1] / "config.json", options=OPTIONS | {"seed": 4})
        if "metrics" in words:
            change(runs[1] / "config.json", finished=True)
        with pytest.raises(InputError, match=words):
            by_protocol.read_runs(runs)


def test_seeds_are_of_one_recipe_whatever_its_files_are_called(runs):
    def differ(**second):
        first = {"further": [{"data": "a", "images": 9, "sha256": "1"}], "fitted": FITTED}
        for folder, seed, config in zip(runs, (3, 4), (first, first | second), strict=True):
            options = OPTIONS | {"seed": seed, "calibrate": f"{seed}.json", "further": [f"of-{seed}"]}
            change(folder / "config.json", **{"options": options} | config)
        by_protocol.read_runs(runs)

    differ(further=[{"data": "b", "images": 9, "sha256": "1"}])
    with pytest.raises(InputError, match="but differ in further; give seeds"):
        differ(further=[{"data": "a", "images": 9, "sha256": "2"}])
    with pytest.raises(InputError, match="but differ in further; give seeds"):
        differ(further=[])
    with pytest.raises(InputError, match="but differ in calibrate; give seeds"):
        differ(fitted=FITTED | {"temperature": 1.6})
    with pytest.raises(InputError, match="but differ in calibrate; give seeds"):
        differ(fitted=None)
    with pytest.raises(InputError, match="but differ in split; give seeds"):
        differ(protocol={"parts": {"101": "training"}, "patients": {}})


def make_runs(folder, svdb):
    """Write two runs of networks that are not trained, tested on record 808."""
    drawn = ["--classes", "aami", "--drawing", "paper", "--records", "808", "--output", folder / "data"]
    assert forked.run("make_dataset.py", svdb, *drawn, tensorflow=False).returncode == 0
    result = forked.call(save_runs, folder)
    assert result.returncode == 0, result.stderr


def save_runs(folder):
    """Make the networks, and write what they say of the images."""
    import keras

    images = Images(folder / "data", CLASSES)
    pixels = images.gather(np.arange(len(images)))[..., None]
    parts = {"parts": {"800": "training", "808": "test"}, "patients": {}}
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        layers = keras.layers
        parts_of_it = [layers.Rescaling(1 / 255, -0.95), layers.AveragePooling2D(8), layers.Flatten()]
        kernel = keras.initializers.RandomNormal(stddev=2.0)
        parts_of_it.append(layers.Dense(5, "softmax", kernel_initializer=kernel))
        model = keras.Sequential([keras.Input((128, 128, 1)), *parts_of_it])
        run = folder / f"run-{seed}"
        config = {"drawing": "paper", "protocol": parts, "test_records": ["808"]}
        config["options"] = OPTIONS | {"split": "own.csv", "seed": seed}
        write_run(run, seed, images.names, model.predict(pixels, verbose=0), **config)
        save_model(model, run / "best.keras", CLASSES, "paper")


@pytest.mark.slow
def test_a_sitting(svdb, tmp_path):
    folder, _ = once("sitting", lambda folder: make_runs(folder, svdb))
    output = tmp_path / "out"
    arguments = [folder / "run-0", folder / "run-1", "--output", output, "--reason", "a try", "--noise", 12]
    command = ("benchmarks/new_patients/sitting.py", *arguments)
    result = forked.run(*command, "--source", svdb)
    assert result.returncode == 0, result.stderr
    sitting, text = read(output, "sitting.json"), (output / "sitting.md").read_text()
    assert sitting["reason"] == "a try"
    assert [one["seed"] for one in sitting["protocols"]["own"]] == [0, 1]
    curve = sitting["noise"]["scores"]
    assert [(row["noise"], row["seed"]) for row in curve] == [
        ("clean", 0),
        ("clean", 1),
        ("12", 0),
        ("12", 1),
    ]
    metrics = read(folder / "run-0", "metrics.json")
    assert curve[0]["accuracy"] == pytest.approx(metrics["accuracy"], abs=1e-3)
    assert curve[0]["S_ppv"] == pytest.approx(metrics["per_class"]["S"]["ppv"], abs=1e-3)
    assert abs(curve[3]["accuracy"] - curve[1]["accuracy"]) > 1e-3
    assert [row["noise"] for row in rows(output / "noise.csv")] == ["clean", "clean", "12", "12"]
    assert cv2.imread(str(output / "noise.png")).std() > 5
    assert f"| 12 | {100 * np.mean([curve[2]['accuracy'], curve[3]['accuracy']]):.2f} % (" in text
    assert_refused(forked.run(*command, "--source", svdb), "holds a sitting")
    # Of a cut-off sitting what was predicted is kept; records that are not the runs' own are noticed.
    (output / "sitting.json").unlink()
    shutil.rmtree(output / "noise-clean")
    kept = sorted(output.glob("noise-clean-*.npy"))
    np.save(kept[0], np.roll(np.load(kept[0]), 1, axis=1))
    assert_refused(forked.run(*command, "--source", svdb), "taken for what predictions.csv has", "--source")


def test_the_curves_of_noise_fill_their_picture():
    axes = noise_curve.plot(rows(PROJECT / "docs/runs/new-patients/noise.csv")).axes[0]
    values = np.concatenate([line.get_ydata() for line in axes.lines])
    assert np.ptp(values) > 0.6 * np.ptp(axes.get_ylim()), "near each other they are told apart"
    assert axes.get_xlabel()
    assert axes.get_ylabel()
