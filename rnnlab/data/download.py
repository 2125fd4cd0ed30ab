"""Download a URL to a file, going on where an earlier attempt stopped."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from rnnlab.data.cache import unwritable

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here so far and, if the server says, the bytes in all."""

TIMEOUT_SECONDS = 30.0  # without a byte
_BLOCK_BYTES = 1 << 16
_RANGE_NOT_SATISFIABLE = 416


def download(url: str, part: Path, progress: Progress) -> None:
    """Make the file `part` hold all of `url`. What it holds already is taken as the beginning and not fetched again.

    A server that does not know ranges sends everything, and `part` is then written anew. Nothing here proves that the
    bytes are the right ones: the caller checks their hash.

    Raises OSError or http.client.HTTPException for anything that goes wrong on the network, with `part` kept; and
    CorpusError where `part` cannot be written.
    """
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "rnnlab"} | _range_header(have))
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == _RANGE_NOT_SATISFIABLE and have:
            # `part` is as long as the file or longer: its end is unknown, so it is of no use.
            part.unlink()
            download(url, part, progress)
            return
        raise
    with response:
        resumed = str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-")
        _receive(response, part, have if resumed else 0, progress)


def explain(error: OSError | http.client.HTTPException) -> str:
    """What went wrong on the network, in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__


def _range_header(have: int) -> dict[str, str]:
    return {"Range": f"bytes={have}-"} if have else {}


def _receive(response: http.client.HTTPResponse, part: Path, have: int, progress: Progress) -> None:
    length = response.headers.get("Content-Length")
    total = have + int(length) if length is not None else None
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        stream = part.open("ab" if have else "wb")
    except OSError as error:
        raise unwritable(error) from error
    with stream:
        progress(have, total)
        while block := response.read(_BLOCK_BYTES):
            try:
                stream.write(block)
            except OSError as error:
                raise unwritable(error) from error
            have += len(block)
            progress(have, total)
    # A connection that ends early is no error to read().
    if total is not None and have < total:
        raise ConnectionError(f"the connection broke after {have:,} of {total:,} bytes")
