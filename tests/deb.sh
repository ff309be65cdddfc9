#!/usr/bin/env bash
# Installs, upgrades, removes and purges the Debian package in a chroot of this machine's release, checks its unit, and runs the unit's
# command there. Makes the chroot where it is not there yet.
#
#     deb.sh PACKAGE.deb
#
# Run it as root; tests/chroot.sh says where it installs from.
# shellcheck disable=SC2016  # what stands in single quotes is for the chroot's shell
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC1091
. "$here/chroot.sh"
# shellcheck disable=SC1091
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
base=${XDG_CACHE_HOME:-$HOME/.cache}/schedule-service/$release-with-systemd
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

if [ ! -d "$base" ]; then
    chroot_make "$release" "$base.part"
    chroot_run "$base.part" 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends systemd man-db >/dev/null'
    mv -T "$base.part" "$base"
fi
cp -a "$base/." "$root"
cp "$1" "$root/old.deb"

# The same as a later version.
unpacked=$(mktemp -d)
dpkg-deb -R "$1" "$unpacked"
sed -i 's/^Version: .*/&+upgrade/' "$unpacked/DEBIAN/control"
dpkg-deb --root-owner-group -b "$unpacked" "$root/new.deb" >/dev/null
rm -rf "$unpacked"

chroot_run "$root" '
    export DEBIAN_FRONTEND=noninteractive
    units=(/lib/systemd/system/schedule-service.service /lib/systemd/system/schedule-service-webhooks.service)
    settings=/etc/default/schedule-service secret=/etc/schedule-service/database-url

    fail() {
        echo "FAILED: $*" >&2
        exit 1
    }

    # What the unit runs, with its settings and secret, as a user who owns nothing: it answers, and ends at SIGTERM with 0.
    run_unit() {
        local command pid status=000
        command=$(sed -n "s/^ExecStart=//p" "$1")
        # shellcheck disable=SC2086
        (set -a && . $settings && export DATABASE_URL_FILE=/credential && exec setpriv --reuid=65534 --regid=65534 --clear-groups $command) 2>/log &
        pid=$!
        for _ in $(seq 300); do
            { exec 3<>/dev/tcp/127.0.0.1/"$2"; } 2>/dev/null && break
            kill -0 $pid || { cat /log >&2; fail "the command of the unit has ended"; }
            sleep 0.1
        done
        printf "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" >&3
        read -r -t 10 _ status _ <&3
        [ "$status" = 200 ] || fail "/healthz answers $status"
        kill -TERM $pid
        wait $pid || { cat /log >&2; fail "the command of the unit ends with $?"; }
    }

    apt-get update -qq
    apt-get install -qq -y --no-install-recommends /old.deb >/dev/null
    schedule-service version | sed -n 1p
    man --warnings -w schedule-service >/dev/null
    for unit in "${units[@]}"; do
        [ -L "/etc/systemd/system/multi-user.target.wants/${unit##*/}" ] || fail "$unit is not enabled"
        systemd-analyze verify "$unit"
        systemd-analyze security --no-pager --offline=true --threshold=20 "$unit" >/security || { cat /security; fail "$unit is too exposed"; }
        tail -n 1 /security
    done

    echo postgresql://nobody@127.0.0.1:1/nothing >$secret
    install -m 0444 $secret /credential
    port=$((20000 + RANDOM % 10000))
    printf "HTTP_LISTEN=127.0.0.1:$port\nWEBHOOK_LISTEN=127.0.0.1:$((port + 1))\n" >>$settings
    run_units() {
        run_unit "${units[0]}" $port
        run_unit "${units[1]}" $((port + 1))
    }
    run_units

    apt-get install -qq -y /new.deb >/dev/null
    dpkg-query -W -f "\${Version}\n" schedule-service | grep -q "+upgrade" || fail "it is not upgraded"
    grep -q "^HTTP_LISTEN=127.0.0.1:$port" $settings || fail "an upgrade loses settings"
    [ -s $secret ] || fail "an upgrade loses the database URL"
    run_units

    mapfile -t files < <(dpkg -L schedule-service | while read -r path; do [ -d "$path" ] || echo "$path"; done)
    apt-get remove -qq -y schedule-service >/dev/null
    [ -f $settings ] && [ -s $secret ] || fail "a removal takes the settings"
    [ ! -e /usr/bin/schedule-service ] || fail "a removal leaves the program"
    apt-get purge -qq -y schedule-service >/dev/null
    for file in "${files[@]}" /etc/schedule-service /etc/systemd/system/multi-user.target.wants/schedule-service*; do
        [ ! -e "$file" ] && [ ! -L "$file" ] || fail "a purge leaves $file"
    done
    echo "The package installs, runs, upgrades, and goes without a trace."
'
