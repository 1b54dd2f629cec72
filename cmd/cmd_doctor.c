/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/engines.h"
#include "cmd/figures.h"
#include "cmd/options.h"
#include "vmm/x86/cpuid.h"

struct host {
	char cpu[128];
	char kernel[256];
	long cpus;
	u64 memory_free; /* bytes; 0: unknown */
	bool vmx, svm, kvm;
};

/* The text after "KEY" and ": " in a file of such lines, up to the line's end. False: none. */
static bool find_line(const char *path, const char *key, char *out, size_t size)
{
	char line[4096];
	bool found = false;
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		const char *colon = strchr(line, ':');

		if (!colon || strncmp(line, key, strlen(key)))
			continue;
		colon += 1 + strspn(colon + 1, " \t");
		snprintf(out, size, "%.*s", (int)strcspn(colon, "\n"), colon);
		found = true;
	}
	fclose(f);
	return found;
}

static bool has_word(const char *list, const char *word)
{
	const size_t len = strlen(word);

	for (const char *p = strstr(list, word); p; p = strstr(p + 1, word))
		if ((p == list || p[-1] == ' ') && (!p[len] || p[len] == ' '))
			return true;
	return false;
}

static void look_at_host(struct host *h)
{
	char flags[4096] = "", memory[64];
	struct utsname u;

	memset(h, 0, sizeof(*h));
	if (!find_line("/proc/cpuinfo", "model name", h->cpu, sizeof(h->cpu)))
		snprintf(h->cpu, sizeof(h->cpu), "unknown");
	find_line("/proc/cpuinfo", "flags", flags, sizeof(flags));
	h->vmx = has_word(flags, "vmx");
	h->svm = has_word(flags, "svm");
	h->kvm = !access("/dev/kvm", R_OK | W_OK);
	h->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (find_line("/proc/meminfo", "MemAvailable", memory, sizeof(memory)))
		h->memory_free = strtoull(memory, NULL, 10) << 10;
	if (!uname(&u))
		snprintf(h->kernel, sizeof(h->kernel), "%.80s %.80s", u.sysname, u.release);
}

static void print_text(const struct host *h)
{
	char memory[FORMAT_MAX];
	struct error why;

	for (unsigned i = 0; i < ENGINES; i++) {
		why.text[0] = 0;
		if (engines[i]->probe && engines[i]->probe(&why))
			printf("engine %-5s no: %s\n", engines[i]->name, why.text);
		else
			printf("engine %-5s yes%s%s\n", engines[i]->name, why.text[0] ? ": " : "", why.text);
	}
	printf("guest CPU    %s, the same on every host\n", CPU_MODEL_NAME);
	printf("host CPU     %s, %ld online, %s\n", h->cpu, h->cpus,
	       h->vmx   ? "with VT-x"
	       : h->svm ? "with SVM"
			: "without VT-x and SVM (or hidden from this system)");
	printf("/dev/kvm     %s\n", h->kvm                     ? "usable"
				    : access("/dev/kvm", F_OK) ? "not there"
							       : "there, but not for this user");
	printf("host kernel  %s\n", h->kernel);
	if (h->memory_free)
		printf("host memory  %s available\n", format_bytes(memory, h->memory_free));
}

static int print_json(const struct host *h)
{
	json_t *j = json_object(), *list = json_object(), *host = json_object();
	struct error why;

	for (unsigned i = 0; i < ENGINES; i++) {
		json_t *e = json_object();
		bool serves;

		why.text[0] = 0;
		serves = !engines[i]->probe || !engines[i]->probe(&why);
		json_object_set_new(e, "serves", json_boolean(serves));
		json_object_set_new(e, "reason", why.text[0] ? figures_json_text(why.text) : json_null());
		json_object_set_new(list, engines[i]->name, e);
	}
	json_object_set_new(j, "version", json_string(VMDBG_VERSION));
	json_object_set_new(j, "engines", list);
	json_object_set_new(j, "guest_cpu", json_string(CPU_MODEL_NAME));
	json_object_set_new(host, "cpu", figures_json_text(h->cpu));
	json_object_set_new(host, "cpus", json_integer(h->cpus));
	json_object_set_new(host, "vmx", json_boolean(h->vmx));
	json_object_set_new(host, "svm", json_boolean(h->svm));
	json_object_set_new(host, "kvm", json_boolean(h->kvm));
	json_object_set_new(host, "kernel", figures_json_text(h->kernel));
	json_object_set_new(host, "memory_available_bytes", json_integer(h->memory_free));
	json_object_set_new(j, "host", host);
	return figures_json_print(j);
}

static int run_doctor(int argc, char **argv)
{
	struct error err = {""};
	struct options o;
	struct host host;
	int status = STATUS_OK;

	if (options_parse(&o, OPT_DOCTOR, NULL, argc, argv, &err)) {
		complain("%s", err.text);
		status = STATUS_USAGE;
	} else if (o.help) {
		command_help(stdout, &cmd_doctor, OPT_DOCTOR);
	} else {
		look_at_host(&host);
		if (!o.json)
			print_text(&host);
		else if (print_json(&host))
			status = STATUS_USAGE;
	}
	options_free(&o);
	return status;
}

const struct command cmd_doctor = {
    .name = "doctor",
    .summary = "say which engines can run here, and why others can't",
    .usage = "usage: vmdbg doctor [--json]\n"
	     "\n"
	     "Prints a line for each engine, with the reason when it can't serve on this host, and what\n"
	     "else of the host matters.\n",
    .examples = "  vmdbg doctor\n"
		"  vmdbg doctor --json | jq .engines\n",
    .run = run_doctor,
};
