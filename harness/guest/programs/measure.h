/*
 * Functions that measure.c and property.c share.
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

/* Numbers of children that were not known before, and of children that were killed. */
typedef struct Rest {
    int late;
    int stuck;
} Rest;

/* Write a record: its kind, then "body", which begins with a comma unless it is empty. */
void put(const char *body);

/* Escape "text" for use in a JSON string. */
void escape(char *out, size_t size, const char *text);

/* End QEMU and its children, write a record with the reason, and exit. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Return CLOCK_MONOTONIC in seconds. */
double now(void);

int open_pidfd(pid_t pid);
int send_signal(int pidfd, int number);

/* Return whether the process of "pidfd" ends before "deadline". */
bool ended_by(int pidfd, double deadline);

/* Read /proc/PID/NAME as a string; empty if it cannot be read. */
void read_file(char *out, size_t size, pid_t pid, const char *name);

/* Read the value of a line "field:<tab>value" of /proc/PID/status; empty if there is none. */
void status_of(char *out, size_t size, pid_t pid, const char *field);

Sharers find_sharers(pid_t pid);

/* Wait for all sharers; return the number of those that were killed after "timeout" seconds. */
int wait_for_sharers(Sharers *sharers, double timeout);

/* Wait for all children of this process, which are QEMU's orphans after its end, and reap them. */
Rest wait_for_rest(const Sharers *known, double timeout);

/* Start QEMU.  fail() reports the last line of its log. */
Qemu start(char **words, bool small_pages);

/* QMP: read the greeting and negotiate; send a command and wait for its answer until "deadline". */
void negotiate(Qemu *qemu, double timeout);
void command(Qemu *qemu, const char *name, double deadline);

/* Reap QEMU; kill it after "timeout" seconds.  Return the exit status or the negative signal. */
int reap(Qemu *qemu, int timeout);

/* Use another process as QEMU: its daemon.  Return false if it does not exist. */
bool follow(Qemu *qemu, pid_t pid);

/* Check the property "name" of the QEMU that "words" start, and write a record. */
void property(const char *name, int timeout, char **words);

#endif
