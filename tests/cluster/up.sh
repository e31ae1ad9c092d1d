#!/usr/bin/env bash
# A Kubernetes of one node on this machine, of what `build.sh` built: etcd, API server with RBAC,
# controllers, scheduler, containerd, kubelet, kube-proxy, and names of Services by dnsmasq.
# up.sh [FOLDER [RUNTIME-SPEC]] writes FOLDER/kubeconfig; down.sh ends it.
#
# RUNTIME-SPEC is an OCI runtime specification that every container begins with.
# Everything listens on a bridge of its own; the pods reach nothing beyond this machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${KONTINUAL_CLUSTER_CACHE:-$HOME/.cache/kontinual/cluster}
dir=${1:-$cache/node}
spec=${2:-}

say() { printf 'test-cluster: %s\n' "$*"; }
fail() { printf 'test-cluster: error: %s\n' "$*" >&2; exit 1; }

NODE=10.244.77.1 PODS=10.244.77.0/24 SERVICES=10.245.77.0/24 DNS=10.244.77.1
READY_SECONDS=180
kubectl=${KUBECTL:-$here/../../.venv/bin/kubectl}

"$here/down.sh" "$dir" # what an earlier call may have left
mkdir -p "$dir"/{certs,cni,kubelet,logs}
cd "$dir"
: >pids

# The shell's descriptors are not theirs: who waits for the end of our output would wait for theirs.
run() { # NAME COMMAND...
    local name=$1
    shift
    setsid "$@" >"logs/$name.log" 2>&1 </dev/null &
    echo "$! $name" >>pids
}
wait_for() { # WHAT LOG COMMAND...
    local what=$1 log=$2 deadline=$((SECONDS + READY_SECONDS))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= deadline)); then
            tail -n 20 "logs/$log.log" >&2
            fail "$what after $READY_SECONDS s; the last lines of $dir/logs/$log.log stand above"
        fi
        sleep 0.3
    done
}

# --- The bridge that pods hang on, and where the node listens.
sysctl -qw net.ipv4.ip_forward=1
modprobe -q br_netfilter 2>/dev/null || true
ip link add kontinual0 type bridge
ip addr add "$NODE/24" dev kontinual0
ip link set kontinual0 up
cat >cni/10-kontinual.conflist <<CNI
{"cniVersion": "0.4.0", "name": "kontinual", "plugins": [
  {"type": "bridge", "bridge": "kontinual0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$dir/cni/state",
            "ranges": [[{"subnet": "$PODS", "rangeStart": "10.244.77.10"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}}]}
CNI

# --- Who is who.
openssl genrsa -out certs/sa.key 2048 2>/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=kontinual-test-ca \
    -keyout certs/ca.key -out certs/ca.crt -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
cat >certs/api.cnf <<CNF
subjectAltName=IP:$NODE,IP:10.245.77.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
keyUsage=critical,digitalSignature,keyEncipherment
extendedKeyUsage=serverAuth
authorityKeyIdentifier=keyid
CNF
openssl req -newkey rsa:2048 -nodes -subj /CN=kube-apiserver -keyout certs/api.key -out certs/api.csr 2>/dev/null
openssl x509 -req -in certs/api.csr -CA certs/ca.crt -CAkey certs/ca.key -CAcreateserial -days 30 \
    -extfile certs/api.cnf -out certs/api.crt 2>/dev/null
token=$(openssl rand -hex 24)
(umask 077 && echo "$token,admin,admin,system:masters" >certs/tokens.csv)
(umask 077 && cat >kubeconfig) <<K
apiVersion: v1
kind: Config
clusters: [{name: kontinual, cluster: {server: "https://$NODE:6443", certificate-authority: "$dir/certs/ca.crt"}}]
users: [{name: admin, user: {token: $token}}]
contexts: [{name: kontinual, context: {cluster: kontinual, user: admin}}]
current-context: kontinual
K

# --- The control plane.
run etcd etcd --data-dir "$dir/etcd" --listen-client-urls "http://$NODE:2379" --advertise-client-urls "http://$NODE:2379" \
    --listen-peer-urls "http://$NODE:2380" --initial-advertise-peer-urls "http://$NODE:2380" \
    --initial-cluster "default=http://$NODE:2380" --unsafe-no-fsync
run api "$cache/kube-apiserver" --etcd-servers="http://$NODE:2379" --bind-address="$NODE" --advertise-address="$NODE" \
    --secure-port=6443 --tls-cert-file=certs/api.crt --tls-private-key-file=certs/api.key --cert-dir="$dir/certs" \
    --service-account-key-file=certs/sa.key --service-account-signing-key-file=certs/sa.key \
    --service-account-issuer=https://kubernetes.default.svc \
    --api-audiences=https://kubernetes.default.svc,pipelines.kubeflow.org \
    --authorization-mode=Node,RBAC --token-auth-file=certs/tokens.csv \
    --service-cluster-ip-range="$SERVICES" --allow-privileged=true --kubelet-preferred-address-types=InternalIP
wait_for "the API server is not ready" api "$kubectl" --kubeconfig=kubeconfig get --raw /readyz
run controllers "$cache/kube-controller-manager" --kubeconfig=kubeconfig --bind-address="$NODE" --port=0 --cert-dir="$dir/certs" \
    --service-account-private-key-file=certs/sa.key --root-ca-file=certs/ca.crt --use-service-account-credentials \
    --leader-elect=false
run scheduler "$cache/kube-scheduler" --kubeconfig=kubeconfig --bind-address="$NODE" --port=0 --cert-dir="$dir/certs" --leader-elect=false

# --- The node.
socket=/run/kontinual-cluster/containerd.sock
base_spec=
if [[ -n $spec ]]; then base_spec="base_runtime_spec = \"$spec\""; fi
cat >containerd.toml <<C
version = 2
root = "$dir/containerd"
state = "/run/kontinual-cluster"
[grpc]
  address = "$socket"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/kontinual/pause:0"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$dir/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      $base_spec
C
run containerd containerd -c containerd.toml
wait_for "containerd does not answer" containerd ctr -a "$socket" version
(cd "$here/../.." && .venv/bin/python -m tests.cluster.images pause "$cache/pause") >pause.tar
ctr -a "$socket" -n k8s.io images import pause.tar >/dev/null

# Images are never thrown away for want of room: nothing could bring them back.
cat >kubelet.yaml <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE
healthzBindAddress: $NODE
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
clusterDNS: [$DNS]
clusterDomain: cluster.local
evictionHard: {memory.available: "100Mi", nodefs.available: "1%", imagefs.available: "1%"}
imageGCHighThresholdPercent: 100
K
run kubelet "$cache/kubelet" --kubeconfig=kubeconfig --config=kubelet.yaml --container-runtime=remote \
    --container-runtime-endpoint="unix://$socket" --root-dir="$dir/kubelet" --cert-dir="$dir/certs" \
    --hostname-override=node --node-ip="$NODE"
# Masquerading everything brings answers back this way also where bridges go past iptables.
run proxy "$cache/kube-proxy" --kubeconfig=kubeconfig --hostname-override=node --cluster-cidr="$PODS" --masquerade-all \
    --conntrack-max-per-core=0 --bind-address="$NODE" --healthz-bind-address="$NODE:10256" --metrics-bind-address="$NODE:10249"

# --- Names of Services.
: >hosts
run dns dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --addn-hosts="$dir/hosts" \
    --bind-interfaces --interface=kontinual0 --except-interface=lo --local=/cluster.local/ --user=root --pid-file --log-facility=-
dns=$!
run names "$here/names.sh" "$kubectl" "$dir" "$dns"

wait_for "the node is not ready" kubelet \
    "$kubectl" --kubeconfig=kubeconfig wait --for=condition=Ready node/node --timeout=1s
say "a node is up: export KUBECONFIG=$dir/kubeconfig"
