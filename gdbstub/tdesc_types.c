/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gdbstub/tdesc_types.h"

#define BITS(name, from, to) "<field name=\"" name "\" start=\"" #from "\" end=\"" #to "\"/>"
#define FLAG(name, bit)      BITS(name, bit, bit)
#define FLAGS(id, size)      "<flags id=\"" id "\" size=\"" #size "\">"
#define FLAGS_END            "</flags>\n"

const char tdesc_types_core[] = FLAGS("i386_eflags", 4) FLAG("CF", 0) FLAG("", 1) FLAG("PF", 2) FLAG("AF", 4)
    FLAG("ZF", 6) FLAG("SF", 7) FLAG("TF", 8) FLAG("IF", 9) FLAG("DF", 10) FLAG("OF", 11) BITS("IOPL", 12, 13)
	FLAG("NT", 14) FLAG("RF", 16) FLAG("VM", 17) FLAG("AC", 18) FLAG("VIF", 19) FLAG("VIP", 20) FLAG("ID", 21)
	    FLAGS_END;

const char tdesc_types_sse[] =
    "<vector id=\"v8bf16\" type=\"bfloat16\" count=\"8\"/>\n"
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>\n"
    "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>\n"
    "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>\n"
    "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>\n"
    "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>\n"
    "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>\n"
    "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
    "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
    "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
    "<field name=\"uint128\" type=\"uint128\"/></union>\n" FLAGS("i386_mxcsr", 4) FLAG("IE", 0) FLAG("DE", 1)
	FLAG("ZE", 2) FLAG("OE", 3) FLAG("UE", 4) FLAG("PE", 5) FLAG("DAZ", 6) FLAG("IM", 7) FLAG("DM", 8) FLAG("ZM", 9)
	    FLAG("OM", 10) FLAG("UM", 11) FLAG("PM", 12) BITS("RC", 13, 14) FLAG("FZ", 15) FLAGS_END;

/* clang-format 14 never comes to rest over these. */
/* clang-format off */
#define CR0_TYPE              \
	FLAGS("cr0_flags", 8) \
	FLAG("PE", 0)         \
	FLAG("MP", 1)         \
	FLAG("EM", 2)         \
	FLAG("TS", 3)         \
	FLAG("ET", 4) FLAG("NE", 5) FLAG("WP", 16) FLAG("AM", 18) FLAG("NW", 29) FLAG("CD", 30) FLAG("PG", 31) FLAGS_END

#define CR4_TYPE                                                                                                       \
	FLAGS("cr4_flags", 8)                                                                                          \
	FLAG("VME", 0)                                                                                                 \
	FLAG("PVI", 1)                                                                                                 \
	FLAG("TSD", 2)                                                                                                 \
	FLAG("DE", 3)                                                                                                  \
	FLAG("PSE", 4)                                                                                                 \
	FLAG("PAE", 5) FLAG("MCE", 6) FLAG("PGE", 7) FLAG("PCE", 8) FLAG("OSFXSR", 9) FLAG("OSXMMEXCPT", 10)           \
	    FLAG("UMIP", 11) FLAG("LA57", 12) FLAG("VMXE", 13) FLAG("SMXE", 14) FLAG("FSGSBASE", 16) FLAG("PCIDE", 17) \
		FLAG("OSXSAVE", 18) FLAG("SMEP", 20) FLAG("SMAP", 21) FLAG("PKE", 22) FLAG("CET", 23) FLAG("PKS", 24)  \
		    FLAGS_END

#define EFER_TYPE FLAGS("efer_flags", 8) FLAG("SCE", 0) FLAG("LME", 8) FLAG("LMA", 10) FLAG("NXE", 11) FLAGS_END

/* The layout of a VMCS (SDM 3C table 25-2). */
#define RIGHTS_TYPE                \
	FLAGS("segment_rights", 4) \
	BITS("type", 0, 3)         \
	FLAG("S", 4)               \
	BITS("DPL", 5, 6)          \
	FLAG("P", 7) FLAG("AVL", 12) FLAG("L", 13) FLAG("DB", 14) FLAG("G", 15) FLAG("unusable", 16) FLAGS_END

#define DR6_TYPE              \
	FLAGS("dr6_flags", 8) \
	FLAG("B0", 0)         \
	FLAG("B1", 1) FLAG("B2", 2) FLAG("B3", 3) FLAG("BD", 13) FLAG("BS", 14) FLAG("BT", 15) FLAG("RTM", 16) FLAGS_END

#define DR7_TYPE                                                                                                  \
	FLAGS("dr7_flags", 8)                                                                                     \
	FLAG("L0", 0)                                                                                             \
	FLAG("G0", 1)                                                                                             \
	FLAG("L1", 2)                                                                                             \
	FLAG("G1", 3)                                                                                             \
	FLAG("L2", 4)                                                                                             \
	FLAG("G2", 5) FLAG("L3", 6) FLAG("G3", 7) FLAG("LE", 8) FLAG("GE", 9) FLAG("RTM", 11) FLAG("GD", 13)      \
	    BITS("RW0", 16, 17) BITS("LEN0", 18, 19) BITS("RW1", 20, 21) BITS("LEN1", 22, 23) BITS("RW2", 24, 25) \
		BITS("LEN2", 26, 27) BITS("RW3", 28, 29) BITS("LEN3", 30, 31) FLAGS_END

/* enum activity and BLOCK_* of vmm/x86/state.h. */
#define STATE_TYPES                                                                                      \
	"<enum id=\"activity_state\" size=\"4\"><evalue name=\"active\" value=\"0\"/>"                   \
	"<evalue name=\"halted\" value=\"1\"/><evalue name=\"shutdown\" value=\"2\"/>"                   \
	"<evalue name=\"wait_for_sipi\" value=\"3\"/></enum>\n" FLAGS("blocked_flags", 4) FLAG("STI", 0) \
	    FLAG("MOV_SS", 1) FLAG("NMI", 3) FLAGS_END
/* clang-format on */

const char tdesc_types_system[] = CR0_TYPE CR4_TYPE EFER_TYPE RIGHTS_TYPE DR6_TYPE DR7_TYPE STATE_TYPES;
