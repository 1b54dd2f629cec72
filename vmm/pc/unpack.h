/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The compressions a Linux kernel may be packed with: gzip, bzip2, lzma, xz, lzo (lzop), lz4 (legacy frame), zstd. */
#ifndef VMM_PC_UNPACK_H
#define VMM_PC_UNPACK_H

#include "vmm/error.h"
#include "vmm/types.h"

/* The name of the compression @in begins with ("xz"), or NULL when its first bytes are none of them. */
const char *unpack_format(const u8 *in, size_t len);

/* Unpacks @in into memory that the caller frees. Bytes after the end of the compressed stream are ignored: a kernel
 * has its unpacked size there. Memory beyond the result is bounded: 256 MiB for a window or dictionary.
 * -EINVAL: unknown compression, damaged, cut short; -ENOMEM: the result is larger than @max bytes, or no host memory. */
int unpack(const u8 *in, size_t len, size_t max, u8 **out, size_t *out_len, struct error *err);

#endif
