"""The command that writes the report of a run; see ecgbeats.scores.report."""

from pathlib import Path

from ecgbeats import command
from ecgbeats.scores import report


def main(arguments: list[str]) -> None:
    """Read the options, write the report."""
    parser = command.Parser(prog="python -m ecgbeats.scores.report", description=report.__doc__)
    parser.add_argument("run", metavar="RUN_DIR", type=Path, help="a finished run folder of train_keras.py")
    parser.add_argument(
        "--data", metavar="DIR", type=Path, required=True, help="the images that the run was trained on"
    )
    options = parser.parse_args(arguments)
    path = report.write_report(options.run, options.data)
    print(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    command.run(main)
