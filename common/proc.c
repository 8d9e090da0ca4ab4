/* Processes: spawn, harden, count processors. */

#include "common/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/num.h"

enum { FDS_MAX = 32 };

/* In the child, between fork and exec: only system calls. */
NORETURN static void child_exec(const struct proc_spec *spec)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE};
    int high[FDS_MAX];
    sigset_t none;

    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        (void)signal(ignored[i], SIG_IGN); /* cannot fail on these */
    (void)signal(SIGCHLD, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    /* out of the way first: a source may stand where another one goes */
    for (unsigned i = 0; i < spec->n_fds; i++)
        if ((high[i] = fcntl(spec->fds[i], F_DUPFD_CLOEXEC, PROC_FIRST_FD + FDS_MAX)) < 0)
            _exit(126);
    for (unsigned i = 0; i < spec->n_fds; i++)
        if (dup2(high[i], PROC_FIRST_FD + (int)i) < 0)
            _exit(126);
    /* the rest is close-on-exec; this also covers what a parent of ours left open */
    (void)close_range(PROC_FIRST_FD + spec->n_fds, ~0u, 0);
    execve(spec->path, spec->argv, spec->envp);
    _exit(127);
}

enum errc proc_spawn(pid_t *ret_pid, const struct proc_spec *spec, struct err *e)
{
    ASSERT(spec->n_fds <= FDS_MAX);
    if (access(spec->path, X_OK) != 0)
        return err_set(e, ERRC_SYS, errno, "start %s", spec->path);
    pid_t pid = fork();
    if (pid < 0)
        return err_set(e, ERRC_SYS, errno, "start a process for %s", spec->path);
    if (pid == 0)
        child_exec(spec);
    *ret_pid = pid;
    return ERRC_OK;
}

enum errc proc_exec(const char *path, char *const *argv, char *const *envp, struct err *e)
{
    execve(path, argv, envp);
    return err_set(e, ERRC_SYS, errno, "start %s", path);
}

enum errc proc_self(char *out, size_t cap, struct err *e)
{
    ssize_t n = readlink("/proc/self/exe", out, cap - 1);

    if (n < 0)
        return err_set(e, ERRC_SYS, errno, "find this program's own file");
    if ((size_t)n == cap - 1)
        return err_set(e, ERRC_LIMIT, 0, "path of this program is too long");
    out[n] = '\0';
    return ERRC_OK;
}

enum errc proc_sibling(char *out, size_t cap, const char *name, struct err *e)
{
    enum errc rc = proc_self(out, cap, e);

    if (rc)
        return rc;
    char *end = strrchr(out, '/');
    ASSERT(end); /* the kernel's links to files are absolute */
    size_t dir = (size_t)(end + 1 - out);
    if ((size_t)snprintf(out + dir, cap - dir, "%s", name) >= cap - dir)
        return err_set(e, ERRC_LIMIT, 0, "path of %s is too long", name);
    return ERRC_OK;
}

void proc_harden(bool cores)
{
    struct rlimit core = {0, 0};

    (void)umask(077);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* cannot fail since Linux 3.5 */
    if (!cores)
        (void)setrlimit(RLIMIT_CORE, &core); /* lowering is always allowed */
#ifndef __SANITIZE_ADDRESS__                 /* its leak check attaches to the process itself */
    if (getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0)
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

/* struct sched_attr as of Linux 3.14: libc and the kernel's headers each define it, or neither. */
struct sched_fields {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};
static_assert(sizeof(struct sched_fields) == 48, "SCHED_ATTR_SIZE_VER0");

void proc_set_slice(unsigned us)
{
    struct sched_fields a = {.size = sizeof a};

    if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) != 0 || a.policy != SCHED_OTHER)
        return;
    a.runtime_ns = us * UINT64_C(1000);
    (void)syscall(SYS_sched_setattr, 0, &a, 0); /* refused: as it was */
}

enum errc proc_hide_environment(struct err *e)
{
    static char *
        *copy; /* and the texts behind it, in one piece that lives as long as the process */
    size_t n = 0, bytes = 0;

    while (environ[n])
        bytes += strlen(environ[n++]) + 1;
    copy = malloc((n + 1) * sizeof *copy + bytes);
    if (!copy)
        return err_set(e, ERRC_NOMEM, 0, "environment");
    char *text = (char *)(copy + n + 1);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(environ[i]) + 1;
        memcpy(text, environ[i], len);
        explicit_bzero(environ[i], len);
        copy[i] = text;
        text += len;
    }
    copy[n] = NULL;
    environ = copy;
    return ERRC_OK;
}

/* The first bytes of a small file, NUL-terminated; false when it is not there. */
static bool read_small(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    ssize_t n = read(fd, out, cap - 1);
    close(fd);
    if (n < 0)
        return false;
    out[n] = '\0';
    return true;
}

/* The quota in `dir`/cpu.max ("max 100000", "150000 100000") in processors, rounded up; 0: none. */
static uint64_t quota_of(const char *dir)
{
    char path[600], text[64];
    struct str quota, period;
    uint64_t q, p;

    (void)snprintf(path, sizeof path, "%s/cpu.max", dir); /* cut: the file is not there */
    if (!read_small(path, text, sizeof text) ||
        !str_cut(str_trim(str_of(text)), ' ', &quota, &period))
        return 0;
    if (period.n && period.p[period.n - 1] == '\n')
        period.n--;
    if (!num_u64(quota, &q) || !num_u64(period, &p) || q == 0 || p == 0)
        return 0;
    return (q + p - 1) / p;
}

unsigned proc_cpus(void)
{
    char group[512], dir[sizeof group + 32];
    cpu_set_t set;
    unsigned cpus = 1;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cpus = (unsigned)MAX(CPU_COUNT(&set), 1);
    /* the limit of any ancestor counts; inside a container the path is "/" */
    if (!read_small("/proc/self/cgroup", group, sizeof group))
        return cpus;
    char *path = strstr(group, "0::/");
    if (!path)
        return cpus;
    path += strlen("0::");
    path[strcspn(path, "\n")] = '\0';
    for (;;) {
        (void)snprintf(dir, sizeof dir, "/sys/fs/cgroup%s", path);
        uint64_t q = quota_of(dir);
        if (q > 0 && q < cpus)
            cpus = (unsigned)q;
        char *slash = strrchr(path, '/');
        if (!slash)
            return cpus;
        *slash = '\0';
    }
}
