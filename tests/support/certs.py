"""Certificates made at run time by openssl: one authority and what it signs, good and bad."""

import subprocess
from pathlib import Path


class Certs:
    """`ca` is trusted by the gateway under test; `chain(name)` gives the (certificate, key) files of a server.

    good      127.0.0.1 and localhost
    other     a name nobody asks for
    expired   right name, yesterday's
    stranger  right name, signed by an authority nobody knows
    plane     a control plane's; pod: a data plane's, for clients alone
    """

    def __init__(self, directory):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.ca = self._authority("ca")
        self._authority("strange-ca")
        here = "IP:127.0.0.1,DNS:localhost"
        self._server("good", "ca", here)
        self._server("other", "ca", "DNS:elsewhere.example")
        self._server("expired", "ca", here, start="20200101000000Z", end="20200102000000Z")
        self._server("stranger", "strange-ca", here)
        self._server("plane", "ca", "DNS:weir-controlplane")
        self._server("pod", "ca", "DNS:pod", usage="clientAuth")

    def chain(self, name):
        return self.dir / f"{name}.pem", self.dir / f"{name}.key"

    def _openssl(self, *args):
        subprocess.run(["openssl", *map(str, args)], cwd=self.dir, check=True, capture_output=True)

    def _authority(self, name):
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
            "-subj", f"/CN=Weir test {name}", "-keyout", f"{name}.key", "-out", f"{name}.pem",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip
        return self.dir / f"{name}.pem"

    def _server(self, name, ca, san, start=None, end=None, usage="serverAuth"):
        """Signs with `openssl ca`, which alone can set the dates."""
        (self.dir / f"{name}.cnf").write_text(
            "[ca]\ndefault_ca=d\n[d]\n"
            f"database={name}.db\nserial={name}.srl\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n"
            "[p]\ncommonName=supplied\n"
            f"[e]\nsubjectAltName={san}\nextendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n"
            "[req]\ndistinguished_name=n\n[n]\n"
        )
        (self.dir / f"{name}.db").write_text("")
        (self.dir / f"{name}.srl").write_text("01\n")
        self._openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", f"{name}.cnf",
            "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr",
        )  # fmt: skip
        dates = ["-startdate", start, "-enddate", end] if start else ["-days", 2]
        self._openssl(
            "ca", "-batch", "-notext", "-config", f"{name}.cnf", "-extensions", "e", "-cert", f"{ca}.pem",
            "-keyfile", f"{ca}.key", "-in", f"{name}.csr", "-out", f"{name}.pem", *dates,
        )  # fmt: skip
