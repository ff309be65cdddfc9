#!/bin/bash
# The image's health check, which needs no HTTP client: `healthcheck [PATH]` succeeds when GET of the path (/healthz)
# answers 200 where HTTP_LISTEN, or the file of HTTP_LISTEN_FILE, says that the service listens, over TLS where that is on.
# Whose certificate it is is not looked at. `healthcheck PATH webhooks` asks a sender of webhooks, which listens without TLS
# where WEBHOOK_LISTEN says.
listen=${HTTP_LISTEN:-127.0.0.1:8080} file=$HTTP_LISTEN_FILE tls=$HTTP_TLS_CERTIFICATE$HTTP_TLS_CERTIFICATE_FILE
[ "$2" != webhooks ] || listen=${WEBHOOK_LISTEN:-127.0.0.1:8081} file=$WEBHOOK_LISTEN_FILE tls=
[ -z "$file" ] || read -r listen <"$file"
port=${listen##*:}
host=${listen%:*}
host=${host#[}
host=${host%]}
case $host in
    '' | 0.0.0.0) host=127.0.0.1 ;; # it listens on all
    ::) host=::1 ;;
esac
request="GET ${1:-/healthz} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
if [ -n "$tls" ]; then
    case $host in *:*) host="[$host]" ;; esac
    exec 3< <(printf '%b' "$request" | openssl s_client -quiet -connect "$host:$port" 2>/dev/null)
else
    exec 3<>"/dev/tcp/$host/$port" || exit 1
    printf '%b' "$request" >&3
fi
read -r -t 4 _ status _ <&3
[ "$status" = 200 ]
