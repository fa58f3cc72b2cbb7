"""Assets 静态文件: the browser files, compressed once, kept by browsers while they are the same."""

import gzip
from functools import lru_cache

from .http import HttpError, Request, Response
from .rendering import STATIC, asset_url

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
FOR_EVER = "public, max-age=31536000, immutable"


def serve(request: Request) -> Response:
    """``/static/{mark}/{name}``: only files that exist in the portal's own folder."""
    mark, _, name = request.path.removeprefix("/static/").partition("/")
    found = _load(name)
    if found is None:
        raise HttpError(404, "not-found")
    plain, packed, kind = found
    wants_gzip = "gzip" in request.headers.get("accept-encoding", "") and packed is not None
    answer = Response(packed if wants_gzip and packed is not None else plain, kind=kind)
    if wants_gzip:
        answer.header("content-encoding", "gzip")
    # An address whose mark is not the file's own may be from an older page: serve, do not keep.
    fresh = asset_url(name) == f"/static/{mark}/{name}"
    answer.header("cache-control", FOR_EVER if fresh else "no-cache")
    return answer


@lru_cache(maxsize=256)
def _load(name: str) -> tuple[bytes, bytes | None, str] | None:
    """The file, and its packed sibling (made here where the build left none)."""
    if ".." in name.split("/") or "\0" in name or "\\" in name:
        return None
    path = STATIC / name
    kind = KINDS.get(path.suffix)
    if kind is None or not path.is_file():
        return None
    plain = path.read_bytes()
    sibling = path.with_name(path.name + ".gz")
    packed = sibling.read_bytes() if sibling.is_file() else gzip.compress(plain, 6, mtime=0)
    return plain, packed if len(packed) < len(plain) else None, kind
