"""An example of every body that the API takes, by the name of its schema. Signatures and digests in them are of nothing.

The tests hold that each body has one, and that its own model takes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

_DIGEST: Final = "sha256:" + "5f" * 32
_CONSENT: Final = "con_aaaaaaaaaaaaaaaaaaaaaaaaaa"
_LICENCE: Final = "lic_bbbbbbbbbbbbbbbbbbbbbbbbbb"
_JOB: Final = "job_cccccccccccccccccccccccccc"
_EVIDENCE: Final = {"document": _DIGEST, "page": 2, "clause": "3.1"}
_SALT: Final = "00112233445566778899aabbccddeeff"
_TERMS: Final = {
    "purposes": ["advertising", "editorial"],
    "territories": ["JP", "FR"],
    "channels": ["web", "print"],
    "valid_from": "2027-01-01T00:00:00Z",
    "valid_until": "2029-01-01T00:00:00Z",
}
_ENVELOPE: Final = {
    "payload": "eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEifQ==",
    "payloadType": "application/vnd.in-toto+json",
    "signatures": [{"keyid": "5f" * 32, "sig": "A" * 86 + "=="}],
}

BODY_EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "AliasChanges": {"changes": [{"concept": "acme/fox", "alias": "stable", "number": 3, "expected": 2}]},
        "Assignment": {"reviewers": ["acme/aiko"], "due_at": "2027-03-01T17:00:00+09:00", "expected": 0},
        "ConsentAnswer": {
            "answer": "re-confirm",
            "expressed_by": "subject-0001",
            "expressed_as": "self",
            "expressed_on": "2027-02-01",
            "expressed_through": "electronic-signature",
            "evidence": _EVIDENCE,
            "salt": _SALT,
        },
        "ConsentRecord": {
            "covers": ["acme/fox"],
            "subject": "subject-0001",
            "age_class": "adult",
            "controller": "Acme Studio",
            "notice": "https://acme.example/notices/concept-learning",
            "notice_language": "en",
            "terms": _TERMS,
            "withdrawal_method": "a message to consent@acme.example",
            "evidence": _EVIDENCE,
            "expressed_by": "subject-0001",
            "expressed_as": "self",
            "expressed_on": "2026-12-20",
            "salt": _SALT,
        },
        "Envelope": _ENVELOPE,
        "ErasureRequest": {"subject": "subject-0001"},
        "GenerationIntent": {
            "manifests": [_DIGEST],
            "scene": _DIGEST,
            "use": {"purpose": "advertising", "territory": "JP", "channel": "web"},
            "count": 4,
            "seed": 7,
            "base_model": _DIGEST,
            "policy_bundle": _DIGEST,
            "idempotency_key": "spring-2027-poster-1",
        },
        "GenerationResult": {
            "images": [{"digest": _DIGEST, "media_type": "image/png", "size": 412_113}],
            "statement": _ENVELOPE,
        },
        "IdentifyQuery": {"digest": _DIGEST, "fingerprints": ["dct256:" + "0f" * 32]},
        "LicenceGrant": {
            "covers": ["acme/fox"],
            "rights_holder": "holder-0001",
            "capacity": "self",
            "license": "LicenseRef-acme-2027",
            "attribution": "Acme Studio",
            "terms": _TERMS,
            "prohibited_uses": ["politics"],
            "max_images": 1000,
            "evidence": _EVIDENCE,
        },
        "LifeEventReport": {
            "pseudonym": "subject-0001",
            "event": "of-age",
            "happened_on": "2027-02-01",
            "evidence": _EVIDENCE,
            "salt": _SALT,
        },
        "NewComment": {"text": "Is the mask of picture 3 complete?"},
        "NewConcept": {"id": "acme/fox", "kind": "character", "title": "The red fox"},
        "NewCredential": {"principal": "acme/aiko", "roles": ["reviewer"], "label": "Aiko's laptop"},
        "NewWebhook": {
            "url": "https://hooks.acme.example/imprimatur",
            "events": ["version.approved", "version.renewed", "version.revoked"],
            "description": "the asset manager",
        },
        "NoticeAcknowledgement": {"concept": "acme/fox", "number": 3, "comment": "taken off the site"},
        "RenewalRequest": {"consents": [_CONSENT], "licences": [_LICENCE]},
        "Replay": {"after": 1041},
        "ReviewRequest": {"reviewers": ["acme/aiko"], "due_at": "2027-03-01T17:00:00+09:00"},
        "Rotation": {"overlap_seconds": 3600},
        "SubjectBinding": {"pseudonym": "subject-0001", "principal": "acme/haru", "capacity": "self"},
        "SubjectRelease": {"pseudonym": "subject-0001", "principal": "acme/agent", "reason": "the contract ended"},
        "TrainingErased": {"jobs": [_JOB]},
        "VersionSubmission": {"manifest": "e30=", "attestation": _ENVELOPE},
        "WantedTraining": {"concepts": [{"concept": "acme/fox", "consents": [_CONSENT], "licences": [_LICENCE]}]},
        "Withdrawal": {"reason": "the person asked for it"},
    }
)
