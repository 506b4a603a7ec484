/*
 * A stand-in for QEMU in the tests of faults.  It accepts QEMU's arguments, fills its memory, and answers QMP
 * (QEMU docs, "QMP specification").  With -async-teardown, it starts a process that shares its memory.  With
 * "-fault MODE", it misbehaves.  tests/fakeqemu/configure builds it as vl.c of a tree.
 */
#define _GNU_SOURCE
#include <fake.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

int fake_feature(void);

static const char *fault = "";
static int parent;
static char stack[65536];

static int is(const char *mode)
{
    return !strcmp(fault, mode);
}

static void say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) < 0) {
        _exit(3);
    }
}

static int helper(void *unused)
{
    (void)unused;
    signal(SIGTERM, SIG_IGN);
    for (int fd = 0; fd < 64; fd++) {
        close(fd);
    }
    while (getppid() == parent) {
        usleep(1000);
    }
    _exit(0);
}

static void on_term(int number)
{
    (void)number;
    if (is("core")) {
        struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
        setrlimit(RLIMIT_CORE, &all);
        abort();
    }
    _exit(0);
}

static void print_lines(long mebibytes)
{
    char line[1024];

    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\n';
    for (long count = 0; mebibytes == 0 || count < mebibytes * 1024; count++) {
        if (write(STDOUT_FILENO, line, sizeof(line)) < 0) {
            return;
        }
    }
}

static void answer(int qmp, char *text)
{
    char id[64] = "", line[256];
    char *at = strstr(text, "\"id\"");
    const char *value = strstr(text, "query-status") ? "{\"status\": \"prelaunch\"}" : "{}";

    if (at && (at = strchr(at, ':')) && (at = strchr(at, '"'))) {
        snprintf(id, sizeof(id), ", \"id\": \"%.40s", at + 1);
        at = strchr(id + 9, '"');
        if (at) {
            at[1] = 0;
        }
    }
    snprintf(line, sizeof(line), "{\"return\": %s%s}\r\n", value, id);
    say(qmp, line);
    if (strstr(text, "\"quit\"") && !is("hang-quit")) {
        _exit(0);
    }
}

int fake_main(int argc, char **argv, const char *arch)
{
    long mebibytes = 0;
    int qmp = -1, async = 0;
    char text[4096];
    ssize_t got;

    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";

        if (!strcmp(argv[i], "--version")) {
            printf("QEMU emulator version %s (fake %s, feature %d)\n", fake_version(), arch, fake_feature());
            return 0;
        } else if (!strcmp(argv[i], "-help")) {
            printf("-m size\n%s", fake_feature() ? "-async-teardown\n" : "");
            return 0;
        } else if (!strcmp(argv[i], "-m")) {
            mebibytes = atol(next);
        } else if (!strcmp(argv[i], "-fault")) {
            fault = next;
        } else if (!strcmp(argv[i], "-async-teardown")) {
            async = 1;
        } else if (!strncmp(argv[i], "socket,id=qmp,fd=", 17)) {
            qmp = atoi(argv[i] + 17);
        }
    }
    if (async && !fake_feature()) {
        fprintf(stderr, "qemu: -async-teardown: invalid option\n");
        return 1;
    }
    signal(SIGTERM, is("ignore-term") || is("hang-quit") ? SIG_IGN : on_term);
    if (is("hang-start")) {
        pause();
    }
    if (is("crash-start")) {
        raise(SIGSEGV);
    }
    if (is("megabytes")) {
        print_lines(100);
    }
    if (is("endless")) {
        print_lines(0);
    }
    char *memory = mmap(NULL, (size_t)mebibytes << 20, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || qmp < 0) {
        fprintf(stderr, "qemu: no memory, or no monitor\n");
        return 1;
    }
    memset(memory, 1, (size_t)mebibytes << 20);
    parent = getpid();
    if (async && clone(helper, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL) < 0) {
        return 1;
    }
    say(qmp, "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7, \"minor\": 2, \"micro\": 0}, "
             "\"package\": \"\"}, \"capabilities\": []}}\r\n");
    while ((got = read(qmp, text, sizeof(text) - 1)) > 0) {
        text[got] = 0;
        answer(qmp, text);
    }
    for (;;) {
        pause();
    }
}
