"""Which logs count, and which witnesses must have cosigned: C2SP tlog-policy, https://c2sp.org/tlog-policy

    log <verifier key> [url]
    witness <name> <verifier key> [url]
    group <name> all|any|<k> <name>...
    quorum <name>|none

Pure. Verifying a checkpoint against a policy is `sdk.signing.cosign`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from sdk.errors import FormatError
from sdk.spec.note_keys import NoteAlgorithm, NoteKey, parse_note_key

MAX_POLICY_BYTES: Final = 65_536  # bytes
MAX_LINES: Final = 1000
NO_QUORUM: Final = "none"


@dataclass(frozen=True, kw_only=True)
class Party:
    """A log or a witness: its key, and where it is reached, if the policy says."""

    key: NoteKey
    url: str | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """At least `threshold` of `members` (witnesses or groups) must have cosigned."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LogPolicy:
    """When a checkpoint is believed: signed by one of `logs`, and cosigned as `quorum` says."""

    logs: tuple[Party, ...] = ()
    witnesses: Mapping[str, Party] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    quorum: str = NO_QUORUM

    def is_met_by(self, cosigners: Collection[str]) -> bool:
        """Whether the witnesses with these names of the policy are a quorum."""
        return self.quorum == NO_QUORUM or self._met(self.quorum, cosigners)

    def _met(self, name: str, cosigners: Collection[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in cosigners
        return sum(self._met(member, cosigners) for member in group.members) >= group.threshold


def parse_log_policy(content: bytes) -> LogPolicy:
    """Read a policy file. Raises `FormatError` naming the line."""
    if len(content) > MAX_POLICY_BYTES:
        raise FormatError(f"the log policy has {len(content)} bytes; at most {MAX_POLICY_BYTES} are read")
    reader = _Reader()
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    if len(lines) > MAX_LINES:
        raise FormatError(f"the log policy has {len(lines)} lines; at most {MAX_LINES} are read")
    for number, line in enumerate(lines, 1):
        words = re.split(r"[ \t]+", line.strip(" \t"))
        if words == [""] or words[0].startswith("#"):
            continue
        try:
            reader.read(words)
        except FormatError as exc:
            raise FormatError(f"log policy, line {number}: {exc.message}") from exc
    return reader.policy()


class _Reader:
    """Collects lines; a name is known from its line on."""

    def __init__(self) -> None:
        self.logs: list[Party] = []
        self.witnesses: dict[str, Party] = {}
        self.groups: dict[str, Group] = {}
        self.members: set[str] = set()
        self.quorum: str | None = None
        self.lines: dict[str, Callable[[list[str]], None]] = {
            "log": self._log,
            "witness": self._witness,
            "group": self._group,
            "quorum": self._quorum,
        }

    def read(self, words: list[str]) -> None:
        if words[0] not in self.lines:
            raise FormatError(f"expected {', '.join(self.lines)} or a comment, found {words[0]!r}")
        self.lines[words[0]](words[1:])

    def policy(self) -> LogPolicy:
        if self.quorum is None:
            raise FormatError("the log policy has no quorum line; write 'quorum none' to ask for no witness")
        return LogPolicy(logs=tuple(self.logs), witnesses=self.witnesses, groups=self.groups, quorum=self.quorum)

    def _log(self, words: list[str]) -> None:
        self.logs.append(_party(words, NoteAlgorithm.LOG, [party.key for party in self.logs]))

    def _witness(self, words: list[str]) -> None:
        self._require_new(words[:1])
        known = [party.key for party in self.witnesses.values()]
        self.witnesses[words[0]] = _party(words[1:], NoteAlgorithm.COSIGNATURE, known)

    def _group(self, words: list[str]) -> None:
        self._require_new(words[:1])
        members = tuple(words[2:])
        for member in members:
            self._require_known(member)
            if member in self.members or members.count(member) > 1:
                raise FormatError(f"{member!r} is a member already; a name counts once")
        rule = words[1] if len(words) > 1 else ""
        threshold = {"any": "1", "all": str(len(members))}.get(rule, rule)
        if not re.fullmatch(r"[1-9][0-9]{0,3}", threshold) or not 1 <= int(threshold) <= len(members):
            raise FormatError("a group is a name, 'all', 'any' or a number, and at least that many members")
        self.members |= set(members)
        self.groups[words[0]] = Group(threshold=int(threshold), members=members)

    def _quorum(self, words: list[str]) -> None:
        if self.quorum is not None or len(words) != 1:
            raise FormatError("there is one quorum line, with one name")
        if words[0] != NO_QUORUM:
            self._require_known(words[0])
        self.quorum = words[0]

    def _require_new(self, words: list[str]) -> None:
        if not words or words[0] == NO_QUORUM or words[0] in self.witnesses or words[0] in self.groups:
            raise FormatError(f"expected a new name, found {' '.join(words) or 'none'}")

    def _require_known(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise FormatError(f"{name!r} is no witness or group of a line before")


def _party(words: list[str], algorithm: NoteAlgorithm, known: list[NoteKey]) -> Party:
    if len(words) not in (1, 2):
        raise FormatError("expected a verifier key and perhaps an address")
    key = parse_note_key(words[0])
    if key.algorithm is not algorithm:
        raise FormatError(f"the key of {key.name} is of algorithm {key.algorithm}, expected {algorithm}")
    if key.public_key in {each.public_key for each in known}:
        raise FormatError(f"the key of {key.name} stands here twice, under whatever name")
    return Party(key=key, url=words[1] if len(words) == 2 else None)
