/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's CPU as the reference.
 *
 * 1. A child process maps code and data at their fixed addresses and lives inside a signal handler: returning from it
 *    loads the next case's registers (the kernel's sigreturn does the work, x87 and SSE included), and whatever ends
 *    the case, INT3 or a fault, is the next signal, whose frame holds the result.
 * 2. Cases may store anywhere. The child's own memory is far from every address a case can easily form; if one hits
 *    it all the same, or hangs, the parent starts another child and calls that case DIFF_HANG.
 * 3. 32-bit and 16-bit cases run with compatibility-mode code selectors: Linux's own, or those of an LDT. */
#include <asm/ldt.h>
#include <cpuid.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <xxhash.h>

#include "tests/cpu/diff.h"
#undef PF_W /* elf.h uses the name, too */
#include "vmm/x86/regs.h"

/* The pages both processes see, at fixed addresses only in the child. */
struct pages {
	u8 code[DIFF_CODE_SIZE];
	u8 data[DIFF_DATA_SIZE];
	u8 ro[DIFF_PAGE];
};

struct shared {
	struct diff_case cases[NATIVE_BATCH];
	struct diff_result results[NATIVE_BATCH];
	volatile unsigned next, count; /* the case that runs now; how many there are */
	u8 data[DIFF_DATA_SIZE];       /* what each case begins with */
	struct diff_host host;
};

struct native {
	struct pages *pages;
	struct shared *shared;
	int memfd;
	pid_t child;
	int to_child, from_child;
};

/* The child's only variables: a signal handler has no other way to find them. */
static struct native *self;
static int child_in, child_out;
static bool child_running;
/* What a signal frame doesn't hold: read at the handler's entry, loaded at its end. */
static struct {
	u16 ds, es, fs, gs;
	u64 fs_base, gs_base;
	bool load_bases;
} segments;
static u64 child_fs_base; /* where the child's thread-local variables are */

static const int gpr_index[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
				  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void fpu_from_frame(struct diff_fpu *fpu, const struct _libc_fpstate *fx)
{
	fpu->fcw = fx->cwd;
	fpu->fsw = fx->swd;
	fpu->ftw = fx->ftw;
	fpu->mxcsr = fx->mxcsr;
	for (unsigned i = 0; i < 8; i++) {
		memcpy(&fpu->st[i].mant, fx->_st[i].significand, 8);
		fpu->st[i].se = fx->_st[i].exponent;
	}
	memcpy(fpu->xmm, fx->_xmm, sizeof(fpu->xmm));
}

static void fpu_to_frame(const struct diff_fpu *fpu, struct _libc_fpstate *fx)
{
	fx->cwd = fpu->fcw;
	fx->swd = fpu->fsw;
	fx->ftw = fpu->ftw;
	fx->mxcsr = fpu->mxcsr;
	fx->rip = fx->rdp = fx->fop = 0;
	for (unsigned i = 0; i < 8; i++) {
		memcpy(fx->_st[i].significand, &fpu->st[i].mant, 8);
		fx->_st[i].exponent = fpu->st[i].se;
	}
	memcpy(fx->_xmm, fpu->xmm, sizeof(fpu->xmm));
}

static void result_from_frame(const struct diff_case *c, struct diff_result *r, const ucontext_t *uc)
{
	const greg_t *g = uc->uc_mcontext.gregs;

	for (unsigned i = 0; i < 16; i++)
		r->regs.gpr[i] = g[gpr_index[i]];
	r->regs.rip = g[REG_RIP];
	r->regs.rflags = g[REG_EFL];
	r->regs.seg[SEG_ES] = segments.es;
	r->regs.seg[SEG_CS] = g[REG_CSGSFS];
	r->regs.seg[SEG_SS] = (u64)g[REG_CSGSFS] >> 48;
	r->regs.seg[SEG_DS] = segments.ds;
	r->regs.seg[SEG_FS] = segments.fs;
	r->regs.seg[SEG_GS] = segments.gs;
	r->regs.fs_base = segments.fs_base;
	r->regs.gs_base = segments.gs_base;
	r->vector = g[REG_TRAPNO];
	r->error = g[REG_ERR];
	r->cr2 = g[REG_CR2];
	fpu_from_frame(&r->regs.fpu, uc->uc_mcontext.fpregs);
	diff_wipe_image(c, r->regs.rip, (u8 *)DIFF_DATA);
	r->memory = XXH3_64bits((void *)DIFF_DATA, DIFF_DATA_SIZE);
}

static void case_to_frame(const struct diff_case *c, ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;

	memcpy((void *)DIFF_DATA, self->shared->data, DIFF_DATA_SIZE);
	memset((void *)DIFF_CODE, 0xcc, DIFF_CODE_SIZE);
	memcpy((void *)(diff_code_base(c) + c->in.rip), c->code, c->code_len);
	for (unsigned i = 0; i < 16; i++)
		g[gpr_index[i]] = c->in.gpr[i];
	g[REG_RIP] = c->in.rip;
	g[REG_EFL] = c->in.rflags;
	g[REG_CSGSFS] = (u64)c->in.seg[SEG_SS] << 48 | c->in.seg[SEG_CS];
	segments.ds = c->in.seg[SEG_DS];
	segments.es = c->in.seg[SEG_ES];
	segments.fs = c->in.seg[SEG_FS];
	segments.gs = c->in.seg[SEG_GS];
	segments.load_bases = !c->segmented;
	segments.fs_base = c->in.fs_base;
	segments.gs_base = c->in.gs_base;
	fpu_to_frame(&c->in.fpu, uc->uc_mcontext.fpregs);
}

__attribute__((noinline)) static void child_step(ucontext_t *uc)
{
	struct shared *sh = self->shared;
	char byte = 0;

	if (child_running) {
		result_from_frame(&sh->cases[sh->next], &sh->results[sh->next], uc);
		sh->next++;
	}
	child_running = true;
	while (sh->next >= sh->count) {
		/* The parent says when there is more; when it is gone, so is this process. */
		if (write(child_out, &byte, 1) != 1 || read(child_in, &byte, 1) != 1)
			_exit(0);
	}
	case_to_frame(&sh->cases[sh->next], uc);
}

/* A case may have set AC, NT and ID: the kernel leaves them on, and sigreturn doesn't touch the last two. Nothing here
 * may use thread-local variables before FS is back. */
static void child_signal(int sig, siginfo_t *info, void *context)
{
	__asm__ volatile("pushfq\n\tandl %0, (%%rsp)\n\tpopfq" ::"i"(~(u32)(RFLAGS_AC | RFLAGS_NT | RFLAGS_ID))
			 : "cc", "memory");
	__asm__ volatile("movw %%ds, %0\n\tmovw %%es, %1\n\tmovw %%fs, %2\n\tmovw %%gs, %3"
			 : "=m"(segments.ds), "=m"(segments.es), "=m"(segments.fs), "=m"(segments.gs));
	if (self->shared->host.fsgsbase) {
		__asm__ volatile("rdfsbase %0\n\trdgsbase %1" : "=r"(segments.fs_base), "=r"(segments.gs_base));
		__asm__ volatile("movl %0, %%fs\n\twrfsbase %1" ::"r"(0), "r"(child_fs_base) : "memory");
	}
	child_step(context);
	__asm__ volatile("movw %0, %%ds\n\tmovw %1, %%es" ::"m"(segments.ds), "m"(segments.es) : "memory");
	if (!self->shared->host.fsgsbase)
		return;
	__asm__ volatile("movw %0, %%fs\n\tmovw %1, %%gs" ::"m"(segments.fs), "m"(segments.gs) : "memory");
	if (segments.load_bases)
		__asm__ volatile("wrfsbase %0\n\twrgsbase %1" ::"r"(segments.fs_base), "r"(segments.gs_base)
				 : "memory");
}

static void *map_fixed(u64 address, size_t size, int prot, int fd, size_t offset)
{
	void *p = mmap((void *)address, size, prot, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, offset);

	if (p != (void *)address)
		_exit(1);
	return p;
}

/* The LDT of segments.c. */
static bool child_ldt(void)
{
	for (unsigned n = 0; n < DIFF_LDT_COUNT; n++) {
		const struct diff_segment *s = &diff_ldt[n];
		struct user_desc d = {
		    .entry_number = n,
		    .base_addr = s->base,
		    .limit = s->limit,
		    .seg_32bit = s->big,
		    .contents = s->type >> 1,
		    .read_exec_only = !(s->type & 1),
		    .limit_in_pages = s->pages,
		    .seg_not_present = !s->present,
		    .useable = 1,
		};

		if (syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)))
			return false;
	}
	return true;
}

/* Linux tells the number of the CPU by a segment's limit: on one CPU it stays the same. */
static void child_host(struct diff_host *host)
{
	unsigned a, b, c, d;
	u64 lsl = 0, lar = 0;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(host->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	host->intel = __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx;
	host->fsgsbase = getauxval(AT_HWCAP2) & BIT(1);
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	host->xcr0 = (u64)d << 32 | a;
	__asm__ volatile("lsl %2, %0\n\tlar %2, %1" : "+&r"(lsl), "+&r"(lar) : "r"(0x7bul) : "cc");
	host->cpunode_lsl = lsl;
	host->cpunode_lar = lar;
	if (host->fsgsbase)
		__asm__ volatile("rdfsbase %0" : "=r"(child_fs_base));
	host->ldt = host->fsgsbase && child_ldt();
}

static void child_main(struct native *n)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	struct sigaction action = {.sa_sigaction = child_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	stack_t stack = {.ss_size = 256 << 10};

	self = n;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	child_host(&n->shared->host);
	map_fixed(DIFF_CODE, DIFF_CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, n->memfd,
		  offsetof(struct pages, code));
	map_fixed(DIFF_DATA, DIFF_DATA_SIZE, PROT_READ | PROT_WRITE, n->memfd, offsetof(struct pages, data));
	map_fixed(DIFF_RO, DIFF_PAGE, PROT_READ, n->memfd, offsetof(struct pages, ro));
	/* Present from the start: the first write to an absent read-only page would report it absent. */
	memset((void *)DIFF_CODE, 0xcc, DIFF_CODE_SIZE);
	(void)*(volatile u8 *)DIFF_RO;
	stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sigaltstack(&stack, NULL))
		_exit(1);
	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
		if (sigaction(signals[i], &action, NULL))
			_exit(1);
	__asm__ volatile("int3");
	_exit(1);
}

/* Waits for the child to say it is done; false when it has died or hangs. */
static bool child_wait(struct native *n)
{
	struct pollfd pfd = {.fd = n->from_child, .events = POLLIN};
	unsigned last = ~0u;
	char byte;

	for (;;) {
		int ready = poll(&pfd, 1, 1000);

		if (ready > 0)
			return read(n->from_child, &byte, 1) == 1;
		if (ready < 0 && errno != EINTR)
			return false;
		if (ready == 0 && n->shared->next == last)
			return false;
		last = n->shared->next;
	}
}

static void child_stop(struct native *n)
{
	if (n->child <= 0)
		return;
	kill(n->child, SIGKILL);
	waitpid(n->child, NULL, 0);
	close(n->to_child);
	close(n->from_child);
	n->child = 0;
}

static void child_start(struct native *n)
{
	int in[2], out[2];

	if (pipe(in) || pipe(out)) {
		perror("pipe");
		exit(1);
	}
	n->shared->next = n->shared->count = 0;
	fflush(NULL);
	n->child = fork();
	if (n->child < 0) {
		perror("fork");
		exit(1);
	}
	if (n->child == 0) {
		close(in[1]);
		close(out[0]);
		child_in = in[0];
		child_out = out[1];
		child_main(n);
	}
	close(in[0]);
	close(out[1]);
	n->to_child = in[1];
	n->from_child = out[0];
	if (!child_wait(n)) {
		fprintf(stderr, "the child process did not start\n");
		exit(1);
	}
}

void native_run(struct native *n, const struct diff_case *cases, unsigned count, struct diff_result *results)
{
	struct shared *sh = n->shared;
	unsigned done = 0;
	char byte = 0;

	memcpy(sh->cases, cases, count * sizeof(*cases));
	while (done < count) {
		bool ok;

		sh->next = done;
		sh->count = count;
		ok = write(n->to_child, &byte, 1) == 1 && child_wait(n);
		done = sh->next;
		if (!ok && done < count) {
			unsigned culprit = done++;

			child_stop(n);
			child_start(n);
			memset(&sh->results[culprit], 0, sizeof(sh->results[culprit]));
			sh->results[culprit].vector = DIFF_HANG;
		}
	}
	memcpy(results, sh->results, count * sizeof(*results));
}

const u8 *native_data(struct native *n)
{
	return n->pages->data;
}

void native_set_data(struct native *n, const u8 *data)
{
	memcpy(n->shared->data, data, DIFF_DATA_SIZE);
	memcpy(n->pages->ro, data + DIFF_DATA_SIZE, DIFF_PAGE);
}

const struct diff_host *native_host(const struct native *n)
{
	return &n->shared->host;
}

struct native *native_create(void)
{
	struct native *n = calloc(1, sizeof(*n));

	n->memfd = memfd_create("vmdbg-diff", 0);
	if (n->memfd < 0 || ftruncate(n->memfd, sizeof(struct pages))) {
		perror("memfd");
		exit(1);
	}
	n->pages = mmap(NULL, sizeof(struct pages), PROT_READ | PROT_WRITE, MAP_SHARED, n->memfd, 0);
	n->shared = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (n->pages == MAP_FAILED || n->shared == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	n->shared->host.cpu = sched_getcpu();
	child_start(n);
	return n;
}

void native_free(struct native *n)
{
	child_stop(n);
	munmap(n->pages, sizeof(struct pages));
	munmap(n->shared, sizeof(struct shared));
	close(n->memfd);
	free(n);
}
