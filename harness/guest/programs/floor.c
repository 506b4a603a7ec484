/*
 * A process whose teardown is minimal: THREADS threads and one private page of memory.
 *
 *   floor THREADS FD
 *
 * It writes one byte to FD when all threads are running, then sleeps until it is killed.  The duration of its
 * end is the minimum for a QEMU with so many threads; with one thread, it is the overhead of measuring.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void *sleep_on(void *unused)
{
    (void)unused;
    for (;;) {
        pause();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    int fd = argc > 2 ? atoi(argv[2]) : STDOUT_FILENO;
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attr;

    if (page == MAP_FAILED || pthread_attr_init(&attr) ||
        pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN)) {
        return 1;
    }
    *page = 1;
    for (int i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attr, sleep_on, NULL)) {
            return 1;
        }
    }
    if (write(fd, "r", 1) != 1) {
        return 1;
    }
    sleep_on(NULL);
}
