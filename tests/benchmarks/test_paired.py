"""benchmarks/paired.py: two networks on the same test beats."""

import csv
import lzma
import sys

from ecgbeats.scores.predictions import write_predictions

import numpy as np
import pytest
from conftest import PROJECT

sys.path.append(str(PROJECT / "benchmarks"))


@pytest.fixture
def trained(tmp_path):
    """Return a function that makes a run folder which has these of its 100 beats (90 NOR, 10 PVC) right."""
    true = np.repeat([0, 1], [90, 10])

    def make(name, right, first="NOR/a_0.png"):
        folder = tmp_path / name
        folder.mkdir()
        chosen = np.where(right, true, 1 - true)
        probabilities = np.where(np.arange(2) == chosen[:, None], 0.75, 0.25)
        files = [first, *(f"NOR/a_{number}.png" for number in range(1, 100))]
        write_predictions(folder / "predictions.csv", files, true, probabilities, ["NOR", "PVC"])
        return folder

    return make


def rows_of(output: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in output.splitlines()]


def test_each_class_counts_alike(trained, run):
    # Of the 90 beats of one class none changes; of the 10 of the other all become right.
    base = trained("base", np.arange(100) < 90)
    better = trained("better", np.ones(100, bool))
    result = run("benchmarks/paired.py", better, "--less", base)
    assert result.returncode == 0, result.stderr
    (row,) = rows_of(result.stdout)[2:]
    assert row[:2] == ["better", "base"]
    assert row[2].startswith("+10.00 (+")
    assert row[3:] == ["+50.00 (+50.00 to +50.00)", "10", "0"]


def test_the_interval_is_that_of_paired_beats():
    import paired

    # McNemar's: of n beats b are right with the one alone and c with the other alone.
    n, b, c = 4000, 120, 80
    right, before = np.ones(n, bool), np.ones(n, bool)
    before[:b], right[b : b + c] = False, False
    gain, ends = paired.paired_difference(np.zeros(n, int), right, before)
    assert gain == pytest.approx([(b - c) / n] * 2)
    error = (b + c - (b - c) ** 2 / n) ** 0.5 / n
    assert ends[:, 0] == pytest.approx([gain[0] - 1.96 * error, gain[0] + 1.96 * error], abs=0.1 * error)


def test_a_class_of_few_beats_may_be_missing_in_a_resample():
    import paired

    true = np.repeat([0, 1], [50, 1])
    _, ends = paired.paired_difference(true, np.ones(51, bool), np.arange(51) < 50)
    assert ends[:, 1] == pytest.approx([0, 0.5]), "a third of the resamples lack the one beat that changes"


def test_pairs_have_a_mean_with_the_interval_over_them(trained, run):
    bases = [trained(f"base-{seed}", np.arange(100) < 90) for seed in range(3)]
    runs = [trained(f"run-{seed}", np.arange(100) < 90 + gained) for seed, gained in enumerate((1, 2, 3))]
    result = run("benchmarks/paired.py", *runs, "--less", *bases)
    assert result.returncode == 0, result.stderr
    *pairs, mean = rows_of(result.stdout)[2:]
    assert [row[:2] for row in pairs] == [[f"run-{seed}", f"base-{seed}"] for seed in range(3)]
    assert [row[2][:5] for row in pairs] == ["+1.00", "+2.00", "+3.00"]
    # Student's t of two degrees of freedom is 4.303 at 97.5 %; the gains' deviation is 1 point, and 5 points.
    assert mean[0] == "mean of 3"
    assert mean[2:4] == ["+2.00 (-0.48 to +4.48)", "+10.00 (-2.42 to +22.42)"]


def test_packed_predictions_are_read_as_well(trained, run):
    base, better = trained("base", np.arange(100) < 50), trained("better", np.arange(100) < 70)
    plain = run("benchmarks/paired.py", better, "--less", base)
    packed = base / "predictions.csv.xz"
    packed.write_bytes(lzma.compress((base / "predictions.csv").read_bytes()))
    (base / "predictions.csv").unlink()
    assert run("benchmarks/paired.py", better, "--less", base).stdout == plain.stdout
    assert "+20.00" in plain.stdout


def test_what_is_no_pair_is_refused(trained, run, refused):
    base, better = trained("base", np.arange(100) < 50), trained("better", np.arange(100) < 70)
    refused(run("benchmarks/paired.py", better, "--less", base / "none"), str(base / "none"))
    other = trained("other", np.arange(100) < 70, first="NOR/b_0.png")
    refused(run("benchmarks/paired.py", other, "--less", base), str(other), str(base), "same beats", "--seed")
    refused(run("benchmarks/paired.py", better, other, better, "--less", base, base), "--less", "3 runs")
    (other / "predictions.csv").rename(other / "predictions.csv.xz")
    refused(run("benchmarks/paired.py", other, "--less", base), str(other / "predictions.csv.xz"))
    with open(base / "predictions.csv", newline="") as stream:
        header = next(csv.reader(stream))
    (base / "predictions.csv").write_text(",".join(header) + "\n")
    refused(run("benchmarks/paired.py", base, "--less", base), str(base), "no beats")
