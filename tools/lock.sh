#!/usr/bin/env bash
# Compiles every lock file from the extras of setup.py: exact versions with hashes.
# One environment is one file; the tests' own additions stand apart from the images'.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=${UV:-.venv/bin/uv}
[[ -x $(command -v "$uv" || true) ]] || { echo "lock: no uv; run \`make setup\` or set UV" >&2; exit 1; }

compile() { # OUTPUT ARGUMENTS...
    local output=$1
    shift
    mkdir -p "$(dirname "$output")"
    echo "lock: $output"
    "$uv" pip compile --quiet --generate-hashes "$@" -o "$output"
}

# This machine's environment for everything but validation.
compile requirements.txt setup.py --extra train --extra serve --extra control --extra local \
    --extra keras --extra notebook --extra dev --universal --python-version 3.11

# An image's base has Python 3.12 or 3.13, so its lock holds for both. Validation: the newest
# TFDV needs glibc 2.39; older systems get the last one without.
compile images/data/requirements.txt setup.py --extra data --universal --python-version 3.12
compile images/data/requirements-tfdv-1.16.txt setup.py --extra data \
    --python-version 3.11 --python-platform x86_64-manylinux_2_36

# TFDV 1.16 pins protobuf<5 and kfp wants 6, so kfp comes without its dependencies there.
compile images/data/requirements-kfp.txt --no-deps --constraint requirements.txt \
    --python-version 3.11 - <<<"kfp"
compile tests/requirements-data.txt --constraint requirements.txt \
    --constraint images/data/requirements-tfdv-1.16.txt --python-version 3.11 \
    --no-emit-package packaging --no-emit-package pluggy --no-emit-package pygments \
    --no-emit-package sortedcontainers --no-emit-package attrs - <<'IN'
hypothesis
pytest
pytest-timeout
IN

declare -A extras=([train]="--extra train --extra keras" [serve]="--extra serve" [control]="--extra control")
for image in train serve control; do
    # shellcheck disable=SC2086 # several words by intent
    compile "images/$image/requirements.txt" setup.py ${extras[$image]} --constraint requirements.txt \
        --universal --python-version 3.12
done
# What builds the packages that are published as source alone, and Kontinual's own wheel.
compile images/build/requirements.txt --universal --python-version 3.12 - <<'IN'
setuptools<81
wheel
IN
