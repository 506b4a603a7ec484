/*
 * Time the end of QEMU, or check one property of asynchronous teardown, on the current machine.
 *
 *   measure sample INDEX TRIGGER PAGES MEMORY_MIB TIMEOUT_S -- QEMU ARGUMENT...
 *   measure property NAME TIMEOUT_S -- QEMU ARGUMENT...
 *
 * TRIGGER is sigterm, sigkill, sigabrt or quit.  QEMU's arguments must put QMP on descriptor 3.
 * The result is one record on standard output: RS (0x1e), JSON, newline (RFC 7464).  The measurement is the
 * same as in harness/teardown/watch.py: CLOCK_MONOTONIC from just before the trigger to the return of waitid()
 * for QEMU, and to the end of the last process that shares its memory, which is found by kcmp().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include "measure.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define QMP_FD 3
#define KCMP_VM 1 /* linux/kcmp.h */
#define KILL_S 30 /* time limit for a killed process to end */

static char kind[64];
static char log_name[256]; /* QEMU's output: $TMPDIR/qemu.log */
static volatile sig_atomic_t expired;
static int alarm_pidfd = -1;
static int victim = -1; /* pidfd of QEMU, which fail() kills with its children */

/* ---- output ---- */

/* Write a record at once, so that messages of the kernel do not interrupt it. */
void put(const char *body)
{
    char line[4096];
    int n = snprintf(line, sizeof(line), "\x1e{%s%s}\n", kind, body);

    if (n >= (int)sizeof(line)) {
        n = sizeof(line) - 1;
    }
    for (int done = 0; done < n;) {
        ssize_t ret = write(STDOUT_FILENO, line + done, n - done);
        if (ret < 0 && errno != EINTR) {
            exit(1);
        }
        done += ret > 0 ? ret : 0;
    }
}

void escape(char *out, size_t size, const char *text)
{
    size_t n = 0;

    for (; *text && n + 2 < size; text++) {
        unsigned char c = *text;
        if (c == '"' || c == '\\') {
            out[n++] = '\\';
        }
        out[n++] = c < 0x20 || c > 0x7e ? '?' : c;
    }
    out[n] = 0;
}

/* Read the last line of QEMU's output. */
static void last_line(char *out, size_t size)
{
    char buffer[2048], *line;
    int fd = open(log_name, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    ssize_t n = 0;

    if (fd >= 0) {
        n = pread(fd, buffer, sizeof(buffer) - 1, end > 2047 ? end - 2047 : 0);
        close(fd);
    }
    while (n > 0 && isspace((unsigned char)buffer[n - 1])) {
        n--;
    }
    buffer[n > 0 ? n : 0] = 0;
    line = strrchr(buffer, '\n');
    snprintf(out, size, "%.*s", (int)size - 1, line ? line + 1 : buffer);
}

int send_signal(int pidfd, int number)
{
    return syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0);
}

void fail(const char *format, ...)
{
    char reason[1024], last[512], text[1600], escaped[2000], body[2200];
    va_list ap;

    va_start(ap, format);
    vsnprintf(reason, sizeof(reason), format, ap);
    va_end(ap);
    last_line(last, sizeof(last));
    snprintf(text, sizeof(text), "%s%s%s", reason, last[0] ? "; QEMU printed: " : "", last);
    escape(escaped, sizeof(escaped), text);
    snprintf(body, sizeof(body), ", \"error\": \"%s\"", escaped);
    if (victim >= 0) {
        send_signal(victim, SIGKILL);
        wait_for_rest(NULL, 0.2); /* QEMU's children are now children of this process */
    }
    put(body);
    exit(0);
}

/* ---- processes ---- */

double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec * 1e-9;
}

int open_pidfd(pid_t pid)
{
    return syscall(SYS_pidfd_open, pid, 0);
}

bool ended_by(int pidfd, double deadline)
{
    struct pollfd pfd = { .fd = pidfd, .events = POLLIN };

    for (;;) {
        double left = deadline - now();
        int ret = poll(&pfd, 1, left > 0 ? (int)(left * 1000) + 1 : 0);
        if (ret > 0) {
            return true;
        }
        if (ret == 0 && left <= 0) {
            return false;
        }
    }
}

void read_file(char *out, size_t size, pid_t pid, const char *name)
{
    char path[64];
    ssize_t n = -1;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, out, size - 1);
        close(fd);
    }
    out[n > 0 ? n : 0] = 0;
}

void status_of(char *out, size_t size, pid_t pid, const char *field)
{
    char text[8192], wanted[64], *at;

    text[0] = '\n';
    read_file(text + 1, sizeof(text) - 1, pid, "status");
    snprintf(wanted, sizeof(wanted), "\n%s:\t", field);
    at = strstr(text, wanted);
    snprintf(out, size, "%.*s", at ? (int)strcspn(at + strlen(wanted), "\n") : 0, at ? at + strlen(wanted) : "");
}

static long resident_mib(pid_t pid)
{
    char text[128];
    long pages = 0;

    read_file(text, sizeof(text), pid, "statm");
    sscanf(text, "%*d %ld", &pages);
    return pages * (sysconf(_SC_PAGESIZE) / 1024) / 1024;
}

static bool shares_memory(pid_t pid, pid_t other)
{
    long ret = syscall(SYS_kcmp, pid, other, KCMP_VM, 0, 0);
    char text[128], name[64], wanted[16];

    if (ret >= 0) {
        read_file(text, sizeof(text), other, "statm");
        return ret == 0 && text[0] && strncmp(text, "0 ", 2);
    }
    if (errno == ESRCH) {
        return false;
    }
    /* The kernel has no kcmp: compare the name. */
    status_of(name, sizeof(name), other, "Name");
    snprintf(wanted, sizeof(wanted), "cleanup/%d", pid);
    return !strcmp(name, wanted);
}

Sharers find_sharers(pid_t pid)
{
    Sharers sharers = { .count = 0 };
    DIR *dir = opendir("/proc");
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) && sharers.count < MAX_SHARERS) {
        pid_t other = atoi(entry->d_name);
        int fd;

        if (other <= 0 || other == pid || !shares_memory(pid, other)) {
            continue;
        }
        fd = open_pidfd(other);
        if (fd >= 0) {
            sharers.pid[sharers.count] = other;
            sharers.pidfd[sharers.count++] = fd;
        }
    }
    if (dir) {
        closedir(dir);
    }
    return sharers;
}

int wait_for_sharers(Sharers *sharers, double timeout)
{
    double deadline = now() + timeout;
    int stuck = 0;

    for (int i = 0; i < sharers->count; i++) {
        if (!ended_by(sharers->pidfd[i], deadline)) {
            stuck++;
            send_signal(sharers->pidfd[i], SIGKILL);
            ended_by(sharers->pidfd[i], now() + KILL_S);
        }
    }
    return stuck;
}

/* Kill all children of this process; return their number. */
static int kill_children(void)
{
    char wanted[16], parent[32];
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    int killed = 0;

    snprintf(wanted, sizeof(wanted), "%d", getpid());
    while (dir && (entry = readdir(dir))) {
        pid_t pid = atoi(entry->d_name);

        status_of(parent, sizeof(parent), pid, "PPid");
        if (pid > 0 && !strcmp(parent, wanted) && !kill(pid, SIGKILL)) {
            killed++;
        }
    }
    if (dir) {
        closedir(dir);
    }
    return killed;
}

static bool is_among(pid_t pid, const Sharers *sharers)
{
    for (int i = 0; sharers && i < sharers->count; i++) {
        if (sharers->pid[i] == pid) {
            return true;
        }
    }
    return false;
}

/*
 * An orphan becomes a child of this process before its parent's pidfd becomes readable (exit_notify() in the
 * kernel), and its end sends SIGCHLD, whatever signal its clone() requested (reparent_leader()).  So none is
 * missed, and polling is not necessary.
 */
Rest wait_for_rest(const Sharers *known, double timeout)
{
    double deadline = now() + timeout;
    Rest rest = { .stuck = 0 };
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    for (;;) {
        siginfo_t info = { .si_pid = 0 };
        double left = deadline - now();
        struct timespec limit = { .tv_sec = left > 0 ? left : 0 };

        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL) && errno == ECHILD) {
            break;
        }
        if (info.si_pid) {
            rest.late += !is_among(info.si_pid, known);
            continue;
        }
        limit.tv_nsec = left > 0 ? (left - limit.tv_sec) * 1e9 : 0;
        if (left > 0) {
            sigtimedwait(&child, NULL, &limit);
        } else if (!rest.stuck && (rest.stuck = kill_children())) {
            deadline = now() + KILL_S;
        } else {
            break; /* killed but still running: stuck in the kernel */
        }
    }
    sigprocmask(SIG_UNBLOCK, &child, NULL);
    return rest;
}

/* ---- QEMU ---- */

Qemu start(char **words, bool small_pages)
{
    Qemu qemu;
    int sv[2];
    pid_t parent = getpid();

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv)) {
        fail("socketpair: %s", strerror(errno));
    }
    unlink(PIDFILE);
    qemu.pid = fork();
    if (qemu.pid == 0) {
        struct rlimit none = { 0, 0 };
        int log = open(log_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        int qmp = fcntl(sv[1], F_DUPFD_CLOEXEC, QMP_FD + 1); /* above the targets of dup2() */

        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        setsid();
        setrlimit(RLIMIT_CORE, &none);
        if (getppid() != parent || log < 0 || null < 0 || qmp < 0 ||
            (small_pages && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))) {
            _exit(126);
        }
        dup2(null, 0);
        dup2(log, 1);
        dup2(log, 2);
        dup2(qmp, QMP_FD);
        execv(words[0], words);
        dprintf(2, "cannot execute %s: %s\n", words[0], strerror(errno));
        _exit(127);
    }
    close(sv[1]);
    qemu.qmp = sv[0];
    qemu.pidfd = qemu.pid < 0 ? -1 : open_pidfd(qemu.pid);
    if (qemu.pidfd < 0) {
        fail("cannot start QEMU: %s", strerror(errno));
    }
    victim = qemu.pidfd;
    return qemu;
}

/* Read from QMP until "wanted" is received. */
static void expect(Qemu *qemu, const char *wanted, double deadline)
{
    char text[16384];
    size_t n = 0;

    for (;;) {
        struct pollfd pfd = { .fd = qemu->qmp, .events = POLLIN };
        double left = deadline - now();
        ssize_t ret;

        if (left <= 0 || poll(&pfd, 1, (int)(left * 1000) + 1) <= 0) {
            fail("no answer from QEMU's monitor in time");
        }
        ret = read(qemu->qmp, text + n, sizeof(text) - 1 - n);
        if (ret <= 0) {
            ended_by(qemu->pidfd, now() + 5);
            fail("QEMU ended while it started");
        }
        n += ret;
        text[n] = 0;
        if (strstr(text, wanted)) {
            return;
        }
        if (n == sizeof(text) - 1) {
            memmove(text, text + n / 2, n - n / 2 + 1);
            n -= n / 2;
        }
    }
}

void command(Qemu *qemu, const char *name, double deadline)
{
    if (dprintf(qemu->qmp, "{\"execute\": \"%s\"}\r\n", name) < 0) {
        fail("QEMU's monitor is closed: %s", strerror(errno));
    }
    expect(qemu, "\"return\"", deadline);
}

void negotiate(Qemu *qemu, double timeout)
{
    double deadline = now() + timeout;

    expect(qemu, "\"QMP\"", deadline);
    command(qemu, "qmp_capabilities", deadline);
}

static void on_alarm(int number)
{
    (void)number;
    expired = 1;
    send_signal(alarm_pidfd, SIGKILL);
}

int reap(Qemu *qemu, int timeout)
{
    siginfo_t info;

    alarm_pidfd = qemu->pidfd;
    signal(SIGALRM, on_alarm);
    alarm(timeout);
    while (waitid(P_PIDFD, qemu->pidfd, &info, WEXITED) && errno == EINTR) {
    }
    alarm(0);
    return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
}

bool follow(Qemu *qemu, pid_t pid)
{
    close(qemu->pidfd);
    qemu->pid = pid;
    victim = qemu->pidfd = pid > 0 ? open_pidfd(pid) : -1;
    return victim >= 0;
}

static int signal_of(const char *trigger)
{
    static const struct { const char *name; int number; } known[] = {
        { "sigterm", SIGTERM }, { "sigkill", SIGKILL }, { "sigabrt", SIGABRT }, { "quit", 0 },
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!strcmp(known[i].name, trigger)) {
            return known[i].number;
        }
    }
    fail("unknown trigger %s", trigger);
}

/* ---- one sample ---- */

static void facts(double *load, long *available)
{
    char text[4096], *at;
    int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    close(fd);
    text[n > 0 ? n : 0] = 0;
    at = strstr(text, "MemAvailable:");
    *available = at ? atol(at + 13) / 1024 : 0;
    if (getloadavg(load, 1) != 1) {
        *load = 0;
    }
}

static void sample(const char *trigger, const char *pages, long memory_mib, int timeout, char **words)
{
    double load, began, triggered, exited, last, started;
    int number = signal_of(trigger), status, stuck;
    long available, populated;
    char body[512];
    Sharers sharers;
    Rest rest;
    Qemu qemu;

    facts(&load, &available);
    began = now();
    qemu = start(words, !strcmp(pages, "4k"));
    negotiate(&qemu, timeout);
    started = now() - began;
    populated = resident_mib(qemu.pid);
    if (populated < memory_mib) {
        fail("only %ld of %ld MiB of the guest's memory are resident", populated, memory_mib);
    }
    sharers = find_sharers(qemu.pid);
    if (ended_by(qemu.pidfd, 0)) {
        fail("QEMU ended before the trigger");
    }
    triggered = now();
    if (number) {
        send_signal(qemu.pidfd, number);
    } else if (write(qemu.qmp, "{\"execute\": \"quit\"}\r\n", 21) != 21) {
        fail("QEMU's monitor is closed");
    }
    status = reap(&qemu, timeout);
    exited = now();
    stuck = wait_for_sharers(&sharers, timeout);
    last = sharers.count ? now() : exited;
    rest = wait_for_rest(&sharers, timeout);
    if (rest.late) {
        last = now();
    }
    if (expired) {
        fail("QEMU did not end within %d s of %s", timeout, trigger);
    }
    snprintf(body, sizeof(body),
             ", \"start_s\": %.6f, \"populated_mib\": %ld, \"exit_s\": %.9f, \"reclaim_s\": %.9f, "
             "\"helpers\": %d, \"stuck\": %d, \"exit_status\": %d, \"load1\": %.2f, \"mem_available_mib\": %ld",
             started, populated, exited - triggered, last - triggered,
             sharers.count, stuck + rest.stuck, status, load, available);
    put(body);
}

int main(int argc, char **argv)
{
    const char *folder = getenv("TMPDIR");

    setvbuf(stdout, NULL, _IONBF, 0);
    snprintf(log_name, sizeof(log_name), "%s/qemu.log", folder ? folder : "/tmp");
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (argc > 8 && !strcmp(argv[1], "sample") && !strcmp(argv[7], "--")) {
        snprintf(kind, sizeof(kind), "\"index\": %d", atoi(argv[2]));
        sample(argv[3], argv[4], atol(argv[5]), atoi(argv[6]), argv + 8);
    } else if (argc > 5 && !strcmp(argv[1], "property") && !strcmp(argv[4], "--")) {
        char name[32];
        escape(name, sizeof(name), argv[2]);
        snprintf(kind, sizeof(kind), "\"property\": \"%s\"", name);
        property(argv[2], atoi(argv[3]), argv + 5);
    } else {
        fprintf(stderr, "measure: invalid arguments\n");
        return 2;
    }
    return 0;
}
