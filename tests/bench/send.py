"""Sends one file with NHS's own client; prints what that took.

    send.py URL FROM TO WORKFLOW CA CERTIFICATE KEY FILE plain|compress
"""

import json
import resource
import sys
import time

from mesh_client import MeshClient

url, sender, to, workflow, ca, certificate, key, path, how = sys.argv[1:]
with MeshClient(
    url,
    sender,
    "password",
    shared_key=b"TestKey",
    verify=ca,
    cert=(certificate, key),
    max_retries=0,
    transparent_compress=how == "compress",
    max_chunk_size=75_000_000,
) as client, open(path, "rb") as payload:
    begun = time.monotonic()
    client.send_message(to, payload, workflow_id=workflow)
    seconds = time.monotonic() - begun

usage = resource.getrusage(resource.RUSAGE_SELF)
spent = {"seconds": seconds, "cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_kilobytes": usage.ru_maxrss}
print(json.dumps(spent))
