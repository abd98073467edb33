"""cluster/: what starts a training on several machines says what the training reads."""

import re
import subprocess

from ecgbeats.runs.machines import Place, read_place

import machines
import pytest
import yaml
from conftest import PROJECT

import train_keras

CLUSTER = PROJECT / "cluster"


def compose() -> dict[str, dict]:
    return yaml.safe_load((CLUSTER / "compose.yaml").read_text())["services"]


def kubernetes() -> dict[str, dict]:
    """Return what the file makes, by its kind."""
    return {made["kind"]: made for made in yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text())}


def test_the_containers_of_compose_are_two_processes(monkeypatch):
    services = compose()
    places = []
    for service in services.values():
        with monkeypatch.context() as patch:
            for name, value in service["environment"].items():
                patch.setenv(name, value)
            places.append(read_place())
        words = service["command"].split()
        assert words[:2] == ["python", "train_keras.py"]
        options = train_keras.read_options(words[2:], processes=2)
        assert [volume.split(":")[1] for volume in service["volumes"]] == [
            str(options.data),
            str(options.output.parent),
        ]
    address = f"{next(iter(services))}:1234"  # a service's name is its host's
    assert places == [Place(2, 0, address), Place(2, 1, address)]


def test_the_pods_of_kubernetes_are_numbered_processes(monkeypatch):
    made = kubernetes()
    job, service = made["Job"]["spec"], made["Service"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    assert (job["completionMode"], job["completions"]) == ("Indexed", job["parallelism"])
    for variable in container["env"]:
        # Kubernetes gives each pod its own number.
        monkeypatch.setenv(variable["name"], variable.get("value", "1"))
    place = read_place()
    assert (place.processes, place.process) == (job["completions"], 1)
    # Pod 0's name in the Service's domain.
    assert place.address == f"{made['Job']['metadata']['name']}-0.{service['metadata']['name']}:1234"
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": made["Job"]["metadata"]["name"]}
    assert pod["subdomain"] == service["metadata"]["name"]
    assert machines.NAMES[2] in str([v["name"] for v in container["env"] if "valueFrom" in v])
    assert container["command"][:2] == ["python", "train_keras.py"]
    options = train_keras.read_options(container["command"][2:], processes=2)
    (volume,) = container["volumeMounts"]
    assert {str(options.data.parent), str(options.output.parent)} == {volume["mountPath"]}
    claims = {v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"]}
    assert claims == {made["PersistentVolumeClaim"]["metadata"]["name"]}


def test_both_take_the_image_that_is_built():
    images = {service["image"] for service in compose().values()}
    made = kubernetes()
    images |= {c["image"] for c in made["Job"]["spec"]["template"]["spec"]["containers"]}
    images |= {c["image"] for c in made["Pod"]["spec"]["containers"]}
    (image,) = images
    for page in ("cluster/compose.yaml", "docs/gpus.md"):
        assert f"docker build -t {image} --build-arg BACKEND=jax" in (PROJECT / page).read_text()


def test_slurm_starts_a_process_for_each_gpu_of_each_machine(tmp_path):
    script = CLUSTER / "slurm.sh"
    assert not subprocess.run(["bash", "-n", script], check=False).returncode
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", script.read_text(), re.MULTILINE))
    assert asked["ntasks-per-node"] == asked["gpus-per-node"]

    # What stands in for srun shows the backend and the words that it got.
    for folder, name, text in (
        (".venv-jax/bin", "activate", ""),
        ("bin", "srun", '#!/bin/sh\necho "$KERAS_BACKEND" "$@"\n'),
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).write_text(text)
        (tmp_path / folder / name).chmod(0o755)
    result = subprocess.run(
        ["bash", script, "--data", "my data", "--output", "out"],
        env={"SLURM_SUBMIT_DIR": str(tmp_path), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("python train_keras.py --data my data --output out --resume\n")
    assert result.stdout.startswith("jax ")


@pytest.mark.parametrize("name", ["slurm.sh", "compose.yaml", "kubernetes.yaml"])
def test_each_says_how_it_is_submitted_watched_and_fetched(name):
    text = (CLUSTER / name).read_text()
    assert all(re.search(rf"^#   {step}:  ", text, re.MULTILINE) for step in ("submit", "watch", "fetch"))
