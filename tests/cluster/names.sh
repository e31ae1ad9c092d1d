#!/usr/bin/env bash
# Keeps dnsmasq's file of Services as the API server has them: names.sh KUBECTL FOLDER PID-OF-DNSMASQ
set -euo pipefail
template='{range .items[*]}{.spec.clusterIP} {.metadata.name}.{.metadata.namespace}.svc.cluster.local {.metadata.name}.{.metadata.namespace}.svc{"\n"}{end}'
cd "$2"
while kill -0 "$3"; do
    if "$1" --kubeconfig=kubeconfig get services --all-namespaces -o "jsonpath=$template" >services \
        && { grep -v '^None ' services >hosts.new || true; } && ! cmp -s hosts.new hosts; then
        mv hosts.new hosts
        kill -HUP "$3"
    fi
    sleep 0.5
done
