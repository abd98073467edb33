"""What README.md and the other pages say holds: links, commands, sizes, worked examples, notebook, figures' scripts."""

import ast
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys

from ecgbeats import command

import numpy as np
import pytest
from conftest import PROJECT

import model_keras

sys.path.append(str(PROJECT / "docs"))

TOP_PAGES = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
DOCS = sorted((PROJECT / "docs").glob("*.md"))
PAGES = [*TOP_PAGES, *DOCS, PROJECT / "docs" / "runs" / "README.md", PROJECT / "benchmarks" / "README.md"]
NOTEBOOK = PROJECT / "docs" / "tutorial.ipynb"


def notebook_cells(kind: str) -> list[str]:
    """Return the text of the notebook's cells of one kind."""
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def texts() -> dict[str, str]:
    """Return each page's text by its path below the project, the notebook's among them."""
    pages = {str(page.relative_to(PROJECT)): page.read_text() for page in PAGES}
    return pages | {"docs/tutorial.ipynb": "\n\n".join(notebook_cells("markdown"))}


def prose(text: str) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)


def blocks_of(text: str) -> list[str]:
    """Return every line of shell in a page's blocks, without comments."""
    blocks = re.findall(r"^ *```bash\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [line.partition(" #")[0].strip() for line in "\n".join(blocks).replace("\\\n", " ").splitlines()]


def shell_lines() -> list[str]:
    """Return every line of shell that the pages show, in blocks and in the text, without comments.

    Those of benchmarks/README.md are left to its own tests.
    """
    lines = []
    for page, text in texts().items():
        if not page.startswith("benchmarks/"):
            lines += blocks_of(text) + re.findall(r"`([^`\n]+)`", prose(text))
    return [line.partition(" #")[0].strip() for line in lines]


def values_of(lines: list[str], *options: str) -> set[str]:
    """Return what stands behind these options in lines of shell, up to the next option."""
    values = set()
    for line in lines:
        for words in re.findall(rf"(?:{'|'.join(options)}) (.*?)(?= -|$)", line):
            values |= set(words.split())
    return values


def commands() -> list[str]:
    """Return every command of ours that the pages show."""
    shown = re.compile(r"(^|[ /])(python3? (-m ecgbeats[.\w]*|\S+\.py)|bash (\S+\.sh|\.ci/run))( |$)")
    return sorted({shlex.join(shlex.split(line)) for line in shell_lines() if shown.search(line)})


def heading_anchors(text: str) -> list[str]:
    """Return what GitHub calls the headings of a page in links."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


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


def test_the_readme_is_short():
    text = (PROJECT / "README.md").read_text()
    assert len(text.splitlines()) < 150
    assert len(text) < 9000
    assert "no medical device" in text


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_pages_have_one_order(page):
    sections = re.findall(r"^## (.+)$", prose(page.read_text()), re.MULTILINE)
    assert sections == ["What for", "Usage", "Examples", "Limits"]


@pytest.mark.parametrize("page", list(texts()))
def test_links_resolve(page):
    folder = (PROJECT / page).parent
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", texts()[page]):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = folder / path if path else PROJECT / page
        if not target.exists() or (anchor and anchor not in heading_anchors(target.read_text())):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", list(texts()))
def test_folders_of_images_are_made_on_the_page_or_one_that_it_links(page):
    shown, folder = texts(), (PROJECT / page).parent
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", shown[page])
    linked = {str((folder / link).resolve().relative_to(PROJECT)) for link in links}
    made = set()
    for name in {page, *linked} & set(shown):
        made |= values_of(blocks_of(shown[name]), "--output")
    assert values_of(blocks_of(shown[page]), "--data", "--further") <= made


def test_every_page_is_linked_from_the_readme():
    linked = set(re.findall(r"\]\(([^)#\s]+)\)", texts()["README.md"]))
    assert {page for page in texts() if page != "README.md"} <= linked


def test_the_readmes_scores_are_those_of_the_results_page():
    def rows(page):
        return {line for line in texts()[page].splitlines() if re.match(r"\| .* % ", line)}

    shown = rows("README.md")
    assert len(shown) >= 6
    assert shown <= rows("docs/results.md")


@pytest.mark.parametrize("line", commands())
def test_shown_commands_exist_and_take_these_options(line, with_own_networks, monkeypatch):
    words = shlex.split(line)
    place = next(
        i for i, word in enumerate(words) if re.search(r"\.(py|sh)$|^\.ci/run$|^ecgbeats[.\w]*$", word)
    )
    script, arguments = words[place], words[place + 1 :]
    if script.startswith("ecgbeats"):
        name = script
        if importlib.util.find_spec(name).submodule_search_locations:
            name += ".__main__"
    else:
        assert (PROJECT / script).is_file()
        if script == "run.sh" and arguments[:1] == ["annotate"]:
            script, arguments = "annotate_record.py", [*arguments[1:], "--output", "x"]
        elif script == "run.sh" and arguments != ["setup"]:
            script, arguments = "train_keras.py", [*arguments, "--data", "x", "--output", "x"]
        if not script.endswith(".py"):
            return
        monkeypatch.syspath_prepend(str((PROJECT / script).parent))
        name = (PROJECT / script).stem

    class Parsed(Exception):
        pass

    parse = command.Parser.parse_args

    def parse_and_stop(parser, *given):
        parse(parser, *given)
        raise Parsed

    monkeypatch.setattr(command.Parser, "parse_args", parse_and_stop)
    with pytest.raises(Parsed):
        importlib.import_module(name).main(arguments)


def test_shown_requirements_and_build_arguments_exist():
    text = "\n".join(shell_lines())
    assert all((PROJECT / name).is_file() for name in re.findall(r"pip install -r (\S+)", text))
    arguments = set(re.findall(r"--build-arg (\w+)=", text))
    assert arguments
    assert arguments <= set(re.findall(r"^ARG (\w+)", (PROJECT / "Dockerfile").read_text(), re.MULTILINE))


def test_the_upload_has_the_size_that_is_said():
    said = re.search(r"about (\d+) files, ([\d.]+) MB", texts()["docs/dbc.md"])
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False
    ).stdout
    sizes = [(PROJECT / name).stat().st_size for name in listed.split("\0") if (PROJECT / name).is_file()]
    if not sizes:
        pytest.skip("this is no git clone")
    assert int(said[1]) == pytest.approx(len(sizes), rel=0.2)
    assert float(said[2]) == pytest.approx(sum(sizes) / 1e6, rel=0.2)


def test_the_shown_task_is_ready(tmp_path, run):
    page = texts()["docs/dbc.md"]
    (task,), (answer,) = (
        re.findall(f"^```{kind}\n(.*?)^```", page, re.DOTALL | re.M) for kind in ("ini", "text")
    )
    (tmp_path / "task.conf").write_text(task)
    result = run("check_task.py", tmp_path / "task.conf")
    assert (result.returncode, result.stdout) == (0, answer)


def test_the_version_is_the_same_everywhere():
    newest = re.search(r"^## ([\d.]+) \(([\d-]+)\)$", texts()["CHANGELOG.md"], re.MULTILINE)
    citation = (PROJECT / "CITATION.cff").read_text()
    assert newest[1] == command.VERSION
    assert f"\nversion: {command.VERSION}\n" in citation
    assert f'\ndate-released: "{newest[2]}"\n' in citation
    assert set(re.findall(r":v([\d.]+)", texts()["docs/dbc.md"])) == {command.VERSION}


def test_the_workflow_has_every_python_that_run_sh_takes():
    workflow = (PROJECT / ".github/workflows/tests.yml").read_text()
    tested = re.findall(r'"(3\.\d+)"', re.search(r"python: \[(.+)\]", workflow)[1])
    assert tested == re.search(r"^ +(3\.\d+(?: \| 3\.\d+)*)\)$", (PROJECT / "run.sh").read_text(), re.M)[
        1
    ].split(" | ")
    assert "run: bash .ci/run" in workflow


@pytest.mark.parametrize("page", list(texts()))
def test_python_blocks_are_python(page):
    for block in python_blocks(texts()[page]):
        ast.parse(block)


@pytest.mark.parametrize("page", [*texts(), "docs/make_figures.py"])
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
    """Copy the commands and the package, so that what runs there leaves the project alone."""
    for script in PROJECT.glob("*.py"):
        shutil.copy(script, folder)
    shutil.copytree(PROJECT / "ecgbeats", folder / "ecgbeats", ignore=shutil.ignore_patterns("__pycache__"))


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


@pytest.mark.slow
def test_network_of_ones_own_trains(tmp_path, small_images):
    copy_scripts(tmp_path)
    script = tmp_path / "model_keras.py"
    before, marked, after = script.read_text().partition("def main(")
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
    # comparison.png is by compare_networks.py.
    assert {path.name for path in tmp_path.glob("*.png")} == set(shown) - {"comparison.png"}


def test_figures_of_a_run_without_the_shown_class_are_refused(tmp_path, run, refused):
    (tmp_path / "log.csv").write_text("epoch,loss,val_loss\n1,0.5,0.5\n")
    (tmp_path / "predictions.csv").write_text(
        "file,true,predicted,probability,p_NOR\nNOR/a_1.png,NOR,NOR,1,1\n"
    )
    refused(run("docs/make_figures.py", tmp_path, "--data", tmp_path, "--output", tmp_path), "PVC")
