"""Lists of records by part: the field's own in protocols/, and those that users write."""

import csv

from ecgbeats.command import InputError
from ecgbeats.images.names import record_names
from ecgbeats.images.protocols import DS1, DS2, FOLDER, PARTS, Protocol, named_lists, read_protocol
from ecgbeats.images.splits import split_images

import numpy as np
import pytest

PACED = {"102", "104", "107", "217"}


# -- the field's lists ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "training", "test"),
    [("ds1-ds2", 22, 22), ("ds1+svdb-ds2", 100, 22), ("mitdb-svdb", 44, 78), ("svdb-mitdb", 78, 44)],
)
def test_the_fields_lists(mitdb, name, training, test):
    protocol = read_protocol(name)
    parts = list(protocol.parts.values())
    assert [parts.count(part) for part in PARTS] == [training, 0, test]
    found = {
        folder: {path.stem for path in (mitdb.parent / folder).glob("*.hea")} for folder in ("mitdb", "svdb")
    }
    used = found["mitdb"] - PACED if name == "ds1-ds2" else found["mitdb"] - PACED | found["svdb"]
    assert set(protocol.parts) == used
    for folder, part in zip(name.split("-"), ("training", "test"), strict=True):
        if folder in found:
            assert {record for record in protocol.parts if protocol.parts[record] == part} <= found[folder]
    patients = protocol.patients_of(np.array(list(protocol.parts)))
    assert len(set(patients)) == training + test - 1, "201 and 202 are one patient"
    assert protocol.has_ds1_ds2 == name.endswith("ds2")


def test_ds1_and_ds2_are_those_of_de_chazal_2004():
    """Source: table I of IEEE Trans Biomed Eng 51(7):1196-1206."""
    with open(FOLDER / "ds1-ds2.csv", newline="") as file:
        parts = {row["record"]: row["part"] for row in csv.DictReader(file)}
    assert [record for record in parts if parts[record] == "training"] == DS1
    assert [record for record in parts if parts[record] == "test"] == DS2
    assert len({*DS1, *DS2}) == 44
    assert not PACED & {*DS1, *DS2}


def test_all_lists_have_names():
    assert named_lists() == ["ds1-ds2", "ds1+svdb-ds2", "mitdb-svdb", "svdb-mitdb"]


# -- lists of users ------------------------------------------------------------------------------------------


def read(tmp_path, text, name="my.csv") -> Protocol:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_protocol(str(path))


def test_a_list_may_have_patients_spaces_and_other_line_ends(tmp_path):
    text = "\N{BYTE ORDER MARK}part, record ,patient\r\ntraining,a,p1\r\ntraining, b ,p1\r\n\r\nvalidation,c,\r\ntest,d,\r\n"
    protocol = read(tmp_path, text)
    assert protocol.parts == {"a": "training", "b": "training", "c": "validation", "d": "test"}
    assert protocol.patients == {"a": "p1", "b": "p1"}
    assert not protocol.has_ds1_ds2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["first line must be record,part"]),
        ("record,fold\na,1\n", ["first line must be record,part"]),
        ("record;part\na;test\n", ["first line must be record,part"]),
        ("record,part\na,training\nb,tset\n", ["line 3", "'tset'", "training, validation, test"]),
        ("record,part\na,training\n,test\n", ["line 3", "record", "empty"]),
        ("record,part\na,training\nb\n", ["line 3", "1 columns instead of 2"]),
        ("record,part\na,training\nb,test\n\na,test\n", ["line 5", "record a", "line 2"]),
        ('record,part\n"a\nb",training\nc,test\n', ["line 3", "control"]),
        ("record,part\na,training\n", ["no record whose part is test"]),
        ("record,part\na,test\n", ["no record whose part is training"]),
        (b"record,part\n\xff,test\n", ["UTF-8"]),
        (
            "record,part,patient\na,training,p\nb,test,q\nc,test,p\n",
            ["line 4", "record c", "record a (line 2)"],
        ),
        ("record,part,patient\na,training,p\nb,validation,p\nc,test,\n", ["line 3", "same patient, p,"]),
        ("record,part,patient\n100,training,\n201,training,\n202,test,\n", ["line 4", "same patient, 201"]),
        # A record is a patient, but these two are one; only with all of DS1 and DS2 that is the field's own flaw.
        ("record,part\n201,training\n202,test\n", ["line 3", "record 202", "same patient, 201"]),
    ],
)
def test_a_list_that_is_not_in_order_is_refused(tmp_path, text, words):
    with pytest.raises(InputError) as refused:
        read(tmp_path, text)
    for word in (str(tmp_path / "my.csv"), *words):
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)
    assert ";" in str(refused.value), "no way out"


def test_what_is_no_list_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"halves: no such protocol; choose from beats, records, ds1-ds2, .*csv"
    ):
        read_protocol("halves")
    with pytest.raises(InputError, match=r"none\.csv: no such file; .*--split"):
        read_protocol(str(tmp_path / "none.csv"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="no regular file"):
        read_protocol(str(tmp_path / "folder.csv"))
    with open(tmp_path / "large.csv", "wb") as file:
        file.truncate(2**30)
    with pytest.raises(InputError, match="more than 16 MB"):
        read_protocol(str(tmp_path / "large.csv"))


def test_the_copy_of_a_list_is_the_same_whatever_its_place(tmp_path):
    lines = (FOLDER / "ds1-ds2.csv").read_text().splitlines()
    copy = read(tmp_path, "\n".join([lines[0], *reversed(lines[1:])]))
    assert copy.has_ds1_ds2
    assert copy.is_same(read_protocol("ds1-ds2"))
    assert not copy.is_same(read_protocol("mitdb-svdb"))
    assert not copy.is_same(Protocol("records"))
    assert not Protocol("beats").is_same(Protocol("records"))


# -- parting images by them ----------------------------------------------------------------------------------


def images(records, beats=6):
    """Return the names and labels of that many beats of each record, of two classes in turn."""
    names = [f"N/{record}_{i}.png" for record in records for i in range(beats)]
    return names, np.arange(len(names)) % 2, ["N", "V"]


def records_in(split, names):
    return [set(record_names([names[i] for i in getattr(split, part)] or ["x_0"])) for part in PARTS]


def test_a_list_parts_the_images_and_tells_what_does_not_fit(tmp_path):
    text = "record,part\n" + "".join(
        f"{record},{part}\n"
        for part, records in zip(PARTS, ("abc", "de", "fg"), strict=True)
        for record in records
    )
    protocol = read(tmp_path, text)
    names, labels, classes = images("abdefx")
    split = split_images(names, labels, classes, protocol)
    assert records_in(split, names) == [{"a", "b"}, {"d", "e"}, {"f"}]
    lacks, left_out = split.notes
    assert "lacks 2 records (c, g)" in lacks
    assert "leaves out 1 record (x)" in left_out
    assert "my.csv" in lacks


def test_long_lists_of_what_does_not_fit_are_shortened():
    names, labels, classes = images(DS1 + DS2)
    note, flaw = split_images(names, labels, classes, "ds1+svdb-ds2").notes
    assert "records 201 and 202" in flaw
    assert "78 records (800, 801, 802, 803, 804, 805, 806, 807, ...)" in note
    assert split_images(names, labels, classes, "ds1-ds2").notes == (flaw,)


def test_without_validation_a_tenth_of_the_patients_that_train_validates(tmp_path):
    rows = [(f"r{i}", "training", f"p{i // 2}") for i in range(40)] + [("t", "test", "")]
    protocol = read(tmp_path, "record,part,patient\n" + "".join(",".join(row) + "\n" for row in rows))
    names, labels, classes = images([row[0] for row in rows])
    split = split_images(names, labels, classes, protocol)
    training, validation, test = records_in(split, names)
    assert test == {"t"}
    assert training | validation == {f"r{i}" for i in range(40)}
    assert len(validation) == 4
    of = protocol.patients_of
    assert not set(of(np.array([*training]))) & set(of(np.array([*validation])))
    assert split.protocol is protocol


def test_what_a_list_cannot_part_is_refused(tmp_path):
    chooses = read(tmp_path, "record,part\na,training\nb,training\nc,test\n")
    fixed = read(tmp_path, "record,part\na,training\nb,validation\nc,test\n")
    names, labels, classes = images("ac")
    with pytest.raises(
        InputError,
        match=r"1 for training, 1 for test \(it lacks 1 record \(b\)\), .* 2 patients .* one of them validates",
    ):
        split_images(names, labels, classes, chooses)
    with pytest.raises(InputError, match="1 for training, 0 for validation, 1 for test"):
        split_images(names, labels, classes, fixed)
    one_class = np.array([0 if "a_" in name or "b_" in name else 1 for name in images("abc")[0]])
    with pytest.raises(InputError, match=r"training part .* one class only \(N\)"):
        split_images(images("abc")[0], one_class, classes, chooses)
    with pytest.raises(InputError, match="leave --folds out"):
        split_images(names, labels, classes, fixed, folds=3)
    with pytest.raises(InputError, match="AAMI"):
        split_images(*images(DS1 + DS2)[:2], ["NOR", "PVC"], "ds1+svdb-ds2")
