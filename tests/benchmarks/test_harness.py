"""The benchmarks' harness: turns, processes, medians and ranges, tables; and run.py, which runs all scripts on it."""

import os
import signal
import sys

from ecgbeats.command import InputError

import pytest
from conftest import PROJECT

from benchmarks import harness
from benchmarks import run as run_all


def test_turns_go_forwards_and_backwards():
    called = []
    ways = {name: lambda name=name: called.append(name) or len(called) for name in "abc"}
    found = harness.take_turns(ways, 3)
    assert "".join(called) == "abccbaabc"
    assert found == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}


def test_figures_have_their_median_and_range():
    assert harness.spread([3.0]) == "3.00"
    assert harness.spread([2000.0, 1.0, 30.0]) == "30.0 (1.00 to 2,000)"
    assert harness.spread([0.5, 0.25, 1], "{:.0%}".format) == "50% (25% to 100%)"


def test_ratios_are_taken_within_a_round():
    """The machine was half as fast in the second round, and a third as fast in the third."""
    assert harness.ratios([600, 300, 200], [300, 150, 100]) == [2, 2, 2]
    with pytest.raises(ValueError, match="zip"):
        harness.ratios([1], [1, 2])


def test_the_interval_is_of_the_median():
    assert harness.interval([1.0] * 20) == "1.00 (1.00 to 1.00)"
    values = [1.0, 2.0, 3.0, 4.0, 100.0] * 5
    assert harness.interval(values) == "3.00 (2.00 to 4.00)"


def test_the_first_calls_are_not_timed(monkeypatch):
    now, calls = [0.0], []

    def call():
        calls.append(None)
        now[0] += 10 if len(calls) <= harness.WARM_UP else 2

    monkeypatch.setattr(harness.time, "perf_counter", lambda: now[0])
    assert harness.median_seconds(call, 7) == 2
    assert len(calls) == harness.WARM_UP + 4


def test_tables_are_markdown():
    assert harness.table(["a", "b", "c"], [["x", "y", 1]], left=2).splitlines() == [
        "| a | b | c |",
        "| --- | --- | ---: |",
        "| x | y | 1 |",
    ]


def test_options_are_read_as_said():
    parser = harness.parser(
        "about",
        data=(os.PathLike, "needed"),
        sizes=([1, 2], "of some"),
        seeds=([0, 1], "of all"),
        seconds=(2.5, "of time"),
        batch_size=(int, "no default"),
        quick=(bool, "a flag"),
        model=("fast", "one of two", ["fast", "paper"]),
    )
    assert vars(parser.parse_args(["--seeds", "0", "--batch-size", "7"])) == {
        "data": None,
        "sizes": [1, 2],
        "seeds": [0],
        "seconds": 2.5,
        "batch_size": 7,
        "quick": False,
        "model": "fast",
    }
    for wrong in ("--sizes 0", "--seconds 0", "--model slow", "--batch-size x", "--seeds -1"):
        with pytest.raises(InputError):
            parser.parse_args(wrong.split())


# -- processes -----------------------------------------------------------------------------------------------


def about_this_process(*names: str) -> tuple:
    print("printed")
    return (
        os.getpid(),
        [os.environ.get(name) for name in names],
        {"tensorflow", "torch", "jax"} & set(sys.modules),
    )


def raise_input_error():
    raise InputError("mend it")


def end_by_signal():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_is_fresh_and_lasts_for_its_block(monkeypatch, capfd):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with harness.worker({"KERAS_BACKEND": "jax"}) as call:
        number, variables, frameworks = call(about_this_process, "KERAS_BACKEND", "PATH")
        assert call(about_this_process)[0] == number
    assert number != os.getpid()
    assert variables == ["jax", os.environ["PATH"]]
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert not frameworks
    assert harness.in_process(about_this_process)[0] != number
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    printed = capfd.readouterr()
    assert (printed.out, printed.err.count("printed")) == ("", 3), "standard output is for the tables"


def test_what_goes_wrong_in_a_process_is_told():
    with harness.worker() as call:
        with pytest.raises(InputError, match=r"^mend it$"):
            call(raise_input_error)
        with pytest.raises(harness.Failed, match=r"^ValueError: invalid literal"):
            call(int, "x")
        assert call(int, "7") == 7, "it goes on"
    with pytest.raises(harness.Failed, match=r"status -9; is there too little memory"):
        harness.in_process(end_by_signal)


# -- run.py --------------------------------------------------------------------------------------------------


def test_the_list_has_every_question_and_its_script():
    scripts = {line.split()[0] for line, _ in run_all.BENCHMARKS.values()}
    folder = PROJECT / "benchmarks"
    # These train for hours, or are not started by themselves.
    others = {
        "harness.py",
        "batch_ways.py",
        "torch_peer.py",
        "run.py",
        "__init__.py",
        "seeds.py",
        "within_ds1.py",
        "paired.py",
    }
    assert scripts == {path.name for path in folder.glob("*.py")} - others


def test_a_failing_benchmark_is_reported_and_the_others_go_on(monkeypatch, small_images, tmp_path, capsys):
    scripts = {
        "good": "import sys; print('busy', file=sys.stderr); print('| a |\\n| ' + ' '.join(sys.argv[1:]) + ' |\\n\\nafter')",
        "bad": "import sys; print('| half |'); print('error: it broke', file=sys.stderr); sys.exit(3)",
        "empty": "",
        "killed": "import os; print('| half |', flush=True); os.kill(os.getpid(), 9)",
        "last": "print('| b |')",
    }
    for name, code in scripts.items():
        (tmp_path / f"{name}.py").write_text(code)
    benchmarks = {name: (f"{name}.py", "") for name in scripts}
    benchmarks |= {"good": ("good.py DATA", "--fast"), "cards": ("last.py", "")}
    monkeypatch.setattr(run_all, "FOLDER", tmp_path)
    monkeypatch.setattr(run_all, "BENCHMARKS", benchmarks)
    monkeypatch.setattr(run_all, "NEED_GPU", ("cards",))
    monkeypatch.setattr(harness, "gpu_names", list)
    output = tmp_path / "new" / "all.md"
    assert run_all.main(["--quick", "--data", str(small_images), "--output", str(output)]) == 1
    text, printed = output.read_text(), capsys.readouterr()
    assert printed.out.strip() == text.strip()
    assert "`python benchmarks/good.py DATA --fast`" in text
    assert f"| {small_images} --fast |\n\nafter" in text
    assert "**Failed** (status 3): it broke" in text
    assert "ended by signal 9" in text
    assert "| half |" not in text
    assert "busy" not in text
    assert "printed no table" in text
    assert "## cards\n\nNot run: nvidia-smi finds no GPU here." in text
    assert "| b |" in text
    assert "--quick: the figures say nothing" in text
    assert "3 of 6 benchmarks failed: bad, empty, killed" in printed.err
    for name in ("Date", "Processor", "Memory", "GPU", "Versions"):
        assert f"| {name} |" in text
    assert "keras 3" in text


def test_a_stopped_benchmark_ends_its_own_processes(monkeypatch, tmp_path):
    """A script gets SIGTERM, and time to remove its files."""
    (tmp_path / "long.py").write_text(
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))\n"
        "file = pathlib.Path(__file__).with_name('scratch')\n"
        "file.touch()\n"
        "try:\n    print('started', file=sys.stderr, flush=True)\n    time.sleep(60)\n"
        "finally:\n    time.sleep(0.2)\n    file.unlink()\n"
    )
    monkeypatch.setattr(run_all, "FOLDER", tmp_path)

    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_all, "print", interrupt, raising=False)  # at the script's first line
    with pytest.raises(KeyboardInterrupt):
        run_all.run_benchmark(sys.executable, "long.py", {})
    assert [file.name for file in tmp_path.iterdir()] == ["long.py"]


def test_what_cannot_be_written_or_started_is_told_first(run, refused, small_images, tmp_path):
    for options, words in {
        f"--data {small_images} --output {tmp_path}": [str(tmp_path), "folder"],
        f"--data {small_images} --jax-python {tmp_path}/python": ["--jax-python"],
        "--only magic": ["magic", "step"],
        "--records none": ["none", "WFDB"],
        "--data none": ["none"],
    }.items():
        refused(run("benchmarks/run.py", *options.split(), cwd=tmp_path), *words)
    assert not list(tmp_path.iterdir())
