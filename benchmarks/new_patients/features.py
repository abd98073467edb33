"""Numbers that a drawing could show, so that trees can tell in seconds which of them carry S and V to new patients."""

from ecgbeats.records.record import Record

import numpy as np
from scipy.signal import butter, sosfiltfilt

BAND = 0.5, 40.0  # Hz
BEFORE, AFTER = 0.36, 0.44  # seconds around the annotation
AROUND = 64  # beats on each side that a local reference is made of
USUAL_SHARE = 0.3  # of the beats around, those that come latest after the one before: they are not early
REFERENCE_PERCENTILE = 75
ALIGN_SECONDS = 0.06


def around(values: np.ndarray, reach: int) -> np.ndarray:
    """Return for each value those ``reach`` before and after it, NaN outside: (values, 2 reach + 1)."""
    padded = np.pad(values.astype(float), reach, constant_values=np.nan)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)


def band_passed(record: Record) -> np.ndarray:
    """Return the signal within BAND, float32, on the scale of the record's usual beat-to-beat swing."""
    filtered = sosfiltfilt(butter(2, BAND, "bandpass", fs=record.rate, output="sos"), record.signal)
    swings = np.ptp(cut(filtered, record.samples, record.rate, 0.1, 0.1), axis=1)
    return (filtered / max(np.median(swings), 1e-9)).astype(np.float32)


def cut(signal: np.ndarray, samples: np.ndarray, rate: float, before: float, after: float) -> np.ndarray:
    """Return the signal around each sample: (beats, samples); outside of the record its edge goes on."""
    first, last = round(before * rate), round(after * rate)
    padded = np.pad(signal, (first, last + 1), "edge")
    return padded[np.asarray(samples)[:, None] + np.arange(first + last + 1)]


def aligned(signal: np.ndarray, samples: np.ndarray, rate: float) -> np.ndarray:
    """Return where each beat lies best over the record's median beat, ALIGN_SECONDS from its annotation at most."""
    reach = round(ALIGN_SECONDS * rate)
    for _ in range(2):
        template = np.median(cut(signal, samples, rate, 0.12, 0.12), axis=0)
        template = template - template.mean()
        wide = cut(signal, samples, rate, 0.12 + reach / rate, 0.12 + reach / rate)
        views = np.lib.stride_tricks.sliding_window_view(wide, len(template), axis=1)
        views = views - views.mean(axis=2, keepdims=True)
        score = views @ template
        score -= (
            0.02
            * np.abs(score).max(axis=1, keepdims=True)
            * np.abs(np.arange(-reach, reach + 1))[: views.shape[1]]
            / reach
        )
        samples = np.clip(samples + score.argmax(axis=1) - reach, 0, len(signal) - 1)
        reach = max(1, reach // 2)
    return samples


def references(rr: np.ndarray, reach: int = AROUND, percentile: float = REFERENCE_PERCENTILE) -> np.ndarray:
    """Return the local reference of each RR interval."""
    return np.nanpercentile(around(rr, reach), percentile, axis=1)


def local_templates(
    beats: np.ndarray, rr: np.ndarray, reach: int = AROUND, share: float = USUAL_SHARE
) -> np.ndarray:
    """Return for each beat the median of those beats around it that come latest after their predecessors."""
    window = around(rr, reach).copy()
    window[:, reach] = np.nan
    wanted = np.argsort(np.where(np.isnan(window), -np.inf, window), axis=1)
    number = max(3, round(share * 2 * reach))
    index = np.arange(len(rr))[:, None] + wanted[:, -number:] - reach
    step = 8  # one template serves so many beats
    found = np.empty_like(beats)
    for start in range(0, len(beats), step):
        middle = min(start + step // 2, len(beats) - 1)
        chosen = index[middle]
        chosen = chosen[(chosen >= 0) & (chosen < len(beats))]
        found[start : start + step] = np.median(beats[chosen], axis=0)
    return found


def features(record: Record) -> dict[str, np.ndarray]:
    """Return the numbers of all beats of a record by name, float32, shape (beats,)."""
    rate = record.rate
    signal = band_passed(record)
    rr = np.diff(record.samples, prepend=record.samples[0]) / rate
    rr[0] = np.median(rr[1:])
    found = rhythm(rr)
    samples = aligned(signal, record.samples, rate)
    beats = cut(signal, samples, rate, BEFORE, AFTER)
    templates = local_templates(beats, rr)
    found |= form(beats, templates, rate)
    return {name: values.astype(np.float32) for name, values in found.items()}


def rhythm(rr: np.ndarray) -> dict[str, np.ndarray]:
    """Return what RR intervals (seconds, each ending at its beat) say."""
    usual, median, long = references(rr), np.nanmedian(around(rr, AROUND), axis=1), references(rr, 20, 90)
    near = references(rr, 8, 50)
    place = around(rr, 8)
    place = np.where(np.isnan(place), median[:, None], place)
    found = {"rr": rr, "usual_s": usual, "usual_by_median": usual / median, "near_by_usual": near / usual}
    for offset in range(-4, 5):
        found[f"rr{offset:+d}_usual"] = place[:, 8 + offset] / usual
    found["rr_median"] = rr / median
    found["rr_next_median"] = place[:, 9] / median
    found["rr_long"] = rr / long
    found["rr_near"] = rr / near
    found["rr_by_before"] = rr / place[:, 7]
    found["next_by_rr"] = place[:, 9] / rr
    found["sum_usual"] = (rr + place[:, 9]) / usual
    steps = np.abs(np.diff(np.log(np.maximum(around(rr, 16), 0.05)), axis=1))
    own = np.r_[14:18]
    apart = np.delete(steps, own, axis=1)
    found["irregular"] = np.nanmedian(apart, axis=1)
    found["irregular_upper"] = np.nanpercentile(apart, 80, axis=1)
    wide = np.abs(np.diff(np.log(np.maximum(around(rr, AROUND), 0.05)), axis=1))
    found["irregular_wide"] = np.nanmedian(wide, axis=1)
    found["irregular_lower"] = np.nanpercentile(wide, 25, axis=1)
    spread = around(rr, 16)
    found["spread"] = np.nanpercentile(spread, 75, axis=1) / np.nanpercentile(spread, 25, axis=1)
    found["early_share"] = np.nanmean(
        np.where(np.isnan(spread), np.nan, spread < 0.85 * usual[:, None]), axis=1
    )
    return found


def form(beats: np.ndarray, templates: np.ndarray, rate: float) -> dict[str, np.ndarray]:
    """Return how beats differ from templates, by parts: P wave, QRS, ST and T."""
    times = np.arange(beats.shape[1]) / rate - BEFORE
    parts = {"p": (-0.26, -0.06), "qrs": (-0.08, 0.1), "t": (0.12, 0.42), "all": (-0.26, 0.42)}
    found = {}
    size = np.ptp(templates[:, (times > -0.1) & (times < 0.12)], axis=1) + 1e-3
    for name, (start, end) in parts.items():
        inside = (times >= start) & (times <= end)
        one, other = beats[:, inside], templates[:, inside]
        one, other = (part - np.median(part, axis=1, keepdims=True) for part in (one, other))
        product = (one * other).sum(axis=1)
        norms = np.sqrt((one**2).sum(axis=1)), np.sqrt((other**2).sum(axis=1))
        found[f"{name}_correlation"] = product / (norms[0] * norms[1] + 1e-3)
        found[f"{name}_size"] = norms[0] / (norms[1] + 1e-2)
        found[f"{name}_difference"] = np.sqrt(((one - other) ** 2).mean(axis=1)) / size
        found[f"{name}_gain"] = product / (norms[1] ** 2 + 1e-3)
        found[f"{name}_own"] = norms[1] / size
    inside = (times >= -0.14) & (times <= 0.2)
    for name, values in (("width", beats), ("template_width", templates)):
        slope = np.abs(np.gradient(values[:, inside], axis=1))
        energy = slope.cumsum(axis=1) / (slope.sum(axis=1, keepdims=True) + 1e-6)
        found[name] = ((energy > 0.1) & (energy < 0.9)).sum(axis=1) / rate
        found[f"{name}_slope"] = slope.max(axis=1) / size
    found["width_by_template"] = found["width"] / (found["template_width"] + 0.01)
    found["slope_by_template"] = found["width_slope"] / (found["template_width_slope"] + 1e-3)
    quiet = (times >= -0.3) & (times <= -0.06)
    found["p_activity"] = np.abs(np.diff(beats[:, quiet], axis=1)).mean(axis=1) / size
    found["template_p_activity"] = np.abs(np.diff(templates[:, quiet], axis=1)).mean(axis=1) / size
    return found
