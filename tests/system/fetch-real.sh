#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# fetch-real.sh FOLDER: Debian's 32-bit kernels, its generic 64-bit kernel and memtest86+, downloaded through apt-get
# (with package lists of FOLDER's own, so that the system's architectures stay as they are) and unpacked, not installed:
# FOLDER/{686,686-pae,amd64}/{vmlinuz,initrd.gz}, FOLDER/memtest86+{x64,ia32}.bin, FOLDER/grub/{grub-mkimage,modules},
# FOLDER/versions. What is there already stays. Exit status 0; or 77, with the reason on stdout, when they cannot be had here.
set -eu
mkdir -p "$1"
dir=$(cd "$1" && pwd)

give_up() {
	echo "$1"
	exit 77
}

command -v apt-get >/dev/null && command -v dpkg >/dev/null || give_up "no apt-get here"
command -v cpio >/dev/null || give_up "no cpio here"

apt() {
	tool=$1
	shift
	"$tool" -q -o APT::Architecture=amd64 -o APT::Architectures::=amd64 -o APT::Architectures::=i386 \
		-o Dir::State::lists="$dir/apt/lists" -o Dir::Cache="$dir/apt" -o APT::Sandbox::User=root "$@"
}

# fetch PACKAGE: unpacks it as $dir/unpacked.
fetch() {
	if [ ! -d "$dir/apt/lists" ]; then
		mkdir -p "$dir/apt/lists/partial" "$dir/apt/archives/partial"
		apt apt-get update >"$dir/apt/update.log" 2>&1 || true # a list that can't be had may not be needed
	fi
	rm -rf "$dir/unpacked" "$dir/download"
	mkdir -p "$dir/unpacked" "$dir/download"
	(cd "$dir/download" && apt apt-get download "$1" >apt.log 2>&1) ||
		give_up "apt-get download $1: $(tail -n 1 "$dir/download/apt.log")"
	dpkg-deb -x "$dir"/download/*.deb "$dir/unpacked"
	dpkg-deb -f "$dir"/download/*.deb Package Version | sed -n 's/^[A-Z][a-z]*: //p' | paste -sd ' ' >>"$dir/versions"
	sort -uo "$dir/versions" "$dir/versions"
	rm -rf "$dir/download"
}

if [ ! -s "$dir/memtest86+ia32.bin" ]; then
	fetch memtest86+
	mv "$dir"/unpacked/boot/memtest86+x64.bin "$dir"/unpacked/boot/memtest86+ia32.bin "$dir"
fi

# GRUB for a BIOS: its parts; the test makes a disk of them.
if [ ! -s "$dir/grub/modules/kernel.img" ]; then
	mkdir -p "$dir/grub"
	fetch grub-common
	mv "$dir/unpacked/usr/bin/grub-mkimage" "$dir/grub"
	fetch grub-pc-bin
	mv "$dir/unpacked/usr/lib/grub/i386-pc" "$dir/grub/modules"
fi

# In the order in which they need one another: disk, keyboard events, speaker.
modules='scsi_common scsi_mod libata ata_piix pata_legacy crct10dif_common crct10dif_generic crc-t10dif crc64
	crc64_rocksoft_generic crc64-rocksoft t10-pi sd_mod evdev pcspkr'

write_init() {
	cat >"$1" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /modules/order); do
	insmod /modules/$module.ko || echo "init: no $module"
done
i=0
while [ ! -b /dev/sda ] && [ $i -lt 50 ]; do
	usleep 100000
	i=$((i + 1))
done
echo "init: $(uname -s) $(uname -r) $(uname -m)"
echo "chip cpu: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo)"
echo "chip interrupts: $(sed -n 's/^ *\([0-9]*\): *[0-9]* *\([^ ]*\).* \([^ ]*\)$/\1=\3(\2)/p' /proc/interrupts | paste -sd ' ')"
echo "chip clock: $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource) of $(cat /sys/devices/system/clocksource/clocksource0/available_clocksource)"
echo "chip timer: $(cat /sys/devices/system/clockevents/clockevent0/current_device)"
echo "chip rtc: $(cat /sys/class/rtc/rtc0/name) $(hwclock -u -r 2>/dev/null | cut -c1-16)"
echo "chip serial: $(sed -n 's/^\([01]\): uart:\([^ ]*\) port:0*\([^ ]*\) irq:\([0-9]*\).*/\1=\2@\3,\4/p' /proc/tty/driver/serial | paste -sd ' ')"
echo "chip input: $(sed -n 's/^N: Name="\(.*\)"/\1/p' /proc/bus/input/devices | paste -sd ',')"
echo "chip pci: $(cd /sys/bus/pci/devices && for d in *; do echo "$d=$(cut -c3- $d/vendor):$(cut -c3- $d/device)"; done | paste -sd ' ')"
echo "chip acpi: $(ls /sys/firmware/acpi/tables | grep -v '^d' | paste -sd ' ')"
echo "chip disk: $(cat /sys/block/sda/size) sectors, $(sed 's/ *$//' /sys/block/sda/device/model), $(head -c 1048576 /dev/sda | md5sum | cut -c1-32)"
echo "chip ports: $(sed -n 's/^ *\([0-9a-f-]*\) : \(.*\)/\1=\2/p' /proc/ioports | grep -v PCI | tr ' ' _ | paste -sd ' ')"
dmesg -r | sed -n 's/^<[0-4]>\[[^]]*\] /warning: /p'
echo "init: done"
exec sh -i
INIT
}

make_initrd() {
	root="$dir/root"
	rm -rf "$root"
	mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/modules"
	cp "$2" "$root/bin/busybox"
	for module in $modules; do
		cp "$(find "$dir/unpacked/lib/modules" -name "$module.ko")" "$root/modules"
	done
	echo $modules >"$root/modules/order"
	write_init "$root/init"
	chmod +x "$root/init"
	# Nothing of this machine in the archive: owners, times and order are fixed.
	find "$root" -exec touch -h -d @1700000000 {} +
	(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible) | gzip -9n >"$1"
	rm -rf "$root"
}

for flavour in 686 686-pae amd64; do
	if [ -s "$dir/$flavour/initrd.gz" ] && [ ! "$0" -nt "$dir/$flavour/initrd.gz" ]; then
		continue
	fi
	architecture=i386
	[ $flavour != amd64 ] || architecture=amd64
	fetch busybox-static:$architecture
	mv "$dir/unpacked/bin/busybox" "$dir/busybox-$architecture"
	# linux-image-FLAVOUR is an empty package that depends on the newest kernel.
	name=$(apt apt-cache depends "linux-image-$flavour:$architecture" 2>/dev/null |
		sed -n 's/^ *Depends: *\(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
	[ -n "$name" ] || give_up "apt knows no linux-image-$flavour"
	fetch "${name%:*}:$architecture"
	mkdir -p "$dir/$flavour"
	cp "$dir"/unpacked/boot/vmlinuz-* "$dir/$flavour/vmlinuz"
	make_initrd "$dir/$flavour/initrd.new" "$dir/busybox-$architecture"
	mv "$dir/$flavour/initrd.new" "$dir/$flavour/initrd.gz"
	rm -rf "$dir/unpacked" "$dir/busybox-$architecture"
done
