#!/bin/bash
# The image's health check, which needs no HTTP client: `healthcheck [PATH]` succeeds when GET of the path (/healthz)
# answers 200 on the port of HTTP_LISTEN, over TLS where that is on. Whose certificate it is is not looked at.
port=${HTTP_LISTEN##*:}
request="GET ${1:-/healthz} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
if [ -n "$HTTP_TLS_CERTIFICATE$HTTP_TLS_CERTIFICATE_FILE" ]; then
    exec 3< <(printf '%b' "$request" | openssl s_client -quiet -connect "127.0.0.1:$port" 2>/dev/null)
else
    exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
    printf '%b' "$request" >&3
fi
read -r -t 4 _ status _ <&3
[ "$status" = 200 ]
