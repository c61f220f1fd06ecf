"""Fetches and acknowledges all mail of one mailbox with NHS's own client; prints what that took.

    peer.py URL MAILBOX CA CERTIFICATE KEY
"""

import json
import resource
import sys

from mesh_client import MeshClient

url, mailbox, ca, certificate, key = sys.argv[1:]
with MeshClient(
    url, mailbox, "password", shared_key=b"TestKey", verify=ca, cert=(certificate, key), max_retries=0
) as client:
    while messages := client.list_messages():
        for message_id in messages:
            message = client.retrieve_message(message_id)
            message.read()
            message.acknowledge()

usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_kilobytes": usage.ru_maxrss}))
