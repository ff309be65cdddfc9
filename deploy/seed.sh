#!/bin/bash
# The demo organization of docker-compose.yml: an admin, a member, and a key for each, as lines of NAME=value for a shell to read. Once only, as
# keys are shown once.
set -euo pipefail

# The value of a name in what a command prints.
value_of() {
    sed -n "s/.*\b$1=\([^ ]*\).*/\1/p"
}

if schedule-service org list | grep -qw Demo; then
    echo "# The demo organization is there. Its keys were shown when it was made; \`apikey create\` makes more."
    exit 0
fi
org=$(schedule-service org add --name Demo | value_of id)
echo "ORG_ID=$org"
for role in admin member; do
    user=$(schedule-service user add --name "Demo $role" | value_of id)
    schedule-service member add --org "$org" --user "$user" --role $role >/dev/null
    key=$(schedule-service apikey create --user "$user" --days 365 | value_of key)
    printf '%s_USER_ID=%s\n%s_API_KEY=%s\n' ${role^^} "$user" ${role^^} "$key"
done
