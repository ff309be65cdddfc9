#!/bin/bash
# The image's health check, which needs no HTTP client: `healthcheck [PATH]` succeeds when GET of the path (/healthz)
# answers 200 where HTTP_LISTEN, or the file of HTTP_LISTEN_FILE, says that the service listens, over TLS where that is on.
# Whose certificate it is is not looked at.
listen=${HTTP_LISTEN:-127.0.0.1:8080}
[ -z "$HTTP_LISTEN_FILE" ] || read -r listen <"$HTTP_LISTEN_FILE"
port=${listen##*:}
host=${listen%:*}
host=${host#[}
host=${host%]}
case $host in
    '' | 0.0.0.0) host=127.0.0.1 ;; # it listens on all
    ::) host=::1 ;;
esac
request="GET ${1:-/healthz} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
if [ -n "$HTTP_TLS_CERTIFICATE$HTTP_TLS_CERTIFICATE_FILE" ]; then
    case $host in *:*) host="[$host]" ;; esac
    exec 3< <(printf '%b' "$request" | openssl s_client -quiet -connect "$host:$port" 2>/dev/null)
else
    exec 3<>"/dev/tcp/$host/$port" || exit 1
    printf '%b' "$request" >&3
fi
read -r -t 4 _ status _ <&3
[ "$status" = 200 ]
