"""What tests read from run folders, and change in them."""

import csv
import json
import zipfile
from pathlib import Path

RUN_FILES = {
    *("best.keras", "config.json", "confusion_matrix.png", "log.csv", "loss.png"),
    *("metrics.json", "predictions.csv"),
}


def read(folder: Path, name: str) -> dict:
    """Return the content of a JSON file."""
    return json.loads((folder / name).read_text())


def change(path: Path, **values) -> None:
    """Change some names of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def rows(path: Path) -> list[dict]:
    """Return the rows of a CSV file."""
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def losses(folder: Path) -> list[tuple]:
    """Return epoch, loss, accuracy, val_loss, val_accuracy and learning rate of each epoch, as they are written."""
    return [tuple(row.values())[:6] for row in rows(folder / "log.csv")]


def snapshot(folder: Path) -> dict:
    """Return all that a folder holds, and when it was written."""
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.is_file() and path.read_bytes())
        for path in sorted(folder.rglob("*"))
    }


def assert_finished(folder: Path) -> None:
    """Assert that a folder holds a run's files and none that only a run that goes on needs."""
    names = {path.name for path in folder.iterdir()}
    assert names >= RUN_FILES
    assert "training_state.npz" not in names
    assert not [name for name in names if name.startswith(".")]
    assert read(folder, "config.json")["finished"] is True


def assert_whole(folder: Path) -> list[str]:
    """Assert that each file that has its final name is whole, of a run of three classes or of several; return log.csv's lines."""
    import cv2
    import keras

    lines = []
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            assert_whole(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".csv":
            text = path.read_text()
            assert text.endswith("\n"), path
            rows = list(csv.reader(text.splitlines()))
            assert {len(row) for row in rows} == {len(rows[0])}, path
            if path.name == "log.csv":
                lines = text.splitlines()
        elif path.suffix == ".png":
            assert cv2.imread(str(path)) is not None, path
        elif path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None, path
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>"), path
        elif path.suffix == ".md":
            assert path.read_text().endswith("\n"), path
        else:
            assert path.name == "best.keras", path
            assert keras.models.load_model(path).output_shape == (None, 3)
    assert [line.partition(",")[0] for line in lines[1:]] == [str(i + 1) for i in range(len(lines) - 1)]
    if len(lines) > 1:
        assert (folder / "best.keras").exists()
    return lines
