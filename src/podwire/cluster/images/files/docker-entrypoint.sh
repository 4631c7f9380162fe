#!/bin/sh
# Runs the scripts that were mounted into /docker-entrypoint.d, then the command.
set -e
for script in /docker-entrypoint.d/*.sh; do
    if [ -x "$script" ]; then "$script"; fi
done
exec "$@"
