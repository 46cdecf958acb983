#!/usr/bin/python3 -IS
"""Any of Juju's hook tools: hand the command line to the agent, and print its answer.

This is a copy of its own with one name per tool. It imports next to nothing, because a charm calls it often.
"""

import _socket
import os
import sys

arguments = sys.argv[1:]
content = b""
for before, argument in zip(["", *arguments], arguments, strict=False):
    if argument == "--file=-" or (before == "--file" and argument == "-"):
        content = sys.stdin.buffer.read()

fields = [
    os.path.basename(sys.argv[0]),  # noqa: PTH119 - pathlib takes longer than all the rest
    os.environ.get("JUJU_CONTEXT_ID", ""),
    os.getcwd(),  # noqa: PTH109
    *arguments,
]
head = b"\0".join(os.fsencode(field) for field in fields)
connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
try:
    connection.connect(os.environ.get("JUJU_AGENT_SOCKET_ADDRESS", ""))
    connection.sendall(b"%d %d\n" % (len(head), len(content)) + head + content)
    answer = b""
    while True:
        part = connection.recv(1 << 20)
        if not part:
            break
        answer += part
except OSError as error:
    sys.stderr.write(f"ERROR connection to the unit agent: {error}\n")
    os._exit(1)
line, _, rest = answer.partition(b"\n")
if not line:
    sys.stderr.write("ERROR the unit agent went away\n")
    os._exit(1)
code, length = (int(number) for number in line.split())
sys.stdout.buffer.write(rest[:length])
sys.stderr.buffer.write(rest[length:])
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)
