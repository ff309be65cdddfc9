#!/usr/bin/env bash
# Checks deploy/helm with Helm's own linter and against Kubernetes' schemas, with its default values and with all that is optional, and writes
# deploy/kubernetes from it. Builds Helm with Go (1.21 or newer) where it is not there yet, which takes minutes.
set -euo pipefail

helm_version=v3.14.4
validate_version=1.37.0
kubernetes=(1.25 1.37)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/schedule-service
chart=deploy/helm/schedule-service
helm=$cache/helm-$helm_version/helm
validate=$cache/kubernetes-validate-$validate_version/bin/kubernetes-validate

[ -x "$helm" ] || GOBIN=${helm%/*} go install "helm.sh/helm/v3/cmd/helm@$helm_version"
if [ ! -x "$validate" ]; then
    /usr/bin/python3 -m venv "${validate%/bin/*}"
    "${validate%/*}/python" -m pip install -q --disable-pip-version-check "kubernetes-validate==$validate_version"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# render NAME [HELM_OPTION ...]
render() {
    local name=$1
    shift
    "$helm" lint --strict --quiet "$chart" "$@"
    "$helm" template schedule-service "$chart" --kube-version "${kubernetes[-1]}.0" "$@" >"$work/$name.yaml"
    for version in "${kubernetes[@]}"; do
        "$validate" --quiet --strict --no-warn -k "$version" "$work/$name.yaml"
    done
}

refuse() {
    ! "$helm" template schedule-service "$chart" --kube-version "${kubernetes[-1]}.0" "$@" >/dev/null 2>&1 ||
        { echo "the chart takes $*" >&2; exit 1; }
}

render default
render full -f $chart/full.yaml
refuse --set deployments.all.enabled=false
refuse -f $chart/full.yaml --set deployments.relay.enabled=false

mkdir -p deploy/kubernetes
{
    echo "# What the chart of deploy/helm makes with its default values: written by \`make charts\`, for kubectl apply."
    echo "# Of the chart with sha256 $(/usr/bin/python3 tests/lint/check_packages.py --chart)"
    cat "$work/default.yaml"
} >deploy/kubernetes/schedule-service.yaml
