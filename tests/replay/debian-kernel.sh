#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# debian-kernel.sh FOLDER: Debian's cloud kernel, downloaded through apt-get and unpacked, not installed, as
# FOLDER/vmlinuz, with its KVM modules in FOLDER/kvm, and an initramfs around busybox as FOLDER/initrd.gz. What is there
# already stays. Exit status 0; or 77, with the reason on stdout, when the kernel cannot be had here.
set -eu
dir=$1
mkdir -p "$dir"

give_up() {
	echo "$1"
	exit 77
}

if [ ! -s "$dir/vmlinuz" ]; then
	command -v apt-get >/dev/null && command -v dpkg >/dev/null || give_up "no apt-get here"
	# linux-image-cloud-amd64 is an empty package that depends on the newest kernel.
	find_name() {
		apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: *\(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1
	}
	name=$(find_name)
	if [ -z "$name" ]; then
		apt-get -q update >/dev/null 2>&1 || sudo -n apt-get -q update >/dev/null 2>&1 || true
		name=$(find_name)
	fi
	[ -n "$name" ] || give_up "apt knows no linux-image-cloud-amd64"
	rm -rf "$dir/unpacked" "$dir/download"
	mkdir -p "$dir/unpacked" "$dir/download"
	fetch() {
		(cd "$dir/download" && apt-get -q download "$name" >apt.log 2>&1)
	}
	fetch || { apt-get -q update >/dev/null 2>&1 || sudo -n apt-get -q update >/dev/null 2>&1 || true; fetch; } ||
		give_up "apt-get download $name: $(tail -n 1 "$dir/download/apt.log")"
	dpkg -x "$dir"/download/*.deb "$dir/unpacked"
	mkdir -p "$dir/kvm"
	find "$dir/unpacked" \( -name kvm.ko -o -name kvm-intel.ko -o -name irqbypass.ko \) -exec cp {} "$dir/kvm" \;
	cp "$dir"/unpacked/boot/vmlinuz-* "$dir/vmlinuz.new"
	rm -rf "$dir/unpacked" "$dir/download"
	mv "$dir/vmlinuz.new" "$dir/vmlinuz"
fi

if [ ! -s "$dir/initrd.gz" ] || [ "$0" -nt "$dir/initrd.gz" ]; then
	busybox=$(command -v busybox) || give_up "no busybox here"
	command -v cpio >/dev/null || give_up "no cpio here"
	root="$dir/root"
	rm -rf "$root"
	mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp"
	cp "$busybox" "$root/bin/busybox"
	cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
echo "init: $(uname -s) $(uname -r) $(uname -m)"
echo "init: $(grep -c processor /proc/cpuinfo) processor, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo)"
i=0
while [ $i -lt 200 ]; do
	echo "line $i of a file to be hashed"
	i=$((i + 1))
done >/tmp/file
cat /tmp/file /tmp/file /tmp/file /tmp/file >/tmp/more
echo "sha256 $(sha256sum </tmp/more | cut -d' ' -f1)"
ps | grep -q init && echo "init: ps works"
dd if=/dev/urandom of=/tmp/random bs=1k count=64 2>/dev/null
echo "random $(md5sum </tmp/random | cut -d' ' -f1)"
sleep 1
echo "init: done, $(cut -d' ' -f1 /proc/uptime) s"
poweroff -f
INIT
	chmod +x "$root/init"
	# Nothing of this machine in the archive: owners, times and order are fixed.
	find "$root" -exec touch -h -d @1700000000 {} +
	(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible) | gzip -9n >"$dir/initrd.new"
	mv "$dir/initrd.new" "$dir/initrd.gz"
	rm -rf "$root"
fi
