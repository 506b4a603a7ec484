/*
 * Preloaded into QEMU: on SIGRTMIN + 5 the process executes another program, as QEMU does for a live update
 * (cpr-exec), which the pinned releases lack. Property 13 of harness/properties uses it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void on_signal(int number)
{
    char *argv[] = { "sleep", "60", NULL };
    char *environment[] = { NULL };

    sigset_t none;

    (void)number;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve("/bin/sleep", argv, environment);
    _exit(127);
}

__attribute__((constructor)) static void install(void)
{
    signal(SIGRTMIN + 5, on_signal);
}
