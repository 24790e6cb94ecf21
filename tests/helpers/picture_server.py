"""A web server of this process that answers as a test says, and remembers what it was asked."""

import datetime
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

#: (status, headers, body); or what writes the whole answer itself.
Answer = tuple[int, dict[str, str], bytes]
Respond = Callable[[BaseHTTPRequestHandler], Answer | None]


@dataclass
class PictureServer:
    """answers: path -> answer, or a function of the handler. asked: paths in order, with their headers beside."""

    port: int = 0
    answers: dict[str, Answer | Respond] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def put(self, path: str, body: bytes, **headers: str) -> str:
        """Serves these bytes; returns the URL. A header's _ is written -."""
        self.answers[path] = 200, {name.replace("_", "-"): value for name, value in headers.items()}, body
        return self.url(path)

    def redirect(self, path: str, location: str) -> str:
        self.answers[path] = 302, {"Location": location}, b""
        return self.url(path)

    def pictures_asked(self) -> list[str]:
        return [path for path in self.asked if path != "/robots.txt"]


@contextmanager
def picture_server(certificate: Path | None = None) -> Iterator[PictureServer]:
    """Serves on loopback until the block ends; https with a certificate (see write_certificate)."""
    served = PictureServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            served.headers.append(dict(self.headers))
            answer = served.answers.get(self.path, (404, {}, b"<html>nothing here</html>"))
            found = answer(self) if callable(answer) else answer
            if found is None:
                return
            status, headers, body = found
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            pass  # a client that hangs up is what is tested

    with Server(("127.0.0.1", 0), Handler) as server:
        served.port = server.server_port
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def write_certificate(path: Path, host: str) -> Path:
    """A self-signed certificate of the host, and its key, in one PEM file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(pem, *plain) + certificate.public_bytes(pem))
    return path


def endless(handler: BaseHTTPRequestHandler) -> None:
    """A body without an end or a declared length, as fast as it is read."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"\xff\xd8\xff" * 10_000)


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """A body that never stops coming, a byte at a time: no single read is slow."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while True:
        handler.wfile.write(b"\xff")
        handler.wfile.flush()
        time.sleep(0.05)


def dripping_headers(handler: BaseHTTPRequestHandler) -> None:
    """As dripping, before the body."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
    while True:
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.05)


def cut_short(handler: BaseHTTPRequestHandler) -> None:
    """Less than the header promises."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"\xff\xd8\xff")
    handler.close_connection = True
