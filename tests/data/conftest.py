"""A separate data folder for each test, and a web server that can fail in several ways."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rnnlab.data.known_corpora import PUBLIC, PublicCorpus
from rnnlab.files import sha256_hex


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data folder"
    monkeypatch.setenv("RNNLAB_DATA", str(folder))
    return folder


@dataclass
class Server:
    """The web server's responses, and the requests that it received."""

    url: str
    content: bytes = b""
    knows_ranges: bool = True
    cut_after_bytes: int | None = None  # of the body; the announced length is that of the whole body
    delay_seconds: float = 0.0  # before it answers
    status: int | None = None  # an HTTP error to send instead
    ranges_asked: list[str | None] = field(default_factory=list)


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers["Range"]
            server.ranges_asked.append(asked)
            time.sleep(server.delay_seconds)
            body = server.content
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.knows_ranges else 0
            if server.status is not None or (start and start >= len(body)):
                self.send_error(server.status or 416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            self.wfile.write(body[start : server.cut_after_bytes])

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    state = Server(url="")
    http_server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{http_server.server_address[1]}/file"
    thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http_server.shutdown()
    thread.join()
    http_server.server_close()


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PublicCorpus]:
    """Make the public corpus `timemachine` the given text at the given URL."""

    def register_text(
        text: bytes, url: str = "http://example.invalid/x", zip_member: str | None = None
    ) -> PublicCorpus:
        entry = replace(
            PUBLIC["timemachine"], url=url, sha256=sha256_hex(text), size_bytes=len(text), zip_member=zip_member
        )
        monkeypatch.setitem(PUBLIC, entry.name, entry)
        return entry

    return register_text
