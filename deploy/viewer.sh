#!/usr/bin/env bash
# Fetches the Swagger UI of viewer.txt: viewer.sh PYTHON DIRECTORY. The Python has pip. The directory is there whole or not
# at all.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$1
directory=$2

mkdir -p "$(dirname "$directory")"
new=$(mktemp -d "$directory.XXXXXX")
trap 'rm -rf "$new"' EXIT
"$python" -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    -r "$here/viewer.txt" -d "$new"
"$python" -m zipfile -e "$new"/*.whl "$new"
mv -T "$new/flask_swagger_ui/dist" "$directory"
