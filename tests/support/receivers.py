"""Who alerts are sent to: an HTTP server and an SMTP server that record, and misbehave on demand."""

import base64
import contextlib
import email
import http.server
import json
import socket
import ssl
import threading
import time


class Webhook:
    """`answers`: a status for each request, the last one again and again; None: it never answers."""

    def __init__(self, *answers):
        self.seen = []
        self.answers = list(answers) or [200]
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.seen.append((self.path, self.headers["content-type"], json.loads(body)))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                if answer is None:
                    outer.ended.wait(60)
                    return
                self.send_response(answer)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        self.ended = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/secret-part"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def bodies(self):
        return [body for _, _, body in self.seen]


class Mailbox:
    """An SMTP server, with `chain` (certificate, key) one that offers STARTTLS or, if `at_once`, begins with it.

    `seen`: (from, [to], message, login); `clear`: verbs that came unencrypted.
    """

    def __init__(self, chain=None, at_once=False):
        self.seen, self.clear = [], []
        self.at_once, self.tls = at_once, None
        if chain:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*chain)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(c,), daemon=True).start()

    def _serve(self, c):
        with contextlib.suppress(OSError):  # it leaves, or does not trust us
            self._speak(self.tls.wrap_socket(c, server_side=True) if self.at_once else c)
        c.close()

    def _speak(self, c):
        login, sender, receivers = None, None, []
        f = c.makefile("rwb")

        def say(text):
            f.write(text.encode() + b"\r\n")
            f.flush()

        say("220 mock")
        while line := f.readline():
            word = line.decode().strip()
            verb = word.split(" ")[0].upper()
            is_clear = not isinstance(c, ssl.SSLSocket)
            if is_clear:
                self.clear.append(verb)
            if verb == "EHLO":
                say("250-mock\r\n" + "250-STARTTLS\r\n" * bool(is_clear and self.tls) + "250 AUTH PLAIN")
            elif verb == "STARTTLS":
                say("220 go on")
                c = self.tls.wrap_socket(c, server_side=True)
                f = c.makefile("rwb")
            elif verb == "AUTH":
                given = word.split(" ")[2:]
                if not given:
                    say("334 ")
                    given = [f.readline().decode().strip()]
                login = base64.b64decode(given[0]).decode().split("\0")[1:]
                say("235 ok")
            elif verb == "MAIL":
                sender, receivers = word.split(":", 1)[1].split(" ")[0], []
                say("250 ok")
            elif verb == "RCPT":
                receivers.append(word.split(":", 1)[1])
                say("250 ok")
            elif verb == "DATA":
                say("354 go on")
                data = b""
                while (line := f.readline()) != b".\r\n":
                    data += line[1:] if line.startswith(b"..") else line
                self.seen.append((sender, receivers, email.message_from_bytes(data), login))
                say("250 ok")
            elif verb == "QUIT":
                say("221 bye")
                break
            else:
                say("250 ok")


def within(true, seconds=10.0):
    end = time.monotonic() + seconds
    while not (got := true()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)
    return got
