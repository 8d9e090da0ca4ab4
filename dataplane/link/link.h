#pragma once

/*
 * The link's life beside the manager: builds generations, carries records from the rings to the
 * spool, prints access lines, settles dead regions. CONTROL_FD and SHARED_FD are inherited.
 *
 * It never ends by itself while it has a manager. Without one it goes on for the workers until the
 * last has drained, at most a minute and the drain time, or until TERM; then it writes what is
 * left.
 */

/* `config` is the path of the configuration, borrowed. Returns the exit code. */
int link_run(const char *config);
