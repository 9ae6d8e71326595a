"""An explanation from what the registry knows of a generation, and from the attention that its application kept.

Kept attention counts only if the result on record holds its digest: a file beside the images proves nothing by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from sdk.client import Client
from sdk.errors import VerificationError
from sdk.signing.trust import TrustRoot
from sdk.spec.api import GenerationView
from sdk.spec.explanation import Explanation, GenerationAttention, TracedVersion
from sdk.spec.ids import RecordId
from sdk.spec.terms import UseTerms
from sdk.trace import trace


def explain(
    client: Client, trust: TrustRoot, generation: RecordId, attention: GenerationAttention | None = None
) -> Explanation:
    """Explain a generation on record, permitted or refused.

    Raises:
        NotFound, PolicyDenied: there is none that the caller may read.
        VerificationError: the attention is not what was recorded with it, or an approval's proof does not hold.
    """
    view = client.get_generation(generation)
    if attention:
        _require_recorded(view, attention)
    return Explanation(
        generation=view.id,
        application=view.application,
        decided_at=view.permitted_at,
        use=view.intent.use,
        decision=view.decision,
        versions=tuple(trace(client, name, view.permitted_at, trust) for name in view.versions),
        intent_index=view.intent_index,
        result_index=view.result_index,
        images=attention.images if attention else (),
    )


def _require_recorded(view: GenerationView, attention: GenerationAttention) -> None:
    if attention.generation != view.id:
        raise VerificationError(f"the attention is of {attention.generation}, not of {view.id}")
    if attention.digest != view.attention:
        raise VerificationError(
            f"the attention has digest {attention.digest}, but {view.attention or 'none'} is on record for {view.id}; "
            "it is not what was seen while drawing"
        )


def describe(explanation: Explanation) -> Iterator[str]:
    """The explanation in lines of text."""
    decision, use = explanation.decision, explanation.use
    yield f"{explanation.generation}: {decision.effect.value} for {explanation.application}"
    yield f"  for          {use.purpose}, {use.territory}, {use.channel}, {explanation.decided_at:%Y-%m-%d %H:%M:%S} UTC"
    for reason in decision.reasons:
        yield f"  rule         {reason.rule} about {reason.about}: {reason.message}"
    yield f"  policies     {decision.bundle}"
    for version in explanation.versions:
        yield from _describe_version(version)
    entries = " and ".join(str(at) for at in (explanation.intent_index, explanation.result_index) if at is not None)
    yield f"  log          entries {entries}"
    for number, image in enumerate(explanation.images):
        shares = ", ".join(f"{each.concept or 'other words'} {each.share:.0%}" for each in image.concepts)
        yield f"  image {number}      attended to {shares}"
    if not explanation.images:
        yield "  images       no attention is at hand; compose with explain to keep it, and name where it is with --images"


def _describe_version(version: TracedVersion) -> Iterator[str]:
    yield f"  version      {version.name}"
    for approval in version.approvals:
        yield f"    approved by {approval.reviewer} (entry {approval.log_index})"
    for record in (*version.consents, *version.licences):
        yield f"    {record.id}: {terms_in_words(record.terms)}"


def terms_in_words(terms: UseTerms) -> str:
    """What a record covers, in one line."""
    listed = (", ".join(each) for each in (terms.purposes, terms.territories, terms.channels))
    return f"{'; '.join(listed)}; {terms.valid_from:%Y-%m-%d} to {terms.valid_until:%Y-%m-%d}"
