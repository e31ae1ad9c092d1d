#!/usr/bin/env bash
# Builds the images: tools/images.sh [ENVIRONMENT...], all of them when none is named.
#
#   REGISTRY      put before the names            (kontinual)
#   TAG                                           (the version of Kontinual)
#   ENGINE        docker, podman or buildah       (the first that works)
#   BASE          image with Debian and Python 3.12 or 3.13 (python:3.12-slim-trixie)
#   ENGINE_ARGS   more arguments of its build command, such as --network=host
#   CA            file with the certificates to trust while packages are downloaded
#                 (what pip is told by PIP_CERT or pip.conf)
#
# Packages come from where pip is told to get them (PIP_INDEX_URL and others, pip.conf);
# addresses, their passwords and certificates are handed over as secrets of the build.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'images: error: %s\n' "$*" >&2; exit 1; }

if [[ -n ${REGISTRY:-} ]]; then export KONTINUAL_REGISTRY=$REGISTRY; fi
if [[ -n ${TAG:-} ]]; then export KONTINUAL_TAG=$TAG; fi
name_of() { python3 components/images.py "$1"; }

works() { # ENGINE
    command -v "$1" >/dev/null && "$1" info >/dev/null 2>&1
}
find_engine() {
    local engine
    for engine in docker podman buildah; do
        if works "$engine"; then echo "$engine"; return; fi
    done
    fail "docker, podman or buildah is needed and none of them works here (\`docker info\` says why)"
}

pip_setting() { # NAME
    local variable=PIP_${1^^}
    variable=${variable//-/_}
    printf '%s' "${!variable:-$(python3 -m pip config get "global.$1" 2>/dev/null || true)}"
}
# What pip is told here, for pip there. Folders of this machine are not seen by a build.
write_pip_conf() { # FILE
    local name value word kept
    echo '[global]' >"$1"
    for name in index-url extra-index-url trusted-host timeout; do
        value=$(pip_setting "$name") kept=
        for word in $value; do
            if [[ $word != file:* && $word != /* ]]; then kept+=" $word"; fi
        done
        if [[ -n $kept ]]; then echo "$name =$kept" >>"$1"; fi
    done
    if [[ -n $2 ]]; then echo 'cert = /etc/pip-ca.crt' >>"$1"; fi
}

engine=${ENGINE:-$(find_engine)}
case $engine in
    docker) export DOCKER_BUILDKIT=1 ;;
    podman | buildah) ;;
    *) fail "ENGINE must be docker, podman or buildah, but is $engine" ;;
esac
works "$engine" || fail "$engine does not work here; \`$engine info\` says why"

secrets=$(mktemp -d)
trap 'rm -rf "$secrets"' EXIT
ca=${CA:-$(pip_setting cert)}
if [[ -n $ca ]]; then
    [[ -r $ca ]] || fail "CA: $ca can not be read; it must be a file with certificates (PEM)"
    cp "$ca" "$secrets/ca.crt"
fi
write_pip_conf "$secrets/pip.conf" "$ca"

revision=$(git rev-parse HEAD 2>/dev/null || true)
if [[ -n $(git status --porcelain -- kontinual images setup.py 2>/dev/null) ]]; then revision+=.dirty; fi
# The commit's date, not today's: the same commit gives the same labels.
created=$(git log -1 --format=%cI 2>/dev/null || date -Iseconds)

build() { # ENVIRONMENT
    local name arguments
    name=$(name_of "$1")
    arguments=(-f images/Dockerfile --build-arg "ENVIRONMENT=$1" --build-arg "VERSION=${name##*:}"
        --build-arg "REVISION=$revision" --build-arg "CREATED=$created"
        --secret "id=pip.conf,src=$secrets/pip.conf" -t "$name")
    if [[ -n $ca ]]; then arguments+=(--secret "id=ca.crt,src=$secrets/ca.crt"); fi
    if [[ -n ${BASE:-} ]]; then arguments+=(--build-arg "BASE=$BASE"); fi
    # podman and buildah keep intermediate layers for the next build when they are told to.
    case $engine in
        podman | buildah) arguments+=(--layers) ;;
    esac
    # shellcheck disable=SC2086 # several words by intent
    "$engine" build "${arguments[@]}" ${ENGINE_ARGS:-} .
}
size_of() { # IMAGE
    case $engine in
        buildah) buildah images --format '{{.Size}}' "$1" ;;
        *) "$engine" image inspect --format '{{.Size}}' "$1" | awk '{ printf "%.0f MB\n", $1 / 1e6 }' ;;
    esac
}

environments=("$@")
[[ $# -gt 0 ]] || environments=(data train serve control)
for environment in "${environments[@]}"; do name_of "$environment" >/dev/null; done
sizes=()
for environment in "${environments[@]}"; do
    began=$SECONDS
    echo "images: building $(name_of "$environment") with $engine"
    build "$environment" || fail "the image of $environment could not be built; the reason stands above"
    sizes+=("$(name_of "$environment")  $(size_of "$(name_of "$environment")")  built in $((SECONDS - began)) s")
done
printf 'images: %s\n' "${sizes[@]}"
