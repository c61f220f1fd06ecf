"""Sends mail with NHS's own client, and prints what it sent: one JSON object per line.

    send.py --url URL --from MAILBOX --to MAILBOX [--shared-key KEY] [--password PASSWORD]
            [--ca FILE --certificate FILE --key FILE] KIND [KIND=VALUE ...]

| Kind | Sends |
|---|---|
| plain=BYTES | a body of so many pseudo-random bytes |
| gzip=BYTES | the same, compressed in transit |
| chunked=BYTES:CHUNK | the same, in chunks of CHUNK bytes |
| chunked-gzip=BYTES:CHUNK | the same, each chunk compressed |
| odd | bodies with awkward subjects and file names, one message each |
| smallest | one byte, and no header that can be left out |
| largest | every header at its limit |
| patient | every header a sender can fill, and the body, as careless senders fill them |
| many=COUNT | COUNT small messages |
| workflow=ID | (before other kinds) the workflow of those that follow |

Each line: id, kind, sha256 of the bytes, length, workflow, and the headers as a recipient should read them.
"""

import argparse
import hashlib
import json
import random
import sys

from mesh_client import MeshClient

ODD_SUBJECTS = [
    "NDR: not a report",
    "a <b> & \"c\" 'd' ]]>",
    "../../etc/passwd",
    "GPPROVIDER_9990000001_19670126_TEST",
    "%00%0d%0a=1+1;--",
    "café Zoë",  # goes out as Latin-1 bytes
    "Zoë ✓ Łódź",  # goes out as UTF-8 bytes
]

# Invented, with numbers of the range that is given to nobody.
PATIENT = {
    "subject": "Discharge of CANARY-SUBJECT 999 000 0018",
    "filename": "9990000026_CANARY-FILE.pdf",
    "local_id": "CANARY-LOCAL-9990000034",
    "partner_id": "CANARY-PARTNER-9990000042",
    "checksum": "CANARY-CHECKSUM 9990000050",
}


def on_the_wire(text):
    """Headers go out as Latin-1; what that cannot say goes out as UTF-8 bytes."""
    try:
        text.encode("latin-1")
        return text
    except UnicodeEncodeError:
        return text.encode().decode("latin-1")


def body(length, seed):
    return random.Random(seed).randbytes(length)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--from", dest="sender", required=True)
    parser.add_argument("--to", required=True)
    parser.add_argument("--shared-key", default="TestKey")
    parser.add_argument("--password", default="password")
    parser.add_argument("--ca")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("kinds", nargs="+")
    given = parser.parse_args()

    client = MeshClient(
        given.url,
        given.sender,
        given.password,
        shared_key=given.shared_key.encode(),
        verify=given.ca or False,
        cert=(given.certificate, given.key) if given.certificate else None,
        max_retries=0,
    )
    workflow = "TEST_WORKFLOW"
    count = 0

    def send(kind, content, **options):
        wire = {name: on_the_wire(value) if isinstance(value, str) else value for name, value in options.items()}
        message_id = client.send_message(given.to, content, workflow_id=workflow, **wire)
        print(
            json.dumps(
                {
                    "id": message_id,
                    "kind": kind,
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "length": len(content),
                    "workflow": workflow,
                    "subject": options.get("subject"),
                    "file_name": options.get("filename"),
                    "local_id": options.get("local_id"),
                    "partner_id": options.get("partner_id"),
                    "checksum": options.get("checksum"),
                    "encrypted": options.get("encrypted", False),
                }
            ),
            flush=True,
        )

    with client:
        for argument in given.kinds:
            kind, _, value = argument.partition("=")
            count += 1
            if kind == "workflow":
                workflow = value
            elif kind in ("plain", "gzip"):
                send(kind, body(int(value), count), compress=kind == "gzip", subject=kind, local_id=f"local-{count}")
            elif kind in ("chunked", "chunked-gzip"):
                length, chunk = (int(number) for number in value.split(":"))
                compress = kind == "chunked-gzip"
                send(kind, body(length, count), max_chunk_size=chunk, compress=compress, subject=kind)
            elif kind == "odd":
                for subject in ODD_SUBJECTS:
                    send(kind, subject.encode(), subject=subject, filename=subject)
            elif kind == "smallest":
                send(kind, b"x")
            elif kind == "largest":
                send(
                    kind,
                    b"largest",
                    subject="s" * 500,
                    filename="f" * 300,
                    local_id="l" * 300,
                    partner_id="p" * 500,
                    checksum="c" * 100,
                    content_type="t/" + "t" * 98,
                    compressed=True,
                    encrypted=True,
                )
            elif kind == "patient":
                send(kind, b"CANARY-BODY 9990000069", **PATIENT)
            elif kind == "many":
                for number in range(int(value)):
                    send(kind, f"message {number}".encode(), subject=f"{number}")
            else:
                sys.exit(f"no kind is named {kind!r}: see {__file__}")


main()
