"""Which patients fail in an experiment, and what do their beats look like?

    python benchmarks/new_patients/failures.py NAME --output DIR [--seeds N ...] [--patients N] [--picture FILE]

NAME is an experiment of cross_validate. Prints the patients with most errors of S, worst first, in each part; the
picture has a column of beats in the drawing "usual" for each of the first six: an N and an S that are right, an S that is
missed and an N that is taken for S, where there are.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from ecgbeats import command
from ecgbeats.images.drawings import DRAWINGS

import numpy as np

from benchmarks import harness
from benchmarks.new_patients.experiment import read_experiment
from benchmarks.new_patients.scores import THINNED, N, S, V, kept


def main(arguments: list[str]) -> None:
    """Print the table, and draw the picture if one is asked for."""
    made = harness.parser(
        __doc__,
        output=(Path, "folder of cross_validate"),
        seeds=([0], "of the experiment"),
        patients=(8, "of each part"),
        picture=(Path, "PNG or SVG file", False),
    )
    made.add_argument("name", metavar="NAME", help="of the experiment")
    options = made.parse_args(arguments)
    experiment = read_experiment(options.output, options.name, options.seeds)
    patients, true, predicted = experiment.patients, experiment.true, experiment.predicted
    shown = []
    for part in ("ds1", "svdb"):
        rows = [
            error_counts(patients, number, true, predicted)
            for number in range(len(patients))
            if patients[number].part == part
        ]
        rows = sorted(rows, key=lambda row: -row[3] - row[4])[: options.patients]
        shown += [[patient.name for patient in patients].index(row[0]) for row in rows[:6]]
        print(
            harness.table(
                [part, "N", "S", "S missed", "false S", "of them N", "V", "V missed", "false V"], rows
            ),
            "\n",
        )
    if options.picture:
        draw_picture(
            [(patients[number], true[number], predicted[number]) for number in shown], options.picture
        )


def error_counts(patients: list, number: int, true: list, predicted: list) -> list:
    """Return a patient's name, and how many beats it has and loses of each class; N that are thinned count THINNED."""
    labels, found, patient = true[number], predicted[number], patients[number]
    many = np.where((labels == N) & (patient.part == "svdb"), THINNED, 1)
    s_true, s_found, v_true, v_found = labels == S, found == S, labels == V, found == V
    counted = (
        labels == N,
        s_true,
        s_true & ~s_found,
        ~s_true & s_found,
        (labels == N) & s_found,
        v_true,
        v_true & ~v_found,
        ~v_true & v_found,
    )
    return [patient.name, *(int(many @ values) for values in counted)]


def draw_picture(patients: list, file: Path) -> None:
    """Draw a column of beats for each patient: right N, right S, missed S, false S."""
    from matplotlib.figure import Figure

    kinds = {
        "N, right": lambda labels, found: (labels == N) & (found == N),
        "S, right": lambda labels, found: (labels == S) & (found == S),
        "S, missed": lambda labels, found: (labels == S) & (found != S),
        "N, taken for S": lambda labels, found: (labels == N) & (found == S),
    }
    figure = Figure((1.35 * len(patients), 1.5 * len(kinds)), layout="constrained")
    axes = figure.subplots(len(kinds), len(patients))
    for column, (patient, labels, found) in enumerate(patients):
        draw = DRAWINGS["usual"](patient.leads[0])
        for row, (words, choose) in enumerate(kinds.items()):
            axis, having = axes[row, column], kept(patient)[choose(labels, found)]
            axis.set_xticks([])
            axis.set_yticks([])
            if len(having):
                axis.imshow(draw(int(having[len(having) // 2])), cmap="gray", vmin=0, vmax=255)
            else:
                axis.set_axis_off()
            if row == 0:
                axis.set_title(patient.name, fontsize=8)
            if column == 0:
                axis.set_axis_on()
                axis.set_ylabel(words, fontsize=8)
    figure.savefig(file, dpi=104)


if __name__ == "__main__":
    command.run(main)
