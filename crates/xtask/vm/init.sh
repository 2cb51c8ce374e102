#!/bin/busybox sh
# Process 1 of a guest with nothing but busybox: modules, then the tests, then off.
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /root /usr/bin /usr/sbin /sbin
/bin/busybox --install -s
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
# Not a file system of its own: the package's folder may be below it. All of this is in memory anyway.
chmod 1777 /tmp
mount -t tmpfs -o mode=755 run /run
# Whatever happens to the machine outside, no guest stays for ever.
(sleep 14400; poweroff -f) &
while read -r module; do
    insmod "$module" || echo "iosmux-vm: $module does not load" >/dev/ttyS1
done </iosmux/modules
ip link set lo up
sh /iosmux/run
sync
poweroff -f
