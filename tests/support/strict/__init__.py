"""Judges a request as the real provider would, so that a wrong translation is a 400 in the test and not a shrug.

    refused = strict.judge(request, stored)       # None, or Refused
    strict.answer(request, refused)               # the provider's own error reply

Rules are those of the providers' documentation and type definitions; a model's abilities go by its name, an unknown
name of OpenAI's APIs is a compatible server, one of Anthropic's the newest model.
"""

import json

from ..mock_provider import json_reply
from . import chat, messages, responses
from .schema import Refused

__all__ = ["Refused", "answer", "judge"]


def _chat(body, headers, stored):
    chat.check(body, headers)


def _messages(body, headers, stored):
    messages.check(body, headers)


def _count(body, headers, stored):
    messages.check_count(body, headers)


CHECKS = {
    "/v1/chat/completions": _chat,
    "/v1/messages": _messages,
    "/v1/messages/count_tokens": _count,
    "/v1/responses": responses.check,
}


def _pairs(pairs):
    names = [k for k, _ in pairs]
    if len(set(names)) < len(names):
        raise Refused("", f"repeated member among {names}")
    return dict(pairs)


def judge(request, stored=()):
    """`stored`: what this provider kept of earlier responses; see responses.check."""
    try:
        _credential(request)
        if not (request.method == "POST" and request.path in CHECKS):
            return None
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            raise Refused("", f"content type {request.headers.get('content-type')!r}")
        try:
            body = json.loads(request.body, object_pairs_hook=_pairs)
        except ValueError:
            raise Refused("", "we could not parse the JSON body of your request") from None
        if not isinstance(body, dict):
            raise Refused("", "expected an object")
        CHECKS[request.path](body, request.headers, stored)
    except Refused as e:
        return e
    return None


def _credential(request):
    names = [n for n, _ in request.header_list]
    given = [n for n in ("authorization", "x-api-key", "api-key") if n in names]
    if len(given) != 1 or names.count(given[0]) != 1:
        raise Refused("", f"credentials: {given or 'none'}", status=401)


def answer(request, refused):
    if "/messages" in request.path:
        kind = {401: "authentication_error", 404: "not_found_error"}.get(refused.status, "invalid_request_error")
        error = {"type": kind, "message": str(refused)}
        if refused.usual:
            error["details"] = {"error_code": refused.code, "unsupported": [refused.at]}
        return json_reply({"type": "error", "error": error, "request_id": "req_refused"}, refused.status)
    error = {
        "message": str(refused),
        "type": "invalid_request_error",
        "param": refused.at or None,
        "code": refused.code,
    }
    return json_reply({"error": error}, refused.status)
