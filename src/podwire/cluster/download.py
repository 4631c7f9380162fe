"""Files from a web server: verified by digest, resumed where an earlier download was cut.

Must not know what is downloaded. Source: RFC 9110 section 14 (range requests). Only the standard
library; a proxy in the environment is used.
"""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from podwire.cluster.cache import digest
from podwire.model.errors import ProcessError, UnavailableError
from podwire.model.progress import Progress

_CHUNK = 1 << 18
_STALL = 30.0
_ATTEMPTS = 5
_AGENT = {"User-Agent": "podwire"}


def read_text(url: str, *, limit: float) -> str | None:
    """The text at `url`, None when the server says that there is none (404).

    limit: seconds for all of it, name resolution included. Raises UnavailableError when it does
    not come in that time.
    """
    answers: list[str | UnavailableError | None] = []
    asking = threading.Thread(target=lambda: answers.append(_ask(url, limit)), daemon=True)
    asking.start()
    asking.join(limit)
    answer = answers[0] if answers else UnavailableError(f"{url}: no answer within {limit:g} s")
    if isinstance(answer, UnavailableError):
        raise answer
    return answer


def _ask(url: str, limit: float) -> str | UnavailableError | None:
    try:
        with urllib.request.urlopen(_request(url), timeout=limit) as response:
            return str(response.read(1 << 16).decode(errors="replace"))
    except urllib.error.HTTPError as error:
        return None if error.code == 404 else UnavailableError(f"{url}: {error}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return UnavailableError(f"{url}: {error}")


def fetch(
    url: str,
    target: Path,
    expected: str,
    algorithm: str,
    progress: Progress,
    *,
    stall: float = _STALL,
) -> None:
    """Download `url` to `target`, whose hex digest is `expected`; it is there whole or not at all.

    What came of a download that was cut lies in `target`.part, and the next call goes on from
    there. stall: seconds without a byte after which the server counts as dead. Raises
    UnavailableError when the download is cut, ProcessError when the digest is another (the file is
    deleted then).
    """
    part = target.with_name(f"{target.name}.part")
    if not (part.exists() and digest(part, algorithm) == expected):
        _persist(url, part, progress, stall)
    got = digest(part, algorithm)
    if got != expected:
        part.unlink()
        raise ProcessError(
            f"{url} is not what it should be: {algorithm} {got}, published is {expected}; "
            "the file was deleted, try again or use another source"
        )
    part.rename(target)


def _persist(url: str, part: Path, progress: Progress, stall: float) -> None:
    """Go on after a cut, as long as each attempt brings something."""
    for left in reversed(range(_ATTEMPTS)):
        before = _size(part)
        try:
            return _transfer(url, part, progress, stall)
        except UnavailableError:
            if not left or _size(part) <= before:
                raise
    return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _transfer(url: str, part: Path, progress: Progress, stall: float) -> None:
    """Append to `part` what it lacks."""
    have = _size(part)
    try:
        with urllib.request.urlopen(_request(url, have), timeout=stall) as response:
            resumed = response.status == 206 and _starts_at(response, have)
            have = have if resumed else 0
            length = response.headers.get("Content-Length")
            total = have + int(length) if length else None
            with part.open("ab" if resumed else "wb") as file:
                have = _copy(response, file, have, total, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            part.unlink()
        raise UnavailableError(f"{url}: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(_cut(url, part, str(error))) from error
    if total is not None and have < total:
        raise UnavailableError(_cut(url, part, f"the connection ended at {have} of {total} bytes"))


def _copy(
    response: IO[bytes], file: IO[bytes], have: int, total: int | None, progress: Progress
) -> int:
    what = f"downloading {Path(file.name).stem}" + (f" ({total / 1e6:.0f} MB)" if total else "")
    while chunk := response.read(_CHUNK):
        file.write(chunk)
        have += len(chunk)
        progress(what, min(1.0, have / total) if total else None)
    return have


def _cut(url: str, part: Path, why: str) -> str:
    return f"{url}: the download was cut: {why}; the next run goes on from {part}"


def _request(url: str, start: int = 0) -> urllib.request.Request:
    ranged = {"Range": f"bytes={start}-"} if start else {}
    return urllib.request.Request(url, headers={**_AGENT, **ranged})


def _starts_at(response: http.client.HTTPResponse, start: int) -> bool:
    return str(response.headers.get("Content-Range", "")).startswith(f"bytes {start}-")
