"""Bytes that come inside of JSON: base64, images, documents."""

import base64
import binascii
import re

from .schema import Refused, text

MAGIC = {"image/png": rb"\x89PNG\r\n\x1a\n", "image/jpeg": rb"\xff\xd8\xff", "image/gif": rb"GIF8[79]a",
         "image/webp": rb"RIFF....WEBP", "application/pdf": rb"%PDF-"}  # fmt: skip
DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,(.*)", re.S)


def decode(data, at):
    """Standard alphabet, padded, no line ends."""
    text()(data, at)
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(at, "not valid base64", "invalid_base64") from None


def check(mime, data, at, allowed):
    """Base64 of what it says it is."""
    if mime not in allowed:
        raise Refused(at, f"media type {mime!r} is none of {', '.join(sorted(allowed))}", "invalid_value")
    raw = decode(data, at)
    if mime in MAGIC and not re.match(MAGIC[mime], raw, re.S):
        raise Refused(at, f"the data is not {mime}", "invalid_image_format")


IMAGES = frozenset(m for m in MAGIC if m.startswith("image/"))


def image_url(url, at):
    """As OpenAI takes it: http(s), or data of an image."""
    text()(url, at)
    if re.match(r"https?://[^\s/]+", url):
        return
    found = DATA_URL.fullmatch(url)
    if not found:
        raise Refused(at, "expected a URL or a base64-encoded data URL", "invalid_image_url")
    check(found[1], found[2], at, IMAGES)


def file_data(url, at):
    """As OpenAI takes it: a data URL of a document."""
    text()(url, at)
    found = DATA_URL.fullmatch(url)
    if not found:
        raise Refused(at, "expected a base64-encoded data URL with a MIME type", "invalid_value")
    check(found[1], found[2], at, {"application/pdf", "text/plain"})
