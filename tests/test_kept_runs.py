"""docs/runs: the runs that docs/results.md tells of are small, whole, and say what the page says."""

import json
import lzma
import re
import sys

from ecgbeats.scores.folds import fold_means
from ecgbeats.scores.logs import best_epoch, read_log
from ecgbeats.scores.metrics import METRICS, score
from ecgbeats.scores.words import in_words

import numpy as np
import pytest
from conftest import PROJECT

sys.path.append(str(PROJECT / "benchmarks"))

import paired

KEPT = PROJECT / "docs" / "runs"
RUNS = sorted(path.parent for path in KEPT.rglob("metrics.json"))
RESULTS = (PROJECT / "docs" / "results.md").read_text()
KEYS = ("accuracy", *METRICS)


def metrics_of(folder) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def folds_of(name: str) -> list:
    return sorted((KEPT / name).glob("fold-*"), key=lambda folder: int(folder.name[5:]))


def name_of(folder) -> str:
    return str(folder.relative_to(KEPT))


def test_they_are_small():
    sizes = {path: path.stat().st_size for path in KEPT.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 5e6
    assert max(sizes.values()) < 3e6


def test_they_name_no_path_of_a_machine():
    texts = [path for path in KEPT.rglob("*") if path.suffix in (".json", ".csv", ".md")]
    assert len(texts) > 3 * len(RUNS)
    assert not [path for path in texts if re.search(r"(?<!\w)/(work|tmp|root|home|dev)/", path.read_text())]


def test_all_are_of_one_commit_and_the_same_images():
    configs = [json.loads(path.read_text()) for path in KEPT.rglob("config*.json")]
    assert len(configs) == len(RUNS) + 4
    checksums = {(config["drawing"], config["data_sha256"]) for config in configs}
    assert len(checksums) == 2
    for drawing, folder in (("paper", "pretrained"), ("strips", "pretrained/strips")):
        known = json.loads((PROJECT / folder / "config.json").read_text())["data_sha256"]
        assert (drawing, known) in checksums


@pytest.mark.parametrize("folder", RUNS, ids=name_of)
def test_predictions_give_the_metrics_again(folder):
    text = lzma.decompress((folder / "predictions.csv.xz").read_bytes())
    said = metrics_of(folder)
    assert text.count(b"\n") == said["test_images"] + 1
    _, true, probabilities, classes = paired.read_run(folder)
    found = score(true, probabilities, classes)
    assert found["confusion_matrix"] == said["confusion_matrix"]
    for key in KEYS:
        assert found[key] == pytest.approx(said[key], abs=2e-4 if key == "auc" else 1e-12)


@pytest.mark.parametrize("folder", RUNS, ids=name_of)
def test_the_scored_network_is_of_the_lowest_validation_loss(folder):
    log, said = read_log(folder / "log.csv"), metrics_of(folder)
    assert (len(log["epoch"]), best_epoch(log) + 1) == (said["epochs"], said["best_epoch"])


@pytest.mark.parametrize("name", ["folds", "strips"])
def test_folds_are_summed_up(name):
    summary = json.loads((KEPT / name / "folds.json").read_text())
    every = [metrics_of(folder) for folder in folds_of(name)]
    means = fold_means(every)
    assert {key: summary[key] for key in means} == means
    pooled = np.sum([metrics["confusion_matrix"] for metrics in every], axis=0)
    assert summary["pooled"]["confusion_matrix"] == pooled.tolist()
    for number, metrics in enumerate(every):
        cells = [f"{metrics['epochs']} ({metrics['best_epoch']})", f"{metrics['test_images']:,d}"]
        row = " | ".join([str(number), *cells, *(in_words(metrics[key], key) for key in KEYS)])
        assert f"| {row} |" in RESULTS
    spread = [f"{in_words(summary[key]['mean'], key)} ± " for key in KEYS]
    assert all(
        f"{word}{summary[key]['standard_deviation'] * 100:.2f}" in RESULTS
        for word, key in zip(spread[:-1], KEYS, strict=False)
    )
    for row, (true, values) in zip(pooled, summary["pooled"]["per_class"].items(), strict=True):
        rates = [in_words(values[key], key) for key in ("sensitivity", "ppv", "f1")]
        assert f"| {true} | {' | '.join([*(f'{count:,d}' for count in row), *rates])} |" in RESULTS


@pytest.mark.slow
def test_the_page_has_the_differences_that_its_commands_print(capsys):
    shown = re.findall(r"^python benchmarks/paired\.py (.+)$", RESULTS.replace("\\\n", " "), re.MULTILINE)
    assert len(shown) >= 5
    for words in map(str.split, shown):
        paired.main([str(PROJECT / word) if word.startswith("docs/runs") else word for word in words])
        rows = capsys.readouterr().out.splitlines()
        assert len(rows) >= 3
        assert set(rows) <= set(RESULTS.splitlines())
