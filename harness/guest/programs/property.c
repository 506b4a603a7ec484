/*
 * Check properties of asynchronous teardown that can differ between architectures.
 *
 * docs/build.md lists the properties.  harness/teardown/image.py contains QEMU's arguments for each.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include "measure.h"
#include "filter.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51 /* linux/auxvec.h */
#endif

/* Size of a signal frame if the kernel does not report it; that of s390x with vector registers is smaller. */
#define FRAME 2048

#define MAX_CALLS 1024

static char detail[256];

static void check_field(pid_t pid, const char *process, const char *field, const char *wanted)
{
    char value[128];

    status_of(value, sizeof(value), pid, field);
    if (strncmp(value, wanted, strlen(wanted))) {
        fail("%s has %s: '%s', not '%s'", process, field, value, wanted);
    }
}

static void check_state(pid_t pid, const char *wanted)
{
    char value[64];

    for (double end = now() + 5; now() < end; usleep(10000)) {
        status_of(value, sizeof(value), pid, "State");
        if (value[0] && strchr(wanted, value[0])) {
            return;
        }
    }
    fail("the helper is in state '%s', not in one of '%s'", value, wanted);
}

/* Check that the helper has QEMU's ids, and no capability that QEMU does not have. */
static void check_confinement(pid_t qemu, pid_t helper)
{
    static const char *const same[] = { "Uid", "Gid", "Groups", "NoNewPrivs" };
    static const char *const within[] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" };
    char value[256], other[256];

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        status_of(value, sizeof(value), qemu, same[i]);
        status_of(other, sizeof(other), helper, same[i]);
        if (strcmp(value, other)) {
            fail("the helper has %s: '%s', QEMU has '%s'", same[i], other, value);
        }
    }
    for (size_t i = 0; i < sizeof(within) / sizeof(within[0]); i++) {
        status_of(value, sizeof(value), qemu, within[i]);
        status_of(other, sizeof(other), helper, within[i]);
        if (!value[0] || strtoull(other, NULL, 16) & ~strtoull(value, NULL, 16)) {
            fail("the helper has %s: %s, QEMU has %s", within[i], other, value);
        }
    }
}

static void check_signals(Qemu *qemu, const Sharers *helper)
{
    const int numbers[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE, SIGCHLD,
                            SIGIO, SIGBUS, SIGSEGV, SIGTSTP, SIGRTMIN, SIGRTMAX };

    send_signal(helper->pidfd[0], SIGSTOP);
    check_state(helper->pid[0], "Tt");
    send_signal(helper->pidfd[0], SIGCONT);
    check_state(helper->pid[0], "SD");
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        send_signal(helper->pidfd[0], numbers[i]);
        usleep(20000);
        if (ended_by(helper->pidfd[0], 0)) {
            fail("the helper was ended by signal %d", numbers[i]);
        }
    }
    command(qemu, "query-status", now() + 10);
}

static void check_root(pid_t pid, const char *process, const char *wanted)
{
    char path[64], value[256];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/root", pid);
    n = readlink(path, value, sizeof(value) - 1);
    value[n > 0 ? n : 0] = 0;
    if (strcmp(value, wanted)) {
        fail("%s has root '%s', not '%s'", process, value, wanted);
    }
}

/*
 * Check that the helper's stack has room for signal frames, and a guard page below it.  The stack is the
 * mapping that contains the stack pointer, which /proc/PID/syscall reports (proc(5)).
 */
static void check_stack(pid_t helper)
{
    unsigned long frame = getauxval(AT_MINSIGSTKSZ), sp = 0, low, high, guard = 0, room = 0;
    char line[512], path[64], access[8];
    bool guarded = false;
    FILE *maps;

    for (double end = now() + 5; !sp && now() < end; usleep(10000)) {
        read_file(line, sizeof(line), helper, "syscall"); /* "running" if it is running */
        char *last = strrchr(line, ' ');
        if (last && strncmp(line, "running", 7)) {
            *last = 0;
            last = strrchr(line, ' ');
            sp = last ? strtoul(last + 1, NULL, 16) : 0;
        }
    }
    snprintf(path, sizeof(path), "/proc/%d/maps", helper);
    maps = fopen(path, "re");
    while (maps && !room && fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%lx-%lx %7s", &low, &high, access) != 3) {
            continue;
        }
        if (low <= sp && sp < high) {
            room = sp - low;
            guarded = guard == low;
        }
        guard = strncmp(access, "---", 3) ? 0 : high;
    }
    if (maps) {
        fclose(maps);
    }
    frame = frame ? frame : FRAME;
    if (!room) {
        fail("the helper's stack was not found: its stack pointer is %#lx", sp);
    }
    if (room < 4 * frame) {
        fail("the helper's stack has %lu free bytes, but four signal frames take %lu", room, 4 * frame);
    }
    if (!guarded) {
        fail("there is no guard page below the helper's stack");
    }
    snprintf(detail, sizeof(detail), "the stack has %lu free bytes, a signal frame takes %lu", room, frame);
}

/* System calls that a process may need to wait, to free memory, with threads, and to end. */
static const int harmless[] = {
    SYS_read, SYS_write, SYS_close, SYS_ppoll, SYS_pselect6, SYS_nanosleep, SYS_clock_nanosleep,
    SYS_clock_gettime, SYS_restart_syscall, SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_exit, SYS_exit_group,
    SYS_madvise, SYS_munmap, SYS_futex, SYS_sched_yield, SYS_sched_getaffinity, SYS_getpid, SYS_gettid,
    SYS_membarrier, SYS_set_robust_list, SYS_brk,
};

static bool is_harmless(int nr)
{
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        if (harmless[i] == nr) {
            return true;
        }
    }
    return false;
}

/* Check that the filter allows no new process, whatever it allows for threads. */
static void check_clone(const Filters *its)
{
    static const uint64_t flags[] = { SIGCHLD, CLONE_VM, CLONE_VM | CLONE_VFORK | SIGCHLD,
                                      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND,
                                      CLONE_NEWUSER | SIGCHLD };

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
#ifdef __s390x__
        const uint64_t arguments[6] = { 0, flags[i] }; /* the stack comes first (clone(2)) */
#else
        const uint64_t arguments[6] = { flags[i], 0 };
#endif
        if (filters_allow(its, SYS_clone, arguments)) {
            fail("the helper's filter allows clone with flags %#lx", (unsigned long)flags[i]);
        }
    }
}

/* Check that the helper has a filter of its own, which is stricter than QEMU's and permits exit. */
static void check_filters(pid_t qemu, pid_t helper)
{
    static const uint64_t none[6];
    int of_qemu = 0, of_helper = 0, own = 0, ret;
    Filters its, qemus;

    ret = filters_read(qemu, &qemus);
    ret = ret ? ret : filters_read(helper, &its);
    if (ret) {
        fail("cannot read the filters: %s", strerror(ret));
    }
    for (int i = 0; i < its.count; i++) {
        own += !filters_have(&qemus, &its.filter[i]);
    }
    if (!own) {
        fail("the helper has only the filters of QEMU");
    }
    check_clone(&its);
    for (int nr = 0; nr < MAX_CALLS; nr++) {
        bool allowed = filters_allow(&its, nr, none);

        of_helper += allowed;
        of_qemu += filters_allow(&qemus, nr, none);
        if (allowed && !is_harmless(nr)) {
            fail("the helper's filter allows system call %d, which it does not need", nr);
        }
        if (filters_allow_other(&its, nr)) {
            fail("the helper's filter allows system call %d of another architecture", nr);
        }
        if (allowed && !filters_allow(&qemus, nr, none)) {
            fail("the helper's filter allows system call %d, QEMU's does not", nr);
        }
    }
    if (of_helper >= of_qemu) {
        fail("the helper's filter is not stricter than QEMU's, which allows %d calls", of_qemu);
    }
    if (!filters_allow(&its, SYS_exit, none) && !filters_allow(&its, SYS_exit_group, none)) {
        fail("the helper's filter does not allow exit");
    }
    snprintf(detail, sizeof(detail), "of %d system call numbers, the helper's filter allows %d, QEMU's %d",
             MAX_CALLS, of_helper, of_qemu);
}

/*
 * Check that the threads which the helper may start to free memory end with status 0.  They are started by
 * assembly code of each architecture.  The helper is traced from before the end of QEMU, so that waitpid()
 * reports each new thread, its end and the end of the helper.
 */
static void check_threads(Qemu *qemu, Sharers *helper, int timeout)
{
    double deadline = now() + timeout;
    int made = 0, ended = 0, status;
    pid_t leader = helper->pid[0], pid;
    bool over = false;

    if (ptrace(PTRACE_SEIZE, leader, NULL, (void *)(long)PTRACE_O_TRACECLONE) < 0) {
        fail("cannot trace the helper: %s", strerror(errno));
    }
    send_signal(qemu->pidfd, SIGKILL);
    status = reap(qemu, timeout);
    if (status != -SIGKILL) {
        fail("QEMU ended with %d", status);
    }
    while (!over) {
        pid = waitpid(-1, &status, __WALL | WNOHANG);
        if (pid == 0 || (pid < 0 && errno == EINTR)) {
            if (now() > deadline) {
                fail("only %d of the helper's %d threads ended within %d s", ended, made, timeout);
            }
            usleep(1000);
            continue;
        }
        if (pid < 0) {
            fail("cannot wait for the helper: %s", strerror(errno));
        }
        if (WIFSTOPPED(status)) {
            made += status >> 8 == (SIGTRAP | PTRACE_EVENT_CLONE << 8);
            ptrace(PTRACE_CONT, pid, NULL, NULL);
            continue;
        }
        if (!WIFEXITED(status) || WEXITSTATUS(status)) {
            fail("%s ended with %s %d", pid == leader ? "the helper" : "a thread of the helper",
                 WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        }
        over = pid == leader; /* reported after all its threads */
        ended += !over;
    }
    /* Having no threads is permitted: if they would cost more than they save, exit() frees the memory. */
    snprintf(detail, sizeof(detail), "the helper started %d thread%s on %ld processors", made,
             made == 1 ? "" : "s", sysconf(_SC_NPROCESSORS_ONLN));
}

/* Wait for the end of the started process, and follow the daemon that -daemonize started. */
static void follow_daemon(Qemu *qemu, int timeout)
{
    char text[32] = "";
    int status = reap(qemu, timeout), fd = open(PIDFILE, O_RDONLY | O_CLOEXEC);

    if (status) {
        fail("the parent of the daemon ended with %d", status);
    }
    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0) {
        fail("there is no pid file");
    }
    close(fd);
    if (!follow(qemu, atoi(text))) {
        fail("the daemon is not running");
    }
}

/* Write the record of a property that holds. */
static void report(void)
{
    char escaped[512], body[600];

    escape(escaped, sizeof(escaped), detail);
    snprintf(body, sizeof(body), ", \"detail\": \"%s\"", escaped);
    put(body);
}

void property(const char *name, int timeout, char **words)
{
    int number = strcmp(name, "clone") ? SIGTERM : SIGKILL, status;
    char wanted[16];
    Sharers helper;
    Qemu qemu = start(words, true);
    pid_t pid;

    negotiate(&qemu, timeout);
    if (!strcmp(name, "daemonize")) {
        follow_daemon(&qemu, timeout);
    }
    helper = find_sharers(qemu.pid);
    if (helper.count != 1) {
        fail("%d processes share QEMU's memory, not 1", helper.count);
    }
    pid = helper.pid[0];
    snprintf(wanted, sizeof(wanted), "cleanup/%d", qemu.pid);
    check_field(pid, "the helper", "Name", wanted);
    check_confinement(qemu.pid, pid);
    if (!strcmp(name, "seccomp")) {
        check_field(qemu.pid, "QEMU", "Seccomp", "2");
        check_field(pid, "the helper", "Seccomp", "2");
        check_field(pid, "the helper", "NoNewPrivs", "1");
        check_filters(qemu.pid, pid);
        check_signals(&qemu, &helper); /* continuing after a stop may need a system call */
    } else if (!strcmp(name, "signals")) {
        check_signals(&qemu, &helper);
    } else if (!strcmp(name, "stack")) {
        check_stack(pid);
    } else if (!strcmp(name, "runas")) {
        check_field(qemu.pid, "QEMU", "Uid", "65534\t65534\t65534\t65534");
        check_field(pid, "the helper", "Uid", "65534\t65534\t65534\t65534");
        check_field(pid, "the helper", "Gid", "65534\t65534\t65534\t65534");
        check_field(pid, "the helper", "CapEff", "0000000000000000");
    } else if (!strcmp(name, "chroot")) {
        check_root(qemu.pid, "QEMU", "/var/empty");
        check_root(pid, "the helper", "/var/empty");
    } else if (!strcmp(name, "threads")) {
        check_threads(&qemu, &helper, timeout);
        report();
        return;
    } else if (strcmp(name, "clone") && strcmp(name, "daemonize")) {
        fail("unknown property %s", name);
    }
    usleep(100000);
    if (ended_by(helper.pidfd[0], 0)) {
        fail("the helper ended before QEMU");
    }
    send_signal(qemu.pidfd, number);
    status = reap(&qemu, timeout); /* this process is the subreaper, so this includes a daemon */
    if (status != (number == SIGKILL ? -SIGKILL : 0)) {
        fail("QEMU ended with %d", status);
    }
    if (wait_for_sharers(&helper, timeout)) {
        fail("the helper did not end within %d s of QEMU's end", timeout);
    }
    if (wait_for_rest(&helper, timeout).stuck) {
        fail("a child of the helper did not end within %d s", timeout);
    }
    report();
}
