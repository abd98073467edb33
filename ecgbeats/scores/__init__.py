"""Scores: from predictions and logs to metrics, intervals, figures and the report page."""
