"""The field types that alerts and promotions share."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

_DAY = r"[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"

_LENGTH = 24
_FORMAT = {"format": "date-time"}

Rfc3339 = Annotated[str, Meta(pattern=rf"^{_DAY}T{_CLOCK}:[0-5][0-9]\.[0-9]{{3}}Z$", max_length=_LENGTH, extra_json_schema=_FORMAT)]
"""An instant as `schemas.times.to_rfc3339` writes it: milliseconds, UTC."""

Minute = Annotated[str, Meta(pattern=rf"^{_DAY}T{_CLOCK}:00\.000Z$", max_length=_LENGTH, extra_json_schema=_FORMAT)]
"""An instant on a full minute."""

Labels = Annotated[dict[str, str], Meta(min_length=1)]
"""A text by language: `{"en": ..., "zh": ...}`."""

Version = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
