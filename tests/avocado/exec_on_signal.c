/*
 * Preloaded into QEMU: on SIGRTMIN + 5 the process executes another program, as QEMU does for a live update
 * (cpr-exec), which the pinned releases lack. It is the command in the environment variable EXEC_ON_SIGNAL, whose
 * words are separated by line feeds, or sleep(1). Property 13 of harness/properties uses it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *words[100] = { "/bin/sleep", "60", NULL };

static void on_signal(int number)
{
    char *environment[] = { NULL };

    sigset_t none;

    (void)number;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* Children of a process that ignores this signal do not become zombies, and execve() keeps that. */
    signal(SIGCHLD, SIG_DFL);
    execve(words[0], words, environment);
    _exit(127);
}

__attribute__((constructor)) static void install(void)
{
    char *word = getenv("EXEC_ON_SIGNAL");
    int count = 0;

    for (word = word ? strtok(strdup(word), "\n") : NULL; word && count < 99; word = strtok(NULL, "\n")) {
        words[count++] = word;
        words[count] = NULL;
    }
    signal(SIGRTMIN + 5, on_signal);
}
