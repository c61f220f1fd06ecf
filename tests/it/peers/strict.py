"""NHS's sandbox behind rules that the national service has and the sandbox has not, with faults on request.

    tests/it/peers/serve.py strict

Always: a token is good once; its timestamp lies within two hours of now; the mailbox in it is upper case; an
acknowledged message is gone (410); a request body is at most 100,000,000 bytes; `Accept` is one media type; a
handshake names client and system; a message is sent under a workflow, and if STRICT_WORKFLOWS is set, under one of
those (comma-separated).

Faults are called toxins. Each is put in with POST /strict/toxins and acts on requests that match, `times` times
(default 1), and of those on every `every`-th (default 1):

    {"toxin": "status", "method": "GET", "path": "/inbox/", "times": 2, "status": 503, "retry_after": "7"}

GET /strict/report tells what was done (each toxin's name and count, and every refusal by rule), every call with its
time and status. DELETE /strict takes the toxins out and forgets the report.

| Toxin | What it does |
|---|---|
| status | answers `status`, with `retry_after` if given, and `body` with `content_type` if given; the sandbox is not asked |
| soap | answers 500 with an XML SOAP fault |
| redirect | answers 302 to `location` |
| cut | sends the answer's headers and the first `bytes` of its body, then closes |
| overrun | sends `bytes` more than Content-Length says, outside the answer |
| lose-chunk | answers 404 for a later chunk (path `/inbox/{id}/{n}`) |
| header | sets the answer's header `name` to `value`; without `value` takes it away |
| empty-page | answers a list with no message and a `next` link to the same list |
| lose-answer | lets the sandbox act, then closes without an answer |
| delay | waits `seconds` before the answer |
| drip | sends the body byte by byte, `seconds` apart |
| clock | sets the answer's Date header `seconds` away from now |

`cut`, `overrun` and `lose-answer` need the connection itself: they work under uvicorn with h11 only. Every answer gets
its `Date` here, so uvicorn must not add one; `serve.py` starts it so.
"""

import asyncio
import datetime
import email.utils
import json
import os
import time

from mesh_sandbox.api import app as sandbox

WINDOW = datetime.timedelta(hours=2)
LARGEST_BODY = 100_000_000
ACCEPT = "application/vnd.mesh.v2+json"
WORKFLOWS = set(filter(None, os.environ.get("STRICT_WORKFLOWS", "").split(",")))
HANDSHAKE = ("mex-clientversion", "mex-osname", "mex-osversion")


class State:
    def __init__(self):
        self.tokens = set()
        self.acknowledged = set()
        self.forget()

    def forget(self):
        self.toxins = []
        self.calls = []
        self.done = {}
        self.refused = {}

    def count(self, table, name):
        table[name] = table.get(name, 0) + 1


state = State()


def headers_of(scope):
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


async def reply(send, status, body=b"", headers=()):
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
        headers = [*headers, ("content-type", "application/json")]
    given = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    given.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body})


def error(code, event, msg):
    return {"detail": [{"event": event, "code": code, "msg": msg}]}


# What the national service refuses and the sandbox does not (mesh-api 15).


def refusal(scope):
    """(rule, status, body) of the first rule the request breaks, or None."""
    headers = headers_of(scope)
    parts = scope["path"].strip("/").split("/")
    if parts[0] != "messageexchange" or len(parts) < 2 or parts[1] in ("admin", "_ping", "endpointlookup", "workflowsearch"):
        return None
    if headers.get("accept") != ACCEPT:
        return "accept", 400, error("", "", "Accept header api format incorrect")
    token = headers.get("authorization", "")
    fields = token.removeprefix("NHSMESH ").split(":")
    if not token.startswith("NHSMESH ") or len(fields) != 5:
        return "token-shape", 403, error("", "", "Error reading from Authorization header")
    if fields[0] != fields[0].upper() or fields[0] != parts[1]:
        return "token-mailbox", 403, error("", "", "Mailbox id does not match token")
    try:
        made = datetime.datetime.strptime(fields[3], "%Y%m%d%H%M").replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        return "token-time", 403, error("", "", "Invalid Authentication Token")
    if abs(datetime.datetime.now(datetime.timezone.utc) - made) > WINDOW:
        return "token-time", 403, error("", "", "Invalid Authentication Token")
    used = tuple(fields[:3])
    if used in state.tokens:
        return "token-reuse", 403, error("", "", "Invalid Authentication Token")
    state.tokens.add(used)
    if scope["method"] == "POST" and len(parts) == 2 and any(not headers.get(name) for name in HANDSHAKE):
        return "handshake", 400, {"detail": [{"type": "missing", "loc": ["header"], "msg": "Field required"}]}
    if int(headers.get("content-length", "0")) > LARGEST_BODY:
        return "size", 413, error("", "", "Too large")
    if scope["method"] == "POST" and parts[2:] == ["outbox"]:
        workflow = headers.get("mex-workflowid", "")
        if not workflow or (WORKFLOWS and workflow not in WORKFLOWS):
            return "workflow", 417, error("17", "SEND", "Workflow not registered")
    if scope["method"] in ("GET", "HEAD") and len(parts) > 3 and parts[2] == "inbox":
        if parts[3].upper() in state.acknowledged:
            return "gone", 410, error("Message already accepted", "RECEIVE", "Message gone")
    return None


def note_acknowledge(scope, status):
    parts = scope["path"].strip("/").split("/")
    if scope["method"] == "PUT" and parts[-1] == "acknowledged" and status == 200:
        state.acknowledged.add(parts[3].upper())


# Toxins.


def take_toxin(scope):
    whole = scope["path"] + ("?" + scope["query_string"].decode() if scope["query_string"] else "")
    for toxin in state.toxins:
        later_chunk = scope["path"].rsplit("/", 1)[-1].isdigit() or toxin["toxin"] != "lose-chunk"
        fits = toxin.get("method", scope["method"]) == scope["method"] and toxin.get("path", "") in whole
        if fits and later_chunk and toxin.get("times", 1) > 0:
            toxin["seen"] = toxin.get("seen", 0) + 1
            if toxin["seen"] % toxin.get("every", 1) != 0:
                continue
            toxin["times"] = toxin.get("times", 1) - 1
            state.count(state.done, toxin["toxin"])
            return toxin
    return None


def connection_of(send):
    """uvicorn's own protocol object: the way to the socket beneath ASGI."""
    cycle = send.__self__
    return cycle.transport


async def answer_with(toxin, scope, receive, send):
    kind = toxin["toxin"]
    if kind == "status":
        headers = [("content-type", toxin.get("content_type", "application/json"))]
        if "retry_after" in toxin:
            headers.append(("retry-after", str(toxin["retry_after"])))
        return await reply(send, toxin["status"], toxin.get("body", "").encode(), headers)
    if kind == "soap":
        body = b'<?xml version="1.0"?><soap:Envelope><soap:Body><soap:Fault/></soap:Body></soap:Envelope>'
        return await reply(send, 500, body, [("content-type", "text/xml")])
    if kind == "redirect":
        return await reply(send, 302, b"", [("location", toxin["location"])])
    if kind == "lose-chunk":
        return await reply(send, 404, error("20", "RECEIVE", "Message does not exist"))
    if kind == "empty-page":
        here = scope["path"] + "?" + (scope["query_string"].decode() or "max_results=500")
        return await reply(send, 200, {"messages": [], "links": {"self": here, "next": here}, "approx_inbox_count": 1})
    start, body = await record(scope, receive)
    note_acknowledge(scope, start["status"])
    if kind == "lose-answer":
        return connection_of(send).close()
    headers = [(name, value) for name, value in start["headers"]]
    if kind == "header":
        name = toxin["name"].encode()
        headers = [(n, v) for n, v in headers if n.lower() != name]
        if "value" in toxin:
            headers.append((name, toxin["value"].encode("latin-1")))
    if kind == "clock":
        then = email.utils.formatdate(time.time() + toxin["seconds"], usegmt=True)
        headers = [(n, v) for n, v in headers if n.lower() != b"date"] + [(b"date", then.encode())]
    if kind == "delay":
        await asyncio.sleep(toxin["seconds"])
    await send({**start, "headers": headers})
    if kind == "cut":
        await send({"type": "http.response.body", "body": body[: toxin["bytes"]], "more_body": True})
        return connection_of(send).close()
    if kind == "drip":
        for byte in body:
            await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
            await asyncio.sleep(toxin["seconds"])
        return await send({"type": "http.response.body", "body": b""})
    await send({"type": "http.response.body", "body": body})
    if kind == "overrun":
        connection_of(send).write(b"x" * toxin["bytes"])


async def record(scope, receive):
    """The sandbox's answer, whole."""
    answer = {"body": b""}

    async def keep(message):
        if message["type"] == "http.response.start":
            answer["start"] = message
        else:
            answer["body"] += message.get("body", b"")

    await sandbox(scope, receive, keep)
    return answer["start"], answer["body"]


# The application.


async def control(scope, receive, send):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if scope["method"] == "DELETE":
        state.forget()
        return await reply(send, 200, {})
    if scope["method"] == "POST":
        state.toxins.append(json.loads(body))
        return await reply(send, 200, {})
    waiting = [toxin for toxin in state.toxins if toxin.get("times", 1) > 0]
    report = {"done": state.done, "refused": state.refused, "waiting": waiting, "calls": state.calls}
    return await reply(send, 200, report)


async def app(scope, receive, send):
    if scope["type"] != "http":
        return await sandbox(scope, receive, send)
    if scope["path"].startswith("/strict"):
        return await control(scope, receive, send)

    if scope["path"] == "/health" or scope["path"].startswith("/messageexchange/admin/"):
        return await sandbox(scope, receive, send)

    call = {"method": scope["method"], "path": scope["path"], "query": scope["query_string"].decode(),
            "at": time.time(), "status": None}
    state.calls.append(call)

    async def watch(message):
        if message["type"] == "http.response.start":
            call["status"] = message["status"]
            note_acknowledge(scope, message["status"])
            headers = list(message["headers"])
            if not any(name.lower() == b"date" for name, _ in headers):
                headers.append((b"date", email.utils.formatdate(usegmt=True).encode()))
            message = {**message, "headers": headers}
        await send(message)

    watch.__self__ = getattr(send, "__self__", None)
    broken = refusal(scope)
    if broken:
        rule, status, body = broken
        state.count(state.refused, rule)
        return await reply(watch, status, b"" if scope["method"] == "HEAD" else body)
    toxin = take_toxin(scope)
    if toxin:
        return await answer_with(toxin, scope, receive, watch)
    return await sandbox(scope, receive, watch)
