/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "replay/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "traces/text.h"
#include "vmm/x86/cpuid.h"

#define FILE_MAX TRACE_BLOB_MAX

static const char *const kind_names[] = {
    [BOOT_AUTO] = "auto", [BOOT_LINUX] = "linux", [BOOT_MULTIBOOT] = "multiboot",
    [BOOT_ELF] = "elf",   [BOOT_FLAT] = "flat",   [BOOT_BIOS] = "bios",
};

const char *boot_kind_name(enum boot_kind kind)
{
	return (unsigned)kind < ARRAY_SIZE(kind_names) ? kind_names[kind] : "unknown";
}

void session_init(struct session *s)
{
	memset(s, 0, sizeof(*s));
	s->config.ram = 256ull << 20;
	s->config.vcpus = 1;
	s->config.clock = CLOCK_VIRTUAL;
	s->config.wall_start = 1704067200; /* 2024-01-01 00:00:00 UTC: the same for everybody */
}

void session_free(struct session *s)
{
	free(s->engine_name);
	free(s->registers);
	free(s->append);
	free(s->kernel_name);
	free(s->initrd_name);
	free(s->kernel_data);
	free(s->initrd_data);
	disk_free(s->disk);
	memset(s, 0, sizeof(*s));
}

/* --- files --- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int read_all(int fd, u8 *data, size_t size, size_t *len)
{
	*len = 0;
	while (*len < size) {
		ssize_t n = read(fd, data + *len, size - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		*len += (size_t)n;
	}
	return 0;
}

/* A whole file into memory. @what: "kernel", "initrd". */
static int read_file(const char *path, const char *what, u8 **data, size_t *len, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret = 0;
	struct stat st;

	if (fd < 0)
		return error_set(err, -errno, "cannot open %s %s: %s", what, path, strerror(errno));
	*data = NULL;
	if (fstat(fd, &st))
		ret = error_set(err, -errno, "cannot read %s %s: %s", what, path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		ret = error_set(err, -EINVAL, "%s %s is not a regular file", what, path);
	else if (!st.st_size)
		ret = error_set(err, -EINVAL, "%s %s is empty", what, path);
	else if ((u64)st.st_size > FILE_MAX)
		ret = error_set(err, -EFBIG, "%s %s is too large (%llu bytes)", what, path,
				(unsigned long long)st.st_size);
	else if (!(*data = malloc((size_t)st.st_size)))
		ret = error_set(err, -ENOMEM, "no memory for %s %s", what, path);
	if (!ret) {
		ret = read_all(fd, *data, (size_t)st.st_size, len);
		if (ret)
			error_set(err, ret, "cannot read %s %s: %s", what, path, strerror(-ret));
	}
	close(fd);
	if (ret) {
		free(*data);
		*data = NULL;
	}
	return ret;
}

static int set_file(struct boot_file *file, char **name, u8 **data, const char *path, const char *what,
		    struct error *err)
{
	size_t len;
	u8 *bytes;
	int ret = read_file(path, what, &bytes, &len, err);

	if (ret)
		return ret;
	free(*name);
	free(*data);
	*name = strdup(base_name(path));
	*data = bytes;
	if (!*name)
		return error_set(err, -ENOMEM, "out of memory");
	*file = (struct boot_file){.name = *name, .data = bytes, .len = len};
	return 0;
}

int session_set_kernel(struct session *s, const char *path, struct error *err)
{
	return set_file(&s->boot.kernel, &s->kernel_name, &s->kernel_data, path, "kernel", err);
}

int session_set_initrd(struct session *s, const char *path, struct error *err)
{
	return set_file(&s->boot.initrd, &s->initrd_name, &s->initrd_data, path, "initrd", err);
}

int session_set_disk(struct session *s, const char *path, struct error *err)
{
	int ret = disk_open(&s->disk, path, err);

	if (!ret)
		s->config.disk = disk_backend(s->disk);
	return ret;
}

int session_set_append(struct session *s, const char *append, struct error *err)
{
	free(s->append);
	s->append = strdup(append);
	s->boot.append = s->append;
	return s->append ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* --- saving --- */

char *session_register_layout(void)
{
	struct trace_buf buf = {0};

	for (const struct field *f = x86_state_fields; f->name; f++) {
		char item[80];
		int n = f->count == 1 ? snprintf(item, sizeof(item), "%s:%u ", f->name, f->size)
				      : snprintf(item, sizeof(item), "%s:%ux%u ", f->name, f->size, f->count);

		if (trace_buf_add(&buf, item, (size_t)n)) {
			trace_buf_free(&buf);
			return NULL;
		}
	}
	if (!buf.len || trace_buf_reserve(&buf, 1)) {
		trace_buf_free(&buf);
		return NULL;
	}
	buf.data[buf.len - 1] = 0;
	return (char *)buf.data;
}

static int describe_file(struct trace_buf *t, const char *what, const struct boot_file *file)
{
	struct trace_digest digest = trace_digest_of(file->data, file->len);
	char hex[33];

	trace_digest_format(&digest, hex);
	return trace_text_addf(t, what, "%s %zu %s", hex, file->len, base_name(file->name ? file->name : what));
}

static int describe(const struct session *s, unsigned flags, struct trace_buf *t)
{
	char hex[33];
	bool host = s->config.clock == CLOCK_HOST;
	char *layout = session_register_layout();
	int bad = !layout;

	bad = bad || trace_text_add(t, "machine", machine_model_name(s->config.model));
	bad = bad || trace_text_add(t, "cpu", cpu_model_name(s->config.cpu));
	bad = bad || trace_text_add(t, "boot-model", BOOT_MODEL);
	bad = bad || trace_text_add(t, "engine", s->config.engine ? s->config.engine->name : "none");
	bad = bad || trace_text_addf(t, "ram", "%llu", (unsigned long long)s->config.ram);
	bad = bad || trace_text_addf(t, "vcpus", "%u", s->config.vcpus);
	bad = bad || trace_text_add(t, "clock", host ? "host" : "virtual");
	if (s->config.free)
		bad = bad || trace_text_add(t, "positions", "accesses");
	bad = bad || trace_text_addf(t, "wall-start", "%llu", (unsigned long long)s->config.wall_start);
	bad = bad || trace_text_add(t, "logged", host ? "port mmio msr clock" : "port mmio");
	bad = bad || trace_text_add(t, "boot", boot_kind_name(s->boot.kind));
	bad = bad || trace_text_add(t, "inguest", s->boot.inguest ? "1" : "0");
	if (s->boot.kind == BOOT_FLAT)
		bad = bad || trace_text_addf(t, "flat-address", "0x%llx", (unsigned long long)s->boot.flat_address);
	bad = bad || describe_file(t, "kernel", &s->boot.kernel);
	if (s->boot.initrd.data)
		bad = bad || describe_file(t, "initrd", &s->boot.initrd);
	if (s->boot.append)
		bad = bad || trace_text_add(t, "append", s->boot.append);
	if (s->disk) {
		trace_digest_format(disk_digest(s->disk), hex);
		bad = bad || trace_text_addf(t, "disk", "%s %llu %s", hex,
					     (unsigned long long)disk_backend(s->disk)->sectors, disk_name(s->disk));
		bad = bad || trace_text_add(t, "disk-blocks", flags & SESSION_EMBED_NONE ? "none" : "read");
	}
	if (flags & SESSION_BEGIN_CHECKPOINT)
		bad = bad || trace_text_add(t, "begin", "checkpoint");
	bad = bad || trace_text_add(t, "registers", layout);
	free(layout);
	return bad ? -ENOMEM : 0;
}

static int save_file(struct trace_writer *w, const struct boot_file *file, bool embed)
{
	const char *name = base_name(file->name ? file->name : "");
	struct trace_digest digest;

	if (embed)
		return trace_write_blob(w, name, file->data, file->len, NULL);
	digest = trace_digest_of(file->data, file->len);
	return trace_write_blob_name(w, name, file->len, &digest);
}

int session_save(const struct session *s, struct trace_writer *w, unsigned flags, struct error *err)
{
	bool embed = !(flags & (SESSION_EMBED_NONE | SESSION_NAME_FILES));
	struct trace_buf text = {0};
	int ret = describe(s, flags, &text);

	if (ret)
		error_set(err, ret, "out of memory");
	if (!ret && s->config.free && trace_writer_require(w, TRACE_VERSION))
		ret = error_set(err, -EIO, "%s", trace_writer_error(w)->text);
	if (!ret) {
		ret = trace_write(w, TRACE_MACHINE, 0, text.data, text.len);
		if (!ret)
			ret = save_file(w, &s->boot.kernel, embed);
		if (!ret && s->boot.initrd.data)
			ret = save_file(w, &s->boot.initrd, embed);
		if (ret)
			error_set(err, ret, "%s", trace_writer_error(w)->text);
	}
	trace_buf_free(&text);
	return ret;
}

/* --- loading --- */

struct description {
	const u8 *data;
	size_t len;
	struct error *err;
};

static int need_number(const struct description *d, const char *key, u64 max, u64 *value)
{
	int ret = trace_text_number(d->data, d->len, key, value);

	if (ret == -ENOENT)
		return error_set(d->err, -EBADMSG, "the trace's machine description has no '%s'", key);
	if (ret || *value > max)
		return error_set(d->err, -EINVAL, "the trace's machine description has a bad '%s'", key);
	return 0;
}

/* The value must be one of the @count revisions that this program knows; name(0) is the present one. */
static int need_model(const struct description *d, const char *key, const char *what,
		      const char *(*name)(unsigned revision), unsigned count, unsigned *revision)
{
	char *found = trace_text_get(d->data, d->len, key, 0);
	int ret = 0;

	*revision = 0;
	while (found && *revision < count && strcmp(found, name(*revision)))
		++*revision;
	if (!found)
		ret = error_set(d->err, -EBADMSG, "the trace's machine description has no '%s'", key);
	else if (*revision == count)
		ret = error_set(d->err, -ENOTSUP, "the trace needs the %s '%.100s'; this vmdbg has '%s'", what, found,
				name(0));
	free(found);
	return ret;
}

static const char *machine_name(unsigned revision)
{
	return machine_model_name(revision);
}

static const char *cpu_name(unsigned revision)
{
	return cpu_model_name(revision);
}

static const char *boot_name(unsigned revision)
{
	return BOOT_MODEL;
}

static int need_models(const struct description *d, struct machine_config *config)
{
	unsigned machine, cpu, boot;
	int ret = need_model(d, "machine", "machine model", machine_name, MACHINE_MODEL_COUNT, &machine);

	if (!ret)
		ret = need_model(d, "cpu", "CPU model", cpu_name, CPU_MODEL_COUNT, &cpu);
	if (!ret)
		ret = need_model(d, "boot-model", "loader model", boot_name, 1, &boot);
	if (ret)
		return ret;
	config->model = machine;
	config->cpu = cpu;
	return 0;
}

/* What is counted; nothing said: instructions. */
static int load_positions(struct session *s, const struct description *d)
{
	char *what = trace_text_get(d->data, d->len, "positions", 0);
	int ret = 0;

	s->config.free = what && !strcmp(what, "accesses");
	if (what && !s->config.free && strcmp(what, "instructions"))
		ret = error_set(d->err, -ENOTSUP,
				"the trace counts positions in a way ('%.50s') that this vmdbg does not know", what);
	else if (s->config.free && s->config.clock != CLOCK_HOST)
		ret = error_set(d->err, -EINVAL, "the trace's machine description has a bad 'positions'");
	free(what);
	return ret;
}

static int load_config(struct session *s, const struct description *d)
{
	char *clock, *logged;
	u64 vcpus;
	int ret = need_models(d, &s->config);

	if (!ret)
		ret = need_number(d, "ram", MEMORY_MAX, &s->config.ram);
	if (!ret)
		ret = need_number(d, "vcpus", MACHINE_MAX_VCPUS, &vcpus);
	if (!ret)
		ret = need_number(d, "wall-start", ~0ull, &s->config.wall_start);
	if (ret)
		return ret;
	if (!vcpus)
		return error_set(d->err, -EINVAL, "the trace's machine description has a bad 'vcpus'");
	s->config.vcpus = (unsigned)vcpus;
	clock = trace_text_get(d->data, d->len, "clock", 0);
	if (clock && !strcmp(clock, "host"))
		s->config.clock = CLOCK_HOST;
	else if (!clock || strcmp(clock, "virtual"))
		ret = error_set(d->err, -EINVAL, "the trace's machine description has a bad 'clock'");
	free(clock);
	if (!ret)
		ret = load_positions(s, d);
	logged = trace_text_get(d->data, d->len, "logged", 0);
	s->msr_logged = logged && strstr(logged, "msr");
	free(logged);
	s->engine_name = trace_text_get(d->data, d->len, "engine", 0);
	s->registers = trace_text_get(d->data, d->len, "registers", 0);
	return ret;
}

static int load_boot(struct session *s, const struct description *d)
{
	char *kind = trace_text_get(d->data, d->len, "boot", 0);
	u64 inguest = 0;
	int ret = 0;
	unsigned k = 0;

	while (kind && k < ARRAY_SIZE(kind_names) && strcmp(kind, kind_names[k]))
		k++;
	if (!kind || k == ARRAY_SIZE(kind_names))
		ret = error_set(d->err, -ENOTSUP,
				"the trace boots its kernel in a way ('%.50s') that this vmdbg does not know",
				kind ? kind : "");
	free(kind);
	if (ret)
		return ret;
	s->boot.kind = (enum boot_kind)k;
	s->config.firmware = s->boot.kind == BOOT_BIOS;
	ret = need_number(d, "inguest", 1, &inguest);
	s->boot.inguest = inguest;
	if (!ret && s->boot.kind == BOOT_FLAT)
		ret = need_number(d, "flat-address", ~0ull, &s->boot.flat_address);
	s->append = trace_text_get(d->data, d->len, "append", 0);
	s->boot.append = s->append;
	return ret;
}

/* A file given by path in place of the trace's: it must be the same. */
static int load_given(struct boot_file *file, char **name, u8 **data, const char *path, const char *what,
		      const struct trace_digest *want, const char *blob_name, struct error *err)
{
	int ret = set_file(file, name, data, path, what, err);
	struct trace_digest found;
	char hex[33];

	if (ret)
		return ret;
	found = trace_digest_of(file->data, file->len);
	trace_digest_format(want, hex);
	if (memcmp(&found, want, sizeof(found)))
		return error_set(err, -EINVAL, "%s %s is not the one that was recorded ('%s', digest %s)", what, path,
				 blob_name, hex);
	/* The guest is told the name it was told then. */
	free(*name);
	*name = strdup(blob_name);
	file->name = *name;
	return *name ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* @what: the key in the description. *@given: a path, or NULL. @needed: it may not be missing. */
static int load_file(struct trace_reader *r, const struct description *d, const char *what, const char *given,
		     bool needed, struct boot_file *file, char **name, u8 **data)
{
	char *line = trace_text_get(d->data, d->len, what, 0);
	struct trace_digest digest;
	struct trace_blob blob;
	char hex[33] = "";
	int ret;

	if (!line)
		return -ENOENT;
	snprintf(hex, sizeof(hex), "%s", line);
	free(line);
	if (trace_digest_parse(&digest, hex))
		return error_set(d->err, -EBADMSG, "the trace's machine description has a bad '%s'", what);
	ret = trace_read_blob(r, &digest, &blob, d->err);
	if (ret) {
		if (ret == -ENOENT)
			ret = -EBADMSG; /* a trace names what it holds */
		return error_prefix(d->err, ret, "the recorded %s", what);
	}
	if (given) {
		free(blob.data);
		return load_given(file, name, data, given, what, &digest, blob.name, d->err);
	}
	if (blob.name_only && !needed)
		return 0;
	if (blob.name_only)
		return error_set(d->err, -ENOENT,
				 "the trace does not hold its %s, '%s' (digest %s): give the file with --%s", what,
				 blob.name, hex, what);
	*data = blob.data;
	*name = strdup(blob.name);
	*file = (struct boot_file){.name = *name, .data = blob.data, .len = blob.len};
	return *name ? 0 : error_set(d->err, -ENOMEM, "out of memory");
}

/* The disk: a given image with the recorded digest, or what the trace has of it. */
static int load_disk(struct session *s, struct trace_reader *r, const struct description *d, const char *given)
{
	char *line = trace_text_get(d->data, d->len, "disk", 0), *blocks, name[256] = "";
	unsigned long long sectors = 0;
	struct trace_digest digest;
	char hex[33] = "";
	bool embedded;
	int ret;

	if (!line)
		return given ? error_set(d->err, -EINVAL, "the trace was recorded without a disk") : 0;
	ret = sscanf(line, "%32s %llu %255[^\n]", hex, &sectors, name) < 2 || trace_digest_parse(&digest, hex) ||
	      !sectors || sectors >> 54;
	free(line);
	if (ret)
		return error_set(d->err, -EBADMSG, "the trace's machine description has a bad 'disk'");
	if (given) {
		ret = session_set_disk(s, given, d->err);
		if (!ret &&
		    (memcmp(&digest, disk_digest(s->disk), sizeof(digest)) || s->config.disk->sectors != sectors))
			ret = error_set(d->err, -EINVAL, "%s: not the disk image '%s' of the recording (digest %s)",
					given, name, hex);
		return ret;
	}
	blocks = trace_text_get(d->data, d->len, "disk-blocks", 0);
	embedded = blocks && !strcmp(blocks, "read");
	free(blocks);
	if (!embedded)
		return error_set(d->err, -ENOENT,
				 "the trace does not hold its disk, '%s' (digest %s): give the file with --disk", name,
				 hex);
	ret = disk_from_trace(&s->disk, r, sectors, d->err);
	if (!ret)
		s->config.disk = disk_backend(s->disk);
	return ret;
}

static int load_all(struct session *s, struct trace_reader *r, const struct description *d, const char *kernel,
		    const char *initrd, const char *disk)
{
	char *begin = trace_text_get(d->data, d->len, "begin", 0);
	int ret = load_config(s, d);

	s->mid = begin && !strcmp(begin, "checkpoint");
	free(begin);
	if (!ret)
		ret = load_boot(s, d);
	if (!ret)
		ret = load_disk(s, r, d, disk);
	if (ret)
		return ret;
	ret = load_file(r, d, "kernel", kernel, !s->mid, &s->boot.kernel, &s->kernel_name, &s->kernel_data);
	if (ret == -ENOENT && !d->err->text[0])
		return error_set(d->err, -EBADMSG, "the trace's machine description has no 'kernel'");
	if (ret)
		return ret;
	ret = load_file(r, d, "initrd", initrd, !s->mid, &s->boot.initrd, &s->initrd_name, &s->initrd_data);
	if (ret == -ENOENT && !d->err->text[0])
		return initrd ? error_set(d->err, -EINVAL, "the trace was recorded without an initrd") : 0;
	return ret;
}

int session_load(struct session *s, struct trace_reader *r, const char *kernel, const char *initrd, const char *disk,
		 struct error *err)
{
	struct trace_buf text = {0};
	struct error local = {""};
	struct description d = {.err = err ? err : &local};
	int ret;

	session_init(s);
	d.err->text[0] = 0;
	if (!r->count || r->chunk[0].type != TRACE_MACHINE)
		return error_set(err, -EBADMSG, "the trace has no machine description%s%s",
				 r->state == TRACE_WHOLE ? "" : ": ", r->state == TRACE_WHOLE ? "" : r->damage.text);
	ret = trace_read(r, 0, &text, d.err);
	if (!ret) {
		d.data = text.data;
		d.len = text.len;
		ret = load_all(s, r, &d, kernel, initrd, disk);
	}
	/* A file that is missing because the trace ends too early. */
	if (ret == -EBADMSG && r->state != TRACE_WHOLE)
		error_set(err, ret, "%s: too early to replay anything", r->damage.text);
	trace_buf_free(&text);
	if (ret)
		session_free(s);
	return ret;
}
