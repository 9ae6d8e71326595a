"""Every error this SDK raises, as one tree. The registry and the trainer raise the same classes.

    ImprimaturError                      code
    |-- InputError                       input.invalid              what the caller gave cannot be used
    |   |-- SceneError                   input.scene                a scene and its concepts do not fit together
    |   `-- TrainingInputError           input.training             pictures or concepts cannot be trained from
    |-- ConfigurationError               configuration.invalid      settings, workspace or missing extra
    |-- BackboneError                    backbone.unusable          a base-model directory cannot be used
    |-- FormatError                      format.invalid             bytes are not what they claim to be
    |-- VerificationError                verification.failed        bytes parse, but do not prove what they must
    |   |-- CredentialsMissing           verification.no_credentials   a picture without Content Credentials
    |   |   `-- CredentialsElsewhere     verification.credentials_elsewhere   the picture names an address of them
    |   |-- DigestMismatch               verification.digest
    |   |-- SignatureInvalid             verification.signature
    |   |-- ThresholdNotMet              verification.threshold
    |   |-- TrustRootInvalid             verification.trust_root
    |   |-- ProofInvalid                 verification.log_proof
    |   |-- LogForked                    verification.log_forked
    |   |-- StatusListInvalid            verification.status_list
    |   `-- NotApproved                  verification.not_approved
    |-- PolicyDenied                     policy.denied              carries the Decision
    `-- ServiceError                     service.failed             the answer of a service, by its code
        |-- ServiceUnavailable           service.unavailable        no answer, or 502/503/504
        |-- AuthenticationRequired       auth.required              401
        |-- PermissionDenied             auth.forbidden             403 without a policy decision
        |-- NotFound                     resource.not_found         404
        |-- Erased                       resource.erased            410
        |-- Conflict                     resource.conflict          409
        |-- PayloadTooLarge              input.too_large            413
        `-- TooManyRequests              service.too_many_requests  429

A message says what was expected, what was found, about which id, and what to do next. `code` is stable:
programs branch on it, documentation lists it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from sdk.spec.policy import Decision


class ImprimaturError(Exception):
    """Root of the tree: a message for people and a stable `code` for programs."""

    code: ClassVar[str] = "imprimatur.error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InputError(ImprimaturError):
    """What the caller gave cannot be used; the message names it and the mend."""

    code = "input.invalid"


class SceneError(InputError):
    """A scene's placeholders and the concepts given for it do not fit together."""

    code = "input.scene"


class TrainingInputError(InputError):
    """Pictures, masks or concepts that cannot be trained from."""

    code = "input.training"


class ConfigurationError(ImprimaturError):
    """Settings, a workspace or an installed extra is missing or contradictory."""

    code = "configuration.invalid"


class BackboneError(ImprimaturError):
    """A base-model directory cannot be loaded or does not fit."""

    code = "backbone.unusable"


class FormatError(ImprimaturError):
    """Bytes are not a well-formed instance of the format they are read as."""

    code = "format.invalid"


class VerificationError(ImprimaturError):
    """Well-formed bytes that do not prove what they must prove."""

    code = "verification.failed"


class CredentialsMissing(VerificationError):
    """A picture that carries no Content Credentials."""

    code = "verification.no_credentials"


class CredentialsElsewhere(CredentialsMissing):
    """A picture whose Content Credentials are at an address, which nobody asks."""

    code = "verification.credentials_elsewhere"

    address = ""  # as it is shown

    @classmethod
    def at(cls, address: str) -> CredentialsElsewhere:
        """The error of a picture whose credentials are at `address`."""
        error = cls(f"the image's Content Credentials are not in it but at {address}, which is not asked")
        error.address = address
        return error


class DigestMismatch(VerificationError):
    """Content does not have the digest it is known by."""

    code = "verification.digest"


class SignatureInvalid(VerificationError):
    """No signature by a trusted key of the required role verifies."""

    code = "verification.signature"


class ThresholdNotMet(VerificationError):
    """Fewer distinct trusted signers than the role demands."""

    code = "verification.threshold"


class TrustRootInvalid(VerificationError):
    """The trust root is unsigned, expired, rolled back or inconsistent."""

    code = "verification.trust_root"


class ProofInvalid(VerificationError):
    """A Merkle inclusion or consistency proof does not hold."""

    code = "verification.log_proof"


class LogForked(VerificationError):
    """Two checkpoints of one log contradict each other: history was rewritten."""

    code = "verification.log_forked"


class StatusListInvalid(VerificationError):
    """A status list is stale, of another registry or tenant, or older than one that was seen."""

    code = "verification.status_list"


class NotApproved(VerificationError):
    """The version is not approved at the checkpoint shown."""

    code = "verification.not_approved"


class PolicyDenied(ImprimaturError):
    """Policy says no; `decision` says which rule, about what, and who could change it."""

    code = "policy.denied"

    def __init__(self, message: str, decision: Decision, *, on_record: bool = False) -> None:
        """`on_record`: a service decided, and recorded that it refused; otherwise nobody but the caller knows."""
        super().__init__(message)
        self.decision = decision
        self.on_record = on_record


class ServiceError(ImprimaturError):
    """A service answered with an error that has no class of its own."""

    code = "service.failed"


class ServiceUnavailable(ServiceError):
    """No answer in time, or the service says it cannot serve now. Trying again is safe."""

    code = "service.unavailable"


class AuthenticationRequired(ServiceError):
    """No credential, or one that is unknown, expired or revoked."""

    code = "auth.required"


class PermissionDenied(ServiceError):
    """The credential is good, but its roles do not allow this act."""

    code = "auth.forbidden"


class NotFound(ServiceError):
    """The thing named does not exist, or is not visible to this credential."""

    code = "resource.not_found"


class Erased(ServiceError):
    """The thing was there, and its key is destroyed: nobody can read it again."""

    code = "resource.erased"


class Conflict(ServiceError):
    """The act contradicts what is already recorded."""

    code = "resource.conflict"


class PayloadTooLarge(ServiceError):
    """A body or an upload is over its limit."""

    code = "input.too_large"


class TooManyRequests(ServiceError):
    """The caller is over its rate limit."""

    code = "service.too_many_requests"
