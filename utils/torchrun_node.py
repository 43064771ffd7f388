#!/usr/bin/env python3
"""Starts torchrun as one node of several: torchrun_node.py NODE NUM_NODES RENDEZVOUS args...

RENDEZVOUS is host:port, or a file in a directory that all nodes share: node 1 writes its address
there, so that a batch system may choose the machines.  NODE counts from 1.  The other arguments
are those of torchrun.  Two variables of the environment:
  DIARIZE_NODE_ADDRESS   name or address by which the other nodes reach this one; default: its name
  DIARIZE_JOIN_SECONDS   maximum time that nodes wait for each other; default: 3600
"""

import os
import socket
import sys
import time
from pathlib import Path


def main() -> int:
    """Replace the process by torchrun; return the exit status if that is impossible."""
    node, nodes, rendezvous, *words = sys.argv[1:]
    seconds = os.environ.get("DIARIZE_JOIN_SECONDS", "3600")
    address = os.environ.get("DIARIZE_NODE_ADDRESS")
    settings = [f"join_timeout={seconds}"]
    if "/" in rendezvous:
        first = node == "1"
        settings.append(f"is_host={int(first)}")
        path = Path(rendezvous)
        if first:
            _write(path, f"{address or socket.gethostname()}:{_free_port()}")
        try:
            rendezvous = _wait_for(path, float(seconds))
        except TimeoutError as err:
            print(f"torchrun_node.py: error: {err}", file=sys.stderr)
            return 1
    options = ["--nnodes", nodes, "--rdzv-backend", "c10d", "--rdzv-endpoint", rendezvous]
    options += ["--rdzv-conf", ",".join(settings)]
    if address:
        options += ["--local-addr", address]
    print(f"torchrun_node.py: node {node} of {nodes}, rendezvous at {rendezvous}", flush=True)
    try:
        os.execvp("torchrun", ["torchrun", *options, *words])
    except OSError as err:
        print(f"torchrun_node.py: error: torchrun: {err.strerror}", file=sys.stderr)
    return 1


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("", 0))
        return held.getsockname()[1]


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.tmp")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def _wait_for(path: Path, seconds: float) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        os.listdir(path.parent)  # refreshes the cache of a network file system
        if path.exists():
            return path.read_text(encoding="utf-8")
        time.sleep(0.5)
    raise TimeoutError(f"node 1 has not begun within {seconds:g} s (it makes {path})")


if __name__ == "__main__":
    sys.exit(main())
