#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# systemd.sh FOLDER GROUP: run a systemd of one's own, with the units in FOLDER/units, for the commands on
# standard input; say after each of them whether our table is there. GROUP names its control group.
set -eu
folder=$1 group=$2
mount --make-rprivate /
mkdir -p /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$group"
sh -c 'echo $PPID > "$1/cgroup.procs"' - "/sys/fs/cgroup/$group"
exec unshare -C -m sh -eu -c '
umount -l /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /run/user/0 /run/systemd/system /run/config/systemd /run/home
export XDG_RUNTIME_DIR=/run/user/0 XDG_CONFIG_HOME=/run/config HOME=/run/home
ln -sfn "$1/units" /run/config/systemd/user
/lib/systemd/systemd --user >"$1/log" 2>&1 &
systemd=$!
trap "kill $systemd; wait $systemd || true" EXIT
until systemctl --user list-units >/dev/null 2>&1; do sleep 0.05; done
while read -r command; do
    $command
    nft list tables | grep -q "inet pivgate" && echo "$command: closed" || echo "$command: open"
done
' - "$folder"
