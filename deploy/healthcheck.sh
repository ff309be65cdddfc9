#!/bin/bash
# The image's health check, which needs no HTTP client: `healthcheck [PATH]` succeeds when GET of the path (/healthz)
# answers 200 on the port of HTTP_LISTEN.
exec 3<>"/dev/tcp/127.0.0.1/${HTTP_LISTEN##*:}" || exit 1
printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "${1:-/healthz}" >&3
read -r -t 4 _ status _ <&3
[ "$status" = 200 ]
