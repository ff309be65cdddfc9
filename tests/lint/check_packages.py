"""Checks that what is packaged agrees: the version in the image, the Debian package and the chart is that of the file VERSION; the image and the
Debian package are built with the packages of setup.sh; the plain manifests are those of the chart as it is; replicas are scraped as the job that
the alarms are about, in Kubernetes too.

    check_packages.py            checks
    check_packages.py --chart    prints the checksum of the chart"""

import hashlib
import pathlib
import re
import sys

CHART = pathlib.Path("deploy/helm/schedule-service")
MANIFESTS = pathlib.Path("deploy/kubernetes/schedule-service.yaml")
SETUP, DOCKERFILE, CONTROL = (pathlib.Path(path).read_text() for path in ("deploy/local/setup.sh", "deploy/Dockerfile", "debian/control"))
VERSIONS = {
    "deploy/Dockerfile": r"^ARG VERSION=(\S+)$",
    "debian/changelog": r"\A\S+ \((\S+)\)",
    str(CHART / "Chart.yaml"): r"^appVersion: (\S+)$",
}
# What each of the two has without naming it, or calls otherwise.
IMPLIED = {"gcc", "libc6-dev", "make"}


def chart_checksum() -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in CHART.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(CHART)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def versions() -> list[str]:
    expected = pathlib.Path("VERSION").read_text().strip()
    found = {name: re.findall(pattern, pathlib.Path(name).read_text(), re.M)[:1] for name, pattern in VERSIONS.items()}
    return [f"{name} has the version {version}, not {expected}" for name, version in found.items() if version != [expected]]


def build_packages() -> list[str]:
    [listed] = re.findall(r"^build_packages=\((.*?)\)", SETUP, re.M | re.S)
    expected = set(listed.split()) - IMPLIED
    [image] = re.findall(r"FROM base AS build\nRUN apt-get update \\\n(.*?)&& rm", DOCKERFILE, re.S)
    [package] = re.findall(r"^Build-Depends: (.*?)\n\n", CONTROL, re.M | re.S)
    found = {
        "deploy/Dockerfile": set(re.findall(r"[\w.+-]+", image.partition("--no-install-recommends")[2])) - IMPLIED,
        "debian/control": set(re.findall(r"[\w.+-]+", re.sub(r"\(.*?\)|:any", "", package))) - {"debhelper-compat", "python3"},
    }
    return [f"{name} is built with {sorted(names)}, setup.sh builds with {sorted(expected)}" for name, names in found.items() if names != expected]


def manifests() -> list[str]:
    return [] if chart_checksum() in MANIFESTS.read_text() else [f"{MANIFESTS} is of another chart: run `make charts`"]


def scraped_job() -> list[str]:
    """Prometheus' operator calls the job as the service, unless a label of the service has its name."""
    [expected] = set(re.findall(r'job="([^"]*)"', pathlib.Path("deploy/alerts.yml").read_text()))
    label = re.findall(r"^  jobLabel: (\S+)$", (CHART / "templates/services.yaml").read_text(), re.M)
    [labels] = re.findall(r'define "labels" -}}\n(.*?){{- end }}', (CHART / "templates/_helpers.tpl").read_text(), re.S)
    found = {
        "deploy/prometheus/prometheus.yml": re.findall(r"job_name: (\S+)", pathlib.Path("deploy/prometheus/prometheus.yml").read_text()),
        str(CHART): [value for key in label for value in re.findall(rf"^{re.escape(key)}: (\S+)$", labels, re.M)],
    }
    return [f"{name} scrapes as the job {jobs}, the alarms are about {expected}" for name, jobs in found.items() if jobs != [expected]]


def main() -> int:
    if sys.argv[1:] == ["--chart"]:
        print(chart_checksum())
        return 0
    faults = versions() + build_packages() + manifests() + scraped_job()
    print("\n".join(faults) or "what is packaged agrees")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
