#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# boot.sh FOLDER GROUP: boot a systemd as PID 1 of namespaces of its own, with copies of /etc and of systemd's
# units, and empty /run, /var/lib and /var/log. GROUP names its control group.
set -eu
mount --make-rprivate /
mkdir -p /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$2"
sh -c 'echo $PPID > "$1/cgroup.procs"' - "/sys/fs/cgroup/$2"
exec unshare -C -m -n -p -u -f --kill-child=KILL sh -eu -c '
umount -l /sys/fs/cgroup
mount -t tmpfs none "$1"
mkdir "$1/etc" "$1/systemd" "$1/dev"
cp -a /etc/. "$1/etc"
cp -a /lib/systemd/. "$1/systemd"
# Nothing of the machine starts here.
rm -rf "$1"/etc/systemd/system/* "$1"/etc/systemd/system.conf* "$1"/systemd/system/*.wants "$1"/systemd/system-generators
# /tmp stays that of the machine, and must never be tidied up from here.
rm -f "$1"/systemd/system/systemd-tmpfiles*
printf "[Unit]\nRequires=basic.target systemd-journald.service\nAfter=basic.target\n" > "$1/etc/systemd/system/tried.target"
# What PrivateDevices= looks for.
for name in null zero full random urandom tty; do
    touch "$1/dev/$name"
    mount --bind "/dev/$name" "$1/dev/$name"
done
mkdir "$1/dev/shm" "$1/dev/pts" "$1/dev/mqueue" "$1/dev/hugepages"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts"
ln -s pts/ptmx "$1/dev/ptmx"
ln -s /proc/self/fd "$1/dev/fd"
mount --bind "$1/etc" /etc
mount --bind "$1/systemd" "$(realpath /lib/systemd)"
mount --rbind "$1/dev" /dev
for folder in /run /var/lib /var/log; do mount -t tmpfs none "$folder"; done
mount -t proc proc /proc
mount -t sysfs none /sys
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
cd /
exec env -i container=tests PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=tried.target --log-target=journal --show-status=no
' - "$1"
