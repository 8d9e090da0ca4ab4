"""The machine: which core does what, and what processes cost, read from /proc."""

import contextlib
import os
import platform
import re
import socket
import subprocess


class Cores:
    """The gateway has one core to itself; load generator and mock share another, or have one each."""

    def __init__(self):
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            raise SystemExit("bench: two cores are needed, one for the gateway and one for load and mock")
        self.gateway = allowed[-1]
        self.load = allowed[0]
        self.mock = allowed[1] if len(allowed) > 2 else allowed[0]
        self.used = {self.gateway, self.load, self.mock}


def pinned(core, argv):
    """The command on one core, ended with bench/run however that ends."""
    return ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(core)] + argv


@contextlib.contextmanager
def ahead_of_others():
    """Puts what this process starts ahead of the machine's other work, as far as that is allowed: by its nice
    value, and by that of its session where the kernel schedules sessions as groups."""
    autogroup = "/proc/self/autogroup"
    before = re.search(r"nice (-?\d+)", _read(autogroup))
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        if before:
            _write(autogroup, "-20")
    except OSError:
        pass  # not root: a quiet machine matters more then
    try:
        yield
    finally:
        if before and os.geteuid() == 0:
            _write(autogroup, before.group(1))


@contextlib.contextmanager
def in_real_time(pids=()):
    """Puts what this thread starts, and the processes, before whatever else wants their cores, and at once: a kernel
    that preempts lazily lets even the least system call end first, or a tick pass. Without the right to: as it was."""
    before = os.sched_getscheduler(0)
    try:
        for pid in (0, *pids):
            os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pass
    try:
        yield
    finally:
        for pid in (0, *pids):
            os.sched_setscheduler(pid, before, os.sched_param(0))


@contextlib.contextmanager
def staying_on(core):
    """Keeps this thread, and what it starts that is not pinned elsewhere, to one core: bench/run itself beside what
    is measured would be measured as well."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Awake:
    """Keeps cores from sleeping, by spinning at idle priority, while the block runs: waking a virtual core is the
    hypervisor's cost, and would be most of a latency at low load."""

    def __init__(self, cores):
        self.argv = [pinned(c, ["chrt", "--idle", "0", "sh", "-c", "while :; do :; done"]) for c in cores]
        self.children = []

    def __enter__(self):
        self.children = [subprocess.Popen(a, process_group=0) for a in self.argv]
        return self

    def cpu_ns(self):
        return cpu_ns([c.pid for c in self.children])

    def __exit__(self, *_):
        for child in self.children:
            child.kill()
            child.wait()
        self.children = []


def _write(path, text):
    with open(path, "w") as f:
        f.write(text)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:  # the process or thread ended meanwhile
        return ""


def process_tree(pid):
    """The process and all that descend from it."""
    pids = [pid]
    for p in pids:
        for task in _tasks(p):
            pids += [int(c) for c in _read(f"/proc/{p}/task/{task}/children").split()]
    return pids


def _tasks(pid):
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def cpu_ns(pids):
    """User and system time of all threads: the first field of schedstat, in nanoseconds."""
    return sum(int((_read(f"/proc/{p}/task/{t}/schedstat").split() or [0])[0]) for p in pids for t in _tasks(p))


def busy_seconds(cores):
    """Time the cores were not idle, since boot."""
    ticks = 0
    for core in cores:
        fields = [int(x) for x in re.search(rf"^cpu{core} (.*)$", _read("/proc/stat"), re.M).group(1).split()[:8]]
        ticks += sum(fields) - fields[3] - fields[4]  # idle, iowait
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_kb(pids, field="Pss"):
    """Pss or Rss of the processes together."""
    found = [re.search(rf"^{field}:\s+(\d+) kB", _read(f"/proc/{p}/smaps_rollup"), re.M) for p in pids]
    return sum(int(m.group(1)) for m in found if m)


def peak_mb(pid):
    """The most resident memory it ever had."""
    return int(re.search(r"^VmHWM:\s+(\d+) kB", _read(f"/proc/{pid}/status"), re.M).group(1)) / 1024


def _version(argv, pattern):
    try:
        run = subprocess.run(argv, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    m = re.search(pattern, run.stdout + run.stderr)
    return m.group(1) if m else None


def describe(cores):
    model = re.search(r"^model name\s*:\s*(.*)$", _read("/proc/cpuinfo"), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", _read("/proc/meminfo"), re.M)
    system = re.search(r'^PRETTY_NAME="(.*)"', _read("/etc/os-release"), re.M)
    return {
        "cpu": model.group(1).strip() if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "is_virtual": bool(re.search(r"^flags\s*:.*\bhypervisor\b", _read("/proc/cpuinfo"), re.M)),
        "memory_mb": int(memory.group(1)) // 1024 if memory else None,
        "system": system.group(1) if system else platform.platform(),
        "kernel": platform.release(),
        "pinning": {"gateway": cores.gateway, "load": cores.load, "mock": cores.mock},
    }


def versions(root, weir):
    commit = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return {
        "weir": _version([weir, "--version"], r"(\d+\.\d+\.\d+\S*)") if weir else None,
        "commit": commit.stdout.strip() or None,
        "nginx": _version(["nginx", "-v"], r"nginx/(\S+)"),
        "haproxy": _version(["haproxy", "-v"], r"version (\S+)"),
        "h2o": _version(["h2o", "-v"], r"version (\S+)"),
        "openssl": _version(["openssl", "version"], r"OpenSSL (\S+)"),
        "compiler": _version(["cc", "--version"], r"^(.+)"),
    }
