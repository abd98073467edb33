"""Headers of WFDB records (.hea), by header(5) of the WFDB Applications Guide.

wfdb refuses or misreads much of what header(5) allows: more signal lines than signals, a length of 0 for one that is
not known, rates and gains such as 3.6e2, units or file names with a dot or a letter of its own. So headers are read
here, and wfdb decodes the samples alone (signals.py).
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from ecgbeats.command import SIMULATED_NOTICE, InputError
from ecgbeats.reading import need, read_file

REMEDY = "fetch it again, or leave the record out"
OTHER = "other"  # of --lead: not the one that is taken by default
LARGEST_HEADER = 2**20  # bytes
MOST_SIGNALS = 1000
SLOWEST_RATE, FASTEST_RATE = 1, 1_000_000  # Hz
DEFAULT_RATE, DEFAULT_GAIN = 250.0, 200.0  # header(5): assumed where none is given

# Fields are parted by white space; those behind the number of signals may be left out from the right. The rate may
# have any form that scanf takes, and the counter's frequency behind it. Time and date that follow say nothing of the
# samples, and are often written wrongly: they are not looked at.
_RECORD_LINE = re.compile(
    r"(?P<name>\S+?)(?P<segments>/\d*)?\s+(?P<signals>\d{1,9})"
    r"(?:\s+(?P<rate>[^\s/(]+)\S*(?:\s+(?P<frames>\S+)(?:\s.*)?)?)?",
    re.ASCII,
)
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
# Each field needs the one before; the description is the rest of the line.
_SIGNAL_LINE = re.compile(
    rf"""
    (?P<file>\S+) \s+ (?P<format>\d{{1,4}})
    (?:x(?P<per_frame>\d{{1,12}}))? (?::(?P<skew>\d{{1,12}}))? (?:\+(?P<offset>\d{{1,12}}))?
    (?:\s+ (?P<gain>{_NUMBER}) (?:\((?P<baseline>[+-]?\d{{1,12}})\))? (?:/(?P<unit>\S+))?
    (?:\s+ (?P<resolution>[+-]?\d{{1,12}})
    (?:\s+ (?P<zero>[+-]?\d{{1,12}})
    (?:\s+ (?P<initial>[+-]?\d{{1,12}})
    (?:\s+ (?P<checksum>[+-]?\d{{1,12}})
    (?:\s+ (?P<block>[+-]?\d{{1,12}})
    (?:\s+ (?P<description>.*) )? )? )? )? )? )? )?
    """,
    re.ASCII | re.VERBOSE,
)


@dataclass(frozen=True)
class SignalLine:
    """What a header says of one signal.

    Attributes
    ----------
    file : str
        The name of its file, which may hold more signals.
    format : str
        How samples are stored, a number of signal(5).
    per_frame : int
        Its samples in a frame, which the record's rate counts.
    skew : int
        Frames of the file before its sample 0.
    offset : int
        Bytes of the file before the first frame.
    gain, baseline : float, int
        Units of the file for one of ``unit``, and what stands for 0.
    unit : str
    initial : int
        The value from which format 8 counts differences.
    checksum : int or None
        The sum of its samples, in 16 bits; None where the header gives none, or no length.
    description : str
        The lead's name; may be empty.
    """

    file: str
    format: str
    per_frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    unit: str
    initial: int
    checksum: int | None
    description: str


@dataclass(frozen=True)
class Header:
    """What a header says of its record.

    Attributes
    ----------
    file : pathlib.Path
        The header itself; signal files lie beside it.
    rate : float
        Frames per second.
    frames : int or None
        The record's length; None where it is not told.
    signals : tuple of SignalLine
    comments : tuple of str
        The lines that begin with #, with that.
    """

    file: Path
    rate: float
    frames: int | None
    signals: tuple[SignalLine, ...]
    comments: tuple[str, ...]

    @property
    def name(self) -> str:
        """The record's name: that of its files."""
        return self.file.name.removesuffix(".hea")

    @property
    def is_simulated(self) -> bool:
        """Whether simulation.py made the record, wherever it lies now."""
        return any(SIMULATED_NOTICE in line for line in self.comments)

    def lead_name(self, channel: int) -> str:
        """Return a channel's name, ``signal 1`` or the like where the header gives none."""
        return self.signals[channel].description or f"signal {channel}"

    def lead_rate(self, channel: int) -> float:
        """Return the samples per second of a channel. Raises InputError for what no recording has."""
        rate = self.rate * self.signals[channel].per_frame
        if not SLOWEST_RATE <= rate <= FASTEST_RATE:
            raise _bad_rate(self.file, f"{rate:g}")
        return rate


def read_header(path: str | Path) -> Header:
    """Read a record's header, the path without a suffix.

    Raises InputError where there is no such file, it is no header, or of a record of several segments.
    """
    file = Path(f"{path}.hea")
    content = need(read_file(file, REMEDY, LARGEST_HEADER), file, "check the record's name")
    lines = [line for line in (_text(line).strip() for line in content.splitlines()) if line]
    comments = tuple(line for line in lines if line.startswith("#"))
    lines = [line for line in lines if not line.startswith("#")]
    fields = _RECORD_LINE.fullmatch(lines[0]) if lines else None
    if not fields:
        raise InputError(f"{file} is not a WFDB header; {REMEDY}")
    if fields["segments"]:
        raise InputError(f"{file} has several segments; join them first (wfdb.rdrecord, wfdb.wrsamp)")
    signals, described = int(fields["signals"]), len(lines) - 1
    if not signals:
        raise InputError(f"{file} describes no signals: fetch the file again, or leave the record out")
    if signals > min(described, MOST_SIGNALS):
        raise InputError(
            f"{file} claims {signals} signals and describes {described} (at most {MOST_SIGNALS:,d} are read); {REMEDY}"
        )
    rate = fields["rate"] or str(DEFAULT_RATE)
    if not re.fullmatch(_NUMBER, rate, re.ASCII) or not 0 < float(rate) < math.inf:
        raise _bad_rate(file, rate)
    frames = fields["frames"] or "0"
    if not re.fullmatch(r"\d{1,18}", frames, re.ASCII):
        raise InputError(f"{file} gives {frames[:40]} as its number of samples; {REMEDY}")
    known = int(frames) > 0  # header(5): 0 is one that is not known, and checksums are not compared then
    # header(5): lines beyond the number of signals are not read.
    parsed = tuple(_signal(file, line, known) for line in lines[1 : signals + 1])
    return Header(file, float(rate), int(frames) or None, parsed, comments)


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _signal(file: Path, line: str, known: bool) -> SignalLine:
    """Return what a line says of a signal; its checksum only where the record's length is ``known``."""
    fields = _SIGNAL_LINE.fullmatch(line)
    if not fields:
        raise InputError(f"{file} is not a WFDB header (it describes a signal by {line[:60]!r}); {REMEDY}")
    zero = int(fields["zero"] or 0)
    return SignalLine(
        file=fields["file"],
        format=fields["format"],
        per_frame=int(fields["per_frame"] or 1),
        skew=int(fields["skew"] or 0),
        offset=int(fields["offset"] or 0),
        gain=float(fields["gain"] or 0) or DEFAULT_GAIN,  # header(5): 0 is a gain that is not known
        baseline=int(fields["baseline"] or zero),
        unit=fields["unit"] or "mV",
        initial=int(fields["initial"] or zero),
        checksum=int(fields["checksum"]) if known and fields["checksum"] else None,
        description=(fields["description"] or "").strip(),
    )


def _bad_rate(file: Path, rate: str) -> InputError:
    return InputError(
        f"{file} gives {rate} as sampling rate, which is not within {SLOWEST_RATE} to {FASTEST_RATE:,d} Hz: "
        "mend the file, or leave the record out"
    )


def find_lead(header: Header, lead: str | None) -> int:
    """Return the channel that ``lead`` means.

    ``lead`` is a channel's name, or its index from 0; None is MLII where the record has it, else the first
    channel; OTHER, where no channel is called so, the first that None is not. Raises InputError if the record lacks it.
    """
    names = [signal.description for signal in header.signals]
    default = names.index("MLII") if "MLII" in names else 0
    if lead is None:
        return default
    if lead in names and lead:
        return names.index(lead)
    if lead == OTHER:
        if len(names) > 1:
            return 1 if default == 0 else 0
        raise InputError(
            f"--lead {OTHER}: record {header.name} has one lead only, {header.lead_name(0)}; name the records that have "
            "two with --records"
        )
    if lead.isascii() and lead.isdigit() and len(lead) < 10 and int(lead) < len(names):
        return int(lead)
    if any(names):
        shown = [header.lead_name(channel) for channel in range(len(names))]
        fault = f"has no such lead, it has {', '.join(shown)}"
    else:
        fault = f"does not name its leads; give an index from 0 to {len(names) - 1}"
    raise InputError(
        f"--lead {lead}: record {header.name} {fault}; choose one that all records have, or name the records with "
        "--records"
    )
