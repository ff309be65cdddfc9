#!/usr/bin/env bash
# Installs what is missing: Debian's packages, then Kafka from Maven Central and Swagger UI into
# ${XDG_CACHE_HOME:-~/.cache}/schedule-service. What is there already is left as it is, and a database server or cluster is neither
# made nor touched. Run it as root or as somebody who may use sudo; otherwise it says what to install.
#
#     setup.sh [PURPOSE ...]    what it takes to build and run the service, and for each purpose (test, lint, fuzz, hours, fault,
#                               soak, bench, deb; harness: whatever else runs Python against the service) what that needs beside it
#
# Where a registry cannot be reached it says so and still succeeds: everything builds, `make demo` falls back to a mock
# broker, `make test` and `make lint` need what is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=/usr/bin/python3
say_every_s=5

build_packages=(
    gcc libc6-dev make pkg-config
    librdkafka-dev libevent-dev libpq-dev libjansson-dev libssl-dev libical-dev libcurl4-openssl-dev zlib1g-dev
    libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libprotobuf-dev
)
run_packages=(
    tzdata ca-certificates kcat curl jq python3 python3-protobuf
)
harness_packages=(
    libcmocka-dev python3-venv python3-pytest python3-psycopg2 python3-requests python3-protobuf python3-lz4 python3-icalendar python3-yaml
)

say() {
    printf '%s\n' "$*" >&2
}

wants() {
    [[ " $purposes " = *" $1 "* ]]
}

# Every purpose but this one runs Python against the service.
has_harness() {
    [ -n "$purposes" ] && [ "$purposes" != deb ]
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
    comm -23 <(printf '%s\n' "$@" | sort -u) \
        <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' | sort -u)
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# ---- Debian's packages

# What apt reports of its progress becomes a line every few seconds.
show_progress() {
    local kind percent text said=$SECONDS
    while IFS=: read -r kind _ percent text; do
        case $kind in dlstatus | pmstatus) ;; *) continue ;; esac
        [ $((SECONDS - said)) -ge $say_every_s ] || continue
        said=$SECONDS
        say "  ${percent%%.*} %: $text"
    done
}

# The progress has a descriptor of its own, since apt makes that one non-blocking, which scripts of packages do not expect of theirs.
# sudo passes no further one on.
apt_install() {
    local log status=0
    log=$(mktemp)
    # shellcheck disable=SC2016  # for the inner shell
    as_root env DEBIAN_FRONTEND=noninteractive sh -c 'log=$1 && shift && exec apt-get "$@" 3>&1 >"$log" 2>&1' sh "$log" \
        install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 -o APT::Status-Fd=3 "$@" | show_progress || status=$?
    [ $status = 0 ] || tail -n 40 "$log" >&2
    rm -f "$log"
    return $status
}

size_of() {
    LC_ALL=C apt-get install --assume-no --no-install-recommends "$@" 2>/dev/null |
        sed -n 's/^Need to get \(.*\) of archives\./\1 to download/p; s/^After this operation, \(.*\) of additional.*/\1 on disk/p' |
        paste -sd, | sed 's/,/, /'
}

# Debian's package of PostgreSQL would make and start a cluster of its own; while this file is there it does not.
without_cluster() {
    local no_cluster=/etc/postgresql-common/createcluster.d/schedule-service.conf status=0
    as_root mkdir -p "${no_cluster%/*}"
    echo 'create_main_cluster = false' | as_root tee "$no_cluster" >/dev/null
    "$@" || status=$?
    as_root rm -f "$no_cluster"
    return $status
}

install_missing() {
    local missing
    mapfile -t missing < <(missing_of "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        say "These packages are missing, and only root can install them. As root, run"
        say
        say "    apt-get update && apt-get install --no-install-recommends ${missing[*]}"
        say
        say "and then this once more."
        exit 1
    fi
    say "Reading Debian's package lists"
    as_root apt-get update -qq
    say "Installing ${#missing[@]} Debian packages and what they need ($(size_of "${missing[@]}")): ${missing[*]}"
    without_cluster apt_install "${missing[@]}"
}

# The fuzzer's runtime, which clang only recommends, is named after clang's version.
clang_runtime() {
    dpkg-query -W -f '${Depends}' clang | sed -n 's/^clang-\([0-9]*\).*/libclang-rt-\1-dev/p'
}

# ---- from other registries

# Runs a command that writes a log, and says every few seconds how many lines of the log match.
count_in_log() {
    local pattern=$1 what=$2 log=$3 pid said=$SECONDS
    shift 3
    "$@" >"$log" 2>&1 &
    pid=$!
    while kill -0 $pid 2>/dev/null; do
        sleep 0.2
        [ $((SECONDS - said)) -ge $say_every_s ] || continue
        said=$SECONDS
        say "  $(grep -c "$pattern" "$log") $what"
    done
    wait $pid
}

# Into a new directory beside the final one and then there at once, so that a broken download is never taken for Kafka.
fetch_kafka() {
    local home=$1 new
    mkdir -p "$home"
    new=$(mktemp -d "$home/new.XXXXXX")
    say "Fetching Kafka from Maven Central (70 MB to download, 140 MB on disk)"
    if count_in_log 'Downloaded from' "files fetched" "$home/maven.log" \
        mvn -B -f "$here/../kafka/pom.xml" -DincludeScope=runtime -DoutputDirectory="$new" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies; then
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
    say "Fetching the Python packages of the tests from PyPI (50 MB)"
    if $python -m venv --system-site-packages "$new" &&
        "$new/bin/python" -m pip install -q --disable-pip-version-check -r "$here/requirements.txt"; then
        mv -T "$new" "$venv"
    else
        rm -rf "$new"
        say "WARNING: the Python packages of $here/requirements.txt could not be installed: \`make test\` will fail."
    fi
}

# With the pip that Debian keeps for new environments, which nothing has to be installed from.
fetch_viewer() {
    say "Fetching Swagger UI from PyPI (3 MB)"
    PYTHONPATH=$(compgen -G '/usr/share/python-wheels/pip-*.whl' | sed -n 1p) "$here/../viewer.sh" $python "$1" ||
        say "WARNING: Swagger UI could not be downloaded from PyPI: /docs will say so, and \`make test\` will fail."
}

# A package of which a program is wanted, and not the server that its installation would start.
unpack() {
    local program=$1 package=$2 unpacked new
    [ ! -x "$($python "$here/servers.py" "$program")" ] || return 0
    unpacked=$($python "$here/servers.py" unpacked)
    mkdir -p "$unpacked"
    new=$(mktemp -d "$unpacked/new.XXXXXX")
    say "Fetching $program from Debian's archive"
    [ -n "$(apt-cache policy "$package")" ] || as_root apt-get update -qq
    if (cd "$new" && apt-get download -qq -o APT::Sandbox::User=root "$package" && dpkg-deb -x ./*.deb . && rm ./*.deb); then
        mv -T "$new" "$unpacked/$package"
    else
        rm -rf "$new"
        say "WARNING: $program could not be downloaded from Debian's archive: what needs it will fail."
    fi
}

# The one that nothing else brings; each release of Debian has another name for it.
pgbouncer_library() {
    apt-cache depends --important pgbouncer | sed -n 's/.*Depends: \(libc-\{0,1\}ares2\)$/\1/p'
}

# The npm package that asyncapi.sha256 names; of its files only the schema is kept.
fetch_asyncapi() {
    local directory=$1 version=${1##*-} new
    new=$(mktemp -d "$directory.XXXXXX")
    if (cd "$new" && npm pack --silent "@asyncapi/specs@$version" >/dev/null &&
        sha256sum --quiet -c "$here/asyncapi.sha256" && tar -xzf ./*.tgz --strip-components=2 package/schemas/3.0.0.json &&
        rm ./*.tgz); then
        mv -T "$new" "$directory"
    else
        rm -rf "$new"
        say "WARNING: AsyncAPI's schema could not be downloaded from npm: \`make lint\` will fail."
    fi
}

# ---- what is missing

purposes="$*"
packages=("${build_packages[@]}" "${run_packages[@]}")
have_java || packages+=(default-jre-headless)
have_postgres || packages+=(postgresql)
! has_harness || packages+=("${harness_packages[@]}")
! wants deb || packages+=(build-essential debhelper lintian man-db)
! wants test || packages+=(chromium-headless-shell)
! wants lint || packages+=(clang clang-format clang-tidy shellcheck)
! wants fuzz || packages+=(clang)
! wants hours || packages+=(golang-go)
! wants fault || packages+=(wrk)
! wants soak || packages+=(python3-matplotlib)
! wants bench || packages+=(wrk valgrind python3-matplotlib)

# These say where what comes from elsewhere belongs, for which they need Python.
[ -x $python ] || install_missing "${packages[@]}" maven python3-pip-whl
kafka=$($python "$here/servers.py" kafka)
client=$($python "$here/servers.py" python)
viewer=$($python "$here/servers.py" viewer)
asyncapi=$($python "$here/servers.py" asyncapi)
[ -d "$kafka/lib" ] || packages+=(maven)
[ -d "$viewer" ] || packages+=(python3-pip-whl)
! wants lint || command -v npm >/dev/null || packages+=(npm)
install_missing "${packages[@]}"
! wants fuzz || install_missing "$(clang_runtime)"

mkdir -p "${kafka%/*}"
exec 9>"${kafka%/*}/lock"
flock 9
! has_harness || [ -x "$client" ] || fetch_client "${client%/bin/python}"
[ -d "$viewer" ] || fetch_viewer "$viewer"
! wants lint || [ -d "$asyncapi" ] || fetch_asyncapi "$asyncapi"
! wants lint || unpack promtool prometheus
! wants test || unpack prometheus prometheus
if wants test || wants harness; then
    mapfile -t libraries < <(pgbouncer_library)
    [ ${#libraries[@]} -eq 0 ] || install_missing "${libraries[@]}"
    unpack pgbouncer pgbouncer
fi
[ -d "$kafka/lib" ] || fetch_kafka "$kafka" || exit 0
$python "$here/servers.py" warm || say "WARNING: Kafka's class archive could not be made; brokers start more slowly without it."
