"""Files of a run that have become something else: each is refused in words that name it, and nothing hangs or fills up."""

import io
import json
import os
import struct
import threading
import zipfile
from pathlib import Path

from ecgbeats.command import InputError
from ecgbeats.runs.config import read_config
from ecgbeats.runs.networks import load_model, read_classes, save_model
from ecgbeats.runs.recipe import compile_model
from ecgbeats.runs.state import load_state, save_state
from ecgbeats.scores.folds import read_fold_metrics
from ecgbeats.scores.logs import read_run_log
from ecgbeats.scores.metrics_file import read_metrics
from ecgbeats.scores.predictions import read_predictions

import keras
import numpy as np
import pytest
from conftest import PROJECT
from keras import layers

RUN = PROJECT / "pretrained"
CLASSES = ["a", "b", "c"]


def refuses(action, *words: str) -> None:
    """Assert that the action raises InputError in one line with these words, within seconds."""
    told = []

    def act():
        try:
            action()
        except InputError as problem:
            told.append(str(problem))

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it hangs"
    assert told, "it was accepted"
    assert ";" in told[0], f"no way out in: {told[0]}"
    for word in words:
        assert word in told[0], told[0]


# -- whatever is read ------------------------------------------------------------------------------------------

READERS = {
    "config.json": lambda path: read_config(path.parent),
    "metrics.json": lambda path: read_metrics(path.parent),
    "log.csv": lambda path: read_run_log(path.parent),
    "predictions.csv": read_predictions,
    "fast.keras": read_classes,
}


def test_the_files_of_a_run_are_read():
    for name, read in READERS.items():
        assert read(RUN / name), name


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("what", ["pipe", "folder", "device", "loop"])
def test_what_is_no_regular_file_is_refused(tmp_path, name, what):
    path = tmp_path / name
    make = {
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "device": lambda: path.symlink_to("/dev/zero"),
        "loop": lambda: path.symlink_to(path),
    }
    make[what]()
    refuses(lambda: READERS[name](path), name)


@pytest.mark.parametrize("name", READERS)
def test_a_fault_of_the_disk_names_the_file(tmp_path, name):
    (tmp_path / name).symlink_to("/proc/self/mem")  # a regular file, whose first bytes cannot be read
    refuses(lambda: READERS[name](tmp_path / name), name)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "content", [b"", b"\0" * 99, b"\xff\xfe{}", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000]
)
def test_other_content_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refuses(lambda: READERS[name](tmp_path / name), name)


@pytest.mark.parametrize("name", ["config.json", "metrics.json"])
def test_a_json_file_beyond_all_measure_is_refused_without_reading_it_whole(tmp_path, name):
    with open(tmp_path / name, "wb") as file:
        file.truncate(2**40)  # takes no room
    refuses(lambda: READERS[name](tmp_path / name), name, "16 MB")


def change(tmp_path: Path, name: str, field: str, value) -> Path:
    """Copy a JSON file of RUN with another value of a field, ``a.b`` being b in a; without it for ``...``."""
    content = json.loads((RUN / name).read_text())
    *above, last = field.split(".")
    place = content
    for key in above:
        place = place[key]
    assert last in place
    if value is ...:
        del place[last]
    else:
        place[last] = value
    (tmp_path / name).write_text(json.dumps(content))
    return tmp_path / name


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("config.json", "options", ...),
        ("config.json", "options.seed", -1),
        ("config.json", "options.seed", 1e300),
        ("config.json", "options.split", "halves"),
        ("config.json", "options.folds", 10**30),
        ("config.json", "images", {"training": 3, "validation": 3}),
        ("config.json", "images.test", -3),
        ("config.json", "classes", []),
        ("config.json", "classes", "NOR"),
        ("config.json", "devices", None),
        ("config.json", "finished", "yes"),
        ("config.json", "data_sha256", 3),
        ("metrics.json", "accuracy", 1.5),
        ("metrics.json", "accuracy", ...),
        ("metrics.json", "classes", ["a"]),
        ("metrics.json", "confusion_matrix", [[1, 2], [3]]),
        ("metrics.json", "test_images", 1e99),
        ("metrics.json", "per_class", {}),
        ("metrics.json", "intervals.accuracy", [0.1]),
        ("metrics.json", "intervals.per_class", {}),
        ("metrics.json", "intervals.per_class.NOR", {}),
    ],
)
def test_a_field_of_another_type_or_range_is_named(tmp_path, name, field, value):
    path = change(tmp_path, name, field, value)
    refuses(lambda: READERS[name](path), name, field.split(".")[0])


def test_an_older_run_without_the_newer_options_is_read(tmp_path):
    for option in ("shift", "balance", "keep", "precision"):
        change(tmp_path, "config.json", f"options.{option}", ...)
        assert read_config(tmp_path)["classes"]


@pytest.mark.parametrize(
    ("change_log", "words"),
    [
        (lambda text: text.replace("images_per_second", "speed"), "images_per_second"),
        (lambda text: text.replace("seconds,", "minutes,"), "seconds"),
        (lambda text: text[: text.index("\n", 200) + 1].rsplit(",", 1)[0] + ",-3\n", "images_per_second"),
        (lambda text: text[: text.index("\n", 200) + 1].rsplit(",", 1)[0] + ",nan\n", "images_per_second"),
    ],
)
def test_the_log_of_a_run_has_its_columns_in_their_ranges(tmp_path, change_log, words):
    (tmp_path / "log.csv").write_text(change_log((RUN / "log.csv").read_text()))
    refuses(lambda: read_run_log(tmp_path), "log.csv", words)


def test_folds_of_other_classes_are_refused(tmp_path):
    metrics = json.loads((RUN / "metrics.json").read_text())
    other = json.loads(json.dumps(metrics).replace('"NOR"', '"RON"'))
    for name, content in (("fold-0", metrics), ("fold-1", other)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps(content))
    refuses(lambda: read_fold_metrics([tmp_path / "fold-0", tmp_path / "fold-1"]), "fold-1", "classes")


@pytest.mark.parametrize("cell", ["9" * 5000, "1e999", "nan", "-0.5", "", "0x1", "½"])
def test_a_probability_that_is_none_is_told_with_its_line(tmp_path, cell):
    lines = (RUN / "predictions.csv").read_text().splitlines()[:5]
    lines[3] = ",".join([*lines[3].split(",")[:-1], cell])
    (tmp_path / "predictions.csv").write_text("\n".join(lines) + "\n")
    refuses(lambda: read_predictions(tmp_path / "predictions.csv"), "predictions.csv", "line 4")


def test_a_sample_number_of_5000_digits_is_no_sample_number(tmp_path):
    lines = (RUN / "predictions.csv").read_text().splitlines()[:3]
    lines[2] = "NOR/100_" + "9" * 5000 + ".png," + lines[2].partition(",")[2]
    (tmp_path / "predictions.csv").write_text("\n".join(lines) + "\n")
    assert read_predictions(tmp_path / "predictions.csv")[0][1].startswith("NOR/100_9999")


# -- the file of a network -------------------------------------------------------------------------------------


def network(outputs: int = 3, size: int = 128, activation="softmax"):
    pixels = keras.Input((size, size, 1), dtype="uint8")
    x = layers.Rescaling(1 / 255)(pixels)
    x = layers.Conv2D(4, 5, strides=8)(x)
    return keras.Model(
        pixels, layers.Dense(outputs, activation=activation)(layers.GlobalAveragePooling2D()(x))
    )


@pytest.fixture
def saved(tmp_path) -> Path:
    save_model(network(), tmp_path / "net.keras", CLASSES)
    return tmp_path / "net.keras"


def write_archive(path: Path, members: dict[str, bytes], classes=CLASSES, method=zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.comment = json.dumps({"classes": classes}).encode()
    return path


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_saved_network_is_loaded(saved):
    model, classes = load_model(saved, 128)
    assert (model.output_shape, classes) == ((None, 3), CLASSES)


@pytest.mark.parametrize("classes", [["a"], ["a", "b", "c", "d"]])
def test_names_that_the_network_does_not_fit(saved, classes):
    write_archive(saved, members_of(saved), classes)
    refuses(lambda: load_model(saved, 128), "net.keras", f"{len(classes)} classes")


@pytest.mark.parametrize(
    "comment", [b"", b"\xff", b"{}", b'{"classes": "abc"}', b'{"classes": [1, 2]}', b"[" * 65_000]
)
def test_names_that_are_none(saved, comment):
    with zipfile.ZipFile(saved, "a") as archive:
        archive.comment = comment
    refuses(lambda: read_classes(saved), "net.keras", "classes")


def save_other(path: Path, model) -> None:
    """Save any model as if it were one of ours."""
    model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = json.dumps({"classes": CLASSES}).encode()


def two_outputs():
    pixels = keras.Input((128, 128, 1))
    x = layers.GlobalAveragePooling2D()(pixels)
    return keras.Model(pixels, [layers.Dense(3)(x), layers.Dense(3)(x)])


def two_inputs():
    pixels = [keras.Input((128, 128, 1)), keras.Input((128, 128, 1))]
    return keras.Model(pixels, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.Add()(pixels))))


@pytest.mark.parametrize(
    "make",
    [
        lambda: network(size=64),
        two_outputs,
        two_inputs,
        keras.Sequential,
        lambda: keras.Sequential([layers.Dense(3)]),
        lambda: keras.Sequential([keras.Input((128, 128, 1)), layers.Conv2D(3, 3)]),
    ],
    ids=["other size", "two outputs", "two inputs", "no layers", "not built", "no single number"],
)
def test_a_network_of_another_shape(tmp_path, make):
    save_other(tmp_path / "net.keras", make())
    refuses(lambda: load_model(tmp_path / "net.keras", 128), "net.keras")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packed_archive_is_refused_before_it_is_unpacked(saved, method):
    """As few bytes could become more than the memory holds."""
    write_archive(saved, members_of(saved) | {"model.weights.h5": bytes(2**27)}, method=method)
    assert saved.stat().st_size < 2**21
    refuses(lambda: read_classes(saved), "net.keras", "packed")


@pytest.mark.parametrize("field", ["encrypted", "method"])
def test_an_encrypted_archive_or_one_packed_in_an_unknown_way(saved, field):
    content = bytearray(saved.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := content.find(signature, place + 1)) >= 0:
            struct.pack_into(
                "<H", content, place + flags + 2 * (field == "method"), 1 if field == "encrypted" else 77
            )
    saved.write_bytes(content)
    refuses(lambda: read_classes(saved), "net.keras")


def test_an_archive_with_other_parts(saved):
    members = members_of(saved)
    write_archive(saved, members | {"../../evil": b"x"})
    refuses(lambda: read_classes(saved), "net.keras")
    write_archive(saved, {name: members[name] for name in ("config.json", "metadata.json")})
    refuses(lambda: read_classes(saved), "net.keras")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b"[" * 100_000),
        ("config.json", b"{}"),
        ("config.json", b'{"module": "os", "class_name": "system", "config": {}}'),
        ("metadata.json", b"no json"),
        ("model.weights.h5", b"no numbers"),
        ("model.weights.h5", b""),
    ],
)
def test_parts_that_are_something_else(saved, name, content):
    write_archive(saved, members_of(saved) | {name: content})
    refuses(lambda: load_model(saved, 128), "net.keras")


def test_a_network_without_softmax_is_told_with_its_file(tmp_path, small_images, capsys):
    import evaluate_keras

    model = network(activation=None)
    model.layers[-1].set_weights([np.zeros((4, 3)), np.full(3, 9.0)])
    save_model(model, tmp_path / "net.keras", ["NOR", "PVC", "LBB"])
    arguments = [str(tmp_path / "net.keras"), "--data", str(small_images), "--output", str(tmp_path / "new")]
    refuses(lambda: evaluate_keras.main(arguments), "net.keras", "no probabilities")
    assert not (tmp_path / "new").exists()


# -- the state for resuming ------------------------------------------------------------------------------------

ROW = dict.fromkeys(
    (
        "epoch",
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "seconds",
        "images_per_second",
    ),
    1,
)


@pytest.fixture
def compiled():
    model = network()
    compile_model(model, 1e-3, "adam")
    return model


@pytest.fixture
def state(tmp_path, compiled) -> Path:
    saved = {"rows": [ROW, ROW | {"epoch": 2}], "best": 0.5, "batches": 0, "seconds": 0.0}
    save_state(tmp_path / "training_state.npz", compiled, saved)
    return tmp_path / "training_state.npz"


def test_no_state_is_told_to_be_trusted(state, compiled):
    state.write_bytes(b"\xef\xbb\xbf" + state.read_bytes())
    refuses(lambda: load_state(state, compiled, 2, 5), "training_state.npz", "does not begin as an archive")


def test_a_state_is_read_back(state, compiled):
    compiled.layers[-1].set_weights([np.zeros((4, 3)), np.zeros(3)])
    about, _ = load_state(state, compiled, 2, 5)
    assert (about["rows"][1]["epoch"], about["best"]) == (2, 0.5)
    assert compiled.layers[-1].get_weights()[0].any()
    assert load_state(state.with_name("none.npz"), compiled, 2, 5) is None


def rewrite(path: Path, **arrays) -> None:
    with np.load(path) as saved:
        np.savez(path, **{**saved, **arrays})


def about(**values) -> np.ndarray:
    content = {"variables": 6, "rows": [ROW], "best": 0.5} | values
    return np.array(json.dumps({key: value for key, value in content.items() if value is not ...}))


@pytest.mark.parametrize(
    "note",
    [
        about(variables=-1),
        about(variables="x"),
        about(variables=10**9),
        about(rows=...),
        about(rows=[{"epoch": 1}]),
        about(rows=[ROW | {"loss": "x"}]),
        about(rows=[ROW | {"accuracy": 7}]),
        about(rows=[ROW | {"epoch": 2}]),
        about(rows=[ROW | {"epoch": i} for i in (1, 2, 3)]),
        about(best=None),
        about(best="low"),
        about(rows=[]),
        about(means=10**9),
        about(means=-1),
        about(batches=5),
        about(batches=-1),
        about(rows=[ROW, ROW | {"epoch": 2}], batches=1),
        about(batches=1, seconds=-1),
        np.array("[" * 100_000),
        np.array("no json"),
        np.zeros(3),
    ],
)
def test_a_note_of_the_state_that_is_another(state, compiled, note):
    rewrite(state, about=note)
    before = compiled.layers[-1].get_weights()[0]
    refuses(lambda: load_state(state, compiled, 2, 5), "training_state.npz", "--output")
    np.testing.assert_array_equal(compiled.layers[-1].get_weights()[0], before)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(7, np.float32),
        np.array(["text"]),
        np.zeros((5, 5, 1, 4), complex),
        np.zeros((5, 5, 1, 4), "S9"),
    ],
)
def test_numbers_of_another_network(state, compiled, array):
    rewrite(state, v0=array)
    refuses(lambda: load_state(state, compiled, 2, 5), "training_state.npz")


def test_a_state_that_would_fill_the_memory_is_refused_before(state, compiled):
    with zipfile.ZipFile(state) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    bomb = io.BytesIO()
    np.save(bomb, np.zeros(2**25, np.float32))
    with zipfile.ZipFile(state, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (members | {"v0.npy": bomb.getvalue()}).items():
            archive.writestr(name, content)
    assert state.stat().st_size < 2**20
    refuses(lambda: load_state(state, compiled, 2, 5), "training_state.npz", "v0.npy")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x93NUMPY\x01\x00", b"\0" * 99])
def test_a_state_that_is_no_archive(state, compiled, content):
    state.write_bytes(content)
    refuses(lambda: load_state(state, compiled, 2, 5), "training_state.npz")


def test_a_state_in_whose_place_is_a_pipe(state, compiled):
    state.unlink()
    os.mkfifo(state)
    refuses(lambda: load_state(state, compiled, 2, 5), "training_state.npz")
