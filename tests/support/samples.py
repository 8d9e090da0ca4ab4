"""Small files that are what they say they are by their first bytes."""

import base64


def _b64(raw):
    return base64.b64encode(raw).decode()


PNG = _b64(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
JPEG = _b64(b"\xff\xd8\xff\xe0" + bytes(range(255, -1, -1)))
PDF = _b64(b"%PDF-1.4\n" + bytes(range(128)))
PLAIN = "Grüße, as plain text."
URL = "https://images.example/wehr.png"


def data_url(mime, data):
    return f"data:{mime};base64,{data}"
