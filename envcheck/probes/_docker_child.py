"""Asks a container engine through the Docker SDK and prints one JSON object: versions, runtimes, discovered devices.

Run by path as a program of its own (`python -I _docker_child.py SOCKET SECONDS`): the SDK is slow to import, and an
engine that hangs cannot take envcheck with it. It imports nothing of envcheck and prints no name, id, label or address.
"""

from __future__ import annotations

import json
import sys
from typing import Any

WANTED = ("Runtimes", "DefaultRuntime", "CgroupDriver", "DiscoveredDevices")


def asked(socket: str, limit_s: float) -> dict[str, Any]:
    """`/version` and the wanted part of `/info`; {"failure": kind} where the engine or the SDK does not answer."""
    try:
        import docker

        client = docker.DockerClient(base_url=f"unix://{socket}", timeout=limit_s)
        try:
            version, details = client.version(), client.info()
        finally:
            client.close()
    except Exception as error:  # noqa: BLE001  the SDK lets errors of several packages through; each means "no answer"
        return {"failure": type(error).__name__}
    return {
        "version": {name: version.get(name) for name in ("Version", "ApiVersion")},
        "info": {name: details.get(name) for name in WANTED},
    }


if __name__ == "__main__":
    print(json.dumps(asked(sys.argv[1], float(sys.argv[2]))), flush=True)  # noqa: T201  the answer of this program
