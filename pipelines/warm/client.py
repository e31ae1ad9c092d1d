"""Runs `python -m MODULE ARGUMENTS` in a process forked from a warm interpreter.

    python -I -S client.py SOCKET PYTHON -m MODULE ARGUMENTS...

The forked process gets this one's arguments, environment, folder and streams;
this one waits for it and ends with its exit code. When this one is killed, so
is the other. Without a server it becomes PYTHON with the same arguments.
"""

import json
import os
import socket
import sys


def main(address: str, python: str, arguments: list[str]) -> int:
    """Returns the exit code of the task."""
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    line = json.dumps(request).encode() + b"\n"
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(address)
            sent = socket.send_fds(server, [line], [0, 1, 2])
            server.sendall(line[sent:])
        except OSError:  # it is gone, or went before it could read this
            os.execv(python, [python, *arguments])  # noqa: S606
        answer = server.recv(16)
    if not answer:
        print(f"{arguments}: the warm interpreter died, and this task with it", file=sys.stderr)
        return 1
    code = int(answer)
    return code if code >= 0 else 128 - code  # as a shell says that a signal ended it


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
