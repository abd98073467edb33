"""The page on which a person checks the beats that a network labelled in a record.

One self-contained file: no network, its script and the whole signal stand in it. annotate_record.py calls
write_review() for each record.
"""

from ecgbeats.scores.review.page import Review, write_review

__all__ = ["Review", "write_review"]
