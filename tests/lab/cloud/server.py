"""The one HTTP server that all the services stand behind."""

import collections
import dataclasses
import http
import http.server
import pathlib
import socket
import ssl
import sys
import threading
import time
import urllib.parse
from typing import Any

from tests.lab.cloud import description, keystone, message, neutron, nova, octavia

_SERVICES = {"network": neutron.answer, "compute": nova.answer, "load-balancer": octavia.answer}
_OPEN = {"", "/v2.0", "/v2.1", "/v2"}
"""The paths that tell versions and want no token."""


class Server:
    """The cloud of a description file, served in a thread between `with` and its end."""

    def __init__(
        self,
        file: pathlib.Path,
        address: str = "127.0.0.1",
        port: int = 0,
        certificate: pathlib.Path | None = None,
    ) -> None:
        self.description = description.Description(file)
        self.requests: list[dict[str, str]] = []
        self.busy: list[tuple[float, float]] = []
        """When each request came and was answered, in seconds of the monotonic clock."""
        self.tokens: set[str] = set()
        self.hurry = threading.Event()
        """Once it is set no delay lasts any longer."""
        self.under_way = 0
        """How many requests have no answer yet."""
        self._met: collections.Counter[description.Failure] = collections.Counter()
        self._lock = threading.Lock()
        self._http = _Listener((address, port), self)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        host = f"[{address}]" if ":" in address else address
        self.url = f"{'https' if certificate else 'http'}://{host}:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.hurry.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> message.Answer | None:
        """Answer a request; None to close the connection instead."""
        parts = urllib.parse.urlsplit(target)
        if parts.path == "/-/requests":
            return self._log(method)
        self.requests.append({"method": method, "path": parts.path, "query": parts.query})
        service, prefix = "identity", ""
        for name in _SERVICES:
            if parts.path == f"/{name}" or parts.path.startswith(f"/{name}/"):
                service, prefix = name, f"/{name}"
        request = message.Request(
            method=method,
            path=urllib.parse.unquote(parts.path.removeprefix(prefix)).rstrip("/"),
            query=urllib.parse.parse_qs(parts.query, keep_blank_values=True),
            headers=headers,
            body=body,
            url=self.url + prefix,
        )
        came = time.monotonic()
        with self._lock:
            self.under_way += 1
        try:
            return self._spoil(self._failure(service, request), service, request)
        finally:
            with self._lock:
                self.under_way -= 1
                self.busy.append((came, time.monotonic()))

    def _spoil(
        self, failure: description.Failure | None, service: str, request: message.Request
    ) -> message.Answer | None:
        if failure is None:
            return self._answer(service, request)
        if failure.effect == "before":
            self._answer(service, request)
        self.hurry.wait(failure.delay)
        if failure.effect == "begun":
            checked = {key: value for key, value in request.headers.items() if key != "If-Match"}
            request = dataclasses.replace(request, headers=checked)
        if failure.effect in ("after", "begun"):
            self._answer(service, request)
        return None if failure.drop else _spoilt(failure)

    def _answer(self, service: str, request: message.Request) -> message.Answer:
        if service == "identity":
            known = request.path == "" or request.path.startswith("/v3")
            return keystone.answer(request, self.description, self.tokens) if known else message.unknown(request.path)
        if request.path not in _OPEN and request.headers.get("X-Auth-Token") not in self.tokens:
            return keystone.unauthorised()
        return _SERVICES[service](request, self.description)

    def _failure(self, service: str, request: message.Request) -> description.Failure | None:
        """Return the first failure whose turn it is, and count the request for those that it is of."""
        with self._lock:
            for failure in self.description.failures:
                if failure.service != service or failure.path not in request.path:
                    continue
                if failure.method not in ("", request.method):
                    continue
                self._met[failure] += 1
                if failure.skip < self._met[failure] <= failure.skip + (failure.times or sys.maxsize):
                    return failure
        return None

    def _log(self, method: str) -> message.Answer:
        if method == "DELETE":
            self.requests.clear()
            self._met.clear()
        return message.Answer(200, list(self.requests))


def _spoilt(failure: description.Failure) -> message.Answer:
    if failure.body is not None:
        return message.Answer(failure.status, failure.body)
    sentence = "The server is currently unavailable. Please try again at a later time."
    if failure.service == "network":
        kind = f"HTTP{http.HTTPStatus(failure.status).phrase.title().replace(' ', '')}"
        return message.Answer(failure.status, {"NeutronError": {"type": kind, "message": sentence, "detail": ""}})
    return message.Answer(failure.status, {"code": failure.status, "message": sentence, "title": "Failure"})


class _Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    # Connections that a client keeps open must not hold up the end.
    block_on_close = False

    def __init__(self, address: tuple[str, int], cloud: Server) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.cloud = cloud
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave clients that go away, or refuse the certificate, without a traceback."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Apache/2.4.52"
    sys_version = ""
    # One segment an answer: header and body in two would wait for each other (Nagle, delayed ACK).
    wbufsize = -1
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        assert isinstance(self.server, _Listener)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.server.cloud.answer(self.command, self.path, dict(self.headers.items()), body)
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for key, value in {"Content-Type": answer.content_type, **answer.headers}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:
        """Keep stderr quiet; the requests are listed at `/-/requests`."""
