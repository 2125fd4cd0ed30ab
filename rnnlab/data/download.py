"""Download of a URL to a file, resuming an earlier attempt."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from rnnlab.data.cache import unwritable

Progress = Callable[[int, int | None], None]
"""Called with the number of bytes received so far and, if the server sends it, the total number."""

TIMEOUT_SECONDS = 30.0  # without receiving a byte
_BLOCK_BYTES = 1 << 16
_RANGE_NOT_SATISFIABLE = 416


def download(url: str, part: Path, progress: Progress) -> None:
    """Download `url` to the file `part`. Its present content is taken as the beginning and not downloaded again.

    A server that does not support ranges sends everything, and `part` is overwritten. The content is not verified: the
    caller checks its hash.

    Raises OSError or http.client.HTTPException for network errors, and keeps `part`; raises CorpusError if `part`
    cannot be written.
    """
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "rnnlab"} | _range_header(have))
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == _RANGE_NOT_SATISFIABLE and have:
            # `part` is as long as the file or longer, so it cannot be resumed.
            part.unlink()
            download(url, part, progress)
            return
        raise
    with response:
        resumed = str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-")
        _receive(response, part, have if resumed else 0, progress)


def explain(error: OSError | http.client.HTTPException) -> str:
    """The cause of a network error, in a few words."""
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
    # read() raises no error if the connection ends early.
    if total is not None and have < total:
        raise ConnectionError(f"the connection was closed after {have:,} of {total:,} bytes")
