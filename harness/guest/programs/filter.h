/*
 * Filters of system calls (seccomp(2)) of another process: read them, and run them on calls.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef FILTER_H
#define FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MAX_FILTERS 8

typedef struct Filter {
    int length; /* in instructions */
    struct sock_filter *program;
} Filter;

typedef struct Filters {
    int count;
    Filter filter[MAX_FILTERS];
} Filters;

/*
 * The filters that the thread "pid" runs under; it is stopped for a moment (PTRACE_SECCOMP_GET_FILTER of
 * ptrace(2): needs CAP_SYS_ADMIN, and a kernel with CONFIG_CHECKPOINT_RESTORE).  0, or an errno.
 */
int filters_read(pid_t pid, Filters *filters);

/* Whether all filters together let the call "nr" of this program's architecture through. */
bool filters_allow(const Filters *filters, int nr, const uint64_t arguments[6]);

/* Whether "filter" is one of "filters", byte for byte. */
bool filters_have(const Filters *filters, const Filter *filter);

#endif
