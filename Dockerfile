# The image for training on GPUs, on DeepBrainChain and elsewhere. Build: docker build -t ecg-beats-keras .
#
# The base brings Python alone: CUDA comes with TensorFlow's own packages, of the very versions it was built
# for, so the host needs only NVIDIA's driver. Any Debian or Ubuntu image with Python 3.11 to 3.13 will do.
ARG BASE_IMAGE=python:3.12-slim-bookworm
FROM ${BASE_IMAGE}

# What DBC's start script calls on the node and a slim image lacks (bash, awk, du, tar and sed are there).
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl dos2unix procps wget \
    && rm -rf /var/lib/apt/lists/*

# A virtual environment, since Debian's own Python refuses pip. The first python3 in PATH is what run.sh takes.
RUN python3 -m venv /opt/venv
# The last two ask NVIDIA's runtime for the host's GPUs and for nvidia-smi, where no --gpus does.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# Before the code, so that a change of code does not install anything again.
# --build-arg DEVICE=cpu leaves CUDA out; --build-arg BACKEND=jax brings JAX instead, for several machines.
ARG DEVICE=gpu
ARG BACKEND=tensorflow
ENV KERAS_BACKEND=$BACKEND
WORKDIR /app/code
COPY requirements.txt requirements-jax.txt ./
RUN case "$BACKEND" in tensorflow) list=requirements.txt extra=and-cuda ;; jax) list=requirements-jax.txt extra=cuda13 ;; \
        *) echo "error: BACKEND=$BACKEND is neither tensorflow nor jax" >&2; exit 2 ;; esac \
    && cuda=$(sed -n "s/^$BACKEND==\([0-9.]*\).*/$BACKEND[$extra]==\1/p" $list) \
    && case "$DEVICE" in gpu) ;; cpu) cuda= ;; *) echo "error: DEVICE=$DEVICE is neither gpu nor cpu" >&2; exit 2 ;; esac \
    && pip install --no-cache-dir --disable-pip-version-check -r $list $cuda

# The commands, ecgbeats/, protocols/ and pretrained/: see .dockerignore.
COPY . ./
# run.sh takes ../data and leaves the results in ../output: mount the two.
RUN mkdir /app/data /app/output
LABEL org.opencontainers.image.title="ecg-beats-keras" \
    org.opencontainers.image.version="0.2.0" \
    org.opencontainers.image.licenses="MIT"

# No ENTRYPOINT: DBC starts the image with a command of its own.
CMD ["bash", "run.sh"]
