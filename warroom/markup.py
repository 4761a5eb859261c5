"""HTML put together so that what is text stays text: whatever is no `Html` is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias


class Html(str):
    """Markup that is safe to be part of a page: made by `tag` alone."""

    __slots__ = ()


Part: TypeAlias = "str | int | float | Iterable[Part] | None"

_VOID = frozenset({"meta", "br", "hr", "line", "rect", "path", "circle", "polyline", "polygon", "col"})


def tag(name: str, /, *parts: Part, **attributes: str | float | None) -> Html:
    """An element. `class_` and `stroke_width` become class and stroke-width; an attribute that is None is left out."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    if name in _VOID and not parts:
        return Html(f"<{name}{written}>" if name in ("meta", "br", "hr", "col") else f"<{name}{written}/>")
    return Html(f"<{name}{written}>{joined(parts)}</{name}>")


def joined(parts: Part) -> Html:
    """Parts one after another, escaped unless they are Html."""
    if parts is None:
        return Html("")
    if isinstance(parts, Html):
        return parts
    if isinstance(parts, str | int | float):
        return Html(escape(_plain(str(parts)), quote=True))
    return Html("".join(joined(part) for part in parts))


def _value(value: str | float) -> str:
    shown = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return escape(_plain(shown), quote=True)


def _plain(text: str) -> str:
    """Without control characters, and without those that turn the direction of what stands beside them."""
    return "".join(" " if ord(c) < 32 or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\x7f" else c for c in text)
