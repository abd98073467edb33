#!/usr/bin/env bash
# Build the Dockerfile where no Docker engine runs: with buildah, on a Debian base made by debootstrap.
#
#   bash tests/build_image.sh [IMAGE [buildah build options]]
#
# Needs root, and Debian's packages buildah and debootstrap. For example:
#   bash tests/build_image.sh ecg-beats-keras:cpu --build-arg DEVICE=cpu
#   export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
#   container=$(buildah from ecg-beats-keras:cpu)
#   buildah run "$container" -- bash run.sh
# A registry's settings go in for the build alone: --volume /etc/pip.conf:/etc/pip.conf:ro
set -eu
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot # both work without a kernel's help
image=${1:-ecg-beats-keras}
shift $(($# > 0))
base=localhost/debian-python:bookworm
if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$root"
    rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/archives/*.deb
    # Certificates that this machine's network needs, if any.
    if cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2>/dev/null; then
        chroot "$root" update-ca-certificates
    fi
    container=$(buildah from scratch)
    buildah copy --quiet "$container" "$root" /
    buildah config --cmd bash "$container"
    buildah commit --quiet --rm "$container" "$base"
fi
buildah build --tag "$image" --build-arg BASE_IMAGE="$base" "$@" "$(dirname "$0")/.."
