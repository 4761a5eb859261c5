"""The screen's pages and files: plain ES modules and CSS, and the two libraries that NiceGUI's wheel carries.

Every address of a file holds a digest of all of them, so a browser keeps what it has for ever and never mixes two versions.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from functools import cache, cached_property
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

PAGES = ("/", "/flows", "/channels", "/promotions", "/compare", "/alerts", "/timeline", "/users", "/audit", "/wall", "/signin")
"""All are the same shell: what it shows is decided by the address, in the browser."""

_STATIC = "{static}"
"""Stands in the shell for where the files are."""
_LIBRARIES = {"vue.js": "static/vue.esm-browser.prod.js"}
_CHARTS = "elements/echart/dist"
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8"}
_SMALL = 1_024
"""Bytes below which compressing is not worth it."""
_FOR_EVER = "public, max-age=31536000, immutable"


class ScreenFile:
    """A file as it is sent: its bytes, and compressed once for all who ask."""

    def __init__(self, name: str, body: bytes) -> None:
        self.body = body
        suffix = Path(name).suffix
        self.media_type = _TYPES.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream")
        self.shrinks = len(body) > _SMALL and not self.media_type.startswith("image/png")

    @cached_property
    def compressed(self) -> bytes:
        """Gzip, the same bytes each time."""
        return gzip.compress(self.body, 6, mtime=0)

    def response(self, request: Request, cache: str) -> Response:
        """As this browser takes it."""
        headers = {"Cache-Control": cache, "Vary": "Accept-Encoding"}
        if self.shrinks and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self.compressed, headers={**headers, "Content-Encoding": "gzip"}, media_type=self.media_type)
        return Response(self.body, headers=headers, media_type=self.media_type)


class Screen:
    """All files of the screen by name, and the shell. Raises RuntimeError where NiceGUI's wheel lacks what is used of it."""

    def __init__(self) -> None:
        own = files("warroom") / "screen"
        root = Path(str(own))
        found = {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
        shell = found.pop("index.html").decode()
        found |= _borrowed()
        digest = hashlib.blake2b(digest_size=8)
        for name, body in sorted(found.items()):
            digest.update(f"{name}\0{len(body)}\0".encode() + body)
        self.base = f"/static/{digest.hexdigest()}"
        self.files = {name: ScreenFile(name, body) for name, body in found.items()}
        self.shell = ScreenFile("index.html", shell.replace(_STATIC, self.base).encode())


def _borrowed() -> dict[str, bytes]:
    """ECharts and Vue out of NiceGUI's wheel, read as files: importing the package takes a second and brings nothing."""
    spec = find_spec("nicegui")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("expected the package nicegui, whose wheel carries ECharts and Vue, found none: pip install 'nicegui>=3'")
    root = Path(spec.submodule_search_locations[0])
    wanted = {name: root / path for name, path in _LIBRARIES.items()}
    wanted |= {f"echarts/{path.name}": path for path in sorted((root / _CHARTS).glob("*.js"))}
    missing = [str(path.relative_to(root)) for path in wanted.values() if not path.is_file()]
    if missing or "echarts/index.js" not in wanted:
        raise RuntimeError(f"expected {', '.join(missing) or _CHARTS + '/index.js'} in the package nicegui, found a version without")
    return {name: path.read_bytes() for name, path in wanted.items()}


@cache
def _screen() -> Screen:
    """Read once a process: they are two megabytes, and belong together."""
    return Screen()


def serve_screen(app: FastAPI) -> None:
    """Add the pages and files. They hold no figures, so nobody is asked who they are: whatever they show comes by the API."""
    screen = _screen()

    async def page(request: Request) -> Response:
        return screen.shell.response(request, "no-cache")

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        found = screen.files.get(name)
        if found is None or not request.url.path.startswith(f"{screen.base}/"):
            raise HTTPException(404)
        return found.response(request, _FOR_EVER)

    async def favicon(_: Request) -> Response:
        return RedirectResponse(f"{screen.base}/icon.svg", 307)

    for path in PAGES:
        app.router.add_route(path, page, methods=["GET"], name="page", include_in_schema=False)
    app.router.add_route("/static/{digest}/{name:path}", static, methods=["GET"], name="static", include_in_schema=False)
    app.router.add_route("/favicon.ico", favicon, methods=["GET"], name="static", include_in_schema=False)
