"""Collects everything that waits in a mailbox with NHS's own client, and acknowledges it: one JSON object per line.

    collect.py --url URL --mailbox MAILBOX [--shared-key KEY] [--password PASSWORD]
               [--ca FILE --certificate FILE --key FILE]

Each line: id, sha256 and length of the bytes as the client decodes them, and the headers that its sender chose.
"""

import argparse
import hashlib
import json

from mesh_client import MeshClient

HEADERS = [
    "from",
    "to",
    "workflowid",
    "subject",
    "filename",
    "localid",
    "content-checksum",
    "content-encrypted",
    "content-type",
    "total-chunks",
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--mailbox", required=True)
    parser.add_argument("--shared-key", default="TestKey")
    parser.add_argument("--password", default="password")
    parser.add_argument("--ca")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    given = parser.parse_args()

    client = MeshClient(
        given.url,
        given.mailbox,
        given.password,
        shared_key=given.shared_key.encode(),
        verify=given.ca or False,
        cert=(given.certificate, given.key) if given.certificate else None,
        max_retries=0,
    )
    with client:
        for message in client.iterate_all_messages():
            with message:
                digest, length = hashlib.sha256(), 0
                while piece := message.read(1 << 20):
                    digest.update(piece)
                    length += len(piece)
                headers = {name: message.mex_header(name) for name in HEADERS}
                line = {"id": message.id(), "sha256": digest.hexdigest(), "length": length, "headers": headers}
                print(json.dumps(line))


main()
