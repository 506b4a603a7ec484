/*
 * Read the system call filters (seccomp(2)) of another process, and evaluate them.
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
 * Read the filters of the thread "pid", which is stopped meanwhile (PTRACE_SECCOMP_GET_FILTER of ptrace(2)
 * needs CAP_SYS_ADMIN, and a kernel with CONFIG_CHECKPOINT_RESTORE).  Return 0 or an errno.
 */
int filters_read(pid_t pid, Filters *filters);

/* Return whether all filters together allow the call "nr" of this program's architecture. */
bool filters_allow(const Filters *filters, int nr, const uint64_t arguments[6]);

/*
 * Return whether they allow the call "nr" of the other architecture that the kernel may accept: i386 on
 * x86_64, s390 on s390x, arm on aarch64.
 */
bool filters_allow_other(const Filters *filters, int nr);

/* Return whether "filters" contain a filter with the same bytes as "filter". */
bool filters_have(const Filters *filters, const Filter *filter);

#endif
