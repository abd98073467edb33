"""What a beat and its image are: classes, records, windows and the drawn line.

The method is that of Jun et al. 2018 (arXiv:1804.06812): one beat is the plotted signal between its
neighbours, as a 128x128 grayscale image. Two other drawings, strips and typical, keep rhythm and amplitude.
Every fact about them stands here once; the other files import it.
"""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from command import InputError

import cv2
import numpy as np

IMAGE_SIZE = 128  # pixels, both ways
MARGIN_SECONDS = 20 / 360  # left out beside a neighbour's annotation: 20 samples at 360 Hz
PAPER = 255  # gray level of the background; the line is 0

# WFDB's annotation symbols (physionet.org/physiobank/annotations.shtml) by class, in the paper's order.
CLASSES = {
    "paper": {"NOR": "N", "PVC": "V", "PAB": "/", "RBB": "R", "LBB": "L", "APC": "A", "VFW": "!", "VEB": "E"},
    "aami": {"N": "NLRej", "S": "AaJS", "V": "VE", "F": "F", "Q": "/fQ"},
}
# All symbols that mark a beat: the neighbours that end a window, whatever classes are drawn.
BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?!")


@dataclass(frozen=True)
class Record:
    """One lead of one record with its beats.

    Attributes
    ----------
    name : str
    lead : str
        The channel's name in the header, such as MLII.
    rate : float
        Samples per second.
    signal : numpy.ndarray, float32, shape (samples,)
        The lead in millivolts (or the header's unit); gaps are interpolated.
    samples : numpy.ndarray, int64, shape (beats,)
        Where each beat is annotated, rising.
    symbols : numpy.ndarray, str, shape (beats,)
        Each beat's annotation symbol, one of BEAT_SYMBOLS.
    """

    name: str
    lead: str
    rate: float
    signal: np.ndarray
    samples: np.ndarray
    symbols: np.ndarray


def symbol_classes(scheme: str) -> dict[str, str]:
    """Return the class of each annotation symbol under ``scheme`` ("paper" or "aami")."""
    return {symbol: name for name, symbols in CLASSES[scheme].items() for symbol in symbols}


def image_name(record: str, sample: int) -> str:
    """Return the file name of a beat's image; :func:`parse_image_name` reads it back."""
    return f"{record}_{sample}.png"


def parse_image_name(name: str | Path) -> tuple[str, int] | None:
    """Return (record, sample) of an image file's name or path, or None if it is not of that form.

    A record's name may itself hold ``_``, so the last one parts it from the sample.
    """
    record, _, sample = os.path.splitext(os.path.basename(name))[0].rpartition("_")
    return (record, int(sample)) if record and sample.isascii() and sample.isdigit() else None


def find_records(folder: str | Path) -> list[str]:
    """Return the names of the WFDB records in ``folder`` (not below it), sorted.

    PhysioNet's copy of MIT-BIH holds a sub-folder of records that are not part of the database.
    """
    return sorted(header.stem for header in Path(folder).glob("*.hea"))


def read_annotations(path: str | Path):
    """Read a record's header and the annotations of its beats.

    Parameters
    ----------
    path : path-like
        The record's path without a suffix, as wfdb takes it.

    Returns
    -------
    header : wfdb.Record
    samples : numpy.ndarray, int64, shape (beats,)
    symbols : numpy.ndarray, str, shape (beats,)

    Raises
    ------
    InputError
        Where a file is missing, or is not what its name says. wfdb reads an annotation file that was cut
        short without a word, so its closing zero word and the order of its samples are looked at here.
    """
    import wfdb

    header_file, annotation_file = Path(f"{path}.hea"), Path(f"{path}.atr")
    if not header_file.is_file():
        raise InputError(f"{header_file} does not exist: check the record's name")
    try:
        header = wfdb.rdheader(str(path))
    except Exception as problem:  # wfdb has no common error for what a header may hold
        raise _bad_file(header_file, "is not a WFDB header", problem) from problem
    if not isinstance(header, wfdb.Record):
        raise InputError(f"{header_file} has several segments; join them first (wfdb.rdrecord, wfdb.wrsamp)")
    if not header.n_sig or not header.sig_name:
        raise InputError(f"{header_file} describes no signals: fetch the file again, or leave the record out")
    if not (header.fs and np.isfinite(header.fs) and header.fs > 0):
        raise InputError(
            f"{header_file} gives {header.fs} as sampling rate: mend the file, or leave the record out"
        )

    if not annotation_file.is_file():
        raise InputError(f"{annotation_file} is missing: fetch it, or leave the record out with --records")
    content = annotation_file.read_bytes()
    if len(content) % 2 or content[-2:] != b"\0\0":
        raise _bad_file(
            annotation_file, "is cut short or is no annotation file (its closing zero is missing)"
        )
    try:
        annotation = wfdb.rdann(str(path), "atr")
    except Exception as problem:
        raise _bad_file(annotation_file, "is not a WFDB annotation file", problem) from problem
    samples = np.asarray(annotation.sample, dtype=np.int64)
    if annotation.fs and annotation.fs != header.fs:
        raise InputError(
            f"{annotation_file} counts at {annotation.fs} Hz, but {header_file.name} at {header.fs} Hz"
        )
    if (np.diff(samples) < 0).any() or (samples < 0).any():
        raise _bad_file(annotation_file, "has annotations that go backwards")
    if header.sig_len is not None and (samples >= header.sig_len).any():
        raise _bad_file(annotation_file, f"has annotations beyond the record's {header.sig_len} samples")
    symbols = np.asarray(annotation.symbol, dtype=str)
    beats = np.isin(symbols, list(BEAT_SYMBOLS))
    return header, samples[beats], symbols[beats]


def find_lead(header, lead: str | None) -> int:
    """Return the channel of ``header`` (a wfdb.Record) that ``lead`` means.

    ``lead`` is a channel's name, or its index from 0; None is MLII where the record has it, else the first
    channel. Raises InputError if the record lacks it.
    """
    names = header.sig_name
    if lead is None:
        return names.index("MLII") if "MLII" in names else 0
    if lead in names:
        return names.index(lead)
    if lead.isascii() and lead.isdigit() and int(lead) < len(names):
        return int(lead)
    raise InputError(
        f"--lead {lead}: record {header.record_name} has no such lead, it has {', '.join(names)}; "
        "choose one that all records have, or name the records with --records"
    )


def read_record(path: str | Path, lead: str | None = None, annotations: tuple | None = None) -> Record:
    """Read one lead of a WFDB record and its beats.

    Parameters
    ----------
    path : path-like
        The record's path without a suffix; ``.hea``, ``.atr`` and the signal file lie there.
    lead : str, optional
        See :func:`find_lead`.
    annotations : tuple, optional
        What :func:`read_annotations` returned for it, if that was called before.

    Raises
    ------
    InputError
        Where a file is missing, cut short or corrupt. wfdb does not compare the header's checksums with the
        signals, so that is done here.
    """
    import wfdb

    header, samples, symbols = annotations or read_annotations(path)
    channel = find_lead(header, lead)
    signal_file = Path(path).parent / header.file_name[channel]
    if not signal_file.is_file():
        raise InputError(f"{signal_file} is missing: fetch it, or leave the record out with --records")
    try:
        record = wfdb.rdrecord(str(path), physical=False)
        signal = record.d_signal
        frame_sizes = set(record.samps_per_frame or [1])
        found = record.calc_checksum() if frame_sizes == {1} else None
        lead_alone = wfdb.Record(
            d_signal=signal[:, [channel]],
            fmt=[record.fmt[channel]],
            adc_gain=[record.adc_gain[channel]],
            baseline=[record.baseline[channel]],
        )
        millivolts = lead_alone.dac(return_res=32)[:, 0]
    except Exception as problem:
        raise _bad_file(signal_file, "cannot be read, it is cut short or corrupt", problem) from problem
    if header.sig_len is not None and len(millivolts) != header.sig_len:
        raise _bad_file(
            signal_file, f"holds {len(millivolts)} samples where the header says {header.sig_len}"
        )
    # The header's checksum is the sum of a signal's samples in 16 bits, signed or not (WFDB header(5)).
    for name, file, expected, sum_ in zip(
        record.sig_name, record.file_name, record.checksum or [], found or [], strict=False
    ):
        if expected is not None and (expected - sum_) % 65536:
            raise _bad_file(Path(path).parent / file, f"is corrupt: lead {name} does not match its checksum")
    if len(samples) and samples[-1] >= len(millivolts):
        raise _bad_file(Path(f"{path}.atr"), f"has annotations beyond the record's {len(millivolts)} samples")
    gaps = np.isnan(millivolts)
    if gaps.all():
        raise InputError(
            f"{signal_file}: lead {record.sig_name[channel]} holds no valid sample; choose another --lead"
        )
    if gaps.any():
        millivolts[gaps] = np.interp(np.flatnonzero(gaps), np.flatnonzero(~gaps), millivolts[~gaps])
    return Record(
        header.record_name, record.sig_name[channel], float(record.fs), millivolts, samples, symbols
    )


def _bad_file(path: Path, fault: str, cause: Exception | None = None) -> InputError:
    """Return the error for a broken file of a record."""
    detail = f" ({cause})" if cause and str(cause) else ""
    return InputError(f"{path} {fault}{detail}; fetch it again, or leave the record out with --records")


def windows(samples: np.ndarray, rate: float, length: int) -> np.ndarray:
    """Return where each beat's window starts and ends.

    A window runs from the previous beat's annotation plus the margin to the next beat's minus the margin;
    the first starts at sample 0, the last ends with the record. Between beats so close that the margin
    would pass the beat itself the margin shrinks, so that a window always holds its own beat.

    Parameters
    ----------
    samples : numpy.ndarray of int, shape (beats,)
        The annotations of all beats of a record, rising (equal ones share their neighbours).
    rate : float
        Samples per second.
    length : int
        The record's number of samples.

    Returns
    -------
    numpy.ndarray, int64, shape (beats, 2)
        First sample, and the one behind the last.

    Source: the paper's section 2.1, with the margin of its public implementations.
    """
    samples = np.asarray(samples, dtype=np.int64)
    places, index = np.unique(samples, return_inverse=True)
    gaps = np.diff(places)
    margin = np.minimum(max(1, round(MARGIN_SECONDS * rate)), gaps - 1)
    starts = np.concatenate([[0], places[:-1] + margin])
    ends = np.concatenate([places[1:] - margin, [length]])
    return np.stack([starts, ends], axis=1)[index] if len(samples) else np.empty((0, 2), np.int64)


# cv2 takes coordinates as whole numbers with this many fractional bits.
_FRACTION_BITS = 8
# White pixels left free above and below, so that the line's own width is not cut off.
_BORDER = 2.0


def draw(signal: np.ndarray) -> np.ndarray:
    """Draw one window of a signal as the paper does: a dark line on white, stretched to the image.

    The window's first and last sample lie on the left and right edge, its lowest and highest value near
    the lower and upper edge; a flat signal is a level line in the middle.

    Parameters
    ----------
    signal : numpy.ndarray of float, shape (samples,)
        At least one sample, all finite, in any unit.

    Returns
    -------
    numpy.ndarray, uint8, shape (128, 128)
        255 is background.
    """
    scale = 1 << _FRACTION_BITS
    low, high = float(signal.min()), float(signal.max())
    points = np.empty((max(len(signal), 2), 1, 2), np.int32)
    points[:, 0, 0] = _columns(len(points))
    if high > low:
        # In float64 and divided first, so that the faintest signal does not overflow.
        depth = (high - signal.astype(np.float64)) / (high - low)
        points[:, 0, 1] = np.rint(depth * ((IMAGE_SIZE - 1 - 2 * _BORDER) * scale) + _BORDER * scale)
    else:
        points[:, 0, 1] = (IMAGE_SIZE - 1) * scale // 2
    image = np.full((IMAGE_SIZE, IMAGE_SIZE), PAPER, np.uint8)
    _draw_lines(image, [points])
    return image


@functools.lru_cache(1024)
def _columns(points: int) -> np.ndarray:
    """Return where points stand that are spread evenly over the width: int32, shape (points,), for _draw_lines."""
    return np.linspace(0, (IMAGE_SIZE - 1) << _FRACTION_BITS, points).astype(np.int32)


def paper_drawer(record: Record) -> Callable[[int], np.ndarray]:
    """Return the function that draws a beat's window with :func:`draw`, given its index among the beats."""
    bounds = windows(record.samples, record.rate, len(record.signal))
    return lambda beat: draw(record.signal[slice(*bounds[beat])])


def _draw_lines(image: np.ndarray, lines: list[np.ndarray], gray: int = 0) -> None:
    """Draw lines into ``image``, each through its points: int32, (points, 1, 2), column and row."""
    cv2.polylines(image, lines, False, gray, 1, cv2.LINE_AA, _FRACTION_BITS)


# --- Strips: a beat as on a printed page, at a fixed scale of time and of amplitude ---------------------------


@dataclass(frozen=True)
class Strip:
    """A band of the image with a time axis of its own.

    Attributes
    ----------
    top, bottom : int
        Its rows, ``bottom`` not among them.
    column : int
        Where the beat's annotation stands.
    seconds : float
        What one column lasts.
    tolerance : float
        How many pixels the line may leave the signal. Where many samples share a column, those that a straight
        line leaves out would be drawn one over the other, and make a level line three pixels thick.
    """

    top: int
    bottom: int
    column: int
    seconds: float
    tolerance: float = 0.0


BEAT_STRIP = Strip(0, 68, 58, 1 / 160, 0.2)  # from 0.36 s before the annotation to 0.43 s after it
RHYTHM_STRIP = Strip(76, 128, 76, 1 / 25, 0.5)  # from 3 s before to 2 s after
TICK_STRIP = Strip(68, 76, RHYTHM_STRIP.column, RHYTHM_STRIP.seconds)  # between them: a mark at each beat
# What is slower than this is no heart beat but the electrodes: long beside the widest beats, so that those stay.
BASELINE_SECONDS = 1.0
# The amplitudes that a strip shows: those between the percentiles, and more on each side by this share, since
# few ectopic beats may be the highest.
AMPLITUDE_PERCENTILES = (0.1, 99.9)
AMPLITUDE_MARGIN = 0.2
# In the drawing "typical": gray level of the record's typical beat, behind the beat; below the ticks, from this row
# on, this many bars of RR intervals, of this gray level, the typical one of this height in pixels.
TYPICAL_GRAY = 160
BAR_TOP = TICK_STRIP.bottom
BARS = 32
BAR_GRAY = 96
TYPICAL_BAR = 24


def strips_drawer(record: Record) -> Callable[[int], np.ndarray]:
    """Return the function that draws a beat of ``record`` with its rhythm, given its index among the beats.

    It returns an image as :func:`draw` does, of three bands. At the top the signal around the beat, at a fixed
    scale of time, the annotation always in the same column; at the bottom a longer stretch, at a slower scale;
    between them a tick at each annotated beat of that stretch, its own among them. Both show the signal as
    :func:`amplitudes` gives it, so that a low beat is low. What lies outside of the record stays white. The
    beats' symbols are not used.
    """
    depth = 1 - amplitudes(record.signal, record.rate)
    lines = [_strip_line(strip, depth, record.rate) for strip in (BEAT_STRIP, RHYTHM_STRIP)]

    def draw_strips(beat: int) -> np.ndarray:
        image = np.full((IMAGE_SIZE, IMAGE_SIZE), PAPER, np.uint8)
        sample = int(record.samples[beat])
        for line in lines:
            line(image, sample)
        _draw_ticks(image, record.samples, sample, record.rate)
        return image

    return draw_strips


def typical_drawer(record: Record) -> Callable[[int], np.ndarray]:
    """Return the function that draws a beat of ``record`` beside what is typical of it, given its index among the beats.

    It returns an image as :func:`strips_drawer` does, of three bands, which are to look alike for all patients as
    long as nothing is wrong. At the top the beat at a fixed scale of time, over the median of all beats of the record
    in gray: is its form unlike the others? Below it a tick at each annotated beat, at a scale of time in which the
    record's median RR interval is always as long: does it come too early? At the bottom a bar for the RR interval that
    ends at each beat, its own in black, for 19 beats before it and 12 after it, with the median always as high: is the
    rhythm regular? The beats' symbols are not used.
    """
    depth = 1 - amplitudes(record.signal, record.rate)
    beat_line = _strip_line(BEAT_STRIP, depth, record.rate)
    typical = np.full((IMAGE_SIZE, IMAGE_SIZE), PAPER, np.uint8)
    before, after = _strip_reach(BEAT_STRIP, record.rate)
    whole = (record.samples >= before) & (record.samples + after < len(depth))
    if whole.any():  # not in a record of one beat or two, cut at its ends
        around = depth[record.samples[whole, None] + np.arange(-before, after + 1)]
        _strip_line(BEAT_STRIP, np.median(around, axis=0), record.rate)(typical, before, TYPICAL_GRAY)
    # Of a record with one beat nothing is known: any scale will do.
    rr_intervals = np.diff(record.samples)
    typical_rr = float(np.median(rr_intervals[rr_intervals > 0])) if rr_intervals.any() else record.rate
    bars = _draw_bars(rr_intervals / typical_rr)
    bar_width = IMAGE_SIZE // BARS

    def draw_typical(beat: int) -> np.ndarray:
        image = np.full((IMAGE_SIZE, IMAGE_SIZE), PAPER, np.uint8)
        sample = int(record.samples[beat])
        beat_line(image, sample)
        _draw_ticks(image, record.samples, sample, typical_rr)
        start = beat % len(record.samples) * bar_width
        image[BAR_TOP:] = bars[:, start : start + IMAGE_SIZE]
        own = image[BAR_TOP:, TICK_STRIP.column : TICK_STRIP.column + bar_width]
        own[own == BAR_GRAY] = 0
        return np.minimum(image, typical, out=image)

    return draw_typical


def _draw_bars(rr_intervals: np.ndarray) -> np.ndarray:
    """Draw the RR intervals of a whole record as bars, one beside the other, ready to be cut for each beat.

    ``rr_intervals`` is float, shape (beats - 1,), 1 for the typical one. Returns uint8, (rows below BAR_TOP, columns);
    columns that start at a beat's index times the width of a bar are that beat's.
    """
    width, height = IMAGE_SIZE // BARS, IMAGE_SIZE - BAR_TOP
    heights = np.clip(np.rint(rr_intervals * TYPICAL_BAR), 1, height - 1)
    filled = np.arange(height, 0, -1)[:, None] <= heights
    bars = np.where(filled, BAR_GRAY, PAPER).astype(np.uint8).repeat(width, axis=1)
    bars[:, width - 1 :: width] = PAPER  # between two bars
    # The first beat ends no interval; before it, and after the last, there are none.
    left = TICK_STRIP.column + width
    return np.pad(bars, ((0, 0), (left, IMAGE_SIZE)), constant_values=PAPER)


def amplitudes(signal: np.ndarray, rate: float) -> np.ndarray:
    """Return a record's signal less its baseline, on the record's own scale.

    The baseline is the median of the second around. 0 and 1 are the percentiles AMPLITUDE_PERCENTILES of the
    whole record, widened by AMPLITUDE_MARGIN; what lies beyond is clipped. A flat signal is 0.5.

    Parameters
    ----------
    signal : numpy.ndarray of float, shape (samples,)
        At least one sample, all finite, in any unit.
    rate : float
        Samples per second.

    Returns
    -------
    numpy.ndarray, float64, shape (samples,)
    """
    signal = signal.astype(np.float64)
    # Fifty values for a median, one median each tenth of a second: that many describe something so slow.
    hop, step = max(1, round(BASELINE_SECONDS / 50 * rate)), 5
    coarse = signal[::hop]
    reach = round(BASELINE_SECONDS * rate / hop / 2)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(coarse, reach, "edge"), 2 * reach + 1)
    medians = np.median(around[::step], axis=1)
    level = signal - np.interp(np.arange(len(signal)), np.arange(len(medians)) * hop * step, medians)
    low, high = np.percentile(level, AMPLITUDE_PERCENTILES)
    if not high > low:
        return np.full(len(signal), 0.5)
    margin = AMPLITUDE_MARGIN * (high - low)
    return np.clip((level - low + margin) / (high - low + 2 * margin), 0, 1)


def _strip_reach(strip: Strip, rate: float) -> tuple[int, int]:
    """Return how many samples before and after the annotation a strip shows."""
    # One sample more on each side, so that the line runs up to the edges.
    before = int((strip.column + 1) * strip.seconds * rate) + 1
    after = int((IMAGE_SIZE - strip.column) * strip.seconds * rate) + 1
    return before, after


def _strip_line(strip: Strip, depth: np.ndarray, rate: float) -> Callable[..., None]:
    """Return the function that draws a record's signal around a sample into a strip of an image.

    ``depth`` is the whole record's, from 0 at the strip's upper edge to 1 at its lower one. The function takes the
    image, the sample and, if it is not to be 0, the line's gray level.
    """
    scale = 1 << _FRACTION_BITS
    height = strip.bottom - strip.top
    rows = np.rint((depth * (height - 1 - 2 * _BORDER) + _BORDER) * scale).astype(np.int32)
    before, after = _strip_reach(strip, rate)
    columns = strip.column + np.arange(-before, after + 1) / (strip.seconds * rate)
    columns = np.rint(columns * scale).astype(np.int32)

    def draw_line(image: np.ndarray, sample: int, gray: int = 0) -> None:
        start, end = max(0, sample - before), min(len(rows), sample + after + 1)
        points = np.empty((end - start, 1, 2), np.int32)
        points[:, 0, 0] = columns[start - sample + before : end - sample + before]
        points[:, 0, 1] = rows[start:end]
        points = cv2.approxPolyDP(points, strip.tolerance * scale, False)
        _draw_lines(image[strip.top : strip.bottom], [points], gray)

    return draw_line


def _draw_ticks(image: np.ndarray, samples: np.ndarray, sample: int, rate: float) -> None:
    """Draw a vertical tick at each beat around ``sample``, with a white row above and below."""
    strip, scale = TICK_STRIP, 1 << _FRACTION_BITS
    reach = IMAGE_SIZE * strip.seconds * rate  # more than the strip shows on either side; cv2 cuts it off
    first, end = np.searchsorted(samples, [sample - reach, sample + reach])
    columns = strip.column + (samples[first:end] - sample) / (strip.seconds * rate)
    ticks = np.empty((end - first, 2, 1, 2), np.int32)
    ticks[:, :, 0, 0] = np.rint(columns * scale)[:, None]
    ticks[:, :, 0, 1] = [(strip.top + 1) * scale, (strip.bottom - 2) * scale]
    _draw_lines(image, list(ticks))


# --- The drawings by name -------------------------------------------------------------------------------------

DRAWINGS = {"paper": paper_drawer, "strips": strips_drawer, "typical": typical_drawer}


def drawing_of(description: dict) -> str | None:
    """Return how the images that dataset.json describes are drawn, or None where it does not tell.

    ``description`` is that file's content, or {} for a folder that has none.
    """
    options = description.get("options")
    # Data sets of the first version, which had one drawing, do not name it.
    return options.get("drawing", "paper") if isinstance(options, dict) else None
