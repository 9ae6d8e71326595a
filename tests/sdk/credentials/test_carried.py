"""Credentials that came with what an image was made of: samples of versions, photos, images that were marked before."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from PIL import Image
from support.credentials import PICTURE, changed_chunk, changed_pixels, concept_use, signer_of
from support.governed import record_id

from sdk.credentials.authority import create_authority
from sdk.credentials.manifest_store import PNG_MEDIA_TYPE, carries_credentials
from sdk.credentials.mark import (
    COMPOSITE_SOURCE_TYPE,
    ParentPhoto,
    encode_png,
    mark_image,
    require_readable_parent,
)
from sdk.credentials.read import look_for_credentials, read_credentials, verify_credentials
from sdk.credentials.sample import SampleOrigin, mark_sample
from sdk.credentials.signer import CredentialSigner
from sdk.errors import InputError, VerificationError
from sdk.identify import Identification, describe
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId

PNG = encode_png(PICTURE)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[CredentialSigner, str]:
    folder = tmp_path_factory.mktemp("ours")
    authority = create_authority(folder, organization="Demo Studio", now=datetime.now(UTC))
    return signer_of(folder), authority


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An image with the credentials of a stranger."""
    folder = tmp_path_factory.mktemp("strangers")
    create_authority(folder, organization="Strangers", now=datetime.now(UTC))
    return mark_image(encode_png(PICTURE.rotate(90)), concept_use(), signer_of(folder))


@pytest.fixture(scope="module")
def sample(ours: tuple[CredentialSigner, str]) -> bytes:
    origin = SampleOrigin(
        concept=ConceptId("demo/fox"), job=record_id("job"), base_model=Digest.of(b"base"), software="imprimatur"
    )
    return mark_sample(encode_png(PICTURE.transpose(Image.Transpose.FLIP_LEFT_RIGHT)), origin, ours[0])


def photo(content: bytes) -> ParentPhoto:
    return ParentPhoto(content=content, media_type=PNG_MEDIA_TYPE)


class TestSamples:
    def test_a_versions_ingredient_has_the_credentials_of_its_sample(
        self, ours: tuple[CredentialSigner, str], sample: bytes
    ) -> None:
        image = mark_image(PNG, concept_use(), ours[0], samples={"demo/fox@2": sample, "demo/pier@2": PNG})
        found = verify_credentials(image, [ours[1]])
        assert sorted(found.ingredients) == ["demo/fox@2", "demo/pier@2"]
        (carried,) = found.carried
        assert (carried.title, carried.relationship) == ("demo/fox@2", "inputTo")
        assert (carried.signer, carried.issuer) == ("demo/app", "Demo Studio")
        assert carried.failures == ("signingCredential.untrusted",)  # looked at without authorities, once for all

    def test_a_sample_says_what_drew_it(self, ours: tuple[CredentialSigner, str], sample: bytes) -> None:
        found = read_credentials(sample, [ours[1]])
        assert (found.state, found.actions) == ("Trusted", ("c2pa.created",))
        assert record_id("job").encode() in sample

    def test_a_sample_is_no_composition(self, ours: tuple[CredentialSigner, str], sample: bytes) -> None:
        with pytest.raises(VerificationError, match="do not say which concept versions"):
            verify_credentials(sample, [ours[1]])

    def test_a_damaged_sample_is_named(self, ours: tuple[CredentialSigner, str], sample: bytes) -> None:
        broken = changed_chunk(sample, b"caBX", lambda data: data[: len(data) // 2])
        with pytest.raises(VerificationError, match="sample of demo/fox@2"):
            mark_image(PNG, concept_use(), ours[0], samples={"demo/fox@2": broken})


class TestParents:
    def test_a_photos_foreign_credentials_are_kept_and_told(
        self, ours: tuple[CredentialSigner, str], foreign: bytes
    ) -> None:
        found = verify_credentials(mark_image(PNG, concept_use(), ours[0], photo(foreign)), [ours[1]])
        assert found.parent == "photo"
        (carried,) = found.carried
        assert (carried.relationship, carried.issuer, carried.failures) == (
            "parentOf",
            "Strangers",
            ("signingCredential.untrusted",),
        )

    def test_an_image_that_was_marked_before_is_its_own_parent(
        self, ours: tuple[CredentialSigner, str], foreign: bytes
    ) -> None:
        found = verify_credentials(mark_image(foreign, concept_use(), ours[0]), [ours[1]])
        assert found.actions == ("c2pa.opened", "c2pa.edited")
        assert found.source_type == COMPOSITE_SOURCE_TYPE
        assert [carried.issuer for carried in found.carried] == ["Strangers"]

    def test_an_image_has_one_parent(self, ours: tuple[CredentialSigner, str], foreign: bytes) -> None:
        with pytest.raises(InputError, match="it can have one"):
            mark_image(foreign, concept_use(), ours[0], photo(PNG))

    def test_a_photo_that_was_changed_since_is_told_as_such(
        self, ours: tuple[CredentialSigner, str], foreign: bytes
    ) -> None:
        image = mark_image(PNG, concept_use(), ours[0], photo(changed_pixels(foreign)))
        (carried,) = verify_credentials(image, [ours[1]]).carried
        assert "assertion.dataHash.mismatch" in carried.failures

    def test_a_photo_without_credentials_carries_none(self, ours: tuple[CredentialSigner, str]) -> None:
        found = verify_credentials(mark_image(PNG, concept_use(), ours[0], photo(PNG)), [ours[1]])
        assert (found.parent, found.carried) == ("photo", ())


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(50),
    "noise": lambda data: random.Random(3).randbytes(5000),
}


class TestTold:
    """What `imprimatur identify` says of credentials that came with others."""

    def told(self, image: bytes, authority: str) -> str:
        found = Identification(digest=Digest.of(image), said=look_for_credentials(image, [authority]), matches=())
        return "\n".join(describe(found))

    def test_names_whose_they_were(self, ours: tuple[CredentialSigner, str], foreign: bytes) -> None:
        said = self.told(mark_image(PNG, concept_use(), ours[0], photo(foreign)), ours[1])
        assert "carries      those of photo, signed by demo/app of Strangers" in said
        assert "no longer hold" not in said

    def test_says_what_no_longer_fits(self, ours: tuple[CredentialSigner, str], foreign: bytes) -> None:
        said = self.told(mark_image(PNG, concept_use(), ours[0], photo(changed_pixels(foreign))), ours[1])
        assert "which no longer hold: assertion.dataHash.mismatch" in said


class TestHostile:
    @pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
    def test_credentials_that_cannot_be_read_are_refused_before_anything_is_drawn(
        self, foreign: bytes, change: Callable[[bytes], bytes]
    ) -> None:
        with pytest.raises(InputError, match="cannot be read"):
            require_readable_parent(photo(changed_chunk(foreign, b"caBX", change)))

    def test_neither_is_anything_signed_over_them(self, ours: tuple[CredentialSigner, str], foreign: bytes) -> None:
        broken = changed_chunk(foreign, b"caBX", HOSTILE["cut short"])
        with pytest.raises(InputError, match="cannot be read"):
            mark_image(broken, concept_use(), ours[0])

    @pytest.mark.parametrize("seed", range(20))
    def test_any_damage_is_kept_as_a_fault_or_refused_in_a_line(
        self, ours: tuple[CredentialSigner, str], foreign: bytes, seed: int
    ) -> None:
        chosen = random.Random(seed)

        def flip(data: bytes) -> bytes:
            place = chosen.randrange(len(data))
            return data[:place] + bytes([data[place] ^ 1 << chosen.randrange(8)]) + data[place + 1 :]

        damaged = photo(changed_chunk(foreign, b"caBX", flip))
        try:
            require_readable_parent(damaged)
        except InputError:
            return
        assert verify_credentials(mark_image(PNG, concept_use(), ours[0], damaged), [ours[1]]).parent == "photo"

    def test_a_file_that_stops_anywhere_is_read_to_its_end(self, foreign: bytes) -> None:
        found = {end for end in range(0, len(foreign), 7) if carries_credentials(foreign[:end])}
        assert min(found) > foreign.index(b"caBX")
