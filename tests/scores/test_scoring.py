"""What scoring loads."""

from conftest import run_python


def test_importing_scores_loads_no_heavy_library():
    heavy = "{'keras', 'tensorflow', 'jax', 'sklearn', 'matplotlib', 'scipy'}"
    code = f"import sys, ecgbeats.scores.scoring; print(sorted({heavy} & set(sys.modules)))"
    assert run_python("-c", code).stdout == "[]\n"
