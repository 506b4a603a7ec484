/*
 * What measure.c and property.c share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef MEASURE_H
#define MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define MAX_SHARERS 8
#define PIDFILE "/tmp/qemu.pid"

typedef struct Qemu {
    pid_t pid;
    int pidfd;
    int qmp;
} Qemu;

/* Processes that share QEMU's memory. */
typedef struct Sharers {
    int count;
    pid_t pid[MAX_SHARERS];
    int pidfd[MAX_SHARERS];
} Sharers;

/* Children that were not known before, and those that had to be killed. */
typedef struct Rest {
    int late;
    int stuck;
} Rest;

/* Writes a record: what it is about, then "body", which begins with a comma unless it is empty. */
void put(const char *body);

/* Writes "text" as the inside of a JSON string. */
void escape(char *out, size_t size, const char *text);

/* Ends QEMU and what it made, writes a record with the reason, and exits. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Seconds of CLOCK_MONOTONIC. */
double now(void);

int open_pidfd(pid_t pid);
int send_signal(int pidfd, int number);

/* Whether the process behind "pidfd" has ended before "deadline". */
bool ended_by(int pidfd, double deadline);

/* /proc/PID/NAME as a string; empty when it cannot be read. */
void read_file(char *out, size_t size, pid_t pid, const char *name);

/* The value of a line "field:<tab>value" of /proc/PID/status; empty when it is not there. */
void status_of(char *out, size_t size, pid_t pid, const char *field);

Sharers find_sharers(pid_t pid);

/* Waits for all sharers; the number of those that had to be killed after "timeout" seconds. */
int wait_for_sharers(Sharers *sharers, double timeout);

/* Waits for all our children, which are QEMU's orphans when it has ended, and reaps them. */
Rest wait_for_rest(const Sharers *known, double timeout);

/* Starts QEMU, whose log is said by fail(), as its last line. */
Qemu start(char **words, bool small_pages);

/* QMP: the greeting and its answer; a command and its answer, until "deadline". */
void negotiate(Qemu *qemu, double timeout);
void command(Qemu *qemu, const char *name, double deadline);

/* Reaps QEMU, which is killed after "timeout" seconds.  The negative signal, or the exit status. */
int reap(Qemu *qemu, int timeout);

/* From now on QEMU is another process: a daemon.  False: it is not there. */
bool follow(Qemu *qemu, pid_t pid);

/* Tries the property "name" on the QEMU that "words" start, and writes its record. */
void property(const char *name, int timeout, char **words);

#endif
