# The first process of a lab host, as root of new mount, network, host-name, IPC and pid namespaces.
# Arguments: mark of the start, mark of the lab, the host's folder, the lab's folder, host name. Makes
# the host's file system, takes on the mark of a finished host, says "ready" on standard output and
# then only collects orphans until it is killed. Standard input is the lock by which others see that
# a process of the host is left.
set -eu
mark=$1host/$4 host=$2 lab=$3 name=$4
shift 4
root=$host/root

echo "$name" >/proc/sys/kernel/hostname

# The machine's files, copy on write; file systems mounted on these folders need a layer of their own.
overlay() {
    mkdir -p "$2/upper" "$2/work"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$root$1"
}
overlay / "$host"
for folder in /usr /etc /opt /var /var/lib; do
    if mountpoint -q "$folder"; then overlay "$folder" "$host/layers$folder"; fi
done

# What belongs to the machine's user or engine is not shown: each of these is the host's own.
for folder in /root /home /tmp /var/tmp /storage /srv /mnt /media /etc/docker /etc/ssh /var/lib/containerd; do
    mkdir -p "$host/private$folder" "$root$folder"
    mount --bind "$host/private$folder" "$root$folder"
done
# What is left of the arguments: folders that hosts have in common, each with its place on the machine.
while [ $# -gt 0 ]; do
    mkdir -p "$root$1"
    mount --bind "$2" "$root$1"
    shift 2
done
chmod 700 "$root/root" "$root/etc/docker"
chmod 1777 "$root/tmp" "$root/var/tmp"
mkdir -p "$root/var/lib/docker" "$root/lab"
# The engine's own layers cannot lie on a layered file system.
mount --bind "$host/docker" "$root/var/lib/docker"

mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/run"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
if [ -d /sys/fs/cgroup ]; then mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"; fi
mount --rbind /dev "$root/dev"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mkdir -p "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -p "$root/run/lock" "$root/run/sshd" "$root/run/lab" "$root/run/services" "$root/run/machine"
chmod 1777 "$root/run/lock"
mount --bind "$host/run" "$root/run/lab"
mount --bind "$lab/share" "$root/lab"
mount -o remount,bind,ro "$root/lab"

# The folders of all labs, and of a server or runner of the machine, stay out of sight; the host has
# a folder of its own there.
mkdir -p "$host/lotse"
if [ -d "$root/var/lib/lotse" ]; then mount --bind "$host/lotse" "$root/var/lib/lotse"; fi
if [ -d "$root$lab" ]; then mount -t tmpfs -o ro,mode=700 tmpfs "$root$lab"; fi

cd "$root"
pivot_root . run/machine
umount --lazy /run/machine
rmdir /run/machine

# sshd refuses accounts that are locked, also when the key is right.
sed -i 's/^root:![^:]*:/root:*:/' /etc/shadow
echo "$name" >/etc/hostname

# The host is whole from here on, also when nobody listens any more.
exec bash -c '
    trap "" PIPE
    echo ready 2>/dev/null
    exec >/dev/null 2>&1
    trap "exit 0" TERM
    while :; do sleep infinity & wait $!; done
' "$mark"
