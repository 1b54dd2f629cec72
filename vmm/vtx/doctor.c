// SPDX-License-Identifier: GPL-2.0-or-later
/* Whether the VT-x engine can serve on this host, and if not, a sentence that says what to do. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/vtx/vtx.h"

#define DEVICE "/dev/vmdbg"

static bool cpu_has_vmx(void)
{
	u32 eax = 1, ebx, ecx = 0, edx;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ecx & BIT(5);
}

static int no_device(struct error *why)
{
	int code = -errno;

	if (!cpu_has_vmx())
		return error_set(why, -ENODEV,
				 "this processor has no VT-x, or the hypervisor under this system hides it");
	if (code == -ENOENT)
		return error_set(why, -ENODEV,
				 "vmdbg.ko is not loaded (no " DEVICE "): make module-install, then modprobe vmdbg");
	if (code == -EACCES || code == -EPERM)
		return error_set(why, code, DEVICE " is for root and the group vmdbg");
	return error_set(why, code, DEVICE ": %s", strerror(-code));
}

static int wrong_version(u32 version, struct error *why)
{
	return error_set(why, -EPROTO,
			 "the loaded vmdbg.ko speaks version %u, this program %u: load the module built with it",
			 version, VMDBG_ABI_VERSION);
}

static int by_status(const struct vmdbg_probe *probe, struct error *why)
{
	unsigned long long detail = probe->detail;

	switch (probe->status) {
	case VMDBG_OK:
		return 0;
	case VMDBG_NO_VMX:
		return error_set(why, -ENODEV,
				 "this processor has no VT-x, or the hypervisor under this system hides it");
	case VMDBG_LOCKED_OFF:
		return error_set(why, -ENODEV,
				 "the firmware has locked VT-x off: switch it on in the firmware's setup");
	case VMDBG_BUSY:
		return error_set(
		    why, -EBUSY,
		    "another monitor holds VT-x: end its guests and unload it (modprobe -r kvm_intel), then "
		    "try again");
	case VMDBG_MISSING_CONTROL:
		return error_set(why, -ENODEV,
				 "this processor's VT-x lacks a control: bits %#llx of capability MSR %#llx",
				 detail & 0xffffffff, detail >> 32);
	case VMDBG_NO_XSAVE:
		return error_set(why, -ENODEV,
				 "the host's kernel runs without XSAVE (CR4.OSXSAVE), which the CPU model has");
	case VMDBG_MISSING_EPT:
		return error_set(why, -ENODEV,
				 "this processor's EPT lacks a feature: bits %#llx of IA32_VMX_EPT_VPID_CAP", detail);
	default:
		return error_set(why, -EPROTO, "vmdbg.ko answers with an unknown status (%u)", probe->status);
	}
}

int vtx_open(u64 *features, struct error *why)
{
	struct vmdbg_probe probe = {.size = sizeof(probe)};
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC), ret;

	if (fd < 0)
		return no_device(why);
	if (ioctl(fd, VMDBG_IOC_PROBE, &probe)) {
		ret = errno == EINVAL ? wrong_version(probe.version, why)
				      : error_set(why, -errno, DEVICE ": %s", strerror(errno));
	} else if (probe.version != VMDBG_ABI_VERSION || probe.run_size != sizeof(struct vmdbg_run)) {
		ret = wrong_version(probe.version, why);
	} else {
		ret = by_status(&probe, why);
	}
	if (ret) {
		close(fd);
		return ret;
	}
	*features = probe.features;
	return fd;
}

int vtx_probe(struct error *why)
{
	u64 features;
	int fd = vtx_open(&features, why);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}
