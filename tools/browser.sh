#!/usr/bin/env bash
# The tests of the page look at it in a real Chromium. Where there is none, root on a Debian
# installs it; others are told how.
set -euo pipefail

for name in chromium chromium-browser; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
hint="install it (on Debian: sudo apt-get install chromium) and call this again"
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "browser: error: chromium is missing; $hint" >&2
    exit 1
fi
echo "browser: chromium is missing: apt-get install chromium"
{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium; } >/dev/null \
    || { echo "browser: error: apt-get install chromium failed; $hint" >&2; exit 1; }
