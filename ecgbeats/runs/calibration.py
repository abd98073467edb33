"""Calibrated probabilities: of the beats that a network gives 0.9, nine in ten shall be right.

Temperature scaling (Guo et al. 2017, arXiv:1706.04599) divides the logits by one number, which changes no predicted
class; with a bias for each class (bias-corrected temperature scaling, Alexandari et al. 2020, arXiv:1901.06852) it
also takes back that training draws rare classes and patients more often than they come. Both are fitted on the
validation part, and folded into the network's last layer, so that its file is used as any other.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypedDict

from ecgbeats.command import InputError, printable
from ecgbeats.images.folder import Images
from ecgbeats.images.names import record_names
from ecgbeats.images.protocols import Protocol
from ecgbeats.reading import need, read_json
from ecgbeats.runs.networks import Calibration, load_model, read_about, save_model
from ecgbeats.runs.prediction import predict

import numpy as np
from msgspec import Meta

NO, KINDS = "no", ("temperature", "biases")
REMEDY = f"give {NO}, {', '.join(KINDS)}, or such a file, FILE.json"
# A class needs so many validation beats, of two patients where these are known, for a bias of its own.
FEWEST_BEATS, FEWEST_PATIENTS = 20, 2
# How strongly temperature and biases are held to 1 and 0, in cross-entropy. By DS1 and svdb, with 3 to 20 patients that
# validate: weaker, the cross-entropy of the other patients rises where few validate; stronger, where many do.
RIDGE = 0.01
HOTTEST = 10.0  # the temperature lies within this and its inverse
LARGEST_BIAS = 5.0
LONGEST_NAME = 80  # characters of a file's name that are noted in the network


class Fitted(TypedDict):
    """A file of --calibrate: what was fitted elsewhere, such as over the patients of a cross-validation."""

    classes: Annotated[list[str], Meta(min_length=1)]
    temperature: Annotated[float, Meta(ge=1 / HOTTEST, le=HOTTEST)]
    biases: list[Annotated[float, Meta(ge=-LARGEST_BIAS, le=LARGEST_BIAS)]]


def how_to_calibrate(text: str) -> str:
    """Argparse type: no, one of KINDS, or a file of Fitted, which :func:`read_fitted` reads once the classes are known."""
    if text in (NO, *KINDS) or text.endswith(".json"):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is none of the ways to calibrate; {REMEDY}")


def read_fitted(path: str, classes: list[str]) -> Fitted:
    """Return what a file holds; raises InputError where it does not fit these classes."""
    fitted = need(read_json(path, Fitted, REMEDY), path, REMEDY)
    if len(fitted["biases"]) != len(fitted["classes"]):
        raise InputError(
            f"{path} has {len(fitted['biases'])} biases for {len(fitted['classes'])} classes; {REMEDY}"
        )
    if fitted["classes"] != classes:
        raise InputError(
            f"{path} is for the classes {', '.join(fitted['classes'])}, not {', '.join(classes)}; {REMEDY}"
        )
    return fitted


def in_words(calibration: Calibration, classes: list[str]) -> str:
    """Return what was done, for the terminal."""
    patients = f" of {calibration['patients']} patients" if calibration["patients"] else ""
    beats = f"{calibration['beats']:,d} validation beats{patients}"
    biases = ", ".join(
        f"{name} {bias:+.2f}" for name, bias in zip(classes, calibration["biases"], strict=True) if bias
    )
    return (
        f"Calibrated {'by ' + calibration['file'] if 'file' in calibration else 'on ' + beats}: temperature "
        f"{calibration['temperature']:.2f}, {'biases ' + biases if biases else 'no bias'}; calibration error of the "
        f"{beats}: {calibration['error_before']:.2%}, now {calibration['error_after']:.2%}"
    )


def fit_calibration(
    probabilities: np.ndarray, true: np.ndarray, kind: str, patients: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Return the temperature and the biases that give the lowest cross-entropy: softmax(log(p) / temperature + bias).

    Parameters
    ----------
    probabilities : numpy.ndarray of float, shape (beats, classes)
    true : numpy.ndarray of int, shape (beats,)
    kind : str
        Of KINDS; biases are 0 with "temperature".
    patients : numpy.ndarray of str, shape (beats,), optional
        The patient of each beat: they count alike, however long their records are, since the next patient is one, too.
        Without it beats count alike.

    Returns
    -------
    temperature : float
    biases : numpy.ndarray, float64, shape (classes,)
        Their mean over the classes that have one is 0, that of the others is 0.
    """
    from scipy.optimize import minimize

    logits = _logits(probabilities)
    weights = _weights(len(true), patients)
    free = _classes_with_bias(true, logits.shape[1], patients) if kind == "biases" else np.empty(0, int)
    beats = np.arange(len(true))

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the cross-entropy, which is convex in these parameters, and its gradient."""
        scale, biases = _unpack(parameters, free, logits.shape[1])
        found = log_softmax(scale * logits + biases)
        excess = np.exp(found)
        excess[beats, true] -= 1
        excess *= weights[:, None]
        slopes = excess.sum(axis=0)[free] + RIDGE * biases[free]
        slope = (excess * logits).sum() + RIDGE * (scale - 1)
        value = -weights @ found[beats, true] + RIDGE / 2 * ((scale - 1) ** 2 + biases @ biases)
        return value, np.concatenate([[slope], slopes - slopes.mean() if len(free) else slopes])

    bounds = [(1 / HOTTEST, HOTTEST)] + [(-LARGEST_BIAS, LARGEST_BIAS)] * len(free)
    start = np.concatenate([[1.0], np.zeros(len(free))])
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    scale, biases = _unpack(best, free, logits.shape[1])
    return float(1 / scale), biases


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return the logarithms of the probabilities: float (beats, classes) both."""
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def apply_calibration(probabilities: np.ndarray, temperature: float, biases: np.ndarray) -> np.ndarray:
    """Return softmax(log(p) / temperature + bias): float64, shape (beats, classes)."""
    return np.exp(log_softmax(_logits(probabilities) / temperature + biases))


def fold_in(model, temperature: float, biases: np.ndarray) -> None:
    """Change a network of build_model, in place, so that it gives softmax(logits / temperature + bias)."""
    layer = model.get_layer("logits")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel / np.float32(temperature), (bias / temperature + biases).astype(np.float32)])


def calibrate(
    path: Path,
    batches,
    protocol: Protocol,
    kind: str,
    fitted: Fitted | None,
    measure: Callable[[np.ndarray, np.ndarray], float],
) -> Calibration:
    """Calibrate a network's file on the validation part, once: what was fitted is noted in it.

    A run that was killed in between may so call this again. The file is the old one or the new one at every moment.

    Parameters
    ----------
    path : pathlib.Path
        Of a network of build_model, as save_model wrote it.
    batches : DataGenerator
        The validation part, not shuffled.
    protocol : Protocol
        How the beats were parted: patients count alike where it keeps them apart.
    kind : str
        Of KINDS, or the name of the file that ``fitted`` is from.
    fitted : Fitted, optional
        Is folded in as it is.
    measure : callable
        From classes and probabilities of beats to how far the latter are off; it is noted before and after.

    Returns
    -------
    Calibration
        Also what an earlier call noted.
    """
    about = read_about(path)
    if "calibration" in about:
        return about["calibration"]
    model, classes = load_model(path)
    true, patients = batches.images.labels, _patients(batches.images, protocol)
    before = predict(model, batches)
    if fitted:
        temperature, biases = fitted["temperature"], np.array(fitted["biases"])
    else:
        temperature, biases = fit_calibration(before, true, kind, patients)
    temperature, biases = round(temperature, 4), np.round(biases, 4)  # as they are noted
    fold_in(model, temperature, biases)
    calibration = Calibration(
        temperature=temperature,
        biases=biases.tolist(),
        beats=len(true),
        patients=None if patients is None else len(np.unique(patients)),
        error_before=measure(true, before),
        error_after=measure(true, apply_calibration(before, temperature, biases)),
    )
    if fitted:
        calibration["file"] = printable(Path(kind).name[:LONGEST_NAME])
    save_model(model, path, classes, about.get("drawing"), calibration)
    return calibration


def _patients(images: Images, protocol: Protocol) -> np.ndarray | None:
    """Return the patient of each image, None where the protocol does not keep them apart."""
    return protocol.patients_of(record_names(images.names)) if protocol.keeps_patients_apart else None


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Return logits of these probabilities; those of float32 end at its smallest number."""
    return np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float32).tiny))


def _weights(beats: int, patients: np.ndarray | None) -> np.ndarray:
    """Return how much each beat counts; together 1."""
    if patients is None:
        return np.full(beats, 1 / beats)
    _, member, counts = np.unique(patients, return_inverse=True, return_counts=True)
    return 1 / (len(counts) * counts[member])


def _classes_with_bias(true: np.ndarray, classes: int, patients: np.ndarray | None) -> np.ndarray:
    """Return the numbers of the classes that have beats enough for a bias."""
    enough = np.bincount(true, minlength=classes) >= FEWEST_BEATS
    if patients is not None:
        enough &= [len(np.unique(patients[true == number])) >= FEWEST_PATIENTS for number in range(classes)]
    return np.flatnonzero(enough)


def _unpack(parameters: np.ndarray, free: np.ndarray, classes: int) -> tuple[float, np.ndarray]:
    """Return the inverse temperature and the biases; what all have in common would lower those without one."""
    biases = np.zeros(classes)
    if len(free):
        biases[free] = parameters[1:] - parameters[1:].mean()
    return parameters[0], biases
