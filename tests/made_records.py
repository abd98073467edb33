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
