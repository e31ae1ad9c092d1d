#!/usr/bin/env bash
# Runs the tests on a Kubernetes: `make test-cluster`. run.sh [PYTEST-ARGUMENTS]
#
#   KUBECONFIG              a cluster to use, such as kind's; else a node is made on this machine. It
#                           has the images, its nodes see this machine's /tmp, and this machine
#                           reaches the addresses of its pods and Services
#   KONTINUAL_TEST_HOST     with KUBECONFIG: this machine's address as its pods see it
#   KONTINUAL_TEST_IMAGES   venv (default): images that hold nothing, whose containers see this work
#                           tree's environments; built: those that `make test-images` has built
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf 'test-cluster: %s\n' "$*"; }
fail() { printf 'test-cluster: error: %s\n' "$*" >&2; exit 1; }

export KONTINUAL_CLUSTER_CACHE=${KONTINUAL_CLUSTER_CACHE:-$HOME/.cache/kontinual/cluster}
cache=$KONTINUAL_CLUSTER_CACHE
images=${KONTINUAL_TEST_IMAGES:-venv}
[[ $images == venv || $images == built ]] || fail "KONTINUAL_TEST_IMAGES must be venv or built, but is $images"
mkdir -p "$cache"

# moto has dependencies that are no business of ours, so it has an environment of its own.
lock=tests/cluster/requirements-s3.txt
if ! cmp -s "$lock" "$cache/s3/lock"; then
    say "installing an object store into $cache/s3"
    .venv/bin/uv venv --quiet --clear "$cache/s3"
    .venv/bin/uv pip sync --quiet --python "$cache/s3/bin/python" --require-hashes "$lock" \
        || fail "the packages of $lock could not be installed; the reason stands above"
    cp "$lock" "$cache/s3/lock"
fi

if [[ -n ${KUBECONFIG:-} ]]; then
    [[ -n ${KONTINUAL_TEST_HOST:-} ]] \
        || fail "KUBECONFIG is set, so KONTINUAL_TEST_HOST must be this machine's address as the cluster's pods see it"
    say "using the cluster of $KUBECONFIG, which has to have the four images already"
    exec .venv/bin/pytest tests/cluster "$@"
fi

tests/cluster/build.sh "$cache"
# One node at a time: its addresses are fixed.
exec 9>"$cache/lock"
flock -n 9 || fail "another make test-cluster is at work on this machine ($cache/lock)"
node=$cache/node
trap 'tests/cluster/down.sh "$node"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
ctr="ctr -a /run/kontinual-cluster/containerd.sock -n k8s.io"
archives=$cache/images
if [[ $images == venv ]]; then
    .venv/bin/python -m tests.cluster.images venv "$archives"
    tests/cluster/up.sh "$node" "$archives/runtime.json" 9>&-
    for archive in "$archives"/*.tar; do $ctr images import "$archive" >/dev/null; done
else
    tests/cluster/up.sh "$node" 9>&-
    for environment in data train serve control; do
        name=localhost/$(python3 components/images.py "$environment")
        podman image exists "$name" || fail "the image $name is not there; run make test-images first"
        say "importing $name"
        podman save --quiet "$name" | $ctr images import - >/dev/null
        $ctr images tag --force "$name" "docker.io/${name#localhost/}" >/dev/null
    done
fi
export KUBECONFIG=$node/kubeconfig
unset KONTINUAL_TEST_HOST
.venv/bin/pytest tests/cluster "$@"
