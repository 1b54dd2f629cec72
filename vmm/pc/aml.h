/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small emitter of ACPI Machine Language (ACPI 6.4, chapter 20) into a buffer that the caller provides, and of the
 * resource descriptors (section 6.4) that _CRS holds. Bytes beyond the buffer's end are counted and not written. */
#ifndef VMM_PC_AML_H
#define VMM_PC_AML_H

#include "vmm/types.h"

struct aml {
	u8 *buf;
	size_t len; /* emitted */
	size_t cap;
};

void aml_byte(struct aml *a, u8 v);
/* The smallest constant that holds @v. */
void aml_integer(struct aml *a, u32 v);
void aml_eisaid(struct aml *a, const char *id); /* seven characters, e.g. "PNP0A03" */
void aml_string(struct aml *a, const char *s);

/* Name (@name, ...): the value is emitted next. @name: four characters, or with \ before them. */
void aml_name(struct aml *a, const char *name);
/* These open a package that aml_close() ends; the returned place goes to it. */
size_t aml_scope(struct aml *a, const char *name);
size_t aml_device(struct aml *a, const char *name);
size_t aml_package(struct aml *a, u8 elements);
void aml_close(struct aml *a, size_t place);

/* Name (_CRS, ResourceTemplate () { ... }): descriptors go between. */
size_t aml_crs(struct aml *a);
void aml_crs_close(struct aml *a, size_t place);
void aml_io(struct aml *a, u16 port, u8 len);
void aml_irq(struct aml *a, unsigned irq); /* edge, active high */
void aml_bus_range(struct aml *a, u16 first, u16 last);
void aml_io_range(struct aml *a, u16 first, u16 last);
void aml_memory_fixed(struct aml *a, u32 base, u32 len); /* writable */
void aml_memory_range(struct aml *a, u32 first, u32 last, bool cacheable);

#endif
