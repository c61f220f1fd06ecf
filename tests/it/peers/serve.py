"""Runs NHS's sandbox on a free loopback port, plain or behind `strict`, and stops when its standard input closes.

    serve.py plain|strict [--certificate FILE --key FILE --ca FILE]

Prints one JSON object, {"port": N}, once it listens. With certificates it asks for a client certificate of the CA.
Its settings are the sandbox's own variables; the defaults are full authentication, memory, and the key `TestKey`.
One is ours: PASSWORD, for all mailboxes, in place of the sandbox's `password`.
Ending with standard input means that it never outlives the test that started it, however that ends.
"""

import argparse
import json
import os
import socket
import ssl
import sys
import threading

for name, value in {"AUTH_MODE": "full", "STORE_MODE": "memory", "SHARED_KEY": "TestKey"}.items():
    os.environ.setdefault(name, value)

import uvicorn  # noqa: E402  (the sandbox reads its variables when it is loaded)


def use_password(password):
    from mesh_sandbox.models.mailbox import Mailbox

    made = Mailbox.__post_init__

    def with_password(mailbox):
        made(mailbox)
        mailbox.password = password

    Mailbox.__post_init__ = with_password


def stop_with_parent():
    sys.stdin.buffer.read()
    os._exit(0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["plain", "strict"])
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--ca")
    given = parser.parse_args()
    threading.Thread(target=stop_with_parent, daemon=True).start()

    tls = {}
    if given.certificate:
        tls = {
            "ssl_certfile": given.certificate,
            "ssl_keyfile": given.key,
            "ssl_ca_certs": given.ca,
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
        }
    if "PASSWORD" in os.environ:
        use_password(os.environ["PASSWORD"])
    # `strict` lies beside this file, which is on the path; its bytecode must not.
    sys.dont_write_bytecode = True
    config = uvicorn.Config(
        "strict:app" if given.kind == "strict" else "mesh_sandbox.api:app",
        http="h11",
        workers=1,
        log_level="warning",
        date_header=given.kind == "plain",
        **tls,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    uvicorn.Server(config).run(sockets=[listener])


main()
