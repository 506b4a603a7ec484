/*
 * init of the guests that payload "linux" starts: the only program in them.
 *
 * It writes random data into all memory that the kernel can spare, one thread a vCPU, and says so over the
 * console; then it does what lines on the console ask for:
 *
 *     poweroff    turn the machine off
 *     busy        keep every vCPU busy
 *     idle        let them sleep again
 *
 * What it says begins with "harness: " and is one line each:
 *
 *     harness: touched DONE of TOTAL MiB
 *     harness: ready
 *     harness: error: WHAT: WHY
 *
 * "harness.busy=1" on the kernel's command line is the request "busy" once the guest is ready.
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

/* Taken and filled at once: a multiple of every architecture's huge page (x86_64 2 MiB, s390x 1 MiB). */
#define CHUNK (4 * MIB)

/* Left to the kernel: page tables, stacks, what its own threads may ask for; of small guests and of large. */
#define RESERVE (8 * MIB)
#define RESERVE_PART 128

#define MAX_WORKERS 256

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14, newer than some C libraries' headers */
#endif

static atomic_ulong touched;
static atomic_uint filling;
static atomic_bool busy;
static char *memory;        /* all that is to be filled */
static unsigned long total; /* its bytes */
static atomic_ulong taken;  /* bytes that workers have taken, or asked for in vain */

/* One write a line, so that the kernel's own messages come between lines. */
static void say(const char *format, ...)
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
            return; /* nobody is listening */
        }
        done += wrote > 0 ? wrote : 0;
    }
}

/* Nothing can go on: the harness reads the reason, and the machine ends. */
static void fail(const char *what)
{
    say("error: %s: %s", what, strerror(errno));
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

    if (file) { /* a kernel that lacks it does without */
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

/* xorshift64* without its multiplication (Marsaglia 2003): every word differs from every other one. */
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

/* The next chunk for a worker, of *size bytes; NULL when all are taken. */
static void *take(size_t *size)
{
    unsigned long from = atomic_fetch_add(&taken, CHUNK);

    if (from >= total) {
        return NULL;
    }
    *size = total - from < CHUNK ? total - from : CHUNK;
    return memory + from;
}

/*
 * Address space for all, once, before there are workers: mmap() and MADV_HUGEPAGE wait until no thread of the
 * process has a page fault under way, and faulting a chunk in is one long fault.
 */
static void map_memory(void)
{
    char *mapped = mmap(NULL, total + CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (mapped == MAP_FAILED) {
        fail("mmap");
    }
    memory = mapped + (CHUNK - (uintptr_t)mapped % CHUNK) % CHUNK; /* else a huge page has no place at the ends */
    madvise(memory, total, MADV_HUGEPAGE);
}

/*
 * Fill memory as long as there is some, then sleep, or compute as long as that is asked for.
 * A page fault in an emulated guest costs as much as filling several pages. So huge pages are asked for,
 * and the kernel is told to fault a whole chunk in at once: 3 s instead of 15 s a GiB for s390x under TCG,
 * which has no huge pages. Either may be refused by an old kernel, which is slower then and no less right.
 */
static void *work(void *argument)
{
    uint64_t *own = NULL, *next;
    uint64_t state = 0x9e3779b97f4a7c15UL * ((uintptr_t)argument + 1);
    size_t size;

    while ((next = take(&size))) {
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

    /* The kernel keeps up to 5 % free for huge pages (khugepaged); a guest that allocates no more needs less. */
    set("/proc/sys/vm/min_free_kbytes", "1024");
    /* Else zones of low memory keep a part for devices, which counts as free and cannot be had. */
    set("/proc/sys/vm/lowmem_reserve_ratio", "1000000 1000000 1000000 1000000 1000000");
    set("/proc/sys/vm/overcommit_memory", "1");
    set("/sys/kernel/mm/ksm/run", "0");
    /* Not MemAvailable: it counts files, and ours, in the initramfs, are never dropped. */
    unused = meminfo("MemFree");
    reserve = RESERVE + unused / RESERVE_PART;
    total = unused > reserve ? (unused - reserve) / MIB * MIB : 0;
    map_memory();
    say("touched 0 of %lu MiB", total / MIB);
    start_workers();
    for (unsigned long said = 0; atomic_load(&filling);) {
        unsigned long done = atomic_load(&touched);

        if (done - said >= total / 8 && done < total) {
            say("touched %lu of %lu MiB", done / MIB, total / MIB);
            said = done;
        }
        usleep(20 * 1000);
    }
    say("touched %lu of %lu MiB", atomic_load(&touched) / MIB, total / MIB);
}

static void obey(const char *request)
{
    if (!strcmp(request, "poweroff")) {
        reboot(RB_POWER_OFF);
        fail("poweroff");
    } else if (!strcmp(request, "busy") || !strcmp(request, "idle")) {
        atomic_store(&busy, !strcmp(request, "busy"));
        say("%s", request);
    } else if (*request) {
        say("unknown request: %.40s", request);
    }
}

int main(void)
{
    struct termios console;
    char line[128];

    mount_on("proc", "/proc");
    mount_on("sysfs", "/sys");
    if (tcgetattr(STDIN_FILENO, &console) == 0) { /* what is asked is not to be sent back */
        console.c_lflag &= ~(ECHO | ECHONL);
        tcsetattr(STDIN_FILENO, TCSANOW, &console);
    }
    touch_memory();
    atomic_store(&busy, on_command_line("harness.busy=1"));
    say("ready");
    for (;;) {
        if (fgets(line, sizeof(line), stdin)) {
            line[strcspn(line, "\r\n")] = '\0';
            obey(line);
        } else {
            clearerr(stdin);
            usleep(100 * 1000);
        }
    }
}
