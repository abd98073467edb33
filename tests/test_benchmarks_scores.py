"""The benchmarks that train for a score: they keep test beats out of what chooses, and sum up rightly."""

import importlib
import json
import sys
import types

from ecgbeats import command
from ecgbeats.images.names import record_names
from ecgbeats.images.splits import DS1, DS2, split_images
from ecgbeats.runs.config import used_options
from ecgbeats.runs.folder import is_finished

import numpy as np
import pytest
from conftest import PROJECT

sys.path.append(str(PROJECT / "benchmarks"))

SCRIPTS = ["seeds.py", "recipes.py", "stability.py", "within_ds1.py"]


class Images(types.SimpleNamespace):
    def __len__(self):
        return len(self.names)


@pytest.fixture(scope="module")
def images():
    records = [*DS1, *DS2]
    labels = np.repeat([0, 1, 2], [6600, 1320, 880])
    np.random.default_rng(0).shuffle(labels)
    return Images(
        names=[f"X/{records[i % 44]}_{i}.png" for i in range(8800)], labels=labels, classes=["N", "S", "V"]
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_bad_input_is_one_line(run, refused, script, tmp_path):
    result = run(f"benchmarks/{script}", "--data", tmp_path / "none", "--output", tmp_path / "out")
    refused(result, str(tmp_path / "none"))
    assert not (tmp_path / "out").exists()
    assert run(f"benchmarks/{script}", "--help").returncode == 0


def test_recipes_are_chosen_on_beats_that_no_seed_tests(images):
    import recipes

    parts = recipes.choose_parts(images, 1000)
    assert [len(parts.training), len(parts.validation)] == [1000, recipes.CHOOSING]
    chosen = np.concatenate([parts.training, parts.validation, parts.test])
    assert len(np.unique(chosen)) == len(chosen)
    tested = [
        split_images(images.names, images.labels, images.classes, "beats", seed).test for seed in (0, 1, 2)
    ]
    assert not np.intersect1d(chosen, np.concatenate(tested)).size
    assert len(chosen) == len(images) - len(np.unique(np.concatenate(tested)))


def test_the_network_of_the_tries_is_fast():
    import keras
    import recipes

    import model_keras

    def layers(build):
        model = keras.Model(inputs := keras.Input((128, 128, 1)), build(inputs))
        return [
            {key: value for key, value in layer.get_config().items() if key != "name"}
            for layer in model.layers
        ]

    assert layers(recipes.fast_like) == layers(model_keras.fast)
    assert layers(lambda x: recipes.fast_like(x, pooling=False)) != layers(model_keras.fast)


def test_smoothed_cross_entropy():
    import recipes

    predicted = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]], np.float32)
    plain = np.asarray(recipes.smoothed_cross_entropy(np.array([0, 2]), predicted, share=0.0))
    np.testing.assert_allclose(plain, -np.log([0.7, 0.5]), rtol=1e-5)
    found = np.asarray(recipes.smoothed_cross_entropy(np.array([0, 2]), predicted, share=0.3))
    wanted = [-(0.8 * np.log(0.7) + 0.1 * np.log(0.2) + 0.1 * np.log(0.1))]
    wanted += [-(0.2 * np.log(0.25) + 0.8 * np.log(0.5))]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.fixture
def own_models():
    """Take the tries out of MODELS again."""
    import model_keras

    before = dict(model_keras.MODELS)
    yield
    model_keras.MODELS.clear()
    model_keras.MODELS.update(before)


@pytest.mark.usefixtures("own_models")
def test_each_try_changes_what_it_names(small_images, tmp_path):
    import recipes

    import model_keras

    options = recipes.read_options(["--data", str(small_images), "--output", str(tmp_path)])
    base = recipes.run_options(options, "base")
    for name in recipes.TRIES:
        run = recipes.run_options(options, name)
        changed = {key for key, value in vars(run).items() if value != getattr(base, key)}
        network = model_keras.MODELS[name]
        changed |= {
            key
            for key in ("weight_decay", "build")
            if getattr(network, key) != getattr(model_keras.MODELS["base"], key)
        }
        wanted = set(recipes.TRIES[name][1]) - {
            "label_smoothing",
            "average",
            "warm_up",
            "constant",
            "momentum",
        }
        if wanted & {"pooling", "flatten", "early", "wide", "dropout"}:
            wanted = {"build"}
        assert changed - {"model", "output"} == wanted, name


def test_ds1_is_cross_validated_without_ds2(images):
    import within_ds1

    records = record_names(images.names)
    tested = []
    for fold in range(4):
        parts = within_ds1.choose_parts(images, 4, fold, 1000)
        of_part = [set(records[part]) for part in (parts.training, parts.validation, parts.test)]
        assert set.union(*of_part) == set(DS1)
        assert sum(map(len, of_part)) == len(DS1), "no record is in two parts"
        assert np.bincount(images.labels[parts.training]).max() == 1000
        tested.append(parts.test)
    np.testing.assert_array_equal(np.sort(np.concatenate(tested)), np.flatnonzero(np.isin(records, DS1)))


def test_ds1_is_not_cross_validated_with_other_classes(run, refused, small_images, tmp_path):
    arguments = ["--data", small_images, "--output", tmp_path / "out"]
    refused(
        run("benchmarks/within_ds1.py", *arguments), "within_ds1.py is for the AAMI classes", "--classes aami"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--split", "--fold", "--resume"])
def test_what_the_cross_validation_sets_is_refused(run, refused, small_images, tmp_path, option):
    arguments = ["--data", small_images, "--output", tmp_path / "out", option]
    refused(run("benchmarks/within_ds1.py", *arguments), option)


@pytest.mark.usefixtures("own_models")
@pytest.mark.parametrize(
    ("script", "run_name", "option"),
    [
        ("within_ds1", 0, "--folds"),
        ("within_ds1", 0, "--beats"),
        ("recipes", "base", "--images"),
        ("stability", "project", "--images"),
        ("stability", "project", "--validation"),
    ],
)
def test_a_run_on_other_parts_is_not_gone_on_with(small_images, tmp_path, script, run_name, option):
    """config.json keeps what chose a run's images, for train_keras.is_finished to compare."""
    module = importlib.import_module(script)
    fixed = ["--data", str(small_images), "--output", str(tmp_path)]

    def a_run(*options):
        read = module.read_options([*fixed, *options])
        return module.run_options(*(read if isinstance(read, tuple) else (read,)), run_name)

    (tmp_path / "run").mkdir()
    used = used_options(a_run())
    (tmp_path / "run" / "config.json").write_text(json.dumps({"options": used, "finished": True}))
    assert is_finished(tmp_path / "run", a_run())
    with pytest.raises(command.InputError, match=option):
        is_finished(tmp_path / "run", a_run(option, "3"))


def test_a_rise_is_measured_from_the_running_minimum():
    import stability

    assert stability.largest_rise(np.array([9.0, 1.0, 8.0, 2.0, 0.5, 0.6])) == 2.0
    assert stability.largest_rise(np.array([4.0, 3.0, 2.0, 1.0])) == 1.0


@pytest.fixture(scope="module")
def many_images(image_maker, tmp_path_factory):
    return image_maker(tmp_path_factory.mktemp("many") / "data", {"NOR": 300, "PVC": 200, "LBB": 100})


@pytest.mark.slow
def test_both_recipes_are_trained_and_drawn(run, many_images, tmp_path):
    arguments = "--model fast --images 200 --validation 50 --epochs 4 --batch-size 16".split()
    arguments += ["--data", many_images, "--output", tmp_path / "out"]
    result = run("benchmarks/stability.py", *arguments)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "stability.png").stat().st_size > 10_000
    rates = {}
    for name in ("project", "keras-defaults"):
        log = np.genfromtxt(tmp_path / "out" / name / "log.csv", delimiter=",", names=True)
        rates[name] = log["learning_rate"]
        assert f"| {name} | {log['val_loss'].min():.3f} | {log['val_loss'][-1]:.3f} |" in result.stdout
    assert np.ptp(rates["project"]) > 0
    np.testing.assert_allclose(rates["keras-defaults"], 1e-3)
    again = run("benchmarks/stability.py", *arguments)
    assert again.stdout.strip() == result.stdout[result.stdout.index("| Recipe") :].strip()


@pytest.mark.slow
def test_seeds_are_summed_up(run, small_images, tmp_path):
    arguments = ["--data", small_images, "--output", tmp_path / "out", "--seeds", 3, 4, "--epochs", 1]
    result = run("benchmarks/seeds.py", *arguments)
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "out" / "seeds.json").read_text())
    single = [json.loads((tmp_path / "out" / f"seed-{seed}" / "metrics.json").read_text()) for seed in (3, 4)]
    assert summary["runs"]["accuracy"]["mean"] == pytest.approx(np.mean([one["accuracy"] for one in single]))
    assert summary["pooled"]["test_images"] == sum(one["test_images"] for one in single)
    parts = [
        json.loads((tmp_path / "out" / f"seed-{seed}" / "config.json").read_text())["options"]["seed"]
        for seed in (3, 4)
    ]
    assert parts == [3, 4]


@pytest.mark.slow
def test_time_to_score_prints_both_times(run, small_images):
    result = run("benchmarks/time_to_score.py", small_images, "--images", 2, "--epochs", 3, timeout=600)
    assert result.returncode == 0, result.stderr
    assert "| `paper`, 2 images |" in result.stdout
    assert "| ratio |" in result.stdout or "never above the paper's" in result.stdout
