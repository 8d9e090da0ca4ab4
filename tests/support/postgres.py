"""A private PostgreSQL: a cluster of its own below a temporary directory, on a unix socket only.

    with Postgres() as pg:
        url = pg.database()             # a new, empty one
        pg.sql(url, "select 1")         # [(1,)] as texts: [("1",)]

PostgreSQL refuses to run as root; then it runs as the user postgres, whom Debian's package makes.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

SETTINGS = {
    "listen_addresses": "", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
    "shared_buffers": "64MB", "max_connections": "100", "autovacuum": "off", "timezone": "Europe/Berlin",
}  # fmt: skip


def _programs():
    """The newest installed version's directory of programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    assert found, "PostgreSQL is not installed: run deploy/install-deps --test"
    return found[-1].parent



def _memory():
    """Where files cost nothing, if there is room: a database is a thousand of them, and a suite makes hundreds."""
    place = "/dev/shm"
    return place if os.access(place, os.W_OK) and shutil.disk_usage(place).free > 4 << 30 else None


PLACE = _memory()


@contextlib.contextmanager
def locked(url, *tables):
    """Nobody reads or writes the tables meanwhile."""
    psql = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-d", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    psql.stdin.write(f"BEGIN; LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n")
    psql.stdin.flush()
    assert psql.stdout.readline() == "locked\n"
    try:
        yield
    finally:
        psql.stdin.close()
        psql.wait(10)


class Postgres:
    def __init__(self):
        self.bin = _programs()
        self.dir = Path(tempfile.mkdtemp(prefix="weir-pg-", dir=PLACE))
        self.data = self.dir / "data"
        self._names = itertools.count(1)
        self._as_user = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.dir, user.pw_uid, user.pw_gid)
            self._as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self.dir.chmod(0o755)  # clients of any user find the socket
        self._run("initdb", "-D", self.data, "-A", "trust", "-U", "weir", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write("".join(f"{k} = '{v}'\n" for k, v in SETTINGS.items()))
            conf.write(f"unix_socket_directories = '{self.dir}'\n")
        self.start()

    def _run(self, program, *args, **kw):
        return subprocess.run([*self._as_user, str(self.bin / program), *map(str, args)], check=True, cwd="/",
                              capture_output=True, text=True, timeout=60, **kw)  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- the server

    def start(self):
        # pg_ctl's log is the server's as well: a pipe would stay open behind it
        subprocess.run([*self._as_user, str(self.bin / "pg_ctl"), "-D", str(self.data), "-l", str(self.dir / "log"),
                        "-w", "start"], check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=60)  # fmt: skip

    def stop(self, mode="immediate"):
        if (self.data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def pids(self):
        """The postmaster and all its children."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(postmaster)], capture_output=True, text=True,
                                  check=True).stdout.split()  # fmt: skip
        return [postmaster, *map(int, children)]

    def freeze(self):
        self._signal(signal.SIGSTOP)

    def thaw(self):
        self._signal(signal.SIGCONT)

    def _signal(self, number):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):  # it ended since
                os.kill(pid, number)

    # --- a replica

    def replica(self):
        return Replica(self)

    # --- databases

    def url(self, name):
        return f"postgresql://weir@localhost/{name}?host={quote(str(self.dir), safe='')}"

    def database(self, template="template0"):
        """The URL of a new one."""
        name = f"t{next(self._names)}"
        self.sql(self.url("postgres"), f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    @staticmethod
    def name(url):
        return url.split("?")[0].rsplit("/", 1)[1]

    def sql(self, url, text, *args, timeout=60):
        """Rows of the last statement, as tuples of texts; `%s` in it is a quoted argument."""
        for arg in args:
            text = text.replace("%s", "NULL" if arg is None else "'" + str(arg).replace("'", "''") + "'", 1)
        out = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-R", "\x1e", "-v", "ON_ERROR_STOP=1", "-d", url],
                             input=text, capture_output=True, text=True, timeout=timeout)  # fmt: skip
        assert out.returncode == 0, out.stderr
        return [tuple(row.split("\x1f")) for row in out.stdout.rstrip("\n").split("\x1e") if row]


class Session:
    """One connection for many statements: psql takes longer to start than most of them."""

    def __init__(self, url):
        self.process = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-d", url],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip

    def sql(self, text):
        """Rows of all its statements, as tuples of texts without line ends."""
        self.process.stdin.write(text + "\n;\n\\echo \x1e\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline()) not in ("\x1e\n", ""):
            lines.append(line.rstrip("\n"))
        assert line, "\n".join(lines)
        return [tuple(row.split("\x1f")) for row in lines]

    def close(self):
        self.process.communicate()


class Replica(Postgres):
    """Streams from `primary`. pause() stops the replay."""

    def __init__(self, primary):
        self.primary, self.bin, self._as_user = primary, primary.bin, primary._as_user
        self.dir = Path(tempfile.mkdtemp(prefix="weir-pg-", dir=PLACE))
        self.data = self.dir / "data"
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.dir, user.pw_uid, user.pw_gid)
        self.dir.chmod(0o755)
        self._run("pg_basebackup", "-D", self.data, "-h", primary.dir, "-U", "weir", "-R", "-X", "stream", "-c", "fast", "--no-sync")
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(f"unix_socket_directories = '{self.dir}'\nwal_retrieve_retry_interval = '200ms'\n")
        self.start()

    def catch_up(self):
        """Until what the primary has written is here."""
        written = self.primary.sql(self.primary.url("postgres"), "SELECT pg_current_wal_insert_lsn()")[0][0]  # also what is not written yet
        for _ in range(500):
            if self.sql(self.url("postgres"), "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", written) == [("t",)]:
                return
            time.sleep(0.02)
        raise AssertionError("the replica does not catch up")

    def pause(self):
        self.sql(self.url("postgres"), "SELECT pg_wal_replay_pause()")

    def resume(self):
        self.sql(self.url("postgres"), "SELECT pg_wal_replay_resume()")
