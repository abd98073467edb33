"""ecgbeats.scores.ec57: the standard's comparison of two annotation files, against what PhysioNet's bxb counts."""

import json
import shutil

from ecgbeats.scores.annotations import Annotations, read_annotations, read_timing
from ecgbeats.scores.ec57 import MAPPINGS, Comparison, compare, words

import forked
import numpy as np
import pytest
import wfdb
from conftest import assert_refused

STARTS = {"whole record": 0, "after the first 5 minutes": 300}


@pytest.fixture
def records(mitdb, tmp_path):
    """A folder with the records that ../shared/ec57 has test annotations of, and what bxb says of them."""
    judged = mitdb.parent / "ec57"
    if not judged.is_dir():
        pytest.skip("bxb's counts are not in ../shared/ec57")
    expected = json.loads((judged / "expected.json").read_text())
    for record in expected:
        for suffix in ("hea", "atr"):
            shutil.copy(mitdb / f"{record}.{suffix}", tmp_path)
        shutil.copy(judged / f"{record}.tst", tmp_path)
    return tmp_path, expected


def run(*arguments):
    return forked.run("ecgbeats.scores.ec57", *arguments, tensorflow=False)


def test_all_counts_are_those_of_bxb(records):
    folder, expected = records
    assert len(expected) == 3
    for record, by_start in expected.items():
        rate, length = read_timing(folder / record)
        both = [read_annotations(folder / record, extension, rate) for extension in ("atr", "tst")]
        for name, start in STARTS.items():
            assert compare(*both, rate, length, start, "bxb").as_dict() == by_start[name], (record, name)


def test_the_command_prints_and_writes_them(records):
    folder, expected = records
    result = run(folder / "207", "--test", "tst", "--mapping", "bxb", "--json", folder / "out.json")
    assert (result.returncode, result.stderr) == (0, "")
    wanted = expected["207"]["after the first 5 minutes"]
    assert json.loads((folder / "out.json").read_text()) == wanted
    right, of = wanted["QRS sensitivity"]
    assert f"QRS sensitivity             {100 * right / of:.2f} %  ({right:,d} of {of:,d})" in result.stdout


def test_escape_beats_are_n_by_default(mitdb):
    """Record 222 has 212 nodal escape beats (j)."""
    ours = read_annotations(mitdb / "222", "atr", 360)
    tables = {
        mapping: compare(ours, ours, 360, 650_000, 0, mapping).as_dict()["reference x test"]
        for mapping in MAPPINGS
    }
    assert tables["bxb"]["S"]["s"] - tables["aami"]["S"]["s"] == 212
    assert tables["aami"]["N"]["n"] - tables["bxb"]["N"]["n"] == 212


def annotations(*beats):
    """Return annotations of (sample, symbol[, subtype])."""
    columns = list(zip(*[(*beat, 0)[:3] for beat in beats], strict=True)) or [(), (), ()]
    return Annotations(np.array(columns[0], int), np.array(columns[1], str), np.array(columns[2], int))


def pairs(reference, test, rate=100.0, length=100_000, start=0.0) -> str:
    """Return the pairs that are counted, such as ``Nn Vo``; the window is 15 samples at 100 Hz."""
    matrix = compare(annotations(*reference), annotations(*test), rate, length, start).matrix
    return " ".join(
        "NSVFQOX"[row] + "nsvfqox"[column]
        for row, column in np.argwhere(matrix)
        for _ in range(matrix[row, column])
    )


def beats(*samples):
    return [(sample, "N") for sample in samples]


@pytest.mark.parametrize(
    ("reference", "test", "expected"),
    [
        (beats(500), [(515, "V")], "Nv"),
        (beats(500), [(516, "V")], "No Ov"),
        (beats(500), [(485, "V")], "Nv"),
        (beats(500), [(484, "V")], "No Ov"),
        # The nearer one of two; both as near: neither by the first rule, so the first is extra, the second paired.
        (beats(500), [(490, "V"), (505, "S")], "Ns Ov"),
        (beats(500), [(490, "V"), (510, "S")], "Ns Ov"),
        ([(500, "N"), (510, "V")], [(506, "S")], "No Vs"),
        # bxb's own example (its match window is 37 there): the next ones fit each other better, so both are paired.
        ([(496, "N"), (510, "V")], [(503, "S"), (516, "F")], "Ns Vf"),
        (beats(500), [], "No"),
        ([], beats(500), "On"),
        ([], [], ""),
    ],
)
def test_beats_are_paired_one_to_one_within_150_ms(reference, test, expected):
    assert pairs(reference, test) == expected


def test_beats_of_the_learning_period_are_not_compared_but_for_a_partner():
    start = 3.0
    assert pairs(beats(100, 200, 310), beats(101, 201, 311), start=start) == "Nn"
    # The last test beat before the start belongs to the first reference beat behind it,
    assert pairs(beats(305), [(295, "V"), (400, "S")], start=start) == "Nv Os"
    # and the first test beat behind it may belong to a reference beat before it.
    assert pairs(beats(295, 400), [(305, "V"), (400, "S")], start=start) == "Ns"
    assert pairs(beats(295), [(340, "V")], start=start) == "Ov"


def test_beats_behind_the_record_are_not_compared():
    assert pairs(beats(500, 1000), beats(500, 1200), length=900) == "Nn"
    assert pairs(beats(500, 905), beats(500, 895), length=900) == "Nn Nn"
    assert pairs(beats(500), beats(500, 1200), length=None) == "Nn"


def test_flutter_is_left_out_on_both_sides():
    reference = [(300, "N"), (400, "["), (450, "!"), (480, "N"), (600, "]"), (700, "N")]
    assert pairs(reference, [(300, "N"), (450, "V"), (550, "V"), (700, "N")]) == "Nn Nn"
    assert pairs(reference, [(300, "N"), (390, "V"), (605, "V"), (700, "N")]) == "Nn Nn Ov Ov"
    assert pairs([(300, "N"), (400, "[")], [(300, "N"), (5000, "V")]) == "Nn", "until the end"
    # Of the test's it hides no beat of the reference.
    assert pairs(beats(300, 500), [(300, "N"), (400, "["), (600, "]")]) == "Nn No"


def test_shutdown_has_its_own_row_and_column():
    off, on = 0x30, 0x10
    assert pairs(beats(300, 500), [(300, "N"), (400, "~", off), (600, "~", on)]) == "Nn Nx"
    assert pairs([(300, "N"), (400, "~", off), (600, "~", on)], beats(300, 500)) == "Nn Xn"
    assert pairs(beats(300, 500), [(300, "N"), (400, "~", on), (600, "~", on)]) == "Nn No"
    # Alone, as in the AHA's database: from 150 ms behind the beat before to 150 ms before what follows.
    assert pairs(beats(300, 400, 690), [(300, "N"), (500, "~", -1), (700, "N")]) == "Nn Nn Nx"
    assert pairs(beats(300, 313), [(300, "N"), (500, "~", -1), (700, "N")]) == "Nn No On"


def test_rr_intervals_end_with_an_episode():
    """Each pair compares the intervals that end with its beats: 100 and 110 samples at 100 Hz, then 100 and 90."""
    test = beats(100, 200, 310, 400)
    whole = compare(annotations(*beats(100, 200, 300, 400)), annotations(*test), 100, 1000, 0)
    assert whole.rr_error == pytest.approx(np.sqrt((0 + 10**2 + 10**2) / 3) * 10)
    broken = [(100, "N"), (200, "N"), (250, "["), (260, "]"), (300, "N"), (400, "N")]
    assert compare(annotations(*broken), annotations(*test), 100, 1000, 0).rr_error == pytest.approx(
        np.sqrt((0 + 10**2) / 2) * 10
    )
    assert compare(annotations(), annotations(), 100, 1000, 0).as_dict()["RMS RR interval error, ms"] is None


def test_the_window_is_150_ms_at_any_rate():
    for rate, window in ((128, 19), (250, 38), (360, 54)):
        assert pairs(beats(5000), beats(5000 + window), rate=rate) == "Nn"
        assert pairs(beats(5000), beats(5001 + window), rate=rate) == "No On"


def test_test_annotations_at_another_rate_are_converted(records):
    folder, _ = records
    own = read_annotations(folder / "100", "atr", 360)
    beats = own.symbols == "N"
    wfdb.wrann("100", "fast", own.samples[beats] * 2, own.symbols[beats], fs=720, write_dir=str(folder))
    fast = read_annotations(folder / "100", "fast", 360)  # a note with the rate stands in it, too
    assert (fast.samples[fast.symbols == "N"] == own.samples[beats]).all()
    result = run(folder / "100", "--test", "fast")
    assert result.returncode == 0
    assert "QRS sensitivity" in result.stdout
    assert "(1,872 of 1,902)" in result.stdout, "30 of the beats behind 5 minutes are A or V"


def test_fusion_and_unclassifiable_beats_are_no_false_positives():
    matrix = np.zeros((7, 7), int)
    matrix[:5, :5] = np.arange(1, 26).reshape(5, 5)
    content = Comparison(matrix, None).as_dict()
    n, s, v, f, _ = matrix[:5, :5]
    assert content["VEB positive predictivity"] == [v[2], n[2] + s[2] + v[2]], "not F and Q taken for V"
    assert content["SVEB positive predictivity"] == [s[1], n[1] + s[1] + v[1] + f[1]], "not Q taken for S"
    assert content["VEB sensitivity"] == [v[2], v.sum()]
    assert content["SVEB sensitivity"] == [s[1], s.sum()]
    assert content["QRS sensitivity"] == [matrix.sum(), matrix.sum()]


def test_words_have_no_share_of_nothing():
    text = words(Comparison(np.zeros((7, 7), int), None))
    assert "VEB sensitivity                 -    (0 of 0)" in text
    assert max(map(len, text.splitlines())) <= 80


def test_what_cannot_be_compared_is_told_in_a_line(records):
    folder, _ = records
    record = folder / "100"
    assert_refused(
        run(record, "--test", "no"), "--test no", str(folder / "100.no"), "annotate_record.py --compare"
    )
    assert_refused(run(folder / "none", "--test", "tst"), str(folder / "none.hea"), "no such file")
    assert_refused(run(record, "--test", "tst", "--start", 1e5), "--start 100000", "1805.56 s")
    assert_refused(run(record, "--test", "tst", "--start", -1), "--start", "-1")
    assert_refused(run(record, "--test", "tst", "--start", "nan"), "--start", "nan")
    (folder / "100.none").write_bytes(bytes(2))
    assert_refused(
        run(record, "--test", "none", "--reference", "none"), "has a beat to be compared", "--start"
    )
    assert_refused(run(record, "--test", "tst", "--mapping", "ours"), "--mapping", "ours")
    cut = (folder / "100.tst").read_bytes()[:-2]
    (folder / "100.cut").write_bytes(cut)
    assert_refused(run(record, "--test", "cut"), str(folder / "100.cut"), "cut short")
    for target in (folder / "no" / "out.json", folder, folder / "100.tst", folder / "100.hea"):
        assert_refused(run(record, "--test", "tst", "--json", target), str(target))
