"""The screen's colours, read from its style sheet: told apart by the colour-blind, and text that stands out from its ground."""

from __future__ import annotations

import re
from itertools import combinations
from math import dist
from pathlib import Path

import pytest

CSS = (Path(__file__).parents[3] / "warroom" / "screen" / "css" / "base.css").read_text()
THEMES = {"dark": r":root \{(.*?)\n\}", "light": r':root\[data-theme="light"\] \{(.*?)\n\}'}
Colour = tuple[float, float, float]

# Machado, Oliveira and Fernandes 2009, "A physiologically-based model for simulation of color vision deficiency"; severity 1, linear RGB.
BLINDNESS: dict[str, tuple[Colour, Colour, Colour]] = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
TOLD_APART = [
    ("red", "green"),
    *combinations(("accent", "plan", "forecast"), 2),
    ("new", "known"),
    ("accent", "earlier"),
    ("warn", "alarm"),
]
LEAST_DISTANCE = 12.0
"""In CIELAB: about five times what is just noticed."""


def palette(theme: str) -> dict[str, Colour]:
    """The theme's colours in linear RGB, by name."""
    found = re.search(THEMES[theme], CSS, re.DOTALL)
    assert found is not None
    return {name: linear(value) for name, value in re.findall(r"--([\w-]+): (#[0-9a-f]{6});", found[1])}


def linear(text: str) -> Colour:
    r, g, b = (int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return channel(r), channel(g), channel(b)


def channel(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def seen_by(blindness: str, colour: Colour) -> Colour:
    r, g, b = (sum(weight * part for weight, part in zip(row, colour, strict=True)) for row in BLINDNESS[blindness])
    return min(1, max(0, r)), min(1, max(0, g)), min(1, max(0, b))


def lab(colour: Colour) -> Colour:
    """CIELAB of linear sRGB, white D65."""
    rows = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    x, y, z = (sum(weight * part for weight, part in zip(row, colour, strict=True)) for row in rows)
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x / 0.9505, y, z / 1.089))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def luminance(colour: Colour) -> float:
    return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("blindness", BLINDNESS)
def test_what_stands_for_different_things_is_told_apart_by_the_colour_blind(theme: str, blindness: str) -> None:
    colours = palette(theme)
    distances = {
        (one, other): dist(lab(seen_by(blindness, colours[one])), lab(seen_by(blindness, colours[other]))) for one, other in TOLD_APART
    }
    assert {pair: round(apart, 1) for pair, apart in distances.items() if apart < LEAST_DISTANCE} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_text_stands_out_from_its_ground(theme: str) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5."""
    colours = palette(theme)
    pairs = [(text, ground) for text in ("text", "muted", "red", "green", "forecast", "accent") for ground in ("panel", "ground")]
    pairs += [("warn", "warn-ground"), ("alarm", "alarm-ground"), ("on-accent", "accent"), ("muted", "raised")]
    contrasts = {}
    for text, ground in pairs:
        light, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
        contrasts[text, ground] = (light + 0.05) / (dark + 0.05)
    assert {pair: round(contrast, 2) for pair, contrast in contrasts.items() if contrast < 4.5} == {}
