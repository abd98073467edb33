"""Which beats train, which validate, and which test: never one beat in two parts.

`beats` is the paper's way: beats of one patient stand on both sides, and neighbouring beats even share
samples of the signal. `records` and `ds1-ds2` keep patients apart, as a score for new patients needs.
"""

from dataclasses import dataclass

from ecgbeats.command import InputError
from ecgbeats.images.names import record_names
from ecgbeats.records.symbols import CLASSES

import numpy as np

SPLITS = ("beats", "records", "ds1-ds2")
PARTS = ("training", "validation", "test")
# Records of one patient (physionet.org/physiobank/database/html/mitdbdir/intro.htm).
SAME_PATIENT = {"202": "201"}
# de Chazal, O'Dwyer, Reilly: IEEE Trans Biomed Eng 51(7):1196-1206 (2004). The paced records are left out.
DS1 = "101 106 108 109 112 114 115 116 118 119 122 124 201 203 205 207 208 209 215 220 223 230".split()
DS2 = "100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 233 234".split()
# How many random choices of patients are weighed against each other.
_TRIES = 2000


@dataclass(frozen=True)
class Split:
    """Positions of the images in each part: three sorted int arrays that share nothing."""

    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def describe_split(labels: np.ndarray, classes: list[str], parts: Split) -> None:
    """Print the sizes of the parts, and which classes one of them lacks."""
    sizes = ", ".join(f"{part} {len(getattr(parts, part)):,d}" for part in PARTS)
    print(f"Images: {sizes}")
    for part in PARTS:
        present = np.unique(labels[getattr(parts, part)])
        absent = [name for i, name in enumerate(classes) if i not in present]
        if absent:
            print(f"The {part} part has no {', '.join(absent)}: too few patients have such beats.")


def split_as(images, options: dict) -> Split:
    """Part ``images`` (an Images) as the options of train_keras.py say: split, seed, folds and fold."""
    return split_images(
        images.names,
        images.labels,
        images.classes,
        options["split"],
        options["seed"],
        options["folds"],
        options["fold"] or 0,
    )


def split_images(
    names: list[str],
    labels: np.ndarray,
    classes: list[str],
    method: str = "beats",
    seed: int = 0,
    folds: int | None = None,
    fold: int = 0,
) -> Split:
    """Part images into training, validation and test.

    Parameters
    ----------
    names : list of str
        The image files, RECORD_SAMPLE.png for all methods but ``beats``.
    labels : numpy.ndarray of int, shape (images,)
    classes : list of str
        Class names; ``ds1-ds2`` needs those of AAMI.
    method : {"beats", "records", "ds1-ds2"}
    seed : int
        Another seed gives another split (for ds1-ds2: other validation records).
    folds, fold : int
        With ``folds``, the test part is fold ``fold`` (from 0), and a tenth of the rest validates; every
        image is tested in one fold. Otherwise a tenth of all each is tested and validates.

    Raises
    ------
    InputError
        Where the images cannot be parted like that.
    """
    labels = np.asarray(labels)
    if len(np.unique(labels)) < 2:
        raise InputError(
            f"--data holds one class only ({classes[labels[0]]}); at least two are needed to train a classifier"
        )
    if folds is not None and folds < 2:
        raise InputError(f"--folds {folds}: at least 2 folds are needed")
    if folds is not None and not 0 <= fold < folds:
        raise InputError(f"--fold {fold} is out of range: {folds} folds are numbered 0 to {folds - 1}")
    if method == "beats":
        return _split_beats(labels, classes, seed, folds, fold)
    records = record_names(names)
    if records is None:
        raise InputError(
            f"--split {method} needs to know each image's record, but --data has files that are not named "
            "RECORD_SAMPLE.png as make_dataset.py does; use --split beats"
        )
    patients = np.array([SAME_PATIENT.get(record, record) for record in records])
    if method == "records":
        return _split_records(labels, patients, seed, folds, fold)
    if folds is not None:
        raise InputError("--split ds1-ds2 is one fixed list of test records; leave --folds out")
    return _split_ds1_ds2(labels, classes, records, seed)


def _split_beats(labels, classes, seed, folds, fold) -> Split:
    """Stratify over beats; a class with few beats still gets one in each part, but for ``folds``."""
    from sklearn.model_selection import StratifiedKFold

    counts = np.bincount(labels, minlength=len(classes))
    small = [name for name, count in zip(classes, counts, strict=True) if 0 < count < len(PARTS)]
    if small:
        raise InputError(
            f"class {small[0]} has {counts[classes.index(small[0])]} image(s), but training, validation and test "
            "need one each; add images, or remove the class"
        )
    if folds is not None and folds > counts.max():
        raise InputError(f"--folds {folds} is more than the images of any class ({counts.max()})")

    def divide(positions, parts, wanted, seed):
        """Return (rest, part ``wanted`` of ``parts`` stratified parts)."""
        import warnings

        with warnings.catch_warnings():  # a class with fewer beats than parts is seen to below
            warnings.simplefilter("ignore", UserWarning)
            folds_of = StratifiedKFold(parts, shuffle=True, random_state=seed).split(
                positions, labels[positions]
            )
            rest, part = list(folds_of)[wanted]
        return positions[rest], positions[part]

    everything = np.arange(len(labels))
    parts = min(folds or 10, int(counts.max()))
    rest, test = divide(everything, parts, fold, seed)
    if folds is None:
        rest, test = _give_each_class_one(rest, test, labels, np.random.default_rng([seed, 0]), keep=2)
    parts = min(10 if folds else 9, int(np.bincount(labels[rest]).max()))
    training, validation = divide(rest, parts, 0, seed)
    training, validation = _give_each_class_one(
        training, validation, labels, np.random.default_rng([seed, 1]), keep=1
    )
    return Split(np.sort(training), np.sort(validation), np.sort(test))


def _give_each_class_one(source, part, labels, random, keep: int):
    """Move one image from ``source`` to ``part`` for each class that part lacks and source can spare."""
    for label in np.setdiff1d(labels[source], labels[part]):
        candidates = np.flatnonzero(labels[source] == label)
        if len(candidates) > keep:
            moved = random.choice(candidates)
            part = np.append(part, source[moved])
            source = np.delete(source, moved)
    return source, part


def _split_records(labels, patients, seed, folds, fold) -> Split:
    """Keep patients together, as near to stratified as that allows."""
    from sklearn.model_selection import StratifiedGroupKFold

    names = np.unique(patients)
    if len(names) < len(PARTS):
        raise InputError(
            f"--split records needs at least 3 patients, one for each part; --data has {len(names)}"
        )
    if folds is None:
        in_test = choose_patients(labels, patients, 1 / 10, seed, parts_after=2)
    else:
        if folds > len(names):
            raise InputError(f"--folds {folds} is more than the {len(names)} patients of --data")
        if len(names) - -(-len(names) // folds) < 2:
            raise InputError(
                f"--folds {folds} leaves fewer than 2 patients to train and validate; use more folds"
            )
        import warnings

        with warnings.catch_warnings():  # it warns of classes that fewer patients have than there are folds
            warnings.simplefilter("ignore", UserWarning)
            parts = list(
                StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(labels, labels, patients)
            )
        in_test = np.zeros(len(labels), bool)
        in_test[parts[fold][1]] = True
    rest = np.flatnonzero(~in_test)
    share = 1 / 9 if folds is None else 1 / 10
    in_validation = choose_patients(labels[rest], patients[rest], share, seed + 1, parts_after=1)
    return Split(rest[~in_validation], rest[in_validation], np.flatnonzero(in_test))


def check_aami(classes: list[str], what: str) -> None:
    """Raise InputError, naming ``what``, if these are not AAMI's classes, of which DS1 and DS2 are lists."""
    if not set(classes) <= set(CLASSES["aami"]):
        raise InputError(
            f"{what} is for the AAMI classes {' '.join(CLASSES['aami'])}, but --data has "
            f"{' '.join(classes)}; make it with: make_dataset.py ... --classes aami"
        )


def _split_ds1_ds2(labels, classes, records, seed) -> Split:
    """Train and validate on DS1, test on DS2."""
    check_aami(classes, "--split ds1-ds2")
    first = np.flatnonzero(np.isin(records, DS1))
    test = np.flatnonzero(np.isin(records, DS2))
    if len(np.unique(records[first])) < 2 or not len(test):
        raise InputError(
            "--split ds1-ds2 needs at least 2 records of DS1 (101 106 ...) and 1 of DS2 (100 103 ...) of MIT-BIH "
            "in --data; make it from all of mitdb"
        )
    in_validation = choose_patients(labels[first], records[first], 1 / 10, seed, parts_after=1)
    return Split(first[~in_validation], first[in_validation], test)


def choose_patients(labels, patients, share, seed, parts_after) -> np.ndarray:
    """Choose whole patients that hold about ``share`` of every class.

    Many random choices are compared by their distance from that share, class by class. A class of which
    nothing is chosen costs a lot where enough patients have it; a class that is left to fewer patients than
    the ``parts_after`` parts still to be filled costs more.

    Returns
    -------
    numpy.ndarray, bool, shape (images,)
        Whether each image is chosen.
    """
    names, patient = np.unique(patients, return_inverse=True)
    counts = np.zeros((len(names), labels.max() + 1))
    np.add.at(counts, (patient, labels), 1)
    counts = counts[:, counts.sum(axis=0) > 0]
    totals, having = counts.sum(axis=0), (counts > 0).sum(axis=0)
    random = np.random.default_rng([seed, len(names)])
    most = max(1, min(len(names) - parts_after, round(3 * share * len(names)) + 1))
    best = (np.inf, None)
    for _ in range(_TRIES):
        order = random.permutation(len(names))[:most]
        chosen = counts[order].cumsum(axis=0)  # row k: the first k + 1 patients
        patients_with = (counts[order] > 0).cumsum(axis=0)
        distance = ((chosen / totals - share) ** 2).sum(axis=1)
        lacks = ((chosen == 0) & (having > parts_after)).sum(axis=1)
        robs = (having - patients_with < np.minimum(parts_after, having)).sum(axis=1)
        cost = distance + 10 * lacks + 100 * robs
        k = int(cost.argmin())
        if cost[k] < best[0]:
            best = (cost[k], order[: k + 1])
    return np.isin(patient, best[1])
