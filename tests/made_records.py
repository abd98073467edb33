"""Records that the tests write, and break."""

import numpy as np
import wfdb

# ../shared/mitdb/README.md counts these.
COUNTS = {
    "NOR": 75052,
    "PVC": 7130,
    "PAB": 7028,
    "RBB": 7259,
    "LBB": 8075,
    "APC": 2546,
    "VFW": 472,
    "VEB": 106,
}


def write_record(folder, name="made", rate=360, fmt="212", gap=False):
    """Write a short record through wfdb; return its samples in ADC units and its annotations."""
    random = np.random.default_rng(1)
    signal = random.integers(900, 1200, (3000, 2))
    if gap:
        signal[100:200, 0] = -2048 if fmt == "212" else -32768
    wfdb.wrsamp(
        name,
        fs=rate,
        units=["mV", "mV"],
        sig_name=["MLII", "V1"],
        d_signal=signal,
        fmt=[fmt, fmt],
        adc_gain=[200, 200],
        baseline=[1024, 1024],
        write_dir=str(folder),
    )
    samples = np.array([0, 200, 500, 900, 1500, 2999])
    wfdb.wrann(name, "atr", samples, symbol=list("NVN+NN"), write_dir=str(folder), fs=rate)
    return signal, samples


def write_frames(file, lengths, fmt="16", per_frame=None, preamble=0):
    """Write a signal file of random samples, without a header; return each signal's samples.

    ``lengths`` and ``per_frame`` hold each signal's number of samples, in all and in a frame.
    """
    per_frame = per_frame or [1] * len(lengths)
    random = np.random.default_rng(1)
    most = 100 if fmt in ("8", "80") else 400
    signals = [np.cumsum(random.integers(-3, 4, length)).clip(-most, most) for length in lengths]
    if fmt == "516":
        import soundfile

        soundfile.write(file, np.stack(signals, 1).astype(np.int16), 96000, "PCM_16", format="FLAC")
        return signals
    stored = [np.diff(signal, prepend=signal[0]) for signal in signals] if fmt == "8" else signals
    frames = [samples.reshape(-1, n) for samples, n in zip(stored, per_frame, strict=True)]
    file.write_bytes(bytes(range(preamble)) + encode(np.concatenate(frames, 1).ravel(), fmt))
    return signals


def encode(samples, fmt):
    """Return samples in a format of signal(5)."""
    if fmt == "80":
        return (samples + 128).astype("u1").tobytes()
    if fmt == "160":
        return (samples + 32768).astype("<u2").tobytes()
    if fmt == "24":
        return samples.astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()
    if fmt in ("212", "310", "311"):
        in_group, bits, size = (2, 12, 3) if fmt == "212" else (3, 10, 4)
        groups = np.resize(samples % 2**bits, (-(-len(samples) // in_group), in_group)).T
        if fmt == "212":  # the low bytes outside, the high halves between them
            words = groups[0] & 255 | groups[0] >> 8 << 8 | groups[1] >> 8 << 12 | (groups[1] & 255) << 16
        elif fmt == "310":  # two words, each with a sample and half of the third
            words = groups[0] << 1 | (groups[2] & 31) << 11 | groups[1] << 17 | groups[2] >> 5 << 27
        else:
            words = groups[0] | groups[1] << 10 | groups[2] << 20
        content = words.astype("<u4").view("u1").reshape(-1, 4)[:, :size].tobytes()
        return content[: -(-len(samples) * size // in_group)]
    return samples.astype({"8": "i1", "16": "<i2", "61": ">i2", "32": "<i4"}[fmt]).tobytes()


def damage(folder, kind):
    """Break record 100 in ``folder`` in one way; return the file that is broken."""
    header, annotations, signal = (folder / f"100.{suffix}" for suffix in ("hea", "atr", "dat"))
    if kind == "no atr":
        annotations.unlink()
        return annotations
    if kind == "no dat":
        signal.unlink()
        return signal
    file = {"hea": header, "atr": annotations, "dat": signal}[kind.split()[-1]]
    content = file.read_bytes()
    random = np.random.default_rng(0)
    if kind.startswith("cut"):
        content = content[: len(content) // 4 * 2]
    elif kind.startswith("empty"):
        content = b""
    elif kind.startswith("garbage"):
        content = random.bytes(len(content) // 2 * 2)
    elif kind.startswith("zero-ended garbage"):
        content = random.bytes(4000) + b"\0\0"
    elif kind.startswith("rate 0"):
        content = content.replace(b"100 2 360", b"100 2 0")
    elif kind.startswith("flipped"):
        place = len(content) // 2
        content = content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]
    file.write_bytes(content)
    return file


DAMAGES = [
    "no atr",
    "no dat",
    "cut atr",
    "cut dat",
    "empty atr",
    "empty dat",
    "empty hea",
    "garbage atr",
    "zero-ended garbage atr",
    "garbage dat",
    "garbage hea",
    "rate 0 hea",
    "flipped dat",
]
