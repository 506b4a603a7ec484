/*
 * Read the system call filters (seccomp(2)) of another process, and evaluate them.
 *
 * A filter is a classic BPF program that reads a struct seccomp_data.  The kernel's
 * Documentation/networking/filter.rst describes the language; seccomp_check_filter() in kernel/seccomp.c
 * contains the instructions that seccomp accepts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include "filter.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#define OTHER_ARCH AUDIT_ARCH_I386
#elif defined(__s390x__)
#define ARCH AUDIT_ARCH_S390X
#define OTHER_ARCH AUDIT_ARCH_S390
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#define OTHER_ARCH AUDIT_ARCH_ARM
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH AUDIT_ARCH_PPC64LE
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#else
#error "add the audit architecture of this machine (linux/audit.h)"
#endif

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif

static long trace(int request, pid_t pid, unsigned long address, void *data)
{
    return ptrace(request, pid, (void *)address, data);
}

static int read_stopped(pid_t pid, Filters *filters)
{
    for (;;) {
        long length = trace(PTRACE_SECCOMP_GET_FILTER, pid, filters->count, NULL);
        Filter *filter = &filters->filter[filters->count];

        if (length < 0) {
            return errno == ENOENT ? 0 : errno;
        }
        if (filters->count == MAX_FILTERS) {
            return E2BIG;
        }
        filter->length = length;
        filter->program = calloc(length, sizeof(*filter->program));
        if (!filter->program) {
            return ENOMEM;
        }
        if (trace(PTRACE_SECCOMP_GET_FILTER, pid, filters->count, filter->program) < 0) {
            return errno;
        }
        filters->count++;
    }
}

int filters_read(pid_t pid, Filters *filters)
{
    int ret;

    filters->count = 0;
    if (trace(PTRACE_SEIZE, pid, 0, NULL) < 0) {
        return errno;
    }
    if (trace(PTRACE_INTERRUPT, pid, 0, NULL) < 0 || waitpid(pid, NULL, __WALL) < 0) {
        ret = errno;
    } else {
        ret = read_stopped(pid, filters);
    }
    trace(PTRACE_DETACH, pid, 0, NULL);
    return ret;
}

static uint32_t compute(int operation, uint32_t a, uint32_t b)
{
    switch (operation) {
    case BPF_ADD:
        return a + b;
    case BPF_SUB:
        return a - b;
    case BPF_MUL:
        return a * b;
    case BPF_DIV:
        return b ? a / b : 0;
    case BPF_OR:
        return a | b;
    case BPF_AND:
        return a & b;
    case BPF_XOR:
        return a ^ b;
    case BPF_LSH:
        return a << (b & 31);
    case BPF_RSH:
        return a >> (b & 31);
    case BPF_NEG:
        return -a;
    default:
        abort(); /* the kernel does not accept such a filter */
    }
}

static bool holds(int operation, uint32_t a, uint32_t b)
{
    switch (operation) {
    case BPF_JEQ:
        return a == b;
    case BPF_JGT:
        return a > b;
    case BPF_JGE:
        return a >= b;
    case BPF_JSET:
        return a & b;
    default:
        abort();
    }
}

/* Return the action of a filter for a call. */
static uint32_t run(const Filter *filter, const struct seccomp_data *data)
{
    uint32_t a = 0, x = 0, memory[BPF_MEMWORDS] = { 0 };

    for (int at = 0; at < filter->length; at++) {
        const struct sock_filter *insn = &filter->program[at];
        uint32_t operand = BPF_SRC(insn->code) == BPF_X ? x : insn->k, value = insn->k;

        switch (BPF_CLASS(insn->code)) {
        case BPF_LD:
        case BPF_LDX:
            if (BPF_MODE(insn->code) == BPF_MEM) {
                value = memory[insn->k % BPF_MEMWORDS];
            } else if (BPF_MODE(insn->code) == BPF_LEN) {
                value = sizeof(*data);
            } else if (BPF_MODE(insn->code) == BPF_ABS && insn->k <= sizeof(*data) - sizeof(value)) {
                memcpy(&value, (const char *)data + insn->k, sizeof(value));
            } else if (BPF_MODE(insn->code) != BPF_IMM) {
                abort();
            }
            *(BPF_CLASS(insn->code) == BPF_LD ? &a : &x) = value;
            break;
        case BPF_ST:
            memory[insn->k % BPF_MEMWORDS] = a;
            break;
        case BPF_STX:
            memory[insn->k % BPF_MEMWORDS] = x;
            break;
        case BPF_ALU:
            a = compute(BPF_OP(insn->code), a, operand);
            break;
        case BPF_JMP:
            if (BPF_OP(insn->code) == BPF_JA) {
                at += insn->k;
            } else {
                at += holds(BPF_OP(insn->code), a, operand) ? insn->jt : insn->jf;
            }
            break;
        case BPF_RET:
            return BPF_RVAL(insn->code) == BPF_A ? a : insn->k;
        case BPF_MISC:
            *(BPF_MISCOP(insn->code) == BPF_TAX ? &x : &a) = BPF_MISCOP(insn->code) == BPF_TAX ? a : x;
            break;
        }
    }
    abort(); /* the end was reached without a return */
}

static bool allow(const Filters *filters, uint32_t arch, int nr, const uint64_t arguments[6])
{
    struct seccomp_data data = { .nr = nr, .arch = arch };

    memcpy(data.args, arguments, sizeof(data.args));
    for (int i = 0; i < filters->count; i++) {
        uint32_t action = run(&filters->filter[i], &data) & SECCOMP_RET_ACTION_FULL;

        /* The kernel takes the strictest action, so each filter must allow the call. */
        if (action != SECCOMP_RET_ALLOW && action != SECCOMP_RET_LOG) {
            return false;
        }
    }
    return true;
}

bool filters_allow(const Filters *filters, int nr, const uint64_t arguments[6])
{
    return allow(filters, ARCH, nr, arguments);
}

bool filters_allow_other(const Filters *filters, int nr)
{
#ifdef OTHER_ARCH
    static const uint64_t none[6];

    return allow(filters, OTHER_ARCH, nr, none);
#else
    return false;
#endif
}

bool filters_have(const Filters *filters, const Filter *filter)
{
    for (int i = 0; i < filters->count; i++) {
        const Filter *other = &filters->filter[i];

        if (other->length == filter->length &&
            !memcmp(other->program, filter->program, filter->length * sizeof(*filter->program))) {
            return true;
        }
    }
    return false;
}
