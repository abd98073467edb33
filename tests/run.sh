#!/usr/bin/env bash
# Lint, format, what may import what, and tests, in the project's own environment, which is set up first if need be.
#
#   bash tests/run.sh [pytest arguments]     for example: bash tests/run.sh -m slow
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
setup=$(bash run.sh setup)
echo "$setup"
python=$(tail -n 1 <<<"$setup")
# pip answers in a second where all is there.
"$python" -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
"$python" -m ruff check .
"$python" -m ruff format --check .
"$python" -c 'from importlinter.cli import lint_imports_command as lint; lint()' --no-cache
# Three workers for two cores, since tests of signals and servers wait; who has none left takes what others have not begun.
TF_CPP_MIN_LOG_LEVEL=3 "$python" -m pytest -n 3 --dist worksteal "$@"
