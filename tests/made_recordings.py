"""Recordings that the tests make: a heart that beats, noise, and the files that devices write."""

import edfio
import numpy as np
import wfdb


def ecg(seconds=60, rate=360, seed=0):
    """Return millivolts and the samples of the beats: 75 a minute, each tenth premature and wide."""
    random = np.random.default_rng(seed)
    intervals = random.normal(0.8, 0.02, int(seconds / 0.75))
    premature = np.arange(len(intervals)) % 10 == 9
    intervals[premature] *= 0.65
    intervals[1:][premature[:-1]] *= 1.35
    times = 0.7 + np.cumsum(intervals)
    kept = times < seconds - 0.6
    times, premature = times[kept], premature[kept]
    places = np.arange(int(seconds * rate)) / rate
    signal = 0.02 * random.standard_normal(len(places)) + 0.1 * np.sin(places)
    for time, wide in zip(times, premature, strict=True):
        near = slice(max(0, int((time - 0.5) * rate)), int((time + 0.6) * rate))
        around = places[near] - time
        waves = (
            [(1.2, 0, 0.04), (-0.5, 0.28, 0.06)]
            if wide
            else [(0.1, -0.16, 0.02), (1, 0, 0.012), (0.25, 0.27, 0.05)]
        )
        for height, at, width in waves:
            signal[near] += height * np.exp(-(((around - at) / width) ** 2) / 2)
    return signal.astype(np.float32), np.rint(times * rate).astype(np.int64)


def noise(kind, seconds, rate=360, seed=0):
    """Return millivolts of what is no ECG."""
    samples = int(seconds * rate)
    random = np.random.default_rng(seed).standard_normal(samples)
    if kind == "white":
        return 0.5 * random
    if kind == "slow":
        return np.convolve(random, np.hanning(rate // 8), "same") * 0.15
    if kind == "hum":
        return np.sin(2 * np.pi * 50 * np.arange(samples) / rate) + 0.03 * random
    return np.zeros(samples)


def write_wfdb(folder, name="own", rate=360, seconds=60, annotated=False, signal=None):
    """Write a WFDB record with the leads V1 and II, and its annotations if they are asked for."""
    millivolts, samples = ecg(seconds, rate)
    millivolts = millivolts if signal is None else signal
    wfdb.wrsamp(
        name,
        fs=rate,
        units=["mV", "mV"],
        sig_name=["V1", "II"],
        p_signal=np.stack([-millivolts, millivolts], 1).astype(float),
        fmt=["16", "16"],
        write_dir=str(folder),
    )
    if annotated:
        wfdb.wrann(name, "atr", samples, symbol=["N"] * len(samples), write_dir=str(folder))
    return folder / name


def write_edf(path, millivolts=None, rate=360, unit="uV", label="ECG II", **options):
    """Write an EDF file with a signal that is no ECG before the lead."""
    millivolts = ecg(60, rate)[0] if millivolts is None else millivolts
    factor = {"uV": 1000, "mV": 1}[unit]
    oxygen = np.full(len(millivolts) // rate, 97.0) + np.arange(len(millivolts) // rate) % 2
    signals = [
        edfio.EdfSignal(oxygen, 1, label="SpO2"),
        edfio.EdfSignal(millivolts.astype(float) * factor, rate, label=label, physical_dimension=unit),
    ]
    edfio.Edf(signals, **options).write(path)
    return path


def interrupt(path, after, seconds, rate=360):
    """Turn an EDF+C file into EDF+D: the data records from ``after`` on come ``seconds`` later."""
    content = bytearray(path.read_bytes())
    content[192:197] = b"EDF+D"
    size = 2 * (1 + rate)
    header = int(content[184:192])
    while header < len(content):
        start = header + size
        end = content.index(b"\x14\x14\x00", start)
        onset = int(float(content[start:end]))
        if onset >= after:
            later = f"+{onset + seconds}".encode()
            rest = content.index(b"\x00", end) - end
            field = later + bytes(content[end : end + rest])
            content[start : start + len(field)] = field
        header = start + 2 * _annotation_samples(content)
    path.write_bytes(content)


def _annotation_samples(content):
    signals = int(content[252:256])
    first = 256 + signals * (16 + 80 + 8 * 5 + 80)
    return int(content[first + 8 * (signals - 1) : first + 8 * signals])


WATCH = (
    'Name,"A, B"\nDate of Birth,"Jan 1, 1980"\nRecorded Date,2020-01-01 10:00:00 +0100\nClassification,Sinus Rhythm\n'
    'Symptoms,\nSoftware Version,1.90\nDevice,"Apple Watch"\nSample Rate,{rate}\n\n\nLead,Lead I\nUnit,µV\n\n'
)


def write_watch(path, millivolts, rate="360 hertz", comma=False, quoted=False):
    """Write the Apple Watch's export: microvolts, a number a line."""
    numbers = [f"{1000 * value:.3f}" for value in millivolts.tolist()]
    numbers = [number.replace(".", ",") for number in numbers] if comma else numbers
    numbers = [f'"{number}"' for number in numbers] if quoted else numbers
    path.write_text(WATCH.format(rate=rate) + "\n".join(numbers) + "\n", encoding="utf-8")
    return path
