"""Reading Content Credentials back: what they say, and how far they can be trusted. No network.

`read_credentials` reports; `verify_credentials` raises; `look_for_credentials` tells what there is of a file from anywhere. Trust comes from the authorities that the caller names,
usually `TrustRoot.credential_authorities`; none named means that nothing is trusted. `TrustRoot.time_stamp_authorities`
may say when something was signed and nothing else: C2PA has one list for both, so the signer is looked at once more
without them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import c2pa

from sdk.credentials.concept_use import ASSERTION_LABEL, ConceptUse
from sdk.credentials.mark import COMPOSITE_SOURCE_TYPE, DIGITAL_SOURCE_TYPE
from sdk.credentials.picture import media_type
from sdk.errors import CredentialsElsewhere, CredentialsMissing, FormatError, VerificationError
from sdk.spec.canonical import validate_wire

UNTRUSTED: Final = "signingCredential.untrusted"
"""C2PA's code for a signer whom no authority at hand vouches for."""
_ELSEWHERE: Final = "must fetch remote manifests from url "  # how c2pa says that it was not let to
_LONGEST: Final = 300  # characters of a text that a stranger wrote


class CredentialState(StrEnum):
    """C2PA's validation states."""

    TRUSTED = "Trusted"  # valid, and the signer's authority is one of those named
    VALID = "Valid"  # untouched since it was signed, but by whom is unknown
    INVALID = "Invalid"  # changed since it was signed, or wrongly signed


@dataclass(frozen=True, kw_only=True)
class CarriedCredentials:
    """Credentials that an ingredient came with: a version's sample, or the photo that was drawn into.

    `failures` are C2PA's codes from when it was taken in, without authorities: `UNTRUSTED` is no fault.
    """

    title: str
    relationship: str  # of the ingredient: `inputTo`, `parentOf`
    issuer: str
    signer: str
    failures: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ContentCredentials:
    """What an image's credentials say, and whether to believe it."""

    state: CredentialState
    issuer: str
    signer: str
    actions: tuple[str, ...]  # what was done to the image, such as `c2pa.created`
    source_type: str | None
    ingredients: tuple[str, ...]  # titles of the `inputTo` ingredients
    parent: str | None  # title of the `parentOf` ingredient: what it was drawn into
    carried: tuple[CarriedCredentials, ...]
    signed_at: str | None  # as a time stamp says
    use: ConceptUse | None
    failures: tuple[str, ...]  # C2PA status codes


@dataclass(frozen=True, kw_only=True)
class FileCredentials:
    """What a file says of itself, at most one of these; none when it says nothing."""

    credentials: ContentCredentials | None = None
    elsewhere: str | None = None  # the address where it says that its credentials are
    fault: str | None = None  # why those that are there cannot be read


def look_for_credentials(
    content: bytes, authorities: Sequence[str], time_stamp_authorities: Sequence[str] = ()
) -> FileCredentials:
    """What the file of a picture says of itself, whatever it is. Raises nothing."""
    try:
        return FileCredentials(credentials=read_credentials(content, authorities, time_stamp_authorities))
    except CredentialsElsewhere as exc:
        return FileCredentials(elsewhere=exc.address)
    except CredentialsMissing:
        return FileCredentials()
    except (VerificationError, FormatError) as exc:
        return FileCredentials(fault=exc.message)


def read_credentials(
    content: bytes, authorities: Sequence[str], time_stamp_authorities: Sequence[str] = ()
) -> ContentCredentials:
    """Read the credentials in the file of a picture; authorities are PEM certificates.

    Raises:
        CredentialsMissing: the image carries none, or (`CredentialsElsewhere`) names an address of them.
        VerificationError: they cannot be read.
        FormatError: the concept-use assertion is malformed.
    """
    kind = media_type(content)
    if kind is None:
        raise CredentialsMissing("the file is no picture of a kind that carries Content Credentials")
    report = _report(content, kind, (*authorities, *time_stamp_authorities), stamps_trusted=True)
    if time_stamp_authorities and report.get("validation_state") == CredentialState.TRUSTED:
        report = _held_to_signers(report, _report(content, kind, authorities, stamps_trusted=False))
    try:
        return _credentials(report)
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise VerificationError(f"the image's Content Credentials are not as C2PA has them: {exc!r}") from exc


def _report(content: bytes, kind: str, anchors: Sequence[str], *, stamps_trusted: bool) -> dict[str, Any]:
    checks = {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_timestamp_trust": stamps_trusted}
    settings: dict[str, Any] = {"verify": checks}
    if anchors:
        settings["trust"] = {"user_anchors": "\n".join(anchors)}
    try:
        with (
            c2pa.Context.from_dict(settings) as context,
            c2pa.Reader(kind, io.BytesIO(content), context=context) as reader,
        ):
            report: dict[str, Any] = json.loads(reader.json())
            return report
    except c2pa.C2paError.ManifestNotFound as exc:
        raise CredentialsMissing("the image carries no Content Credentials") from exc
    except c2pa.C2paError as exc:
        reason, _, address = str(exc).partition(_ELSEWHERE)
        if address:
            raise CredentialsElsewhere.at(_shown(address)) from exc
        raise VerificationError(f"the image carries no readable Content Credentials: {_shown(reason)}") from exc


def _held_to_signers(report: dict[str, Any], by_signers: dict[str, Any]) -> dict[str, Any]:
    """The report, trusted only if the authorities of signers alone trust the signer too, at the time that is stamped."""
    trusted = by_signers.get("validation_state") == CredentialState.TRUSTED
    return report if trusted else by_signers


def verify_credentials(
    content: bytes, authorities: Sequence[str], time_stamp_authorities: Sequence[str] = ()
) -> ContentCredentials:
    """Return the credentials of a picture if they are trusted, complete and of a generated image.

    Raises:
        VerificationError: the image has none, was changed, is signed by somebody else, or says something else.
    """
    credentials = read_credentials(content, authorities, time_stamp_authorities)
    if credentials.state is not CredentialState.TRUSTED:
        why = ", ".join(credentials.failures) or "no authority of the trust root issued the signer's certificate"
        raise VerificationError(f"Content Credentials are {credentials.state.value}, not Trusted: {why}")
    if credentials.use is None or credentials.source_type not in (DIGITAL_SOURCE_TYPE, COMPOSITE_SOURCE_TYPE):
        raise VerificationError("the Content Credentials do not say which concept versions the image was made with")
    return credentials


def _credentials(report: dict[str, Any]) -> ContentCredentials:
    active = report["manifests"][report["active_manifest"]]
    assertions = {assertion["label"]: assertion["data"] for assertion in active.get("assertions", [])}
    actions = assertions.get("c2pa.actions.v2", {}).get("actions", [])
    drawn = [action for action in actions if action["action"] in ("c2pa.created", "c2pa.edited")]
    use = assertions.get(ASSERTION_LABEL)
    signature = active.get("signature_info", {})
    failures = report.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    return ContentCredentials(
        state=CredentialState(report["validation_state"]),
        issuer=_shown(signature.get("issuer")),
        signer=_shown(signature.get("common_name")),
        actions=tuple(_shown(action["action"]) for action in actions),
        source_type=drawn[0].get("digitalSourceType") if drawn else None,
        ingredients=tuple(_shown(i["title"]) for i in active.get("ingredients", []) if i["relationship"] == "inputTo"),
        parent=next(
            (_shown(i["title"]) for i in active.get("ingredients", []) if i["relationship"] == "parentOf"), None
        ),
        carried=tuple(
            _carried(report["manifests"], i) for i in active.get("ingredients", []) if "active_manifest" in i
        ),
        signed_at=signature.get("time"),
        use=None if use is None else validate_wire(ConceptUse, use, "concept-use assertion"),
        failures=tuple(failure["code"] for failure in failures),
    )


def _carried(manifests: dict[str, Any], ingredient: dict[str, Any]) -> CarriedCredentials:
    signature = manifests.get(ingredient["active_manifest"], {}).get("signature_info", {})
    failures = ingredient.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    return CarriedCredentials(
        title=_shown(ingredient.get("title")),
        relationship=ingredient["relationship"],
        issuer=_shown(signature.get("issuer")),
        signer=_shown(signature.get("common_name")),
        failures=tuple(failure["code"] for failure in failures),
    )


def _shown(text: str | None) -> str:
    """A text that a stranger may have written, fit for a terminal: one line, not endless, no control characters."""
    return "".join(char if char.isprintable() else "\ufffd" for char in (text or "")[:_LONGEST])
