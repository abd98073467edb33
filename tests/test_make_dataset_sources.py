"""make_dataset.py on several sources, other annotation files, and records as people have them."""

import json

from ecgbeats import command

import forked
import numpy as np
import pytest
from conftest import assert_refused
from made_records import write_record


def make(*arguments):
    return forked.run("make_dataset.py", *arguments, tensorflow=False)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*_*.png")}


@pytest.fixture(scope="module")
def plain(cases, tmp_path_factory):
    """The images of the plain case."""
    folder = tmp_path_factory.mktemp("plain") / "data"
    result = make(cases / "ref", "--output", folder)
    assert result.returncode == 0, result.stderr
    return contents(folder)


@pytest.mark.parametrize("case", ["multi-frequency", "annotation-fs", "no-length-checksum0"])
def test_images_and_their_names_are_those_of_the_plain_case(cases, plain, tmp_path, case):
    result = make(cases / case, "--output", tmp_path / "data")
    assert (result.returncode, result.stderr) == (0, "")
    assert contents(tmp_path / "data") == plain


def test_a_record_without_annotations_is_left_out_on_request(cases, plain, tmp_path):
    source = cases / "mixed-database"
    assert_refused(make(source, "--output", tmp_path / "a"), "x01.atr", "--skip-unannotated", "--annotator")
    result = make(source, "--output", tmp_path / "a", "--skip-unannotated")
    assert "1 of 2 records" in result.stdout
    assert contents(tmp_path / "a") == plain
    assert json.loads((tmp_path / "a" / "dataset.json").read_text())["records"] == ["208"]


def test_another_annotator(cases, plain, tmp_path):
    source = cases / "ecg-annotator"
    assert_refused(make(source, "--output", tmp_path / "a"), "f1y01.atr", "--annotator")
    for bad in ("", "a/b", "a.b"):
        assert_refused(make(source, "--output", tmp_path / "a", f"--annotator={bad}"), "--annotator")
    for dress in ("ecg", ".ecg"):
        assert make(source, "--output", tmp_path / "a", "--annotator", dress).returncode == 0
    renamed = {name.replace("208", "f1y01"): content for name, content in plain.items()}
    assert contents(tmp_path / "a") == renamed
    assert json.loads((tmp_path / "a/dataset.json").read_text())["options"]["annotator"] == "ecg"
    (tmp_path / "records").mkdir()
    for file in source.iterdir():
        (tmp_path / "records" / file.name.replace(".ecg", ".atr")).write_bytes(file.read_bytes())
    result = make(tmp_path / "records", "--output", tmp_path / "a")
    assert_refused(result, "--annotator (then ecg, now atr)")


def test_the_missing_file_of_a_wanted_lead_is_named(cases, tmp_path):
    source = cases / "two-dat-files-one-missing"
    assert_refused(make(source, "--output", tmp_path / "data", "--lead", "V1"), "208b.dat is missing")
    assert list(tmp_path.iterdir()) == []


def test_several_sources_with_different_rates(tmp_path):
    for name, rate in (("slow", 128), ("fast", 360)):
        (tmp_path / name).mkdir()
        write_record(tmp_path / name, f"{name}_1", rate=rate)
    output = tmp_path / "data"
    result = make(tmp_path / "slow", tmp_path / "fast", "--output", output)
    assert (result.returncode, result.stderr) == (0, "")
    description = json.loads((output / "dataset.json").read_text())
    assert description["database"] == {"fast_1": "fast", "slow_1": "slow"}
    assert description["sampling_rate"] == {"fast_1": 360, "slow_1": 128}
    assert description["source"] == f"{tmp_path / 'slow'}, {tmp_path / 'fast'}"
    assert len(contents(output)) == 10
    # The same records in the other order are the same data set, and its older description will do.
    del description["database"], description["options"]["annotator"]
    (output / "dataset.json").write_text(json.dumps(description))
    assert "nothing to do" in make(tmp_path / "fast", tmp_path / "slow", "--output", output).stdout
    result = make(tmp_path / "slow", tmp_path / "slow", "--output", tmp_path / "other")
    assert_refused(result, "record slow_1 is in", "names differ")


def test_beats_behind_the_end_are_left_out_in_one_line(tmp_path):
    import wfdb

    for name, last in (("a", 3000), ("b", 2998), ("c", 5000)):
        write_record(tmp_path, name)
        wfdb.wrann(
            name,
            "atr",
            np.array([100, 2000, last, last + 1]),
            symbol=["N"] * 4,
            fs=360,
            write_dir=str(tmp_path),
        )
    result = make(tmp_path, "--output", tmp_path / "data")
    assert (result.returncode, result.stderr) == (0, "")
    [line] = [line for line in result.stdout.splitlines() if "Left out" in line]
    assert line.endswith("the end of the signal: 4 (a: 2, c: 2)")
    assert len(contents(tmp_path / "data")) == 8


def test_one_simulated_record_makes_all_images_simulated(tmp_path):
    """Whatever record comes first, and whatever folder it was moved to."""
    folder = tmp_path / "ward"
    folder.mkdir()
    for name in ("a", "b"):
        write_record(folder, name)
    header = folder / "b.hea"
    header.write_text(f"{header.read_text()}# {command.SIMULATED_NOTICE}\n")
    result = make(folder, "--output", tmp_path / "data")
    assert result.stdout.count(command.SIMULATED_NOTICE) == 1
    description = json.loads((tmp_path / "data/dataset.json").read_text())
    assert description["simulated"] is True
    assert description["database"] == {"a": "ward", "b": "simulated"}
    result = make(folder, "--output", tmp_path / "real", "--records", "a")
    assert command.SIMULATED_NOTICE not in result.stdout
