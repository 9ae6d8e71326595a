"""TUF repositories with one thing broken each, made from fixed keys at a fixed time; `generate.py` writes them into folders.

tuf/NAME/   root.json       the root that the client was given
            first/...       the repository at an earlier visit, if there was one, and `first_at`, when that was
            served/...      the repository as it is judged, and `at`, the moment
            expected        what `trust-root.json` is then, of a case that must hold
            words           words of the error, of a case that must fail: ngclient has one class for all of them
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from support.governed import NOW, fixed_signer

from registry.distribution.repository import TufRepository
from sdk.signing.signer import Signer

Files = Mapping[str, bytes]
ROOT, SECOND, THIRD, ONLINE = (fixed_signer(name) for name in ("tuf root", "tuf second", "tuf third", "tuf online"))
YEAR = NOW + timedelta(days=365)
ONE, TWO = "一: the first trust root".encode(), "二: the second".encode()
FAILS = "TrustRootInvalid"


@dataclass
class Story:
    """A repository in the making, what a client was shown first, and what it is shown then."""

    repository: TufRepository
    first: dict[str, bytes] = field(default_factory=dict)

    def publish(self, content: bytes = TWO, *signers: Signer, now: datetime = NOW) -> None:
        self.repository.publish(signers or [ROOT], ONLINE, {"trust-root.json": content}, expires=YEAR, now=now)

    def rotate(self, old: Signer, *new: Signer, threshold: int = 1) -> None:
        self.repository.rotate([old], list(new), ONLINE, threshold=threshold, expires=YEAR)

    def files(self) -> dict[str, bytes]:
        """The repository as it is now."""
        folder = self.repository.folder
        paths = (path for part in ("metadata", "targets") for path in (folder / part).iterdir())
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}

    def visited(self) -> None:
        """A client looks at it now."""
        self.first = self.files()


def told(
    tell: Callable[[Story], Mapping[str, bytes] | None], *, at: datetime = NOW, expected: bytes = b"", words: str = ""
) -> Callable[[], Files]:
    """The files of a case in which `tell` happens; it returns what is served if that is not the repository as it is."""

    def make() -> Files:
        with tempfile.TemporaryDirectory() as name:
            story = Story(TufRepository(Path(name)))
            story.repository.create([ROOT], ONLINE, {"trust-root.json": ONE}, threshold=1, expires=YEAR, now=NOW)
            served = tell(story)
            files = {"root.json": story.repository.first_root.read_bytes(), "at": f"{at.isoformat()}\n".encode()}
            files |= {f"served/{path}": content for path, content in (served or story.files()).items()}
            if story.first:
                files |= {f"first/{path}": content for path, content in story.first.items()}
                files["first_at"] = f"{NOW.isoformat()}\n".encode()
            return files | ({"expected": expected} if expected else {"words": f"{words}\n".encode()})

    return make


def visited_then_published(story: Story) -> None:
    story.visited()
    story.publish()


def rotated_twice(story: Story) -> None:
    story.rotate(ROOT, SECOND)
    story.rotate(SECOND, THIRD)
    story.publish(TWO, THIRD)


def rolled_back(story: Story) -> Files:
    old = story.files()
    story.publish()
    story.visited()
    return old


def frozen(story: Story) -> Files:
    old = story.files()
    story.visited()
    story.publish(now=NOW + timedelta(days=1))
    return old


def changed(path: str, old: bytes, new: bytes) -> Callable[[Story], Files]:
    def tell(story: Story) -> Files:
        files = story.files()
        (name,) = (name for name in files if name.endswith(path))
        assert old in files[name]
        return files | {name: files[name].replace(old, new, 1)}

    return tell


def mixed(story: Story) -> Files:
    old = story.files()
    story.publish()
    return story.files() | {"metadata/2.targets.json": old["metadata/1.targets.json"]}


def with_old_root_key(story: Story) -> None:
    story.rotate(ROOT, SECOND)
    story.publish(TWO, ROOT)


def below_threshold(story: Story) -> None:
    story.rotate(ROOT, ROOT, SECOND, threshold=2)
    story.publish(TWO, SECOND)


def unsigned_rotation(story: Story) -> None:
    story.rotate(THIRD, SECOND)
    story.publish(TWO, SECOND)


def another_repository(story: Story) -> Files:
    with tempfile.TemporaryDirectory() as name:
        other = Story(TufRepository(Path(name)))
        other.repository.create([SECOND], THIRD, {"trust-root.json": TWO}, threshold=1, expires=YEAR, now=NOW)
        return other.files()


TUF: dict[str, tuple[str, str | None, Callable[[], Files]]] = {
    "published": ("the client follows what is published", None, told(visited_then_published, expected=TWO)),
    "rotated": ("the client follows two rotations of the root key", None, told(rotated_twice, expected=TWO)),
    "two_of_two": (
        "both of two root keys signed",
        None,
        told(lambda s: (s.rotate(ROOT, ROOT, SECOND, threshold=2), s.publish(TWO, ROOT, SECOND))[1], expected=TWO),
    ),
    "payload_changed_fail": (
        "a target has other bytes than its metadata says",
        FAILS,
        told(changed(".trust-root.json", b"first", b"f1rst"), words="hash"),
    ),
    "signature_fail": (
        "metadata was changed after it was signed",
        FAILS,
        told(changed("1.targets.json", b'"length":25', b'"length":26'), words="signed"),
    ),
    "threshold_fail": ("one of two root keys signed the targets", FAILS, told(below_threshold, words="signed")),
    "role_fail": (
        "the online key signed the targets",
        FAILS,
        told(lambda s: s.publish(TWO, ONLINE), words="signed"),
    ),
    "old_root_key_fail": (
        "a root key that was rotated away signed the targets",
        FAILS,
        told(with_old_root_key, words="signed"),
    ),
    "unsigned_rotation_fail": (
        "other root keys, and the old ones did not sign them",
        FAILS,
        told(unsigned_rotation, words="signed"),
    ),
    "another_repository_fail": (
        "a repository of other keys",
        FAILS,
        told(another_repository, words="signed"),
    ),
    "expired_root_fail": (
        "the root's term is over",
        FAILS,
        told(lambda s: None, at=YEAR + timedelta(days=1), words="root.json is expired"),
    ),
    "frozen_timestamp_fail": (
        "a day later the same timestamp is shown, though another was published",
        FAILS,
        told(frozen, at=NOW + timedelta(days=1, seconds=1), words="timestamp.json is expired"),
    ),
    "rolled_back_fail": ("the client saw a newer one before", FAILS, told(rolled_back, words="version")),
    "mixed_fail": (
        "targets of an earlier version under a new snapshot",
        FAILS,
        told(mixed, words="Expected targets v2, got v1"),
    ),
}
