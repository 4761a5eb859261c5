"""A Dockerfile as stages of instructions: as much of the format as deploy/Dockerfile uses, and an error for anything else."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from msgspec import Struct

_KNOWN = {"FROM", "SHELL", "RUN", "WORKDIR", "ARG", "ENV", "COPY", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}


class DockerfileError(Exception):
    """An instruction that is not understood; says which."""


class Step(Struct, frozen=True):
    """One instruction and what follows it, lines joined."""

    instruction: str
    rest: str

    def words(self) -> list[str]:
        """What follows, as a shell splits it."""
        return shlex.split(self.rest)

    def listed(self) -> list[str]:
        """What follows as a JSON list, which is the only form taken. Raises DockerfileError for another."""
        text = self.rest[self.rest.index("[") :] if "[" in self.rest else self.rest
        try:
            found: list[str] = json.loads(text)
        except ValueError:
            raise DockerfileError(f"{self.instruction}: expected a JSON list, found {self.rest!r}") from None
        return found


class Stage(Struct, frozen=True):
    """A FROM and its instructions."""

    image: str
    name: str
    steps: list[Step]

    def last(self, instruction: str) -> Step | None:
        """The one of its kind that counts."""
        return next((step for step in reversed(self.steps) if step.instruction == instruction), None)


def read_dockerfile(path: Path) -> list[Stage]:
    """The stages in order. Raises DockerfileError for what is not understood."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip() and not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        instruction, _, rest = line.partition(" ")
        if instruction not in _KNOWN:
            raise DockerfileError(f"expected one of {', '.join(sorted(_KNOWN))}, found {line!r}")
        if instruction == "FROM":
            image, _, name = rest.partition(" AS ")
            stages.append(Stage(image.strip(), name.strip(), []))
        elif not stages:
            raise DockerfileError(f"expected FROM first, found {line!r}")
        else:
            stages[-1].steps.append(Step(instruction, rest.strip()))
    return stages
