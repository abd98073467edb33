"""Which beats train, which validate, and which test: never one beat in two parts.

`beats` is the paper's way: beats of one patient stand on both sides, and neighbouring beats even share
samples of the signal. `records` and lists of records keep patients apart, as a score for new patients needs.
"""

from dataclasses import dataclass

from ecgbeats.command import InputError
from ecgbeats.images.names import record_names
from ecgbeats.images.protocols import BEATS, PARTS, Protocol, read_protocol
from ecgbeats.images.protocols import DS1 as DS1  # part of what this file offers
from ecgbeats.images.protocols import DS2 as DS2
from ecgbeats.images.protocols import SAME_PATIENT as SAME_PATIENT
from ecgbeats.records.symbols import CLASSES

import numpy as np

# How many random choices of patients are weighed against each other.
_TRIES = 2000
_NEEDED_TO_CHOOSE = "2 patients for training (the list names no record for validation, so one of them validates) and 1 record for test"
MOST_NAMED = 8  # records in a line


@dataclass(frozen=True)
class Split:
    """Positions of the images in each part: three sorted int arrays that share nothing.

    ``protocol`` is what they follow, ``notes`` what is to be said of a list that does not fit the images, a line each.
    """

    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    protocol: Protocol = BEATS
    notes: tuple[str, ...] = ()


def describe_split(labels: np.ndarray, classes: list[str], parts: Split) -> None:
    """Print the sizes of the parts, which classes one of them lacks, and the split's notes."""
    sizes = ", ".join(f"{part} {len(getattr(parts, part)):,d}" for part in PARTS)
    print("\n".join([f"Images: {sizes}", *parts.notes]))
    for part in PARTS:
        present = np.unique(labels[getattr(parts, part)])
        absent = [name for i, name in enumerate(classes) if i not in present]
        if absent:
            cause = "none of its records has" if parts.protocol.parts else "too few patients have"
            print(f"The {part} part has no {', '.join(absent)}: {cause} such beats.")


def split_as(images, options: dict, protocol: Protocol | None = None) -> Split:
    """Part ``images`` (an Images) as the options of train_keras.py say: split, seed, folds and fold.

    ``protocol`` is what their split means, where that is known already.
    """
    return split_images(
        images.names,
        images.labels,
        images.classes,
        protocol or options["split"],
        options["seed"],
        options["folds"],
        options["fold"] or 0,
    )


def split_images(
    names: list[str],
    labels: np.ndarray,
    classes: list[str],
    method: str | Protocol = "beats",
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
        Class names; DS1 and DS2 need those of AAMI.
    method : str or Protocol
        What --split takes, see :func:`~ecgbeats.images.protocols.read_protocol`.
    seed : int
        Another seed gives another split (of a list: other validation records, where it names none).
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
    protocol = method if isinstance(method, Protocol) else read_protocol(method)
    split = _part(names, labels, classes, protocol, seed, folds, fold)
    trained = np.unique(labels[split.training])
    if len(trained) < 2:
        raise InputError(
            f"--split {protocol.name}: the training part would hold beats of one class only ({classes[trained[0]]}), and at "
            "least two are needed to train a classifier; use another --split, or more records"
        )
    return split


def _part(names, labels, classes, protocol: Protocol, seed, folds, fold) -> Split:
    """Part images as :func:`split_images` does, whatever classes the training part gets."""
    if not protocol.keeps_patients_apart:
        return _split_beats(labels, classes, seed, folds, fold)
    records = record_names(names)
    if records is None:
        raise InputError(
            f"--split {protocol.name} needs to know each image's record, but --data has files that are not named "
            "RECORD_SAMPLE.png as make_dataset.py does; use --split beats"
        )
    if protocol.parts is None:
        return _split_records(labels, protocol, records, seed, folds, fold)
    if folds is not None:
        raise InputError(f"--split {protocol.name} is one fixed list of test records; leave --folds out")
    if protocol.has_ds1_ds2:
        check_aami(classes, f"--split {protocol.name}")
    return _split_by_list(labels, protocol, records, seed)


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


def _split_records(labels, protocol, records, seed, folds, fold) -> Split:
    """Keep patients together, as near to stratified as that allows."""
    from sklearn.model_selection import StratifiedGroupKFold

    patients = protocol.patients_of(records)
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
    return Split(rest[~in_validation], rest[in_validation], np.flatnonzero(in_test), protocol)


def check_aami(classes: list[str], what: str) -> None:
    """Raise InputError, naming ``what``, if these are not AAMI's classes, by which DS1 and DS2 are scored."""
    if not set(classes) <= set(CLASSES["aami"]):
        raise InputError(
            f"{what} is for the AAMI classes {' '.join(CLASSES['aami'])}, but --data has "
            f"{' '.join(classes)}; make it with: make_dataset.py ... --classes aami"
        )


def _split_by_list(labels, protocol, records, seed) -> Split:
    """Give each record the part that the list names; where it names none for validation, choose patients that train."""
    part_of = np.array([protocol.parts.get(record, "") for record in records])
    training, validation, test = (np.flatnonzero(part_of == part) for part in PARTS)
    chooses = "validation" not in protocol.parts.values()
    patients = protocol.patients_of(records)
    if not len(test) or len(np.unique(patients[training])) < 1 + chooses or not (chooses or len(validation)):
        found = ", ".join(
            f"{len(np.unique(records[part_of == part]))} for {part}"
            for part in PARTS
            if part in protocol.parts.values()
        )
        lacking = sorted(set(protocol.parts) - set(records.tolist()))
        raise InputError(
            f"--split {protocol.name}: of the records that it lists --data has {found}"
            f"{f' (it lacks {_some(lacking)})' if lacking else ''}, and at least "
            f"{_NEEDED_TO_CHOOSE if chooses else '1 record for each part'} are needed; make "
            "--data from all records of the list, or use another --split"
        )
    if chooses:
        in_validation = choose_patients(labels[training], patients[training], 1 / 10, seed, parts_after=1)
        training, validation = training[~in_validation], training[in_validation]
    return Split(training, validation, test, protocol, _compare_records(protocol, records))


def _compare_records(protocol: Protocol, records: np.ndarray) -> tuple[str, ...]:
    """Return what the list and the data have of records that the other lacks, and the field's own flaw, a line each."""
    present, listed = set(records.tolist()), set(protocol.parts)
    notes = []
    if lacking := sorted(listed - present):
        notes.append(f"--data lacks {_some(lacking)} of --split {protocol.name}.")
    if others := sorted(present - listed):
        notes.append(f"--split {protocol.name} leaves out {_some(others)} of --data.")
    if protocol.has_ds1_ds2:
        notes.append(
            "DS1 and DS2 share a patient, records 201 and 202: the test part is also scored without 202."
        )
    return tuple(notes)


def _some(records: list[str]) -> str:
    """Return how many records, and the names of the first of them."""
    shown = [name if len(name) <= 20 else name[:18] + ".." for name in records[:MOST_NAMED]]
    more = ", ..." if len(records) > MOST_NAMED else ""
    return f"{len(records)} record{'s' if len(records) > 1 else ''} ({', '.join(shown)}{more})"


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
