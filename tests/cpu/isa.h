/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which of the instructions Zydis knows belong to the CPU model (vmm/x86/cpuid.c). */
#ifndef TESTS_CPU_ISA_H
#define TESTS_CPU_ISA_H

#include <Zydis/Zydis.h>
#include <stdbool.h>

/* A decoder for the model: without LZCNT, TZCNT and the like, whose encodings then mean what they meant before. */
static inline void isa_decoder_init(ZydisDecoder *decoder, unsigned bits)
{
	static const ZydisDecoderMode absent[] = {
	    ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYDIS_DECODER_MODE_KNC,      ZYDIS_DECODER_MODE_MPX,
	    ZYDIS_DECODER_MODE_CET,          ZYDIS_DECODER_MODE_LZCNT,    ZYDIS_DECODER_MODE_TZCNT,
	    ZYDIS_DECODER_MODE_WBNOINVD,     ZYDIS_DECODER_MODE_CLDEMOTE,
	};

	ZydisDecoderInit(decoder,
			 bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
			 : bits == 32 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32
				      : ZYDIS_MACHINE_MODE_LONG_COMPAT_16,
			 bits == 64   ? ZYDIS_STACK_WIDTH_64
			 : bits == 32 ? ZYDIS_STACK_WIDTH_32
				      : ZYDIS_STACK_WIDTH_16);
	for (unsigned i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		ZydisDecoderEnableMode(decoder, absent[i], ZYAN_FALSE);
}

static inline bool isa_in_model(const ZydisDecodedInstruction *i)
{
	if (i->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	switch (i->meta.isa_ext) {
	case ZYDIS_ISA_EXT_BASE:
	case ZYDIS_ISA_EXT_LONGMODE:
	case ZYDIS_ISA_EXT_MMX:
	case ZYDIS_ISA_EXT_SSE:
	case ZYDIS_ISA_EXT_SSE2:
	case ZYDIS_ISA_EXT_SSE3:
	case ZYDIS_ISA_EXT_SSSE3:
	case ZYDIS_ISA_EXT_SSE4:
	case ZYDIS_ISA_EXT_MOVBE:
	case ZYDIS_ISA_EXT_X87:
	case ZYDIS_ISA_EXT_PAUSE:
	case ZYDIS_ISA_EXT_CLFSH:
	case ZYDIS_ISA_EXT_RDTSCP:
	case ZYDIS_ISA_EXT_RDWRFSGS:
	case ZYDIS_ISA_EXT_INVPCID:
	case ZYDIS_ISA_EXT_SMAP:
	case ZYDIS_ISA_EXT_XSAVE:
	case ZYDIS_ISA_EXT_XSAVEOPT:
	case ZYDIS_ISA_EXT_XSAVEC:
	case ZYDIS_ISA_EXT_XSAVES:
		return true;
	default:
		return false;
	}
}

#endif
