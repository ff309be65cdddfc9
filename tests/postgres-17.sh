#!/usr/bin/env bash
# Runs the tests that depend on PostgreSQL's version in a chroot of Debian 13, whose PostgreSQL is 17 and whose librdkafka, libpq and
# compiler are newer too. The service is built there. Makes the chroot, which takes 3 GB, where it is not there yet.
#
#     postgres-17.sh [TEST_FILE ...]     end-to-end files; without any, those of `default`
#
# Run it as root; tests/chroot.sh says where it installs from.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC1091
. "$here/chroot.sh"
export CHROOT_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/schedule-service CI=true
root=$CHROOT_CACHE/debian-13
default=(pages_sql failover synchronized_slot relay rebuild roles pooler)

# The tree as it is here, beside what was built there before.
copy_tree() {
    mkdir -p "$root/src" "$root/root/.cache/schedule-service"
    find "$root/src" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
    (cd "$here/.." && git ls-files -z --cached --others --exclude-standard | tar -c --null -T -) | tar -x -C "$root/src"
}

files=()
for name in "${@:-${default[@]}}"; do files+=("tests/e2e/test_${name#test_}.py"); done
[ -d "$root" ] || chroot_make trixie "$root"
copy_tree
# shellcheck disable=SC2016  # for the chroot's shell
chroot_run "$root" 'cd /src
    deploy/local/setup.sh harness
    make -s -j2 PROFILE=asan build
    export SERVICE_BINARY=$PWD/build/asan/schedule-service
    /usr/lib/postgresql/17/bin/postgres --version
    exec "$(/usr/bin/python3 deploy/local/servers.py python)" -m pytest -q -p no:cacheprovider --basetemp=build/asan/pytest \
        -W ignore::DeprecationWarning "$@"' "${files[@]}"
