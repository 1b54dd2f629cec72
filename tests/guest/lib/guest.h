/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The library of the guest kernels that test themselves: output, claims, the way out, and traps that can be
 * expected. Built freestanding, for 32 and 64 bits. Each claim is one line on COM1: "ok NAME", "not ok NAME (why)"
 * or "skip NAME: REASON"; the last line is "done: N ok, N not ok". */
#ifndef TESTS_GUEST_LIB_GUEST_H
#define TESTS_GUEST_LIB_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef unsigned long ulong;

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n)        (1ull << (n))

/* The values written to isa-debug-exit (port F4h): the host sees (v << 1) | 1, so 33 and 35. */
#define EXIT_PORT   0xf4
#define EXIT_OK     0x10
#define EXIT_FAILED 0x11

static inline void outb(u16 port, u8 v)
{
	asm volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outw(u16 port, u16 v)
{
	asm volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outl(u16 port, u32 v)
{
	asm volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static inline u8 inb(u16 port)
{
	u8 v;
	asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline u16 inw(u16 port)
{
	u16 v;
	asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline u32 inl(u16 port)
{
	u32 v;
	asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;
	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (u64)hi << 32 | lo;
}

static inline void wrmsr(u32 msr, u64 v)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;
	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

static inline void cpuid(u32 leaf, u32 sub, u32 r[4])
{
	asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}

#define READ_CR(n)                                             \
	({                                                     \
		ulong v_;                                      \
		asm volatile("mov %%cr" #n ", %0" : "=r"(v_)); \
		v_;                                            \
	})
#define WRITE_CR(n, v) asm volatile("mov %0, %%cr" #n : : "r"((ulong)(v)) : "memory")
#define READ_DR(n)                                             \
	({                                                     \
		ulong v_;                                      \
		asm volatile("mov %%dr" #n ", %0" : "=r"(v_)); \
		v_;                                            \
	})
#define WRITE_DR(n, v) asm volatile("mov %0, %%dr" #n : : "r"((ulong)(v)) : "memory")

static inline ulong read_flags(void)
{
	ulong v;
	asm volatile("pushf; pop %0" : "=r"(v));
	return v;
}

#define FLAG_CF      BIT(0)
#define FLAG_PF      BIT(2)
#define FLAG_AF      BIT(4)
#define FLAG_ZF      BIT(6)
#define FLAG_SF      BIT(7)
#define FLAG_TF      BIT(8)
#define FLAG_IF      BIT(9)
#define FLAG_DF      BIT(10)
#define FLAG_OF      BIT(11)
#define FLAG_NT      BIT(14)
#define FLAG_RF      BIT(16)
#define FLAG_AC      BIT(18)
#define FLAG_ID      BIT(21)
#define STATUS_FLAGS (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

enum {
	VEC_DE = 0,
	VEC_DB = 1,
	VEC_NMI = 2,
	VEC_BP = 3,
	VEC_OF = 4,
	VEC_BR = 5,
	VEC_UD = 6,
	VEC_NM = 7,
	VEC_DF = 8,
	VEC_TS = 10,
	VEC_NP = 11,
	VEC_SS = 12,
	VEC_GP = 13,
	VEC_PF = 14,
	VEC_MF = 16,
	VEC_AC = 17,
	VEC_XM = 19
};

/* print.c */
void console_init(void);
void put_char(char c);
void put_string(const char *s);
void put_hex(u64 v);
void put_dec(u64 v);
/* The conditions of one claim; the first false one fails it. */
void claim(const char *name, bool cond);
/* As claim(a == b), and prints both when they differ. */
void claim_eq(const char *name, u64 got, u64 want);
void skip(const char *name, const char *reason);
/* Closing line, then isa-debug-exit with EXIT_OK or EXIT_FAILED; if the port is not there, HLT for ever. */
void finish(void) __attribute__((noreturn));
void exit_with(u8 code) __attribute__((noreturn));

/* QEMU TCG leaves out many checks; claims that would crash it ask this first. */
bool under_tcg(void);

void *memset(void *p, int c, size_t n);
void *memcpy(void *d, const void *s, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* The kernel's own code: called on a 16 KiB stack with interrupts off and, for 64 bits, the low 4 GiB mapped. */
void kmain(void);

/* trap32.c, trap64.c */

/* A trap as it was delivered. @regs: in the order of struct frame. */
struct frame {
#ifdef __x86_64__
	u64 r15, r14, r13, r12, r11, r10, r9, r8, di, si, bp, bx, dx, cx, ax;
#else
	u32 di, si, bp, dummy, bx, dx, cx, ax;
#endif
	ulong vector, error, ip, cs, flags, sp, ss; /* sp and ss: 32 bits only when the privilege changed */
};

struct trap {
	unsigned count;
	ulong handler_flags, handler_sp, handler_cs; /* inside the handler */
	ulong cr2, dr6;
	struct frame frame; /* of the first trap since traps_reset() */
};

extern volatile struct trap trap;
/* Called first for every trap when set; true: return to the interrupted code, frame changes included. */
extern bool (*trap_hook)(struct frame *f);

void traps_init(void);
void traps_reset(void);
void idt_set(unsigned vector, void *handler, u16 selector, unsigned type, unsigned dpl, unsigned ist);
void idt_present(unsigned vector, bool present);
void idt_dpl(unsigned vector, unsigned dpl);
void idt_type(unsigned vector, unsigned type);
/* Calls fn(); a trap ends the call. Returns the number of traps (0 or 1 without a hook). Registers, stack, CS, SS and
 * interrupt flag are as before the call afterwards. */
unsigned try_call(void (*fn)(void));
/* Claims that fn() ends in this trap; error -1: any. */
void claim_trap(const char *name, unsigned vector, long error, void (*fn)(void));

/* EXPECT("name", VEC_UD, 0, "ud2") */
#define EXPECT(name, vec, err, ...)                \
	({                                         \
		void body_(void)                   \
		{                                  \
			asm volatile(__VA_ARGS__); \
		}                                  \
		claim_trap(name, vec, err, body_); \
	})
#define EXPECT_NONE(name, ...)                     \
	({                                         \
		void body_(void)                   \
		{                                  \
			asm volatile(__VA_ARGS__); \
		}                                  \
		claim(name, try_call(body_) == 0); \
	})

/* Segments: the same selectors in 32 and 64 bits where both have them. */
extern u64 gdt[64];
enum {
	SEL_KCODE = 0x08,
	SEL_KDATA = 0x10,
	SEL_UCODE32 = 0x1b,
	SEL_UDATA = 0x23,
	SEL_UCODE = 0x2b, /* 64-bit; 32-bit kernels: the same as SEL_UCODE32 */
	SEL_KCODE32 = 0x30,
	SEL_TSS = 0x38,  /* two entries */
	SEL_SPARE = 0x48 /* from here on free for tests */
};

#ifdef __x86_64__
struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7]; /* ist[0] is IST1 */
	u64 reserved2;
	u16 reserved3, iomap;
} __attribute__((packed));
#else
struct tss {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
	u32 es, cs, ss, ds, fs, gs, ldt;
	u16 trap, iomap;
} __attribute__((packed));
#endif
extern struct tss tss;
extern u8 stack_rsp0[4096], stack_ist[3][4096];

#ifdef __x86_64__
/* paging64.c */
#define PTE_P   BIT(0)
#define PTE_W   BIT(1)
#define PTE_U   BIT(2)
#define PTE_PWT BIT(3)
#define PTE_PCD BIT(4)
#define PTE_A   BIT(5)
#define PTE_D   BIT(6)
#define PTE_PS  BIT(7)
#define PTE_G   BIT(8)
#define PTE_NX  BIT(63)
/* The entry that maps @va at @level (1: 4 KiB, 2: 2 MiB, 3: 1 GiB), tables made on the way (user, writable). */
volatile u64 *pte_of(u64 va, int level);
static inline void invlpg(u64 va)
{
	asm volatile("invlpg (%0)" : : "r"(va) : "memory");
}
/* A zeroed page frame; identity-mapped, so this is also its physical address. */
u64 page_alloc(void);

/* user64.c: runs the code at @code (copied to a user page, @len bytes) in ring 3 with RDI = @arg until it traps.
 * Selector SEL_UCODE or SEL_UCODE32 (then EDI = arg); its stack is a user page too. */
void run_user(const void *code, size_t len, u16 cs, u64 arg, ulong flags);
#define USER_CODE  0x8000000000ull
#define USER_STACK 0x8000002000ull /* top; one page below */
#define USER_LOW   0x40000000u     /* where 32-bit user code runs */
#define USER(code_, arg_)                                                          \
	({                                                                         \
		extern const u8 code_[], code_##_end[];                            \
		run_user(code_, code_##_end - code_, SEL_UCODE, (u64)(arg_), 0x2); \
	})
#define USER_BEGIN(name) asm(".pushsection .text; .global " #name "; " #name ":\n"
#define USER_END(name)	 "\n.global " #name "_end; " #name "_end: .popsection")
#endif

#endif
