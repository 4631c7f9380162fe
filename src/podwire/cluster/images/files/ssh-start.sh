#!/usr/bin/bash
# sshd in front, with host keys of this container's own; or another command.
set -e
if [ "$1" = ssh-server ]; then
    for kind in ed25519 ecdsa; do
        key=/etc/ssh/ssh_host_${kind}_key
        [ -e "$key" ] || ssh-keygen -q -t "$kind" -N "" -C "" -f "$key"
    done
    exec /usr/sbin/sshd -D -e
fi
exec "$@"
