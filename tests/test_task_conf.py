"""task.conf against the parser of DBC's client, and check_task.py, which tells before that what is wrong."""

import re
import shutil
import subprocess

from ecgbeats import command

import forked
import pytest
from conftest import PROJECT
from test_run_sh import checkout

import check_task

NODE = "2gfpp3MAB4B11JcRpeDdVwQ67axnDQNMhw7obKj8hZb"  # real ones, from DBC's own examples
CODE = "QmPj1oLCk5GHXKwNWVWrA41zA6CbnriQeJouLtDJ5yF5eF"
DATA = "QmfK89jkqHjecNHDnTSmNbK1zc86sTqgfDB3CBgkFZYnC7"
TEMPLATE = (PROJECT / "task.conf").read_text()
PLACEHOLDERS = {
    "peer_nodes_list=MACHINE_ID": f"peer_nodes_list={NODE}",
    "YOUR_DOCKER_NAME": "jane",
    "=CODE_DIR_HASH": f"={CODE}",
    "=DATA_DIR_HASH": f"={DATA}",
    "HOURS": "19.5",
}
# The client's options and their types, as cmd_line_service.cpp (set_single_task_config_opts) declares them.
CLIENT = r"""
#include <boost/program_options.hpp>
#include <fstream>
#include <iostream>
namespace po = boost::program_options;
int main(int, char** arguments) {
    po::options_description keys;
    for (auto key : {"task_id", "training_engine", "code_dir", "entry_file"})
        keys.add_options()(key, po::value<std::string>(), "");
    for (auto key : {"master", "server_specification", "data_dir", "checkpoint_dir", "hyper_parameters", "container_name"})
        keys.add_options()(key, po::value<std::string>()->default_value(""), "");
    keys.add_options()("peer_nodes_list", po::value<std::vector<std::string>>(), "")
        ("select_mode", po::value<int8_t>()->default_value(0), "")
        ("server_count", po::value<int32_t>()->default_value(0), "");
    try {
        std::ifstream file(arguments[1]);
        po::variables_map task;
        po::store(po::parse_config_file(file, keys), task);
        po::notify(task);
        for (auto& [key, value] : task) {
            if (auto text = boost::any_cast<std::string>(&value.value())) {
                if (!text->empty()) std::cout << key << "=" << *text << "\n";
            } else if (auto list = boost::any_cast<std::vector<std::string>>(&value.value()))
                for (auto& one : *list) std::cout << key << "=" << one << "\n";
        }
    } catch (const std::exception& problem) { std::cerr << problem.what() << "\n"; return 1; }
}
"""


def filled(**values: str) -> str:
    """Return task.conf with its placeholders filled in, and these values in place of the file's."""
    text = TEMPLATE
    for placeholder, value in PLACEHOLDERS.items():
        assert text.count(placeholder) == 1, placeholder
        text = text.replace(placeholder, value)
    for key, value in values.items():
        text, count = re.subn(f"^{key}=.*$", lambda _: f"{key}={value}", text, flags=re.M)  # noqa: B023
        assert count == 1, key
    return text


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Parse a file as DBC's client does, and return the exit status, what it read and what it said."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    folder = tmp_path_factory.mktemp("client")
    source, program = folder / "client.cpp", folder / "client"
    source.write_text(CLIENT)
    command = ["g++", "-std=c++17", "-o", program, source, "-lboost_program_options"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode and "boost/program_options.hpp: No such file" in built.stderr:
        pytest.skip("libboost-program-options-dev is not installed")
    assert built.returncode == 0, built.stderr

    def parse(text: str) -> tuple[int, list[str], str]:
        path = folder / "task.conf"
        path.write_text(text, newline="")
        result = subprocess.run([program, path], capture_output=True, text=True, check=False)
        return result.returncode, result.stdout.splitlines(), result.stderr

    return parse


@pytest.fixture
def check(tmp_path):
    def check(text: str):
        path = tmp_path / "task.conf"
        path.write_text(text, newline="")
        return forked.run("check_task.py", path, tensorflow=False)

    return check


# -- the file itself -----------------------------------------------------------------------------------------


def test_the_client_takes_the_filled_file(client):
    status, read, said = client(filled())
    assert status == 0, said
    assert sorted(read) == sorted(
        [
            f"peer_nodes_list={NODE}",
            f"training_engine=jane/ecg-beats-keras-gpu:v{command.VERSION}",
            f"code_dir={CODE}",
            "entry_file=run.sh",
            f"data_dir={DATA}",
            "hyper_parameters=--model paper --augment --max-hours 19.5 --resume",
        ]
    )


def test_the_image_has_the_version_of_the_project():
    assert f":v{command.VERSION}\n" in TEMPLATE


def test_the_tutorials_word_is_warned_of():
    comments = [line for line in TEMPLATE.splitlines() if line.startswith("#")]
    assert any("dataset_dir" in line for line in comments)


def test_a_filled_file_is_ready(check):
    result = check(filled())
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("\nready\n")
    assert "bash run.sh --model paper --augment --max-hours 19.5 --resume\n" in result.stdout


def test_the_file_as_it_comes_is_not_ready(run, refused):
    result = run("check_task.py")
    refused(result, "task.conf", "5 to mend")
    for word in ("MACHINE_ID", "YOUR_DOCKER_NAME", "CODE_DIR_HASH", "DATA_DIR_HASH", "HOURS"):
        assert f"placeholder {word}" in result.stdout


# -- check_task.py and the client's parser agree ----------------------------------------------------------------

UNREADABLE = {
    "the tutorial's key": ("dataset_dir=" + DATA, "data_dir"),
    "a misspelled key": ("hyper_parameter=--resume", "hyper_parameter"),
    "capitals": ("MASTER=x", "MASTER"),
    "no equals sign": ("resume", "key=value"),
    "a section": ("[task]\nmaster=x", "key=value"),
    "a key twice": ("entry_file=run.sh", "entry_file stands twice"),
    "no key": ("=x", "''"),
    "words for a number": ("server_count=two", "server_count"),
    "nothing for a number": ("server_count=", "server_count"),
    "two characters for a mode": ("select_mode=10", "select_mode"),
}


@pytest.mark.parametrize(("line", "word"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_line_is_told(check, refused, line, word):
    result = check(filled() + line + "\n")
    refused(result, "1 to mend")
    assert word in result.stdout


@pytest.mark.parametrize("line", [line for line, _ in UNREADABLE.values()], ids=UNREADABLE)
def test_the_client_refuses_that_line(client, line):
    assert client(filled() + line + "\n")[0] == 1


READABLE = {
    "CRLF": filled().replace("\n", "\r\n"),
    "spaces": filled().replace("entry_file=", "  entry_file = "),
    "a comment behind": filled().replace("entry_file=run.sh", "entry_file=run.sh # the job"),
    "two machines": filled() + f"peer_nodes_list={NODE}\n",
    "numbers": filled() + "server_count=1\nselect_mode=0\n",
    "no last line end": filled().rstrip(),
}


@pytest.mark.parametrize("text", READABLE.values(), ids=READABLE)
def test_what_the_client_reads_is_ready(check, text):
    assert check(text).returncode == 0


@pytest.mark.parametrize("text", READABLE.values(), ids=READABLE)
def test_the_client_reads_the_same(client, text):
    status, read, said = client(text)
    assert status == 0, said
    task, findings = check_task.parse(text)
    assert findings == []
    pairs = [
        (key, one) for key, value in task.items() for one in (value if isinstance(value, list) else [value])
    ]
    assert sorted(
        f"{key}={value}" for key, value in pairs if key not in ("server_count", "select_mode")
    ) == sorted(read)


# -- values that the client or the node refuses later --------------------------------------------------------------

WRONG = {
    "no machine": (dict(peer_nodes_list=""), "peer_nodes_list is empty"),
    "no image": (dict(training_engine=""), "training_engine is missing"),
    "no code": (dict(code_dir=""), "code_dir is missing"),
    "no entry": (dict(entry_file=""), "entry_file is missing"),
    "a mistyped machine": (dict(peer_nodes_list=NODE.replace("Q67", "Q76")), "checksum"),
    "a machine's address": (dict(peer_nodes_list="10.1.2.3"), "base58"),
    "a short hash": (dict(code_dir=CODE[:-1]), "no DIR_HASH"),
    "a hash with an l": (dict(code_dir=CODE[:-1] + "l"), "no DIR_HASH"),
    "the file's hash of another kind": (dict(data_dir="a" * 46), "no DIR_HASH"),
    "a path for data": (dict(data_dir="/home/me/records"), "dbc_upload"),
    "a relative path": (dict(code_dir="./code"), "whole path"),
    "a folder without code": (dict(code_dir="/usr"), "no run.sh"),
    "one hash for both": (dict(data_dir=CODE), "the same"),
    "another entry": (dict(entry_file="train_keras.py"), "run.sh"),
    "the tutorial's image": (
        dict(training_engine="dbctraining/tensorflow1.9.0-cuda9-gpu-py3:v1.0.0"),
        "too old",
    ),
    "an image in capitals": (dict(training_engine="Jane/Image:v1"), "Docker image"),
    "a long image": (dict(training_engine="j" * 129), "128"),
    "a mistyped option": (dict(hyper_parameters="--epoch 3"), "--epoch"),
    "no such network": (dict(hyper_parameters="--model papr"), "papr"),
    "a list that is not there": (dict(hyper_parameters="--split mine.csv"), "mine.csv: no such file"),
    "a folder of one's own": (dict(hyper_parameters="--output x"), "--output"),
    "quotes": (dict(hyper_parameters='--model "paper"'), "quotes"),
}


@pytest.mark.parametrize(("values", "word"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_told(check, refused, values, word):
    result = check(filled(**values))
    refused(result, "1 to mend")
    assert word in result.stdout


def test_a_specification_that_is_no_json_is_told(check, refused):
    result = check(filled() + 'server_specification={"env":\n')
    refused(result, "1 to mend")
    assert "JSON" in result.stdout


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (dict(data_dir=""), "simulated"),
        (dict(hyper_parameters="--resume"), "--max-hours"),
        (dict(code_dir=str(PROJECT)), "all that lies in"),
        ({}, "dbctraining/..."),
    ],
)
def test_what_is_worth_knowing_is_noted(check, values, word):
    result = check(filled(**values))
    assert result.returncode == 0, result.stdout
    assert any(line.startswith("note: ") and word in line for line in result.stdout.splitlines())


def test_dbcs_own_image_needs_no_note(check):
    assert "note:" not in check(filled(training_engine="dbctraining/ecg-beats-keras-gpu:v1.0.0")).stdout


def test_a_missing_file_is_told(tmp_path, run, refused):
    refused(run("check_task.py", tmp_path / "none.conf"), "none.conf", "no such file")


def test_a_folder_to_upload_is_measured(tmp_path, check, refused):
    checkout(tmp_path / "code")
    names = [path for path in (tmp_path / "code").rglob("*") if path.is_file()]
    said = check(filled(code_dir=str(tmp_path / "code"))).stdout
    assert f"{len(names)} files of {sum(path.stat().st_size for path in names) / 1e6:.1f} MB" in said
    shutil.rmtree(tmp_path / "code/ecgbeats")
    result = check(filled(code_dir=str(tmp_path / "code")))
    refused(result, "1 to mend")
    assert "holds no ecgbeats" in result.stdout
