"""Charts as inline SVG: no script, sharp on paper. Told apart by line style as well as colour."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from warroom.markup import Html, tag

_WIDTH, _HEIGHT = 720, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 26


class Series(Struct, frozen=True, kw_only=True):
    """A line: its values at the chart's instants (null: nothing there), and the class that gives its colour and style."""

    name: str
    values: Sequence[float | None]
    style: str


def line_chart(
    at: Sequence[int],
    lines: Sequence[Series],
    band: tuple[Sequence[float | None], Sequence[float | None]] | None,
    *,
    value: Callable[[float], str],
    time: Callable[[int], str],
    title: str,
) -> Html:
    """Lines over time, the range as a band behind them."""
    told = [one for line in lines for one in line.values if one is not None] + [one for one in (band[1] if band else ()) if one is not None]
    scale = _Scale(at[0], at[-1], nice(max(told, default=0) or 1))
    parts: list[Html] = [*_grid(scale, value), *_clock(scale, at, time)]
    if band is not None:
        parts.append(_band(scale, at, *band))
    parts += [tag("path", d=_path(scale, at, line.values), class_=f"line {line.style}") for line in lines]
    return _figure(title, parts, [(line.name, line.style) for line in lines])


def column_chart(
    names: Sequence[str],
    mine: Sequence[float],
    theirs: Sequence[float],
    *,
    value: Callable[[float], str],
    labels: tuple[str, str],
    title: str,
) -> Html:
    """Two columns a step, side by side."""
    many = max(len(mine), len(theirs), 1)
    scale = _Scale(0, many, nice(max([*mine, *theirs], default=0) or 1))
    width = (_WIDTH - _LEFT - _RIGHT) / many
    parts: list[Html] = list(_grid(scale, value))
    for shift, values, style in ((0.12, theirs, "then"), (0.5, mine, "now")):
        parts += [
            tag("rect", x=scale.x(i) + shift * width, y=scale.y(one), width=width * 0.38, height=scale.y(0) - scale.y(one), class_=style)
            for i, one in enumerate(values)
            if one > 0
        ]
    every = max(1, -(-many // 8))
    parts += [_name(names[i], scale.x(i) + width / 2) for i in range(0, len(names), every)]
    return _figure(title, parts, [(labels[0], "now"), (labels[1], "then")] if theirs else [(labels[0], "now")])


def _name(name: str, x: float) -> Html:
    """What stands below a column; near the edge it ends there."""
    edge = _WIDTH - _RIGHT
    at_edge = x > edge - 40
    return tag("text", name, x=edge if at_edge else x, y=_HEIGHT - 8, class_="tick", text_anchor="end" if at_edge else "middle")


def bar(share: float) -> Html:
    """A bar for a cell of a table; `share` from 0 to 1."""
    kept = min(1.0, max(0.0, share))
    return tag("svg", tag("rect", width=60 * kept, height=8, class_="now"), width=60, height=8, class_="bar", aria_hidden="true")


def nice(most: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 1.0
    while power * 10 <= most:
        power *= 10
    while power > most:
        power /= 10
    return next(power * step for step in (1, 2, 2.5, 5, 10) if power * step >= most)


class _Scale:
    def __init__(self, first: float, last: float, most: float) -> None:
        self.first, self.span, self.most = first, (last - first) or 1, most

    def x(self, at: float) -> float:
        return _LEFT + (at - self.first) / self.span * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - value / self.most * (_HEIGHT - _TOP - _BOTTOM)


def _grid(scale: _Scale, value: Callable[[float], str]) -> list[Html]:
    found = []
    for i in range(5):
        y = scale.y(scale.most * i / 4)
        found.append(tag("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
        found.append(tag("text", value(scale.most * i / 4), x=_LEFT - 6, y=y + 4, class_="tick", text_anchor="end"))
    return found


def _clock(scale: _Scale, at: Sequence[int], time: Callable[[int], str]) -> list[Html]:
    chosen = [at[round(i * (len(at) - 1) / 6)] for i in range(7)]
    ends = {0: "start", 6: "end"}
    return [
        tag("text", time(one), x=scale.x(one), y=_HEIGHT - 8, class_="tick", text_anchor=ends.get(i, "middle"))
        for i, one in enumerate(chosen)
    ]


def _path(scale: _Scale, at: Sequence[int], values: Sequence[float | None]) -> str:
    points = [f"{scale.x(one):.1f} {scale.y(value):.1f}" for one, value in zip(at, values, strict=True) if value is not None]
    return f"M{' L'.join(points)}" if points else ""


def _band(scale: _Scale, at: Sequence[int], low: Sequence[float | None], high: Sequence[float | None]) -> Html:
    upper, lower = _path(scale, at, high), _path(scale, at[::-1], low[::-1])
    return tag("path", d=f"{upper} L{lower[1:]} Z" if upper and lower else "", class_="band")


def _figure(title: str, parts: Sequence[Html], legend: Sequence[tuple[str, str]]) -> Html:
    keys = [
        tag(
            "span",
            tag("svg", tag("path", d="M0 5 L22 5", class_=f"line {style}"), width=22, height=10, aria_hidden="true"),
            name,
            class_="key",
        )
        for name, style in legend
    ]
    drawing = tag("svg", parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=title)
    return tag("figure", drawing, tag("figcaption", tag("span", title, class_="caption"), keys))
