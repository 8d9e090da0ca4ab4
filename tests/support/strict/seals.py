"""Signatures and encrypted reasoning of the mock: bound to the text they sign, so that a changed one is seen."""

import base64
import hashlib


def seal(text, redacted=False):
    digest = hashlib.sha256(text.encode()).digest()
    return base64.b64encode((b"R:" if redacted else b"S:") + digest * 3).decode()


def is_sealed(value, text):
    return value == seal(text)


def is_redacted(value):
    """No text comes with it."""
    try:
        return base64.b64decode(value, validate=True).startswith(b"R:")
    except ValueError:
        return False
