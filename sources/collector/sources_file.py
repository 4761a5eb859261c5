"""Who may send what: a YAML file of sources, read again whenever it changes. It holds hashes of tokens, and names files of secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import structlog
from msgspec import Meta, Struct

from schemas.signature import SecretError, read_secret
from schemas.yaml_reader import MistakesError, read_yaml
from sources.collector.problem import Problem
from sources.collector.rate import Bucket
from sources.collector.tally import Tally
from sources.mappings.mapped import Owner
from sources.mappings.tencent_ads import USER
from sources.mappings.wecom_crypt import CryptError, WeComCrypt

log = structlog.get_logger(__name__)

_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"
_SHA256 = r"^[0-9a-f]{64}$"
_PATTERNS = {
    _NAME: "a name (at most 64 small letters, digits, _ or -)",
    _SHA256: "the SHA-256 of a token in hexadecimal, as `rflow collect token` prints it",
}

Name = Annotated[str, Meta(pattern=_NAME)]
Text = Annotated[str, Meta(min_length=1, max_length=128)]
Path_ = Annotated[str, Meta(min_length=1, max_length=4096)]


_ONE_WAY = "expected one of `tokens`, `secret_files` and `wecom`"


class SourcesError(ValueError):
    """A file of sources that cannot be used; a line `file:line: expected ..., found ...` for each mistake, none with a secret."""


class WeCom(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How WeCom's callbacks are opened: files with Token and EncodingAESKey, and the CorpID (of a third party's application: SuiteID)."""

    token_file: Path_
    aes_key_file: Path_
    receiver: Text


class Written(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One source, as the file has it. Several tokens or secrets hold at a time, so that they can be changed while it sends.

    `brands` and `channels` are all it may send of; no `channels`: any, and none. `rate` is in records a second, `burst` how many at once.
    `user_field` is what tells Tencent Ads' users apart.
    """

    source: Name
    brands: Annotated[tuple[Text, ...], Meta(min_length=1)]
    tokens: tuple[Annotated[str, Meta(pattern=_SHA256)], ...] = ()
    secret_files: tuple[Path_, ...] = ()
    wecom: WeCom | None = None
    channels: tuple[Text, ...] = ()
    user_field: Text = USER
    rate: Annotated[float, Meta(ge=0.01, le=1_000_000)] = 1_000.0
    burst: Annotated[float, Meta(ge=1, le=10_000_000)] = 10_000.0


class Sources(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file."""

    sources: tuple[Written, ...]


class Source:
    """A source at work: what is written of it, its keys, and what it has left of its rate."""

    def __init__(self, written: Written, keys: tuple[bytes, ...], crypt: WeComCrypt | None, bucket: Bucket) -> None:
        self.name = written.source
        self.brands = frozenset(written.brands)
        self.channels = frozenset(written.channels)
        self.tokens = written.tokens
        self.user_field = written.user_field
        self.keys = keys
        self.crypt = crypt
        self.bucket = bucket

    def owner(self) -> Owner:
        """Whose touchpoints a mapping makes of what it tells. Raises Problem where that is not clear."""
        if len(self.brands) != 1:
            raise Problem(403, f"expected source {self.name} to be of one brand, to which what is mapped belongs")
        return Owner(next(iter(self.brands)), next(iter(self.channels)) if len(self.channels) == 1 else None)


class SourcesFile:
    """The sources in force. Raises SourcesError if the file cannot be used at first."""

    def __init__(self, path: Path, tally: Tally) -> None:
        self._path = path
        self._tally = tally
        self._by_name: dict[str, Source] = {}
        self._by_token: dict[str, Source] = {}
        self._watched: tuple[Path, ...] = (path,)
        self._seen: tuple[object, ...] = ()
        self._take()

    def look(self) -> None:
        """Takes the file again if it, or a secret it names, has changed. One that cannot be used leaves those before in force."""
        if self._stamps() == self._seen:
            return
        try:
            self._take()
        except SourcesError as error:
            self._seen = self._stamps()
            self._tally.sources_refused()
            log.error("the file of sources cannot be used, those before stay in force", error=str(error))
            return
        log.info("sources are in force", sources=self.names())

    def names(self) -> list[str]:
        """All sources."""
        return sorted(self._by_name)

    def named(self, name: str) -> Source | None:
        """A source by its name."""
        return self._by_name.get(name)

    def with_token(self, sha256: str) -> Source | None:
        """The source of a token, by its hash."""
        return self._by_token.get(sha256)

    def _take(self) -> None:
        written = load_sources(self._path)
        files = [self._path.parent / name for one in written for name in _files(one)]
        self._watched = (self._path, *files)
        self._seen = self._stamps()  # before the secrets are read: what changes meanwhile is seen next time
        made = {one.source: Source(one, _keys(one, self._path), _crypt(one, self._path), self._bucket(one)) for one in written}
        self._by_name = made
        self._by_token = {token: source for source in made.values() for token in source.tokens}

    def _bucket(self, one: Written) -> Bucket:
        before = self._by_name.get(one.source)
        same = before is not None and (before.bucket.rate, before.bucket.burst) == (one.rate, one.burst)
        return before.bucket if before is not None and same else Bucket(one.rate, one.burst)

    def _stamps(self) -> tuple[object, ...]:
        return tuple(_stamp(path) for path in self._watched)


def load_sources(path: Path) -> tuple[Written, ...]:
    """What a file says of sources. Raises SourcesError."""
    try:
        document = read_yaml(path.read_text(encoding="utf-8"), str(path), Sources, _PATTERNS)
        written = document.value.sources
        mistakes = [(document.line(("sources", i)), what) for i, one in enumerate(written) for what in _mistakes(one, written[:i])]
        if mistakes:
            raise MistakesError(str(path), mistakes)
    except (OSError, UnicodeDecodeError) as error:
        raise SourcesError(f"expected the file of the collector's sources, found {str(path)!r}: {error}") from None
    except MistakesError as error:
        raise SourcesError(str(error)) from None
    return written


def _mistakes(one: Written, before: tuple[Written, ...]) -> list[str]:
    taken = {token for other in before for token in other.tokens}
    said = (
        (one.source in {other.source for other in before}, f"expected a name of its own, found {one.source!r} again"),
        (bool(taken & set(one.tokens)), "expected a token of its own, found that of a source before"),
        ([bool(one.tokens), bool(one.secret_files), one.wecom is not None].count(True) != 1, _ONE_WAY),
    )
    return [what for wrong, what in said if wrong]


def _files(one: Written) -> list[str]:
    return [*one.secret_files, *((one.wecom.token_file, one.wecom.aes_key_file) if one.wecom else ())]


def _keys(one: Written, path: Path) -> tuple[bytes, ...]:
    try:
        return tuple(read_secret(path.parent / name) for name in one.secret_files)
    except SecretError as error:
        raise SourcesError(f"{path}: secret_files of {one.source}: {error}") from None


def _crypt(one: Written, path: Path) -> WeComCrypt | None:
    if one.wecom is None:
        return None
    try:
        token, key = ((path.parent / name).read_text(encoding="ascii").strip() for name in (one.wecom.token_file, one.wecom.aes_key_file))
        return WeComCrypt(token, key, one.wecom.receiver)
    except (OSError, UnicodeDecodeError) as error:
        raise SourcesError(f"{path}: wecom of {one.source}: expected a readable file of ASCII text: {type(error).__name__}") from None
    except CryptError as error:
        raise SourcesError(f"{path}: wecom of {one.source}: {error}") from None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What differs once a file is written or put in another's place."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
