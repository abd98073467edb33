"""How far a command has come: a bar on a terminal, a line a minute elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator

from ecgbeats.process import terminal

SECONDS_BETWEEN_LINES = 60.0


@contextlib.contextmanager
def progress(total: float, what: str, unit: str) -> Iterator[Callable[[float], None]]:
    """Show how far something has come while the block lasts; yields a function that is told what was done since.

    Parameters
    ----------
    total : float
        How much there is to do.
    what : str
        What is done, such as "finding beats".
    unit : str
        What is counted, such as "min".
    """
    if terminal().isatty():
        from tqdm import tqdm

        form = "{desc}: {percentage:3.0f}% |{bar}| {n:,.0f} of {total:,.0f} {unit}, {remaining} left"
        with tqdm(total=total, desc=what, unit=unit, file=terminal(), bar_format=form, leave=False) as bar:
            yield bar.update
        return
    started = said = time.monotonic()
    done = 0.0

    def tell(more: float) -> None:
        nonlocal done, said
        done += more
        now = time.monotonic()
        if now - said >= SECONDS_BETWEEN_LINES and 0 < done < total:
            said = now
            left = (now - started) * (total - done) / done
            print(f"{what}: {done:,.0f} of {total:,.0f} {unit}, about {left:,.0f} s left", flush=True)

    yield tell
