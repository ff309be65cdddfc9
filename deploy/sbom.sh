#!/bin/bash
# What the image consists of, as SPDX 2.3 in JSON:
#   docker run --rm --entrypoint /usr/local/share/schedule-service/sbom.sh schedule-service
# Debian's packages are those that dpkg knows.
set -euo pipefail

version=$(schedule-service version | sed -n '1s/^schedule-service \([^ ]*\).*/\1/p')
viewer=$(sed -n 's/^flask-swagger-ui==\([^ ]*\).*/\1/p' "$(dirname "${BASH_SOURCE[0]}")/viewer.txt")
created=$(date -u +%Y-%m-%dT%H:%M:%SZ)
document=$(cat /proc/sys/kernel/random/uuid)
# shellcheck disable=SC1091
distribution=$(. /etc/os-release && echo "$ID-$VERSION_ID")

dpkg-query -W -f '${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\n' | awk -F '\t' \
    -v version="$version" -v viewer="$viewer" -v created="$created" -v document="$document" -v distribution="$distribution" '
    function package(id, name, version, license, more) {
        printf "%s  {\"SPDXID\": \"%s\", \"name\": \"%s\", \"versionInfo\": \"%s\", \"downloadLocation\": \"NOASSERTION\", ", separator, id, name, version
        printf "\"filesAnalyzed\": false, \"copyrightText\": \"NOASSERTION\", \"licenseConcluded\": \"NOASSERTION\", \"licenseDeclared\": \"%s\"%s}", license, more
        separator = ",\n"
    }
    function purl(name, version, architecture) {
        gsub(/\+/, "%2B", name); gsub(/\+/, "%2B", version); gsub(/:/, "%3A", version)
        return "pkg:deb/debian/" name "@" version "?arch=" architecture "&distro=" distribution
    }
    BEGIN {
        printf "{\"spdxVersion\": \"SPDX-2.3\", \"dataLicense\": \"CC0-1.0\", \"SPDXID\": \"SPDXRef-DOCUMENT\", \"name\": \"schedule-service-%s\",\n", version
        printf " \"documentNamespace\": \"urn:uuid:%s\",\n", document
        printf " \"creationInfo\": {\"created\": \"%s\", \"creators\": [\"Tool: schedule-service-sbom\"]},\n \"packages\": [\n", created
        package("SPDXRef-schedule-service", "schedule-service", version, "MIT", "")
        ids[++len] = "SPDXRef-swagger-ui"
        package(ids[len], "swagger-ui", viewer, "Apache-2.0", "")
    }
    $1 ~ /^ii/ {
        id = "SPDXRef-deb-" $2 "-" $4; gsub(/[^A-Za-z0-9.-]/, "-", id); ids[++len] = id
        package(id, $2, $3, "NOASSERTION", ", \"supplier\": \"Organization: Debian\", \"sourceInfo\": \"built from " $5 "\", \"externalRefs\": " \
            "[{\"referenceCategory\": \"PACKAGE-MANAGER\", \"referenceType\": \"purl\", \"referenceLocator\": \"" purl($2, $3, $4) "\"}]")
    }
    END {
        printf "],\n \"relationships\": [\n  {\"spdxElementId\": \"SPDXRef-DOCUMENT\", \"relationshipType\": \"DESCRIBES\", \"relatedSpdxElement\": \"SPDXRef-schedule-service\"}"
        for (i = 1; i <= len; i++) printf ",\n  {\"spdxElementId\": \"SPDXRef-schedule-service\", \"relationshipType\": \"DEPENDS_ON\", \"relatedSpdxElement\": \"%s\"}", ids[i]
        print "]}"
    }'
