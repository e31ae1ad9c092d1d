#!/usr/bin/env bash
# Sets up all that Kontinual needs on this machine, below this folder alone:
#   .venv        everything but validation   (requirements.txt)
#   .venv-data   validation with TFDV        (images/data/requirements*.txt)
#   .tools       Prometheus, Alertmanager and (for the tests) PostgreSQL, when the system has none
# Nothing is installed into the system, but for missing compilers when root runs
# it on a Debian; no service is started. A second call finds all done.
#
#   KONTINUAL_PYTHON   the interpreter of .venv (3.11 to 3.13)
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }
seconds() { echo "$((SECONDS - ${1:-0})) s"; }

TFDV_NEW=images/data/requirements.txt          # glibc >= 2.39, Python 3.12 or 3.13
TFDV_OLD=images/data/requirements-tfdv-1.16.txt # Python 3.11
DATA_EXTRA=(images/data/requirements-kfp.txt tests/requirements-data.txt)

minor_of() { "$1" -c 'import sys; print(sys.version_info[1] if sys.version_info[0] == 3 else 0)' 2>/dev/null || echo 0; }

# The first interpreter that runs and whose minor version is one of those given.
find_python() { # MINOR...
    local candidate minor
    for candidate in ${KONTINUAL_PYTHON:-} python3 python3.13 python3.12 python3.11; do
        minor=$(minor_of "$candidate")
        if [[ " $* " == *" $minor "* ]]; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

glibc_at_least() { # MINOR
    local version
    version=$(getconf GNU_LIBC_VERSION 2>/dev/null | awk '{print $2}')
    [[ -n $version && ${version%%.*} -eq 2 && ${version#*.} -ge $1 ]]
}

# On a Debian, root installs what is missing; others are told what to install.
need_package() { # WHAT PACKAGE...
    local what=$1
    shift
    if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
        say "$what is missing: apt-get install $*"
        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"; } \
            >/dev/null || fail "$what is missing and apt-get install $* failed"
    else
        fail "$what is missing; install it (on Debian: sudo apt-get install $*) and call this again"
    fi
}

# A stamp says by which files an environment was made.
fingerprint() { cat "$@" tools/setup.sh setup.py | sha256sum | cut -d' ' -f1; }
is_done() { # FOLDER FINGERPRINT
    [[ -f $1/.kontinual-setup && $(<"$1/.kontinual-setup") == "$2" && -x $1/bin/python ]] \
        && "$1/bin/python" -c '' 2>/dev/null
}

make_venv() { # PYTHON FOLDER
    local minor
    minor=$(minor_of "$1")
    "$1" -c 'import ensurepip, venv' 2>/dev/null || need_package "Python's venv" "python3.$minor-venv"
    if [[ -e $2 && $(minor_of "$2/bin/python") != "$minor" ]]; then
        say "$2 is of another Python and is made anew"
        rm -rf "$2"
    fi
    [[ -x $2/bin/pip ]] || "$1" -m venv --clear "$2"
}

# uv reads no pip.conf: hand it what the user has told pip.
pip_setting() { # NAME
    local variable=PIP_${1^^}
    variable=${variable//-/_}
    printf '%s' "${!variable:-$(.venv/bin/python -m pip config get "global.$1" 2>/dev/null || true)}"
}
hand_on_pip_configuration() {
    local index extra links
    index=$(pip_setting index-url) extra=$(pip_setting extra-index-url) links=$(pip_setting find-links)
    if [[ -n $index ]]; then export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}; fi
    if [[ -n $extra ]]; then export UV_INDEX=${UV_INDEX:-$extra}; fi
    if [[ -n $links ]]; then export UV_FIND_LINKS=${UV_FIND_LINKS:-${links// /,}}; fi
    # Hashes decide what is taken, so every index may offer it.
    export UV_INDEX_STRATEGY=${UV_INDEX_STRATEGY:-unsafe-best-match}
    export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true} # as pip does: a company may have its own
}

get_uv() {
    [[ -x .venv/bin/uv ]] && return
    local locked
    locked=$(mktemp)
    awk '/^[^ #]/ { on = /^uv==/ } on' requirements.txt >"$locked"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$locked" \
        || { rm -f "$locked"; fail "uv could not be installed by pip; is a package index within reach?"; }
    rm -f "$locked"
}

# Exactly what the lock files say, by uv, or by pip where uv can not.
install() { # FOLDER LOCKFILE...
    local folder=$1 began=$SECONDS lock pip_arguments=() count
    shift
    count=$(cat "$@" | grep -c '^[a-z].*==')
    say "$folder: installing $count packages (minutes, when they have to be downloaded)"
    # Compiled here once: where Python may not write bytecode, every process would compile it anew.
    if ! .venv/bin/uv pip sync --quiet --compile-bytecode --python "$folder/bin/python" --require-hashes "$@"; then
        say "uv could not install $folder; pip takes over, which is slower"
        for lock in "$@"; do pip_arguments+=(-r "$lock"); done
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
            --require-hashes "${pip_arguments[@]}" || fail "$folder could not be installed; the reason stands above"
    fi
    .venv/bin/uv pip install --quiet --python "$folder/bin/python" --no-deps --no-build-isolation -e . \
        || fail "kontinual itself could not be installed into $folder; the reason stands above"
    say "$folder: $count packages in $(seconds "$began")"
}

setup_main() {
    local python stamp
    if [[ -n ${KONTINUAL_PYTHON:-} && ! " 11 12 13 " == *" $(minor_of "$KONTINUAL_PYTHON") "* ]]; then
        fail "KONTINUAL_PYTHON must be a Python 3.11, 3.12 or 3.13, but is $KONTINUAL_PYTHON"
    fi
    stamp=$(fingerprint requirements.txt)
    if is_done .venv "$stamp"; then say ".venv is up to date"; return; fi
    python=$(find_python 11 12 13) || fail "Python 3.11, 3.12 or 3.13 is needed, but python3 is $(python3 --version 2>&1 || true); install one, or set KONTINUAL_PYTHON"
    say ".venv by $python ($("$python" --version))"
    make_venv "$python" .venv
    get_uv
    hand_on_pip_configuration
    install .venv requirements.txt
    echo "$stamp" >.venv/.kontinual-setup
}

setup_data() {
    local python lock stamp
    if glibc_at_least 39 && python=$(find_python 12 13); then
        lock=$TFDV_NEW
    elif python=$(find_python 11); then
        lock=$TFDV_OLD
    else
        fail "TensorFlow Data Validation needs glibc 2.39 with Python 3.12 or 3.13, or else Python 3.11, but this is $(getconf GNU_LIBC_VERSION 2>/dev/null || uname -s) with $(python3 --version); install python3.11 and call this again"
    fi
    stamp=$(fingerprint "$lock" "${DATA_EXTRA[@]}")
    if is_done .venv-data "$stamp"; then say ".venv-data is up to date"; return; fi
    say ".venv-data by $python ($("$python" --version)), $lock"
    command -v g++ >/dev/null || need_package "a C++ compiler (for pyfarmhash)" g++
    "$python" -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(sysconfig.get_paths()["include"] + "/Python.h"))' \
        || need_package "Python.h (for pyfarmhash)" "python3.$(minor_of "$python")-dev"
    make_venv "$python" .venv-data
    hand_on_pip_configuration
    install .venv-data "$lock" "${DATA_EXTRA[@]}"
    echo "$stamp" >.venv-data/.kontinual-setup
}

has_tools() {
    local PATH=$PATH:$PWD/.tools/usr/bin tool
    for tool in prometheus promtool amtool; do command -v "$tool" >/dev/null || return 1; done
    tool=$(command -v alertmanager || command -v prometheus-alertmanager) || return 1
    [[ $tool != "$PWD/.tools/"* || -f $RELOCATED ]]
}

# Debian's Alertmanager reads its templates below /usr/share and has no option
# for another place. In this copy the path becomes a file descriptor, which a
# wrapper opens on the unpacked folder. Both texts have 34 bytes.
RELOCATED=.tools/usr/lib/kontinual/prometheus-alertmanager
relocate_alertmanager() {
    local binary=.tools/usr/bin/prometheus-alertmanager
    mkdir -p "$(dirname "$RELOCATED")"
    LC_ALL=C sed 's|/usr/share/prometheus/alertmanager|/dev/fd/3/////////////////////////|g' \
        "$binary" >"$RELOCATED.draft"
    chmod 755 "$RELOCATED.draft"
    rm "$binary"
    cat >"$binary" <<'WRAPPER'
#!/bin/sh
# Written by tools/setup.sh: Alertmanager finds its templates by file descriptor 3.
usr=$(cd "$(dirname "$0")/.." && pwd) || exit 1
exec 3<"$usr/share/prometheus/alertmanager"
exec "$usr/lib/kontinual/prometheus-alertmanager" "$@"
WRAPPER
    chmod 755 "$binary"
    mv "$RELOCATED.draft" "$RELOCATED"
}

# Debian's packages, unpacked here. apt works on folders of its own, so no root
# is needed and the system's package state stays as it is.
APT=$PWD/.tools/apt
has_apt() { command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; }
own_apt() { # ARGUMENT...
    apt-get -qq -o "Dir::State=$APT/state" -o Dir::State::status=/var/lib/dpkg/status \
        -o "Dir::Cache=$APT/cache" -o "APT::Sandbox::User=$(id -un)" "$@"
}
update_apt() {
    rm -rf "$APT"
    mkdir -p "$APT/state/lists/partial" "$APT/cache/archives/partial" "$APT/packages"
    own_apt update
}
unpack() { # FOLDER
    local package
    for package in "$1"/*.deb; do dpkg-deb -x "$package" .tools; done
    rm -rf "$APT"
}

setup_tools() {
    if has_tools; then say "Prometheus and Alertmanager are there"; return; fi
    local hint="install prometheus and prometheus-alertmanager (with promtool and amtool) so that they are on PATH, and call this again"
    local began=$SECONDS
    has_apt || fail "this system has no apt; $hint"
    { update_apt && (cd "$APT/packages" && own_apt download prometheus prometheus-alertmanager); } \
        || fail "apt could not download prometheus and prometheus-alertmanager; $hint"
    unpack "$APT/packages"
    relocate_alertmanager
    has_tools || fail "the packages hold not all of prometheus, promtool, alertmanager, amtool; $hint"
    say "Prometheus and Alertmanager unpacked into .tools in $(seconds "$began")"
}

has_postgres() {
    compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null \
        || compgen -G ".tools/usr/lib/postgresql/*/bin/initdb" >/dev/null
}

# The tests alone need it, so that nothing else fails without it. What it needs in
# turn and the system lacks is unpacked beside it.
setup_postgres() {
    if has_postgres; then say "PostgreSQL is there"; return; fi
    local began=$SECONDS
    if has_apt && update_apt && own_apt -o Debug::NoLocking=1 install --yes --download-only \
        --no-install-recommends postgresql; then
        unpack "$APT/cache/archives"
    fi
    if has_postgres; then
        say "PostgreSQL unpacked into .tools in $(seconds "$began")"
    else
        say "PostgreSQL could not be had from apt; the tests that need it will fail"
    fi
}

# Two calls at once take turns.
mkdir -p .tools
if command -v flock >/dev/null; then
    exec 9>.tools/setup.lock
    flock 9
fi
setup_main
setup_data
setup_tools
setup_postgres
say "done in $(seconds)"
