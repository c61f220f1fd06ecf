"""Looks into a mailbox with NHS's own client, and prints the ids of the messages that wait there, one a line.

    inbox.py --url URL --mailbox MAILBOX [--shared-key KEY] [--password PASSWORD]
             [--ca FILE --certificate FILE --key FILE] [--acknowledge ID ...]

The messages named are acknowledged first, as another reader of the same mailbox would.
"""

import argparse

from mesh_client import MeshClient


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--mailbox", required=True)
    parser.add_argument("--shared-key", default="TestKey")
    parser.add_argument("--password", default="password")
    parser.add_argument("--ca")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--acknowledge", action="append", default=[])
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
        for message_id in given.acknowledge:
            client.acknowledge_message(message_id)
        for message_id in client.iterate_message_ids():
            print(message_id)


main()
