/*
 * Run a program and delay its end.
 *
 *   delay MICROSECONDS PROGRAM ARGUMENT...
 *
 * This process executes PROGRAM.  A child stops PROGRAM's main thread when it exits, before memory is freed
 * (ptrace(2), PTRACE_O_TRACEEXIT), and continues it after the delay.  A valid measurement must detect this.
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

/* Trace the parent until its end.  Descriptors are closed, because PROGRAM's must not stay open here. */
static void delay_exit(pid_t traced, useconds_t delay)
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
        fprintf(stderr, "usage: delay MICROSECONDS PROGRAM ARGUMENT...\n");
        return 2;
    }
    if (child == 0) {
        pid_t traced = getppid();

        if (read(to_child[0], &byte, 1) != 1 ||
            ptrace(PTRACE_SEIZE, traced, 0, PTRACE_O_TRACEEXIT) ||
            write(to_parent[1], "r", 1) != 1) {
            _exit(1);
        }
        delay_exit(traced, atoi(argv[1]));
    }
    /* If Yama restricts ptrace(2), the traced process can permit its tracer. */
    prctl(PR_SET_PTRACER, child, 0, 0, 0);
    close(to_parent[1]);
    if (write(to_child[1], "g", 1) != 1 || read(to_parent[0], &byte, 1) != 1) {
        fprintf(stderr, "delay: ptrace is not permitted\n");
        return 1;
    }
    close(to_child[0]);
    close(to_child[1]);
    close(to_parent[0]);
    execv(argv[2], argv + 2);
    fprintf(stderr, "delay: %s: %s\n", argv[2], strerror(errno));
    return 127;
}
