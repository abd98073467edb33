#!/usr/bin/env bash
# The whole job: sets up what is missing, finds or makes the data, trains, scores and plots.
#
#   bash run.sh [train_keras.py arguments]
#
# Data:   --data or $DATA_DIR, else ../data or ./data if it holds class folders or WFDB records, else simulated
#         records.
# Output: --output or $OUTPUT_DIR, else ../output where that folder exists, else a new ./output/run-N.
# The environment, images and ./output go into $WORK_DIR, else into the folder of this file.
# On DeepBrainChain that is /dbc/data and /dbc/output, since the code lies in /dbc/code.
# `bash run.sh setup` only sets up, and prints the Python to use as its last line.
# `bash run.sh annotate FILE ...` finds and labels the beats of your own ECG: annotate_record.py with its options, into
# output/annotated where no --output is given.
#
# This is one file since DBC mends the line ends of its entry file alone.
set -u
export RUN_STARTED="${RUN_STARTED:-$(date +%s)}" # --max-hours counts from here
export PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1

main() {
    if [ "${1:-}" = annotate ]; then
        annotate "${@:2}"
        return
    fi
    case "$RUN_STARTED" in *[!0-9]* | ????????????*) fail "RUN_STARTED=$RUN_STARTED is no time in seconds since 1970; unset it" ;; esac
    take_folders "$@"
    set -- ${arguments[@]+"${arguments[@]}"}
    go_to_work
    if [ "${1:-}" = setup ]; then
        set_up
        echo "$python"
        return
    fi
    say "1/4 Packages"
    set_up
    check_gpu "$@"
    # A mistyped option should not cost the time of the stages before training.
    PYTHONPATH="$code${PYTHONPATH:+:$PYTHONPATH}" "$python" - "$@" <<'PYTHON' || exit $?
import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
from ecgbeats import command
def check(arguments):
    import train_keras
    if not {"-h", "--help"} & set(arguments):
        train_keras.read_options([*arguments, "--data", "x", "--output", "x"])
        command.check_backend()
    else:
        train_keras.read_options(["--help"])
command.run(check)
PYTHON
    case " $* " in *" -h "* | *" --help "*) exit 0 ;; esac
    done_in

    say "2/4 Data"
    find_data
    done_in

    say "3/4 Training and scoring"
    find_output "$@"
    arguments=("$@")
    if ! given --model "$@"; then
        if $gpu; then arguments+=(--model paper); else
            arguments+=(--model fast)
            echo "No GPU, so this trains the small network 'fast'; choose with --model."
        fi
    fi
    if $simulated && ! given --split "$@"; then
        arguments+=(--split records)
        echo "Simulated patients are kept apart (--split records): the test part holds other patients."
    fi
    run "$python" "$code/train_keras.py" --data "$images" --output "$output" "${arguments[@]}"
    done_in

    say "4/4 Plots"
    for folder in "$output" "$output"/fold-*; do
        # --max-hours may have ended it before the first epoch: then there is nothing to plot.
        if [ -f "$folder/best.keras" ] && [ -n "$(sed -n 2p "$folder/log.csv" 2>/dev/null)" ]; then
            run "$python" "$code/plot_logs.py" "$folder" --metric accuracy
        fi
    done
    done_in
    echo
    echo "To look at, in $output:"
    for file in report.html metrics.json predictions.csv loss.png accuracy.png confusion_matrix.png curves.png \
        per_class.png log.csv best.keras folds.json; do
        if [ -f "$output/$file" ]; then echo "  $file"; fi
    done
    if [ -f "$images/preview.png" ]; then echo "The beats: $images/preview.png"; fi
    if $simulated; then echo "SIMULATED, not medical data"; fi
    echo "Whole job: $(($(date +%s) - 10#$RUN_STARTED)) s"
}

# Set up, then annotate recordings. Their paths are meant from where the user stands, so the command runs there.
annotate() {
    local stands=$PWD
    if [ -n "${OUTPUT_DIR:-}" ]; then OUTPUT_DIR=$(realpath -m -- "$OUTPUT_DIR"); fi
    if [ -n "${WORK_DIR:-}" ]; then WORK_DIR=$(realpath -m -- "$WORK_DIR"); fi
    go_to_work
    local results=${OUTPUT_DIR:-$PWD/output/annotated}
    set_up
    cd -- "$stands" || exit 1
    given --output "$@" || set -- "$@" --output "$results"
    run "$python" "$code/annotate_record.py" "$@"
}

# Set $arguments to those of train_keras.py, and DATA_DIR and OUTPUT_DIR by --data and --output.
# Paths are meant from where the user stands.
take_folders() {
    arguments=()
    data_name=DATA_DIR=${DATA_DIR:-}
    while [ $# -gt 0 ]; do
        case "$1" in
            --data | --output)
                case "${2:---}" in --*) fail "argument $1: expected one argument, a folder" ;; esac
                take_folder "$1" "$2"
                shift
                ;;
            --data=* | --output=*) take_folder "${1%%=*}" "${1#*=}" ;;
            --split=*.[cC][sS][vV] | --split=*/*) arguments+=("--split=$(realpath -m -- "${1#*=}")") ;;
            --split)
                arguments+=(--split)
                case "${2:-}" in *.[cC][sS][vV] | */*)
                    arguments+=("$(realpath -m -- "$2")")
                    shift
                    ;;
                esac
                ;;
            *) arguments+=("$1") ;;
        esac
        shift
    done
    if [ -n "${DATA_DIR:-}" ]; then DATA_DIR=$(realpath -m -- "$DATA_DIR"); fi
    if [ -n "${OUTPUT_DIR:-}" ]; then OUTPUT_DIR=$(realpath -m -- "$OUTPUT_DIR"); fi
    if [ -n "${WORK_DIR:-}" ]; then WORK_DIR=$(realpath -m -- "$WORK_DIR"); fi
}

take_folder() {
    [ -n "$2" ] || fail "$1 '': name a folder"
    if [ "$1" = --output ]; then OUTPUT_DIR=$2; else
        DATA_DIR=$2
        data_name="--data $2"
    fi
}

# Go where everything goes that is named nowhere else; set $code to the folder of this file, and $here and $up to
# what leads to it and to the folder above.
go_to_work() {
    code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
    here='' up=../
    if [ -n "${WORK_DIR:-}" ]; then
        mkdir -p -- "$WORK_DIR" 2>/dev/null || fail "WORK_DIR=$WORK_DIR cannot be made; name another folder"
        here=$code/ up=$code/../
    fi
    cd -- "${WORK_DIR:-$code}" || exit 1
}

# Leave unless something may be made in the folder where everything goes.
need_place() {
    [ -w . ] || fail "$PWD cannot be written to, where $1 would go; name a folder for the environment, images and results: WORK_DIR=DIR bash run.sh"
}

say() {
    stage_started=$(date +%s)
    echo
    echo "== $1"
}

done_in() { echo "-- $(($(date +%s) - stage_started)) s"; }

fail() {
    echo "error: $*" >&2
    exit 2
}

# Whether an option is among the arguments, as `--option value` or `--option=value`.
given() {
    local option=$1
    shift
    case " $* " in *" $option "* | *" $option="*) return 0 ;; esac
    return 1
}

# Run a command so that a signal to this script reaches it, and leave with its status if it fails.
# bash handles a signal only between commands, or while it waits for a background one.
child=
run() { try "$@" || exit $?; }
try() {
    "$@" &
    child=$!
    wait "$child"
    local status=$?
    child=
    return $status
}
stop() {
    trap - TERM INT
    if [ -n "$child" ]; then
        kill -TERM "$child" 2>/dev/null
        # Docker and DBC kill after about ten seconds.
        for _ in $(seq 60); do
            kill -0 "$child" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$child" 2>/dev/null
    fi
    exit "$1"
}
trap 'stop 143' TERM
trap 'stop 130' INT

# Set $python to one that has the pinned packages: the machine's own (in a container), or that of .venv.
set_up() {
    gpu=false
    if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then gpu=true; fi
    local found=() candidate
    python=
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        if [ -z "$candidate" ] || ! command -v "$candidate" >/dev/null 2>&1; then continue; fi
        found+=("$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)")
        case "${found[-1]}" in
            3.11 | 3.12 | 3.13)
                python=$candidate
                break
                ;;
        esac
    done
    if [ ${#found[@]} -eq 0 ]; then
        fail "Python is not installed; install Python 3.11, 3.12 or 3.13 (Debian: apt-get install python3 python3-venv)"
    fi
    if [ -z "$python" ]; then
        fail "Python ${found[*]} is not supported; install Python 3.11, 3.12 or 3.13, or name one: PYTHON=/path/to/python3.12 bash run.sh"
    fi
    if has_packages "$python"; then
        echo "Python $("$python" -c 'import platform; print(platform.python_version())'), with all packages"
        return
    fi
    local system=$python
    python=$PWD/.venv/bin/python
    if [ -x "$python" ] && has_packages "$python"; then
        echo "Packages are in .venv"
        return
    fi
    need_place .venv
    if ! "$system" -c 'import venv, ensurepip' 2>/dev/null; then
        fail "$system has no venv module; install it (Debian: apt-get install python3-venv), or name another Python: PYTHON=/path/to/python3.12 bash run.sh"
    fi
    echo "Installing the packages of requirements.txt into .venv (some minutes; $($gpu && echo 'with CUDA, about 5 GB' || echo 'about 3 GB'))"
    if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12), (3, 13)))' 2>/dev/null; then
        run "$system" -m venv --clear .venv
    fi
    local packages=(-r "$code/requirements.txt")
    if $gpu; then packages+=("$(cuda_packages)"); fi
    local quiet=--quiet
    if [ -t 1 ]; then quiet=; fi
    run "$python" -m pip install $quiet "${packages[@]}"
    has_packages "$python" || fail "the packages of requirements.txt are not all in .venv; remove .venv and run again"
}

cuda_packages() { sed -n 's/^tensorflow==\([0-9.]*\).*/tensorflow[and-cuda]==\1/p' "$code/requirements.txt"; }

# Whether a Python has every package of requirements.txt in its pinned version.
has_packages() {
    "$1" - "$code/requirements.txt" <<'PYTHON' 2>/dev/null
import re, sys
from importlib.metadata import version
pins = re.findall(r"^([\w-]+)==([\w.]+)", open(sys.argv[1]).read(), re.M)
sys.exit(any(version(name) != pinned for name, pinned in pins))
PYTHON
}

# A rented GPU that TensorFlow cannot see would cost hours on the CPU.
check_gpu() {
    if ! $gpu || given --devices "$@" || [ "${KERAS_BACKEND:-tensorflow}" != tensorflow ]; then return; fi
    if ! try sees_gpu; then
        if [ "$python" = "$PWD/.venv/bin/python" ]; then
            echo "Adding CUDA's packages for the GPU"
            run "$python" -m pip install --quiet "$(cuda_packages)"
            if try sees_gpu; then return; fi
        fi
        fail "nvidia-smi shows a GPU, but TensorFlow sees none: its driver may be too old for TensorFlow's CUDA; update it, or train on the CPU with --devices 1"
    fi
}

sees_gpu() { # exec: so that a signal reaches Python itself
    export TF_CPP_MIN_LOG_LEVEL=3
    exec "$python" -c 'import sys, tensorflow as tf; sys.exit(not tf.config.list_physical_devices("GPU"))' 2>/dev/null
}

# Set $images to a folder of class folders, and $simulated.
find_data() {
    simulated=false
    local data=
    if [ -n "${DATA_DIR:-}" ]; then
        data=$DATA_DIR
        [ -d "$data" ] || fail "$data_name is no folder; name one with class folders or WFDB records"
        holds_records "$data" || holds_classes "$data" || fail "$data_name holds neither class folders with images nor WFDB records (.hea)"
    else
        for data in "${up}data" "${here}data" ''; do
            if [ -n "$data" ] && { holds_records "$data" || holds_classes "$data"; }; then break; fi
        done
    fi
    if [ -z "$data" ]; then
        simulated=true
        images=images/simulated
        echo "No data in ../data or ./data: using simulated records. SIMULATED, not medical data"
        need_place "$images"
        run "$python" "$code/make_dataset.py" simulated --output "$images"
    elif holds_records "$data"; then
        images=images/records-$(cd "$data" && printf %s "$PWD" | cksum | cut -d ' ' -f 1)
        echo "Records in $data"
        need_place "$images"
        run "$python" "$code/make_dataset.py" "$data" --output "$images"
    else
        images=$data
        echo "Images in $data"
    fi
}

holds_records() { [ -n "$(find "$1/" -maxdepth 1 -name '*.hea' -print -quit 2>/dev/null)" ]; }
holds_classes() { [ -n "$(find "$1/" -mindepth 2 -maxdepth 2 -type f ! -name '.*' ! -path "$1/.*/*" -print -quit 2>/dev/null)" ]; }

# Set $output to the run folder.
find_output() {
    if [ -n "${OUTPUT_DIR:-}" ]; then
        output=$OUTPUT_DIR
    elif [ -d "${up}output" ]; then
        output=${up}output
    else
        need_place output
        local highest=0 newest=output/run-1 number
        for output in output/run-*; do
            number=${output#output/run-}
            case "$number" in *[!0-9]* | '' | ??????????*) continue ;; esac # a name, or more digits than bash counts
            number=$((10#$number))                                          # with zeros before it, too
            if [ "$number" -gt "$highest" ]; then highest=$number newest=$output; fi
        done
        output=output/run-$((highest + 1))
        case " $* " in *" --resume "*) output=$newest ;; esac
    fi
    echo "Results go to $output"
    case " $* " in *" --resume "*) take_earlier_result ;; esac
}

# DBC empties the output folder before each task, so an earlier result comes along in the code folder.
take_earlier_result() {
    if holds_run "$output" || ! holds_run "${here}resume"; then return; fi
    echo "Going on with the earlier result in ./resume"
    local copy=$output/.resume.partial
    rm -rf "$copy"
    mkdir -p "$output"
    run cp -r "${here}resume" "$copy" # and then renamed, so that half a copy never looks like a run
    rm -f "$copy/training_result_file" # DBC is writing this task's own
    mv "$copy"/* "$output"/ || exit 1
    rm -rf "$copy"
}

holds_run() { [ -n "$(find "$1/" -maxdepth 2 -name config.json -print -quit 2>/dev/null)" ]; }

main "$@"
