/*
 * Run a program whose end takes longer than it does by itself.
 *
 *   delay MICROSECONDS PROGRAM WORD...
 *
 * This process becomes PROGRAM.  A child of it stops PROGRAM's main thread as it ends, before any memory is
 * freed (ptrace(2), PTRACE_O_TRACEEXIT), and lets it go on after so many microseconds.  A measurement that is
 * worth its name finds the difference.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

/* The child: waits for the end of its parent.  Descriptors of PROGRAM's must not stay open here. */
static void hold_up(pid_t traced, useconds_t delay)
{
    int status;

    syscall(SYS_close_range, 0, ~0U, 0);
    while (waitpid(traced, &status, __WALL) == traced && WIFSTOPPED(status)) {
        int event = status >> 16, number = WSTOPSIG(status);

        if (event == PTRACE_EVENT_EXIT) {
            usleep(delay);
            ptrace(PTRACE_CONT, traced, 0, 0);
        } else if (event == PTRACE_EVENT_STOP && number != SIGTRAP) {
            ptrace(PTRACE_LISTEN, traced, 0, 0);
        } else {
            ptrace(PTRACE_CONT, traced, 0, event ? 0 : number);
        }
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    int to_child[2], to_parent[2];
    pid_t child;
    char byte = 0;

    if (argc < 3 || pipe2(to_child, 0) || pipe2(to_parent, 0) || (child = fork()) < 0) {
        fprintf(stderr, "usage: delay MICROSECONDS PROGRAM WORD...\n");
        return 2;
    }
    if (child == 0) {
        pid_t traced = getppid();

        if (read(to_child[0], &byte, 1) != 1 ||
            ptrace(PTRACE_SEIZE, traced, 0, PTRACE_O_TRACEEXIT) ||
            write(to_parent[1], "r", 1) != 1) {
            _exit(1);
        }
        hold_up(traced, atoi(argv[1]));
    }
    /* Where Yama restricts ptrace(2), the one that is traced may name its tracer. */
    prctl(PR_SET_PTRACER, child, 0, 0, 0);
    close(to_parent[1]);
    if (write(to_child[1], "g", 1) != 1 || read(to_parent[0], &byte, 1) != 1) {
        fprintf(stderr, "delay: ptrace is not allowed here\n");
        return 1;
    }
    close(to_child[0]);
    close(to_child[1]);
    close(to_parent[0]);
    execv(argv[2], argv + 2);
    fprintf(stderr, "delay: %s: %s\n", argv[2], strerror(errno));
    return 127;
}
