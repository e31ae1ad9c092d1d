#!/usr/bin/env bash
# Ends what up.sh started, and what it left when it was killed: down.sh [FOLDER]
# Its folder goes with it, except for the logs.
set -uo pipefail
cache=${KONTINUAL_CLUSTER_CACHE:-$HOME/.cache/kontinual/cluster}
dir=${1:-$cache/node}
socket=/run/kontinual-cluster/containerd.sock
END_SECONDS=20

# A process id is given anew after a while; the folder in its environment or command tells ours.
ours() { [[ $(tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null) == *"$2"* ]]; }
pid_of() { awk -v name="$1" '$2 == name { print $1 }' "$dir/pids" 2>/dev/null; }
end() { # NAME PART-OF-COMMAND
    local pid deadline=$((SECONDS + END_SECONDS))
    for pid in $(pid_of "$1"); do
        ours "$pid" "$2" || continue
        kill "$pid" 2>/dev/null
        while ours "$pid" "$2" && ((SECONDS < deadline)); do sleep 0.05; done
        if ours "$pid" "$2"; then kill -9 "$pid" 2>/dev/null; fi
    done
}

end names names.sh
end kubelet kubelet # before the containers, which it would start again
end proxy kube-proxy
if ctr -a "$socket" version >/dev/null 2>&1; then
    ctr="ctr -a $socket -n k8s.io"
    namespaces=$(for each in $($ctr containers ls -q); do
        $ctr containers info "$each" | grep -oE '/(var/)?run/netns/[a-z0-9-]+'
    done | sort -u)
    for task in $($ctr tasks ls -q); do $ctr tasks delete --force "$task" >/dev/null 2>&1; done
    # shellcheck disable=SC2046 # several names
    $ctr containers delete $($ctr containers ls -q) >/dev/null 2>&1
    for namespace in $namespaces; do ip netns delete "${namespace##*/}" 2>/dev/null; done
fi
end containerd containerd
for name in dns:dnsmasq scheduler:kube-scheduler controllers:kube-controller-manager api:kube-apiserver etcd:etcd; do
    end "${name%%:*}" "${name##*:}"
done

for mount in $(awk -v dir="$dir/" -v run=/run/kontinual-cluster/ \
    'index($2, dir) == 1 || index($2, run) == 1 { print $2 }' /proc/mounts | sort -r); do
    umount -l "$mount"
done
if ip link show kontinual0 >/dev/null 2>&1; then
    ip link delete kontinual0
    for family in iptables ip6tables; do
        if "$family-save" 2>/dev/null | grep -q KUBE-; then
            "$family-save" | grep -v KUBE- | "$family-restore"
        fi
    done
fi
rm -rf /run/kontinual-cluster /var/lib/cni/results/kontinual-*
[[ -d $dir ]] && find "$dir" -mindepth 1 -maxdepth 1 ! -name logs -exec rm -rf {} +
exit 0
