"""The agent's end of the hook tools: a socket, and the directory with one name per tool."""

import os
import pathlib
import shutil
import socketserver
import sys
import tempfile
import threading
from types import TracebackType
from typing import cast

from . import actiontools, controller, hookcontext, hooktools, relationtools, secrettools

TOOL_MODULES = (hooktools, actiontools, relationtools, secrettools)
"""Importing them registers their tools."""

_SOURCE = pathlib.Path(__file__).with_name("hooktool.py")


def install(target: pathlib.Path) -> None:
    """Write the hook tools into a directory, for an interpreter that starts fast (a pyenv shim does not)."""
    target.mkdir(parents=True, exist_ok=True)
    system = pathlib.Path("/usr/bin/python3")
    interpreter = system if system.exists() else pathlib.Path(sys.executable)
    body = _SOURCE.read_text().split("\n", 1)[1]
    program = target / ".hooktool"
    text = f"#!{interpreter} -IS\n{body}"
    if not program.exists() or program.read_text() != text:
        draft = target / f".hooktool.{os.getpid()}"
        draft.write_text(text)
        draft.chmod(0o755)
        draft.replace(program)
    for name in hooktools.TOOLS:
        if not (target / name).is_symlink():
            _link(target / name)


def _link(link: pathlib.Path) -> None:
    try:
        link.symlink_to(".hooktool")
    except FileExistsError:
        return  # another agent was faster


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        lengths = self.rfile.readline().split()
        head = self.rfile.read(int(lengths[0]))
        content = self.rfile.read(int(lengths[1]))
        listener = cast("_Listener", self.server)
        name, context, directory, *arguments = (os.fsdecode(field) for field in head.split(b"\0"))
        call = hooktools.Call(name, arguments, content.decode(errors="surrogateescape"), pathlib.Path(directory))
        with listener.turn:
            if context != listener.context.id:
                code, output, errors_ = 1, "", f'ERROR wrong context ID; got "{context}"\n'
            else:
                code, output, errors_ = hooktools.run(listener.context, call)
        answer = output.encode(errors="surrogateescape")
        self.wfile.write(b"%d %d\n" % (code, len(answer)) + answer + errors_.encode(errors="surrogateescape"))


class _Listener(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: str, context: hookcontext.Context):
        super().__init__(address, _Handler)
        self.context = context
        self.turn = threading.Lock()


class Server:
    """Serve the hook tools of one context while the `with` block runs."""

    def __init__(self, store: controller.Controller, context: hookcontext.Context):
        self.tools = store.path / "tools"
        install(self.tools)
        # A socket's path is at most 107 bytes long, which the model's state cannot promise. An abstract
        # address would be out of reach from another network namespace.
        self._home = pathlib.Path(tempfile.mkdtemp(prefix="opf-juju-"))
        self.address = self._home / "agent.socket"
        self._listener = _Listener(str(self.address), context)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._listener.server_close()
        shutil.rmtree(self._home, ignore_errors=True)
