#!/usr/bin/env bash
# Builds the four images on this machine and runs the tests in them: `make test-images`.
#
# podman is used, with its own storage. Where no registry is within reach, the base image
# is made of Debian's packages by debootstrap, which needs root; BASE names another one.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf 'test-images: %s\n' "$*"; }
fail() { printf 'test-images: error: %s\n' "$*" >&2; exit 1; }

need() { # COMMAND PACKAGE...
    local program=$1
    shift
    command -v "$program" >/dev/null && return
    [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null \
        || fail "$program is missing; install it (on Debian: sudo apt-get install $*)"
    say "$program is missing: apt-get install $*"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"; } \
        >/dev/null || fail "apt-get install $* failed"
}

DEBOOTSTRAPPED=localhost/kontinual-base:trixie
make_base() {
    podman image exists "$DEBOOTSTRAPPED" && return
    need debootstrap debootstrap debian-archive-keyring
    [[ $EUID -eq 0 ]] || fail "debootstrap needs root; or set BASE to an image with Debian and Python 3.12 or 3.13"
    local root
    root=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$root'" EXIT
    say "making $DEBOOTSTRAPPED of Debian trixie"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates trixie "$root/debian" >"$root/log" 2>&1 \
        || { tail -n 5 "$root/log" >&2; fail "debootstrap failed; its last lines stand above"; }
    rm -rf "$root"/debian/var/{cache/apt/*.bin,cache/apt/archives/*.deb,lib/apt/lists/*}
    tar -C "$root/debian" -c . | podman import --quiet - "$DEBOOTSTRAPPED" >/dev/null
    rm -rf "$root"
}

need podman podman
if [[ -z ${BASE:-} ]]; then
    make_base
    export BASE=$DEBOOTSTRAPPED
fi

runs() { podman run --rm --network=host "$BASE" true >/dev/null 2>&1; }
if ! runs; then
    say "podman as it is can not run a container here; trying runc and lower limits"
    need runc runc
    export CONTAINERS_CONF=$PWD/tests/images/containers.conf
    runs || { podman run --rm --network=host "$BASE" true || fail "podman can not run a container here; the reason stands above"; }
fi

export REGISTRY=localhost/kontinual ENGINE=podman ENGINE_ARGS="--network=host ${ENGINE_ARGS:-}"
tools/images.sh
export KONTINUAL_REGISTRY=$REGISTRY
.venv/bin/pytest tests/images "$@"
