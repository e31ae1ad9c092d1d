#!/usr/bin/env bash
# Builds what `up.sh` starts: Kubernetes of Debian's source package, and a pause container.
# Minutes on two cores; done once, kept outside of the tree. build.sh [--check] [FOLDER]
# With --check nothing is built: it succeeds if that was done before.
#
# No registry or release server is needed: Debian bookworm's source package `kubernetes`
# (1.20.2) holds the tree with its modules, and Debian's Go compiles it.
set -euo pipefail
check=false
if [[ ${1:-} == --check ]]; then
    check=true
    shift
fi
out=${1:-${KONTINUAL_CLUSTER_CACHE:-$HOME/.cache/kontinual/cluster}}

say() { printf 'test-cluster: %s\n' "$*"; }
fail() { printf 'test-cluster: error: %s\n' "$*" >&2; exit 1; }

programs=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy)
built=true
for program in "${programs[@]}" pause; do [[ -x $out/$program ]] || built=false; done
if $check; then $built; exit; fi

[[ $EUID -eq 0 ]] || fail "a node of one's own needs root; or set KUBECONFIG to a cluster"
command -v apt-get >/dev/null || fail "a node of one's own is made from Debian's packages; or set KUBECONFIG to a cluster"

# What runs beside it, at each call: another machine may share the cache.
need=()
for each in etcd:etcd-server containerd:containerd runc:runc conntrack:conntrack iptables:iptables dnsmasq:dnsmasq-base; do
    command -v "${each%%:*}" >/dev/null || need+=("${each##*:}")
done
[[ -x /usr/lib/cni/bridge ]] || need+=(containernetworking-plugins)
if ! $built; then need+=(dpkg-dev golang-go gcc libc6-dev rsync jq golang-github-modern-go-reflect2-dev); fi
if ((${#need[@]})); then
    say "apt-get install ${need[*]}"
    # Packages of servers start them; the node has its own.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f $policy' EXIT
    fi
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${need[@]}"; } \
        >/dev/null 2>&1 || fail "apt-get install ${need[*]} failed; call it by hand to see why"
fi
$built && exit 0

began=$SECONDS
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"; [[ -z ${policy:-} ]] || rm -f "$policy"' EXIT
say "compiling Kubernetes into $out (minutes)"

# Lists of its own: the system's say nothing of sources, and stay as they are.
mirror=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null \
    | grep -oE 'https?://[^ ]*/debian/?( |$)' | sed -n '1{s/ $//;p}' || true)
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} bookworm main" >"$work/sources.list"
mkdir -p "$work/lists/partial"
apt=(-o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$work/lists" -o APT::Sandbox::User=root)
cd "$work"
{ apt-get -qq "${apt[@]}" update && apt-get -qq "${apt[@]}" source kubernetes; } >source.log 2>&1 \
    || { tail -n 5 source.log >&2; fail "the source package kubernetes of Debian bookworm can not be had; its last lines stand above"; }

cd kubernetes-1*/
top=$PWD
version=$(dpkg-parsechangelog -S Version | sed 's/.*really//; s/[-+].*//')
mkdir -p .go/src/k8s.io
ln -sfn "$top" .go/src/k8s.io/kubernetes
export GOPATH=$top/.go GOFLAGS='' GO111MODULE='' GOCACHE=$work/go-build
(cd .go/src/k8s.io/kubernetes && CGO_ENABLED=0 make generated_files) >"$work/build.log" 2>&1 \
    || { tail -n 20 "$work/build.log" >&2; fail "make generated_files failed; its last lines stand above"; }
# The vendored 1.0.1 crashes when Go 1.18 or later compiles it.
rm -rf vendor/github.com/modern-go/reflect2
cp -r /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/
cd .go/src/k8s.io/kubernetes
export GO111MODULE=off
package=k8s.io/kubernetes/vendor/k8s.io/component-base/version
minor=${version#1.}
flags="-s -w -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
for program in "${programs[@]}"; do
    [[ $program == kubelet ]] && cgo=1 || cgo=0
    CGO_ENABLED=$cgo go build -ldflags "$flags" -o "$work/$program" "./cmd/$program" \
        || fail "$program could not be compiled; the reason stands above"
done
gcc -Os -static -DVERSION="$version" -o "$work/pause" build/pause/linux/pause.c 2>/dev/null \
    || gcc -Os -static -DVERSION="$version" -o "$work/pause" build/pause/pause.c \
    || fail "pause could not be compiled; the reason stands above"
for program in "${programs[@]}" pause; do mv "$work/$program" "$out/$program"; done
say "Kubernetes $version compiled in $((SECONDS - began)) s"
