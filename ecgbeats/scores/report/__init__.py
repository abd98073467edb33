"""Write report.html into a run folder: the scores of a run and what they mean, for people to read.

    python -m ecgbeats.scores.report RUN_DIR --data DIR

One self-contained file: no network, no scripts; pictures and figures stand in it as data. It fits a phone and
paper, dark and light. train_keras.py calls write_report() when a run ends.
"""

from ecgbeats.scores.report.page import write_report

__all__ = ["write_report"]
