"""Serve a WSGI application: `/usr/bin/python3 _serve.py MODULE FACTORY ADDRESS PORT`.

It runs on the system's Python, whose modules are the cloud's.
"""

import importlib
import socketserver
import sys
from wsgiref import simple_server


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 64


def main() -> None:
    """Serve until killed."""
    module, factory, address, port = sys.argv[1:]
    sys.argv[1:] = []  # what the factory would take for options of its own
    application = getattr(importlib.import_module(module), factory)()
    simple_server.make_server(address, int(port), application, server_class=_Server).serve_forever()


if __name__ == "__main__":
    main()
