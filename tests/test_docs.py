"""What the README and docs/ say holds: links, commands, the worked example, the notebook, the figures' scripts."""

import ast
import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys

from ecgbeats import command
from ecgbeats.images.folder import Images
from ecgbeats.images.splits import split_as

import numpy as np
import pytest
from conftest import PROJECT

import model_keras

sys.path.append(str(PROJECT / "docs"))

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
NOTEBOOK = PROJECT / "docs" / "tutorial.ipynb"


def notebook_cells(kind: str) -> list[str]:
    """Return the text of the notebook's cells of one kind."""
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def texts() -> dict[str, str]:
    """Return each page's text by its path below the project, the notebook's among them."""
    pages = {str(page.relative_to(PROJECT)): page.read_text() for page in PAGES}
    return pages | {"docs/tutorial.ipynb": "\n\n".join(notebook_cells("markdown"))}


def commands() -> list[str]:
    """Return every command that the pages show, in blocks and in lines, without what follows a `#`."""
    found = []
    for text in texts().values():
        blocks = re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
        outside = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        lines += re.findall(r"`([^`\n]+)`", outside)
        found += [line for line in lines if re.search(r"(^|[ /])(python|bash) \S+\.(py|sh)\b", line)]
    return sorted({shlex.join(shlex.split(line, comments=True)) for line in found})


def python_blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def own_networks() -> str:
    """Return the block of assignments.md that adds networks to MODELS."""
    (block,) = [b for b in python_blocks(texts()["docs/assignments.md"]) if "MODELS[" in b]
    return block


@pytest.fixture
def with_own_networks():
    """Have the worked example's networks among MODELS."""
    before = dict(model_keras.MODELS)
    exec(own_networks(), dict(vars(model_keras)))
    yield
    model_keras.MODELS.clear()
    model_keras.MODELS.update(before)


@pytest.mark.parametrize("page", list(texts()))
def test_linked_files_exist(page):
    folder = (PROJECT / page).parent
    links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", texts()[page])
    missing = [link for link in links if "://" not in link and not (folder / link).exists()]
    assert not missing


@pytest.mark.parametrize("line", commands())
def test_shown_commands_exist_and_take_these_options(line, with_own_networks, monkeypatch):
    words = shlex.split(line)
    place = next(i for i, word in enumerate(words) if re.search(r"\.(py|sh)$", word))
    script, arguments = words[place], words[place + 1 :]
    assert (PROJECT / script).is_file()
    if script == "run.sh" and arguments != ["setup"]:
        script, arguments = "train_keras.py", [*arguments, "--data", "x", "--output", "x"]
    if not script.endswith(".py"):
        return

    class Parsed(Exception):
        pass

    parse = command.Parser.parse_args

    def parse_and_stop(parser, *given):
        parse(parser, *given)
        raise Parsed

    monkeypatch.setattr(command.Parser, "parse_args", parse_and_stop)
    monkeypatch.syspath_prepend(str((PROJECT / script).parent))
    module = importlib.import_module((PROJECT / script).stem)
    with pytest.raises(Parsed):
        module.main(arguments)


@pytest.mark.parametrize("page", list(texts()))
def test_python_blocks_are_python(page):
    for block in python_blocks(texts()[page]):
        ast.parse(block)


@pytest.mark.parametrize("page", ["docs/assignments.md", "docs/make_figures.py", "docs/tutorial.ipynb"])
def test_no_path_of_a_machine(page):
    assert not re.search(r"(?<![\w.])/(work|tmp|root|home)/", (PROJECT / page).read_text())


def test_pictures_are_small():
    sizes = {path.name: path.stat().st_size for path in (PROJECT / "docs").glob("*.png")}
    assert sizes
    assert not {name: size for name, size in sizes.items() if size >= 200_000}


def test_notebook_is_stripped():
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert not [cell for cell in cells if cell["outputs"] or cell["execution_count"]]


def copy_scripts(folder):
    """Copy the scripts of the top folder, so that what runs there leaves the project alone."""
    for script in PROJECT.glob("*.py"):
        shutil.copy(script, folder)


@pytest.mark.slow
def test_notebook_runs(tmp_path):
    copy_scripts(tmp_path)
    code = "\n\n".join(["import matplotlib", "matplotlib.use('agg')", *notebook_cells("code")])
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert result.returncode == 0, result.stderr
    assert command.SIMULATED_NOTICE in result.stdout
    log = np.genfromtxt(tmp_path / "output/tutorial/log.csv", delimiter=",", names=True)
    assert log["val_loss"][-1] < log["val_loss"][0]
    accuracy = float(re.search(r"^accuracy +([\d.]+) %", result.stdout, re.MULTILINE)[1])
    assert accuracy > 80


def test_network_of_ones_own_trains(tmp_path, small_images):
    copy_scripts(tmp_path)
    script = tmp_path / "model_keras.py"
    before, marked, after = script.read_text().partition("def multiply_adds(")
    assert marked
    script.write_text(before + own_networks() + "\n\n" + marked + after)
    arguments = ["--data", str(small_images), "--output", "run", "--model", "plain", "--epochs", "1"]
    result = subprocess.run(
        [sys.executable, "train_keras.py", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "run/metrics.json").read_text())["model"] == "plain"


def test_drawn_network_has_all_parameters():
    import make_figures

    model = model_keras.build_model("paper")
    columns = make_figures.describe_layers(model)
    assert sum(column["parameters"] for column in columns) == model.count_params()
    assert [column["words"][0] for column in columns].count("conv 3 x 3") == 6


@pytest.mark.slow
def test_every_figure_is_made(tmp_path, small_images, run):
    # Enough epochs that the network names one PVC rightly.
    options = ["--epochs", 20, "--batch-size", 16]
    trained = run("train_keras.py", "--data", small_images, "--output", tmp_path / "run", *options)
    assert trained.returncode == 0, trained.stderr
    made = run("docs/make_figures.py", tmp_path / "run", "--data", small_images, "--output", tmp_path)
    assert made.returncode == 0, made.stderr
    shown = re.findall(r"\]\((\w+\.png)\)", texts()["docs/assignments.md"])
    assert {path.name for path in tmp_path.glob("*.png")} == set(shown)


def test_figures_of_a_run_without_the_shown_class_are_refused(tmp_path, run, refused):
    (tmp_path / "log.csv").write_text("epoch,loss,val_loss\n1,0.5,0.5\n")
    (tmp_path / "predictions.csv").write_text(
        "file,true,predicted,probability,p_NOR\nNOR/a_1.png,NOR,NOR,1,1\n"
    )
    refused(run("docs/make_figures.py", tmp_path, "--data", tmp_path, "--output", tmp_path), "PVC")


def test_crops_are_compared_on_whole_test_parts(tmp_path, small_images):
    import compare_crops

    options = compare_crops.read_options(["--data", str(small_images), "--output", str(tmp_path)])
    fold = compare_crops.train_options(options, ["--augment"], 1)
    images = Images(small_images)
    whole, few = split_as(images, vars(fold)), compare_crops.few_images(images, fold, 8)
    assert np.array_equal(few.test, whole.test)
    assert set(few.training) < set(whole.training)
    assert np.bincount(images.labels[few.training]).max() == 8
    assert np.bincount(images.labels[few.validation]).max() <= 2


def test_paired_difference_counts_each_class_alike():
    import compare_crops

    # Of 90 beats of class 0 none changes; of 10 of class 1 all become right.
    true = np.repeat([0, 1], [90, 10])
    right, before = np.ones(100, bool), true == 0
    accuracy, sensitivity = compare_crops.paired_difference(true, right, before)
    assert accuracy.startswith("+10.00 ")
    assert sensitivity == "+50.00 (+50.00 to +50.00)"


@pytest.mark.slow
def test_crops_comparison_runs_and_goes_on(tmp_path, small_images, run):
    arguments = ["docs/compare_crops.py", "--data", small_images, "--output", tmp_path / "out"]
    arguments += ["--images", 8, "--epochs", 1, "--folds", 1]
    first = run(*arguments)
    assert first.returncode == 0, first.stderr
    table = (tmp_path / "out/crops.md").read_text()
    assert table.count("\n| n") == 4
    again = run(*arguments)
    assert again.returncode == 0, again.stderr
    assert "epoch" not in again.stdout
    assert (tmp_path / "out/crops.md").read_text() == table
