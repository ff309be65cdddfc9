#!/usr/bin/env bash
# Installs what is missing to build, test and run: Debian's packages, then Kafka from Maven Central, the Python packages of
# the end-to-end tests, Swagger UI and AsyncAPI's schema into ${XDG_CACHE_HOME:-~/.cache}/schedule-service. Run it as root or as somebody who
# may use sudo. What is there already is left as it is, and a database server or cluster is neither made nor touched.
#
# Where a registry cannot be reached it says so and still succeeds: everything builds, `make demo` falls back to a mock
# broker, `make test` and `make lint` need what is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=/usr/bin/python3

packages=(
    build-essential pkg-config clang clang-format clang-tidy shellcheck
    librdkafka-dev libevent-dev libpq-dev libjansson-dev libssl-dev libical-dev libcurl4-openssl-dev zlib1g-dev
    libprotobuf-c-dev protobuf-c-compiler libprotobuf-dev protobuf-compiler
    libcmocka-dev tzdata maven kcat curl jq
    python3 python3-venv python3-pytest python3-psycopg2 python3-requests python3-protobuf python3-lz4
    python3-icalendar
)

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

say() {
    printf '%s\n' "$*" >&2
}

have_java() {
    local version
    version=$(java -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p') || return 1
    [ "${version:-0}" -ge 17 ]
}

have_postgres() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

missing_of() {
    comm -23 <(printf '%s\n' "$@" | sort) \
        <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' | sort)
}

updated=no
install_missing() {
    local missing
    mapfile -t missing < <(missing_of "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    say "Installing ${missing[*]}"
    [ $updated = yes ] || as_root apt-get update -qq
    updated=yes
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
}

# Debian's package would make and start a cluster of its own; while this file is there it does not.
install_postgres() {
    local no_cluster=/etc/postgresql-common/createcluster.d/schedule-service.conf status=0
    as_root mkdir -p "${no_cluster%/*}"
    echo 'create_main_cluster = false' | as_root tee "$no_cluster" >/dev/null
    install_missing postgresql || status=$?
    as_root rm -f "$no_cluster"
    return $status
}

# The sanitizers' and fuzzer's runtime, which clang only recommends, is named after clang's version.
clang_runtime() {
    dpkg-query -W -f '${Depends}' clang | sed -n 's/^clang-\([0-9]*\).*/libclang-rt-\1-dev/p'
}

# Into a new directory beside the final one and then there at once, so that a broken download is never taken for Kafka.
fetch_kafka() {
    local home=$1 new
    mkdir -p "$home"
    new=$(mktemp -d "$home/new.XXXXXX")
    if mvn -q -B -f "$here/../kafka/pom.xml" -DincludeScope=runtime -DoutputDirectory="$new" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies >"$home/maven.log" 2>&1; then
        chmod 755 "$new"
        mv -T "$new" "$home/lib"
    else
        rm -rf "$new"
        say "WARNING: Kafka could not be downloaded from Maven Central; see $home/maven.log."
        say "         \`make demo\` will use a mock broker, \`make test\` and \`make up\` will fail until it is there."
        return 1
    fi
}

fetch_client() {
    local venv=$1 new
    mkdir -p "${venv%/*}"
    new=$(mktemp -d "${venv%/*}/new.XXXXXX")
    if $python -m venv --system-site-packages "$new" &&
        "$new/bin/python" -m pip install -q --disable-pip-version-check -r "$here/requirements.txt"; then
        mv -T "$new" "$venv"
    else
        rm -rf "$new"
        say "WARNING: the Python packages of $here/requirements.txt could not be installed: \`make test\` will fail."
    fi
}

# The npm package that asyncapi.sha256 names; of its files only the schema is kept.
fetch_asyncapi() {
    local directory=$1 version=${1##*-} new
    new=$(mktemp -d "$directory.XXXXXX")
    command -v npm >/dev/null || install_missing npm
    if (cd "$new" && npm pack --silent "@asyncapi/specs@$version" >/dev/null &&
        sha256sum --quiet -c "$here/asyncapi.sha256" && tar -xzf ./*.tgz --strip-components=2 package/schemas/3.0.0.json &&
        rm ./*.tgz); then
        mv -T "$new" "$directory"
    else
        rm -rf "$new"
        say "WARNING: AsyncAPI's schema could not be downloaded from npm: \`make lint\` will fail."
    fi
}

have_java || packages+=(default-jre-headless)
install_missing "${packages[@]}"
have_postgres || install_postgres
install_missing "$(clang_runtime)"

kafka=$($python "$here/servers.py" kafka)
client=$($python "$here/servers.py" python)
viewer=$($python "$here/servers.py" viewer)
asyncapi=$($python "$here/servers.py" asyncapi)
mkdir -p "${kafka%/*}"
exec 9>"${kafka%/*}/lock"
flock 9
[ -x "$client" ] || fetch_client "${client%/bin/python}"
[ -d "$viewer" ] || "$here/../viewer.sh" "$client" "$viewer" ||
    say "WARNING: Swagger UI could not be downloaded from PyPI: /docs will say so, and \`make test\` will fail."
[ "${1:-}" != bench ] || install_missing wrk valgrind python3-matplotlib
[ "${1:-}" != test ] || install_missing chromium-headless-shell
[ "${1:-}" != hours ] || install_missing golang-go
[ "${1:-}" != fault ] || install_missing wrk
[ "${1:-}" != soak ] || install_missing python3-matplotlib
[ "${1:-}" != lint ] || [ -d "$asyncapi" ] || fetch_asyncapi "$asyncapi"
[ -d "$kafka/lib" ] || fetch_kafka "$kafka" || exit 0
$python "$here/servers.py" warm
