"""Processes of a benchmark: the mock upstream, the gateways in front of it, the load generator."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

from . import machine

PEERS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers")
KEY = "sk-bench-0123456789abcdef"
MODELS = ["mock-small"]  # rows add theirs before Weir starts
# Weir reaches each by several names: prefix of the name, provider, what follows the base
KINDS = [("", "openai", "/v1"), ("vllm-", "hosted_vllm", "/v1"), ("claude-", "anthropic", "")]


class Failed(Exception):
    pass


class Process:
    """A child in the foreground, ended by its pid."""

    def __init__(self, argv, core, log, env=None, stdout=None):
        self.log, self.argv = log, argv
        with open(log, "ab") as out:
            self.child = subprocess.Popen(
                machine.pinned(core, argv), stdin=subprocess.DEVNULL, stdout=stdout or out, stderr=out, env=env,
                process_group=0)  # Ctrl-C reaches bench/run alone, which then ends its children in order

    @property
    def pid(self):
        return self.child.pid

    def pids(self):
        return machine.process_tree(self.pid)

    def stop(self, times=1):
        """SIGTERM, so many times; SIGKILL to what is left after ten seconds."""
        if self.child.poll() is not None:
            return
        for _ in range(times):
            self.child.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            left = self.pids()
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            self.child.wait()

    def explain(self):
        with open(self.log, errors="replace") as f:
            return f"{' '.join(self.argv)}\n{f.read()[-2000:]}"


def make_certificates(dir):
    """A CA of the run's own and a certificate for localhost and 127.0.0.1."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    with open(f"{dir}/names", "w") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for argv in (
            ["req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=bench CA", "-days", "2"],
            ["req", *key, "-keyout", "mock.key", "-out", "mock.csr", "-subj", "/CN=localhost"],
            ["x509", "-req", "-in", "mock.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
             "mock.pem", "-days", "2", "-extfile", "names"]):
        subprocess.run(["openssl", *argv], cwd=dir, check=True, capture_output=True)


class Mock(Process):
    def __init__(self, build, dir, core, ledger=None):
        argv = [f"{build}/bench/weir-bench-mock", "--tls-port", "0", "--cert", f"{dir}/mock.pem", "--key",
                f"{dir}/mock.key"]
        super().__init__(argv + (["--ledger", ledger] if ledger else []), core, f"{dir}/mock.log",
                         stdout=subprocess.PIPE)
        ready = re.match(rb"plain=(\d+) tls=(\d+)", self.child.stdout.readline())
        if not ready:
            raise Failed(self.explain())
        self.port, self.port_tls = int(ready.group(1)), int(ready.group(2))


def request(port, path, body=None, timeout=5, key=None):
    """One plain HTTP request on a connection of its own; returns (status, body)."""
    head = (f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key or KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body or '')}\r\nConnection: close\r\n\r\n")
    with socket.create_connection(("127.0.0.1", port), timeout) as s:
        s.sendall((head + (body or "")).encode())
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
    status = re.match(rb"HTTP/1\.[01] (\d+)", answer)
    return int(status.group(1)) if status else 0, answer.partition(b"\r\n\r\n")[2]


CHAT = json.dumps({"model": "mock-small", "messages": [{"role": "user", "content": "hello"}]})


class Gateway:
    """What a row drives: a URL and the processes it costs. port is the plain upstream's, port_tls the TLS one's."""

    name = None
    process = None

    def __init__(self, ctx):
        self.ctx = ctx
        self.dir = os.path.join(ctx.dir, self.name)
        os.makedirs(self.dir, exist_ok=True)
        self.port, self.port_tls = machine.free_port(), machine.free_port()

    def pids(self):
        return self.process.pids()

    def wait_ready(self, port, timeout=10):
        """Until a chat request is answered; returns the seconds it took."""
        start = time.monotonic()
        while True:
            try:
                if request(port, "/v1/chat/completions", CHAT)[0] == 200:
                    return time.monotonic() - start
            except OSError:
                pass
            if time.monotonic() - start > timeout or self.process.child.poll() is not None:
                raise Failed(f"{self.name} does not answer\n{self.process.explain()}")
            time.sleep(0.005)

    def stop(self):
        if self.process:
            self.process.stop()


class Direct(Gateway):
    """No gateway: the mock itself."""

    name = "direct"

    def __init__(self, ctx):
        super().__init__(ctx)
        self.port, self.port_tls = ctx.mock.port, None

    def pids(self):
        return []


class Peer(Gateway):
    config = None

    def argv(self, config):
        raise NotImplementedError

    def __init__(self, ctx):
        super().__init__(ctx)
        values = {"DIR": self.dir, "CA": f"{ctx.dir}/ca.pem", "PORT": self.port, "PORT_TLS": self.port_tls,
                  "MOCK": ctx.mock.port, "MOCK_TLS": ctx.mock.port_tls}
        config = f"{self.dir}/{self.config}"
        with open(f"{PEERS}/{self.config}") as template, open(config, "w") as out:
            out.write(re.sub(r"@(\w+)@", lambda m: str(values[m.group(1)]), template.read()))
        self.process = Process(self.argv(config), ctx.cores.gateway, f"{self.dir}/log")
        self.wait_ready(self.port)
        self.wait_ready(self.port_tls)


class Nginx(Peer):
    name, config = "nginx", "nginx.conf"

    def argv(self, config):
        return ["nginx", "-e", f"{self.dir}/nginx.error.log", "-c", config]


class Haproxy(Peer):
    name, config = "haproxy", "haproxy.cfg"

    def argv(self, config):
        return ["haproxy", "-db", "-f", config]


class H2o(Peer):
    name, config = "h2o", "h2o.conf"

    def argv(self, config):
        return ["h2o", "-m", "worker", "-c", config]


class Weir(Gateway):
    """One data plane per upstream scheme; each has its own directories."""

    name = "weir"
    config = "weir.yaml"

    def __init__(self, ctx, tls=False, program=None, wait=True, control_plane=None):
        super().__init__(ctx)
        self.port_tls = self.port if tls else None
        dir = tempfile.mkdtemp(dir=self.dir)  # fresh state: every start is a cold one
        for sub in ("state", "run"):
            os.mkdir(f"{dir}/{sub}", 0o700)
        base = f"https://localhost:{ctx.mock.port_tls}" if tls else f"http://127.0.0.1:{ctx.mock.port}"
        entries = "".join(
            f"  - model_name: {prefix}{m}\n"
            f"    litellm_params: {{model: {provider}/{m}, api_base: \"{base}{end}\", api_key: sk-mock}}\n"
            f"    model_info: {{input_cost_per_token: 0.00000015, output_cost_per_token: 0.0000006}}\n"
            for m in MODELS for prefix, provider, end in KINDS)
        values = {"MODELS": entries.rstrip("\n"), "CA": f"{ctx.dir}/ca.pem", "DIR": dir}
        with open(f"{PEERS}/{self.config}") as template, open(f"{dir}/config.yaml", "w") as out:
            text = "".join(line for line in template if not line.startswith("#"))
            out.write(re.sub(r"@(\w+)@", lambda m: values[m.group(1)], text))
            if control_plane:
                out.write(f"  control_plane: [{json.dumps(control_plane)}]\n")
        env = {"PATH": os.environ["PATH"], "NUM_WORKERS": "1", "WEIR_STATE_DIR": f"{dir}/state",
               "WEIR_RUN_DIR": f"{dir}/run", "LITELLM_MASTER_KEY": KEY}
        self.state = f"{dir}/state"
        self.start = lambda: Process([program or ctx.weir, "--config", f"{dir}/config.yaml", "--port", str(self.port)],
                                     ctx.cores.gateway, f"{dir}/log", env=env)
        self.process = self.start()
        if wait:
            self.wait_ready(self.port)

    def stop(self):
        self.process.stop(times=2)  # the second ends the drain


PEER_TYPES = [Nginx, Haproxy, H2o]


class LoadFailed(Failed):
    pass


def load(ctx, port, path="/v1/chat/completions", **options):
    """Runs the load generator; options are its own with underscores, or key. Returns its JSON."""
    may_refuse = options.pop("may_refuse", False)
    return load_result(start_load(ctx, port, path, **options), may_refuse)


def start_load(ctx, port, path="/v1/chat/completions", **options):
    return subprocess.Popen(load_argv(ctx, port, path, options), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


def load_result(child, may_refuse=False):
    """What the load saw. Failed when more than one in a thousand requests was, unless it may be refused."""
    out, err = child.communicate()
    argv = child.args
    if child.returncode == 2 or not out:
        raise LoadFailed(f"{' '.join(argv)}\n{err}")
    result = json.loads(out)
    failed = sum(result["errors"].values())
    if failed > result["requests"] / 1000 and not may_refuse:
        raise LoadFailed(f"{failed} of {result['requests']} requests failed: {result['errors']}\n{' '.join(argv)}")
    return result


def load_argv(ctx, port, path, options):
    key = options.pop("key", KEY)
    argv = machine.pinned(ctx.cores.load, [
        f"{ctx.build}/bench/weir-bench-load", "--json", "1", "--url", f"http://127.0.0.1:{port}{path}", "--header",
        f"Authorization: Bearer {key}"])
    for name, value in options.items():
        argv += [f"--{name.replace('_', '-')}", str(int(value) if isinstance(value, float) else value)]
    return argv
