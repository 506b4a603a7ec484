/*
 * init of guests with payload "linux", which run no other program.
 *
 * With one thread for each vCPU, it writes random data to all memory that the kernel does not need, and
 * reports progress on the console.  Then it handles requests, which are lines on the console:
 *
 *     poweroff    turn the machine off
 *     busy        keep every vCPU busy
 *     idle        let the vCPUs sleep again
 *
 * Each report is one line that begins with "harness: ":
 *
 *     harness: touched DONE of TOTAL MiB
 *     harness: ready
 *     harness: error: WHAT: WHY
 *
 * With "harness.busy=1" on the kernel's command line, the guest is busy as soon as it is ready.
 * docs/guests.md describes this protocol.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define MIB (1024UL * 1024UL)

/* Unit of work: a multiple of every architecture's huge page (x86_64 2 MiB, s390x 1 MiB). */
#define CHUNK (4 * MIB)

/* Reserved for the kernel (page tables, stacks, its threads): a fixed part and a part of the memory. */
#define RESERVE (8 * MIB)
#define RESERVE_PART 128

#define MAX_WORKERS 256

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14, newer than some C libraries' headers */
#endif

static atomic_ulong touched;
static atomic_uint filling;
static atomic_bool busy;
static char *memory;        /* memory to fill */
static unsigned long total; /* its size in bytes */
static atomic_ulong taken;  /* bytes that workers have taken; may exceed total */

/* Write each line at once, so that messages of the kernel do not interrupt it. */
static void report(const char *format, ...)
{
    char line[160] = "harness: ";
    size_t length = strlen(line);
    va_list words;

    va_start(words, format);
    vsnprintf(line + length, sizeof(line) - length - 1, format, words);
    va_end(words);
    length = strlen(line);
    line[length++] = '\n';
    for (size_t done = 0; done < length;) {
        ssize_t wrote = write(STDOUT_FILENO, line + done, length - done);
        if (wrote < 0 && errno != EINTR) {
            return; /* the console is closed */
        }
        done += wrote > 0 ? wrote : 0;
    }
}

/* Report an error to the harness and turn the machine off. */
static void fail(const char *what)
{
    report("error: %s: %s", what, strerror(errno));
    tcdrain(STDOUT_FILENO);
    reboot(RB_POWER_OFF);
    for (;;) {
        pause();
    }
}

static void mount_on(const char *type, const char *folder)
{
    if (mkdir(folder, 0755) < 0 && errno != EEXIST) {
        fail(folder);
    }
    if (mount(type, folder, type, MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 && errno != EBUSY) {
        fail(folder);
    }
}

/* A line of /proc/meminfo in bytes (proc(5)). */
static unsigned long meminfo(const char *name)
{
    char line[128];
    unsigned long kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");

    if (!file) {
        fail("/proc/meminfo");
    }
    while (fgets(line, sizeof(line), file)) {
        if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':') {
            kib = strtoul(line + strlen(name) + 1, NULL, 10);
            break;
        }
    }
    fclose(file);
    return kib * 1024;
}

static void set(const char *path, const char *value)
{
    FILE *file = fopen(path, "we");

    if (file) { /* the kernel may not have this setting */
        fputs(value, file);
        fclose(file);
    }
}

static bool on_command_line(const char *word)
{
    char line[4096] = "";
    FILE *file = fopen("/proc/cmdline", "re");
    bool found = false;

    if (!file) {
        return false;
    }
    if (fgets(line, sizeof(line), file)) {
        for (char *rest = line, *next; (next = strsep(&rest, " \n"));) {
            found = found || !strcmp(next, word);
        }
    }
    fclose(file);
    return found;
}

/* xorshift64* without the multiplication (Marsaglia 2003): all words are different. */
static uint64_t fill(uint64_t *from, size_t bytes, uint64_t state)
{
    for (uint64_t *word = from, *end = from + bytes / sizeof(*from); word < end; word++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *word = state;
    }
    return state;
}

/* Return the next chunk, of *size bytes, or NULL if all are taken. */
static void *next_chunk(size_t *size)
{
    unsigned long from = atomic_fetch_add(&taken, CHUNK);

    if (from >= total) {
        return NULL;
    }
    *size = total - from < CHUNK ? total - from : CHUNK;
    return memory + from;
}

/*
 * Map all memory before the workers start: mmap() and MADV_HUGEPAGE wait for page faults of other threads,
 * and populating a chunk is one long fault.
 */
static void map_memory(void)
{
    char *mapped = mmap(NULL, total + CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (mapped == MAP_FAILED) {
        fail("mmap");
    }
    memory = mapped + (CHUNK - (uintptr_t)mapped % CHUNK) % CHUNK; /* aligned, so that huge pages fit */
    madvise(memory, total, MADV_HUGEPAGE);
}

/*
 * Fill all chunks, then sleep, or compute while the guest is busy.
 * In an emulated guest, a page fault takes as long as filling several pages.  Therefore huge pages are
 * requested, and a whole chunk is populated at once: for s390x under TCG, which has no huge pages, this takes
 * 3 s instead of 15 s for each GiB.  Old kernels may support neither; then this is slower, but correct.
 */
static void *work(void *argument)
{
    uint64_t *own = NULL, *next;
    uint64_t state = 0x9e3779b97f4a7c15UL * ((uintptr_t)argument + 1);
    size_t size;

    while ((next = next_chunk(&size))) {
        own = next;
        madvise(own, size, MADV_POPULATE_WRITE);
        state = fill(own, size, state);
        atomic_fetch_add(&touched, size);
    }
    atomic_fetch_sub(&filling, 1);
    for (;;) {
        if (atomic_load(&busy) && own) {
            state = fill(own, 4096, state);
        } else {
            usleep(100 * 1000);
        }
    }
    return NULL;
}

static void start_workers(void)
{
    cpu_set_t cpus;
    int number = 0;

    if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0) {
        fail("sched_getaffinity");
    }
    for (int cpu = 0; cpu < CPU_SETSIZE && number < MAX_WORKERS; cpu++) {
        pthread_attr_t attributes;
        pthread_t thread;
        cpu_set_t one;

        if (!CPU_ISSET(cpu, &cpus)) {
            continue;
        }
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        atomic_fetch_add(&filling, 1);
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 64 * 1024);
        pthread_attr_setaffinity_np(&attributes, sizeof(one), &one);
        errno = pthread_create(&thread, &attributes, work, (void *)(uintptr_t)number++);
        if (errno) {
            fail("pthread_create");
        }
        pthread_attr_destroy(&attributes);
    }
}

static void touch_memory(void)
{
    unsigned long unused, reserve;

    /* By default, the kernel keeps up to 5 % free for huge pages (khugepaged). */
    set("/proc/sys/vm/min_free_kbytes", "1024");
    /* By default, low memory zones reserve a part for devices, which counts as free but is not available. */
    set("/proc/sys/vm/lowmem_reserve_ratio", "1000000 1000000 1000000 1000000 1000000");
    set("/proc/sys/vm/overcommit_memory", "1");
    set("/sys/kernel/mm/ksm/run", "0");
    /* Not MemAvailable: it includes files, but those of the initramfs cannot be dropped. */
    unused = meminfo("MemFree");
    reserve = RESERVE + unused / RESERVE_PART;
    total = unused > reserve ? (unused - reserve) / MIB * MIB : 0;
    map_memory();
    report("touched 0 of %lu MiB", total / MIB);
    start_workers();
    for (unsigned long reported = 0; atomic_load(&filling);) {
        unsigned long done = atomic_load(&touched);

        if (done - reported >= total / 8 && done < total) {
            report("touched %lu of %lu MiB", done / MIB, total / MIB);
            reported = done;
        }
        usleep(20 * 1000);
    }
    report("touched %lu of %lu MiB", atomic_load(&touched) / MIB, total / MIB);
}

static void handle(const char *request)
{
    if (!strcmp(request, "poweroff")) {
        reboot(RB_POWER_OFF);
        fail("poweroff");
    } else if (!strcmp(request, "busy") || !strcmp(request, "idle")) {
        atomic_store(&busy, !strcmp(request, "busy"));
        report("%s", request);
    } else if (*request) {
        report("unknown request: %.40s", request);
    }
}

int main(void)
{
    struct termios console;
    char line[128];

    mount_on("proc", "/proc");
    mount_on("sysfs", "/sys");
    if (tcgetattr(STDIN_FILENO, &console) == 0) { /* do not echo requests */
        console.c_lflag &= ~(ECHO | ECHONL);
        tcsetattr(STDIN_FILENO, TCSANOW, &console);
    }
    touch_memory();
    atomic_store(&busy, on_command_line("harness.busy=1"));
    report("ready");
    for (;;) {
        if (fgets(line, sizeof(line), stdin)) {
            line[strcspn(line, "\r\n")] = '\0';
            handle(line);
        } else {
            clearerr(stdin);
            usleep(100 * 1000);
        }
    }
}
