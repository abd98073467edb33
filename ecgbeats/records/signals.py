"""Signal files of WFDB records (.dat), by signal(5) of the WFDB Applications Guide: one lead, checked."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.reading import open_file
from ecgbeats.records.headers import REMEDY, Header, SignalLine

import numpy as np

FLAC_FORMATS = ("508", "516", "524")
WHOLE_FORMATS = ("8", *FLAC_FORMATS)  # which cannot be decoded from amid the file
PIECE = (
    1 << 21
)  # frames that are decoded at once: wfdb takes 8 bytes and more for a sample, and a day has 30 million
# Samples in so many bytes, by format.
_SAMPLES_IN_BYTES = {
    "8": (1, 1),
    "16": (1, 2),
    "24": (1, 3),
    "32": (1, 4),
    "61": (1, 2),
    "80": (1, 1),
    "160": (1, 2),
    "212": (2, 3),
    "310": (3, 4),
    "311": (3, 4),
}


@dataclass(frozen=True)
class Group:
    """The signals that share the file of a lead.

    Attributes
    ----------
    path : pathlib.Path
    signals : list of SignalLine
    lead : int
        Which of them is the lead.
    frames : int
        The record's length, by its header, else by the size of this file.
    """

    path: Path
    signals: list[SignalLine]
    lead: int
    frames: int


def find_group(header: Header, channel: int) -> Group:
    """Return the signals that share a channel's file, whose size is looked at before room for them is made.

    Other signal files may be missing. Raises InputError where this one is missing, no file, or too short for what its
    header claims.
    """
    wanted = header.signals[channel]
    signals = [signal for signal in header.signals if signal.file == wanted.file]
    lead = sum(signal.file == wanted.file for signal in header.signals[:channel])
    path = header.file.parent / wanted.file
    first = signals[0]  # header(5): format and offset are those of all that share a file
    if any(signal.format != first.format for signal in signals):
        raise InputError(
            f"{header.file} gives the signals of {wanted.file} different formats, and a file has one; mend the file, or "
            "leave the record out"
        )
    if first.format not in (*_SAMPLES_IN_BYTES, *FLAC_FORMATS):
        raise InputError(
            f"{header.file} gives lead {header.lead_name(channel)} the format {first.format}, which is none that can "
            "be read; choose another --lead, or leave the record out"
        )
    held = _held_samples(path, first)
    in_frame = sum(signal.per_frame for signal in signals)
    claimed = (header.frames or 0) * in_frame
    frames = header.frames or held // in_frame
    if claimed > held or wanted.skew >= frames:
        raise InputError(
            f"{path} is cut short: it does not hold the {claimed:,d} samples of its header; {REMEDY}"
        )
    return Group(path, signals, lead, frames)


def _held_samples(path: Path, signal: SignalLine) -> int:
    """Return how many samples a signal file has room for, of all its signals together."""
    with open_file(path, REMEDY) as file:
        if file is None:
            raise InputError(f"{path} is missing: {REMEDY}")
        if signal.format in FLAC_FORMATS:
            import soundfile

            try:
                about = soundfile.info(file)
            except soundfile.SoundFileError:
                raise InputError(f"{path} is no FLAC file; {REMEDY}") from None
            return max(0, about.frames - signal.offset) * about.channels
        samples, size = _SAMPLES_IN_BYTES[signal.format]
        return max(0, os.fstat(file.fileno()).st_size - signal.offset) * samples // size


def read_millivolts(header: Header, channel: int) -> np.ndarray:
    """Return a lead in its header's unit: float32, shape (samples,), NaN where the file holds no valid sample.

    Raises InputError where its file is missing, cut short or corrupt, and where nothing is left of the signal.
    """
    group = find_group(header, channel)
    line = group.signals[group.lead]
    step = group.frames if line.format in WHOLE_FORMATS else PIECE
    sums, digital, millivolts = np.zeros(len(group.signals), np.int64), [], []
    for start in range(0, group.frames, step):
        stored = _decode(group, start, min(start + step, group.frames))
        sums += [samples.sum(dtype=np.int64) for samples in stored]
        digital.append(stored[group.lead].astype(np.int32))
        millivolts.append(_scale(stored[group.lead], line))
    _check_sums(header, group, sums.tolist())
    digital, millivolts = np.concatenate(digital), np.concatenate(millivolts)
    # header(5): a skewed signal's first samples precede sample 0; its last are not there then.
    skew = line.skew * line.per_frame
    if skew:
        millivolts = np.concatenate([millivolts[skew:], np.full(skew, np.nan, np.float32)])
        digital = np.roll(digital, -skew)
    valid = ~np.isnan(millivolts)
    if not valid.any():
        raise InputError(
            f"{group.path}: lead {header.lead_name(channel)} holds no valid sample; choose another --lead"
        )
    if not valid.all():
        digital = digital[valid]
    _check_scale(digital, millivolts if valid.all() else millivolts[valid], header, channel)
    return millivolts


def _decode(group: Group, start: int, end: int) -> list[np.ndarray]:
    """Return the samples of each signal of a file as they are stored, of the frames from ``start`` to ``end``.

    int, shape ((end - start) * per_frame,).
    """
    # What wfdb.rdrecord calls when it has read the header, as it cannot all that header(5) allows.
    from wfdb.io._signal import _rd_segment

    signals = group.signals
    try:
        return _rd_segment(
            file_name=[group.path.name] * len(signals),
            dir_name=os.path.abspath(
                group.path.parent
            ),  # fsspec, which opens it, knows other names than paths
            pn_dir=None,
            fmt=[signal.format for signal in signals],
            n_sig=len(signals),
            sig_len=group.frames,
            byte_offset=[signal.offset for signal in signals],
            samps_per_frame=[signal.per_frame for signal in signals],
            skew=[0] * len(signals),
            init_value=[signal.initial for signal in signals],
            sampfrom=start,
            sampto=end,
            channels=list(range(len(signals))),
            ignore_skew=True,
        )
    except Exception as problem:  # wfdb has no common error for what a file may hold
        if isinstance(problem, MemoryError) or getattr(problem, "errno", None) in (
            errno.EMFILE,
            errno.ENFILE,
        ):
            raise
        detail = f" ({problem})" if str(problem) else ""
        raise InputError(
            f"{group.path} cannot be read, it is cut short or corrupt{detail}; {REMEDY}"
        ) from problem


def _check_sums(header: Header, group: Group, sums: list[int]) -> None:
    """Raise InputError where a signal of the file does not have the sum that the header gives, in 16 bits."""
    for signal, found in zip(group.signals, sums, strict=True):
        if signal.checksum is not None and (signal.checksum - found) % 65536:
            name = header.lead_name(header.signals.index(signal))
            raise InputError(f"{group.path} is corrupt: lead {name} does not match its checksum; {REMEDY}")


def _scale(digital: np.ndarray, line: SignalLine) -> np.ndarray:
    """Return stored samples in the header's unit: float32, NaN for the value that marks an invalid sample."""
    import wfdb

    alone = wfdb.Record(
        d_signal=digital[:, None], fmt=[line.format], adc_gain=[line.gain], baseline=[line.baseline]
    )
    return alone.dac(return_res=32)[:, 0]


def _check_scale(digital: np.ndarray, millivolts: np.ndarray, header: Header, channel: int) -> None:
    """Raise InputError where a lead's gain or baseline is so absurd that its millivolts do not tell the samples apart.

    ``digital`` and ``millivolts`` hold its valid samples, in the signal file's units and as float32.
    """
    line = header.signals[channel]
    errors = []
    for start in range(0, len(digital), PIECE):
        part = slice(start, start + PIECE)
        with np.errstate(all="ignore"):
            shown = (millivolts[part].astype(np.float64) - millivolts[0]) * line.gain
            errors.append(np.abs(shown - (digital[part].astype(np.float64) - digital[0])).max())
    if not np.max(errors) <= (float(digital.max()) - float(digital.min())) / 100:
        raise InputError(
            f"{header.file} gives lead {header.lead_name(channel)} the gain {line.gain:g} and the baseline "
            f"{line.baseline}, which leave nothing of its signal; mend the file, or leave the record out"
        )
