"""Which of a recording's leads is looked at."""

import re

from ecgbeats.command import InputError

# The leads in which a network trained on MIT-BIH's MLII is most at home, in this order.
PREFERRED = ("MLII", "II", "I")


def short_name(name: str) -> str:
    """Return a lead's name without what files put before it: II for ``ECG II``, ``EKG II``, ``Lead II``."""
    return re.sub(r"^\s*(?:(?:ECG|EKG|Lead)\b[\s_.:-]*)+(?=\w)", "", name, flags=re.IGNORECASE).strip()


def choose_lead(names: list[str], wanted: str | None, where: str) -> int:
    """Return the index of a lead.

    Parameters
    ----------
    names : list of str
        The leads' names, one at least.
    wanted : str or None
        A name, with or without ``ECG`` before it, or an index from 0. None is MLII, II or I where the recording has
        one of them, else the first that calls itself ECG or EKG, else the first.
    where : str
        The file, for the error.

    Raises
    ------
    InputError
        Where there is no such lead.
    """
    short = [short_name(name).lower() for name in names]
    if wanted is None:
        for name in map(str.lower, PREFERRED):
            if name in short:
                return short.index(name)
        return next((i for i, name in enumerate(names) if re.search("ecg|ekg", name, re.IGNORECASE)), 0)
    if wanted in names:
        return names.index(wanted)
    if wanted.strip() and short_name(wanted).lower() in short:
        return short.index(short_name(wanted).lower())
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 and int(wanted) < len(names):
        return int(wanted)
    shown = ", ".join(name or f"(no name, {i})" for i, name in enumerate(names[:30]))
    raise InputError(
        f"--lead {wanted}: {where} has no such lead; it has {shown}; name one of them, or its index from 0"
    )
