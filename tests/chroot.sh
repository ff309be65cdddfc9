# shellcheck shell=bash
# Chroots of Debian, for tests that are about another release or about a machine that has nothing yet. To be sourced by a script that root runs.
# DEBIAN_MIRROR is the archive to install from: that of this machine's apt, unless it is set.

# chroot_make RELEASE ROOT: under another name until it is whole. What this machine trusts beside Debian's certificates goes along.
chroot_make() {
    command -v debootstrap >/dev/null || apt-get install -qq -y --no-install-recommends debootstrap >/dev/null
    rm -rf "$2.new"
    # shellcheck disable=SC2016  # for apt
    debootstrap --variant=minbase --include=ca-certificates "$1" "$2.new" "${DEBIAN_MIRROR:-$(
        apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian //p' | sed -n 1p
    )}" >&2
    find /usr/local/share/ca-certificates -name '*.crt' -exec cp -t "$2.new/usr/local/share/ca-certificates" {} +
    chroot "$2.new" update-ca-certificates >/dev/null 2>&1
    mv -T "$2.new" "$2"
}

# chroot_run ROOT SCRIPT [ARGUMENT ...]: bash runs the script inside. Mounts and processes end with it, and nobody else sees them.
chroot_run() {
    cp /etc/resolv.conf "$1/etc/resolv.conf"
    # shellcheck disable=SC2016  # for the inner shell
    unshare --mount --pid --fork --kill-child --propagation private bash -c '
        mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" && mount -t tmpfs -o mode=1777 tmp "$1/tmp" &&
        { [ -z "${CHROOT_CACHE:-}" ] || mount --bind "$CHROOT_CACHE" "$1/root/.cache/schedule-service"; } &&
        exec chroot "$1" /usr/bin/env -i HOME=/root LANG=C.UTF-8 CI="${CI:-}" PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -euo pipefail -c "$2" bash "${@:3}"
        ' bash "$@"
}
