#!/usr/bin/env bash
# Checks deploy/helm with Helm's own linter and against Kubernetes' schemas, with its default values and with all that is optional, whose objects of
# KEDA and of Prometheus' operator are checked against their types in TypeScript; and writes deploy/kubernetes from it. Builds Helm with Go (1.21
# or newer) where it is not there yet, which takes minutes. Needs Node.js with npm.
set -euo pipefail

helm_version=v3.14.4
validate_version=1.37.0
kubernetes=(1.25 1.37)
types=(@kubernetes-models/keda@2.0.0 @kubernetes-models/prometheus-operator@6.0.0 typescript@5.9.3)
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

models=$cache/kubernetes-types-$(printf '%s\n' "${types[@]}" | sha256sum | cut -c1-12)
if [ ! -d "$models" ]; then
    rm -rf "$models.part"
    npm install --silent --no-audit --no-fund --prefix "$models.part" "${types[@]}"
    mv -T "$models.part" "$models"
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

# What Kubernetes' schemas do not have, written out as constants of its type.
ln -s "$models/node_modules" "$work/node_modules"
"${validate%/*}/python" -c '
import json, sys, yaml

modules = {"keda.sh/v1alpha1": "keda", "monitoring.coreos.com/v1": "prometheus-operator"}
found = [part for part in yaml.safe_load_all(sys.stdin) if part and part["apiVersion"] in modules]
assert {part["kind"] for part in found} == {"ScaledObject", "ServiceMonitor"}
for at, part in enumerate(found):
    version, kind = part["apiVersion"], part["kind"]
    print(f"import type {{ I{kind} as Type{at} }} from \"@kubernetes-models/{modules[version]}/{version}/{kind}\";")
    print(f"export const object{at}: Type{at} = {json.dumps(part, indent=1)};")
' <"$work/full.yaml" >"$work/full.ts"
"$models/node_modules/.bin/tsc" --noEmit --strict --skipLibCheck --module nodenext --moduleResolution nodenext "$work/full.ts"

mkdir -p deploy/kubernetes
{
    echo "# What the chart of deploy/helm makes with its default values: written by \`make charts\`, for kubectl apply."
    echo "# Of the chart with sha256 $(/usr/bin/python3 tests/lint/check_packages.py --chart)"
    cat "$work/default.yaml"
} >deploy/kubernetes/schedule-service.yaml
