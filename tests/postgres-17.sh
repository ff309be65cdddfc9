#!/usr/bin/env bash
# Runs the tests that depend on PostgreSQL's version in a chroot of Debian 13, whose PostgreSQL is 17 and whose librdkafka, libpq and
# compiler are newer too. The service is built there. Makes the chroot, which takes 3 GB, where it is not there yet.
#
#     postgres-17.sh [TEST_FILE ...]     end-to-end files; without any, those of `default`
#
# Run it as root. DEBIAN_MIRROR is the archive to install from: that of this machine's apt, unless it is set.
# shellcheck disable=SC2016  # what stands in single quotes is for apt or for the chroot's shell
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/schedule-service
root=$cache/debian-13
default=(pages_sql failover synchronized_slot relay rebuild roles)

mirror() {
    apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian //p' | sed -n 1p
}

# Under another name until it is whole.
make_root() {
    command -v debootstrap >/dev/null || apt-get install -qq -y --no-install-recommends debootstrap >/dev/null
    rm -rf "$root.new"
    debootstrap --variant=minbase --include=ca-certificates trixie "$root.new" "${DEBIAN_MIRROR:-$(mirror)}" >&2
    mv -T "$root.new" "$root"
}

# The tree as it is here, beside what was built there before.
copy_tree() {
    mkdir -p "$root/src"
    find "$root/src" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
    (cd "$here/.." && git ls-files -z --cached --others --exclude-standard | tar -c --null -T -) | tar -x -C "$root/src"
}

# With mounts that nobody else sees and that end with it.
inside() {
    mkdir -p "$root/root/.cache/schedule-service"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    unshare --mount --propagation private bash -c '
        mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" && mount -t tmpfs -o mode=1777 tmp "$1/tmp" &&
        mount --bind /etc/ssl/certs "$1/etc/ssl/certs" && mount --bind "$2" "$1/root/.cache/schedule-service" &&
        exec chroot "$1" /usr/bin/env -u XDG_CACHE_HOME -u CC -u MAKEFLAGS -u MAKELEVEL HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -euo pipefail -c "$3" bash "${@:4}"
        ' bash "$root" "$cache" "$@"
}

files=()
for name in "${@:-${default[@]}}"; do files+=("tests/e2e/test_${name#test_}.py"); done
[ -d "$root" ] || make_root
copy_tree
inside 'cd /src
    export CI=true
    deploy/local/setup.sh
    make -s -j2 PROFILE=asan build
    export SERVICE_BINARY=$PWD/build/asan/schedule-service
    /usr/lib/postgresql/17/bin/postgres --version
    exec "$(/usr/bin/python3 deploy/local/servers.py python)" -m pytest -q -p no:cacheprovider --basetemp=build/asan/pytest \
        -W ignore::DeprecationWarning "$@"' "${files[@]}"
