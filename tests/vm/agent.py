"""Runs in the guest and does what the host asks: a JSON line for each command, one for each that has ended.

It needs nothing of the machine but PID 1: bus, journal and udev may be restarted around it.
"""

import json
import os
import subprocess
import threading
from typing import Any

PORT = "/dev/virtio-ports/agent"
writing = threading.Lock()


def send(port: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    with writing:
        while data:
            data = data[os.write(port, data) :]


def execute(port: int, request: dict[str, Any]) -> None:
    try:
        done = subprocess.run(
            request["argv"],
            input=request["input"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=request["seconds"],
            check=False,
        )
        status, output, errors = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        status, output, errors = 124, "", f"it did not end within {request['seconds']} s"
    except OSError as error:
        status, output, errors = 127, "", str(error)
    send(port, {"id": request["id"], "status": status, "output": output, "errors": errors})


def main() -> None:
    port = os.open(PORT, os.O_RDWR)
    send(port, {"id": 0})
    with os.fdopen(port, "rb", closefd=False) as lines:
        for line in lines:
            threading.Thread(target=execute, args=(port, json.loads(line)), daemon=True).start()


if __name__ == "__main__":
    main()
