#pragma once

/* Processes: starting them (the only place that calls execve), what they may do, how many fit. */

#include <sys/types.h>

#include "common/err.h"

enum { PROC_FIRST_FD = 3 }; /* where inherited descriptors begin */

struct proc_spec { /* all borrowed */
    const char *path;
    char *const *argv;
    char *const *envp;
    const int *fds; /* become PROC_FIRST_FD and following; every other one is closed */
    unsigned n_fds;
};

/*
 * Starts a process with an empty signal mask that ignores HUP, INT, TERM, USR1, USR2 and PIPE until
 * it says otherwise: signals meant for its parent reach whole groups of processes. A program that
 * cannot be executed shows as exit code 127.
 */
MUST_CHECK enum errc proc_spawn(pid_t *ret_pid, const struct proc_spec *spec, struct err *e);

/* Replaces this process by another program; returns only when that fails. */
enum errc proc_exec(const char *path, char *const *argv, char *const *envp, struct err *e);

/* The path of this program's file, then of `name` beside it. */
MUST_CHECK enum errc proc_self(char *out, size_t cap, struct err *e);
MUST_CHECK enum errc proc_sibling(char *out, size_t cap, const char *name, struct err *e);

/*
 * No new privileges, umask 077, no core file, not readable by a debugger of the same user. `cores`
 * true keeps the last two off, for debugging; children follow what their parent did, because the
 * limit is inherited.
 */
void proc_harden(bool cores);

/*
 * Moves the environment to the heap and clears the block the process was started with, which others
 * of its user can read in /proc while the heap of a hardened process is its own. Pointers from
 * getenv() before this are void. Call once, early.
 */
MUST_CHECK enum errc proc_hide_environment(struct err *e);

/*
 * The calling thread asks for turns of `us` microseconds (100 at least): woken, it need not wait for
 * the end of the longer turn of another. Nothing where the kernel does not know that (before Linux
 * 6.12), or the thread is scheduled in a way of the operator's own.
 */
void proc_set_slice(unsigned us);

/* Processors this process may use: affinity, and the quota of its control groups rounded up. */
unsigned proc_cpus(void);
