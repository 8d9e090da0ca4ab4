"""Makes litellm.txt: values sealed by LiteLLM's own functions, for tests/unit/common/gateway/test_seal.c.

    python tests/cases/seal/make.py > tests/cases/seal/litellm.txt      with LiteLLM 1.110.2 installed

A line: secret, format, sealed value, plain text in hex. The third format is newer than that release: it is sealed here with
the primitives its description names.
"""

import base64
import os
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from litellm.proxy import proxy_server
from litellm.proxy.common_utils.encrypt_decrypt_utils import decrypt_value_helper, encrypt_value_helper

PLAIN = ["sk-provider-key", "", "x", "grüße, 世界 🔑", "a" * 1000, '{"json": "in a value"}']


def v3(plain, secret):
    key = HKDF(SHA256(), 32, None, b"litellm-at-rest-v3").derive(secret.encode())
    nonce = os.urandom(12)
    return "v3:gcm:" + base64.urlsafe_b64encode(nonce + AESGCM(key).encrypt(nonce, plain.encode(), None)).decode()


def main():
    for secret in ("sk-1234", "sk-ünï-salt", "s" * 200):
        os.environ["LITELLM_SALT_KEY"] = secret
        for plain in PLAIN:
            for name, algorithm in (("box", "xsalsa20-poly1305"), ("v2", "aes-256-gcm")):
                proxy_server.general_settings["encryption_algorithm"] = algorithm
                sealed = encrypt_value_helper(plain)
                assert decrypt_value_helper(sealed, "k") == plain
                print(secret, name, sealed, plain.encode().hex() or "-")
                if name == "box":
                    old = base64.b64encode(base64.urlsafe_b64decode(sealed)).decode()
                    print(secret, "old", old, plain.encode().hex() or "-")
            print(secret, "v3", v3(plain, secret), plain.encode().hex() or "-")


def verify():
    """Reads "secret format sealed plain" lines, as test_seal prints them with --seal, and opens each."""
    n = 0
    for line in sys.stdin:
        secret, name, sealed, plain = line.split()
        os.environ["LITELLM_SALT_KEY"] = secret
        plain = "" if plain == "-" else bytes.fromhex(plain).decode()
        if name == "v3":
            key = HKDF(SHA256(), 32, None, b"litellm-at-rest-v3").derive(secret.encode())
            raw = base64.urlsafe_b64decode(sealed.removeprefix("v3:gcm:"))
            opened = AESGCM(key).decrypt(raw[:12], raw[12:], None).decode()
        else:
            opened = decrypt_value_helper(sealed, "k")
        assert opened == plain, line
        n += 1
    print(f"{n} opened")


if __name__ == "__main__":
    verify() if sys.argv[1:] == ["--verify"] else main()
