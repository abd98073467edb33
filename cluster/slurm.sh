#!/usr/bin/env bash
# One network on several machines of a SLURM cluster, from a folder that all of them see.
#
#   submit:  sbatch cluster/slurm.sh --data data --output out [options of train_keras.py]
#   watch:   squeue --me; tail -f ecg-beats-*.log
#   fetch:   the results are in the folder that --output names
#
# Before: make the environment .venv-jax in this folder (docs/gpus.md), and the images. JAX finds the machines by what
# SLURM tells each task, one for each GPU. A job that SLURM starts again goes on where it was.
#SBATCH --job-name=ecg-beats
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=02:00:00
#SBATCH --requeue
#SBATCH --output=ecg-beats-%j.log
set -eu
cd "$SLURM_SUBMIT_DIR"
source .venv-jax/bin/activate
export KERAS_BACKEND=jax PYTHONUNBUFFERED=1
# A machine that is gone ends the other tasks within a minute, each with its own line.
exec srun --kill-on-bad-exit=0 python train_keras.py "$@" --resume
