"""A version as a reviewer reads it in a terminal: what it is, every term that an approval is about, its files."""

from __future__ import annotations

from collections.abc import Iterable

from sdk.cli.connection import say, show_table
from sdk.spec.royalty import RoyaltyTerms
from sdk.spec.terms import ConsentEvidence, LicenceEvidence, LicenceGrant, UseTerms
from sdk.verify import VerifiedBreakGlass, VerifiedVersion


def show_version(version: VerifiedVersion) -> None:
    """Print it."""
    bundle, manifest = version.bundle, version.manifest
    training, embedding = manifest.training, manifest.embedding
    say(f"{version.name} ({manifest.kind.value}) is {bundle.status.value}, owned by {bundle.owner}")
    _say_facts(
        {
            "manifest": str(version.digest),
            "token": f"{embedding.placeholder_token}, {embedding.vectors} vectors",
            "trained": f"for {training.requested_by} from {len(training.pictures)} pictures, "
            f"{training.finished_at:%Y-%m-%d}",
            "submitted": f"log entry {bundle.submission_receipt.index}",
            "approvals": f"{len(bundle.approvals)} of {bundle.approvals_required}",
        }
    )
    if renewal := version.renewal:
        held = f"log entry {renewal.renewed_index}" if renewal.renewed_index else "wait for reviewers"
        say(f"renewed: these terms are not those of the manifest; asked for by {renewal.requester}, {held}")
    for consent in bundle.consents:
        _show_consent(consent)
    for licence in bundle.licences:
        _show_licence(licence)
    files = [(artefact.name, artefact.role.value, str(artefact.size)) for artefact in manifest.artefacts]
    show_table("Files", ("name", "role", "bytes"), files)


def show_break_glass(opened: VerifiedBreakGlass) -> None:
    """Say that a version is in use without its approval."""
    say("NOT APPROVED, and in use by BREAK-GLASS; every signature, log proof and the status list hold")
    _say_facts(
        {
            "opened by": " and ".join(opened.signers),
            "until": f"{opened.expires_at:%Y-%m-%d %H:%M} UTC",
            "because": f"{opened.reason} (log entry {opened.log_index})",
        }
    )


def _show_consent(consent: ConsentEvidence) -> None:
    record = consent.record
    say(f"consent {consent.id} is {consent.status.value}")
    _say_facts(
        {
            "of": f"{record.subject} ({record.age_class.value}), given by {record.expressed_by} "
            f"({record.expressed_as.value}) on {record.expressed_on}"
        }
        | _terms(record.terms)
    )


def _show_licence(licence: LicenceEvidence) -> None:
    grant = licence.grant
    say(f"licence {licence.id} is {grant.license}")
    _say_facts({"of": f"{grant.rights_holder} ({grant.capacity.value})"} | _terms(grant.terms) | _limits(grant))


def _terms(terms: UseTerms) -> dict[str, str]:
    return {
        "purposes": _listed(terms.purposes),
        "territories": _listed(terms.territories),
        "channels": _listed(terms.channels),
        **({"media": _listed(medium.value for medium in terms.media)} if terms.media else {}),
        "term": f"{terms.valid_from:%Y-%m-%d} to {terms.valid_until:%Y-%m-%d}",
    }


def _limits(grant: LicenceGrant) -> dict[str, str]:
    """What a licence narrows; only what it names."""
    limits = {
        "never for": _listed(grant.prohibited_uses),
        "never with": _listed(grant.not_with),
        "categories": _listed(grant.categories or ()),
        "alone in": _listed(grant.exclusive_in or ()),
        "only for": _listed(grant.applications or ()),
        "only on": _listed(grant.base_models or ()),
        "images": f"at most {grant.max_images}" if grant.max_images else "",
        "uses": "; ".join(grant.intended_uses or ()),
        "advised by": grant.represented_by or "",
        "sublicences": grant.sublicensing.value if grant.sublicensing else "",
        "unaltered by": _listed(each.value for each in grant.alterations or ()),
        "not beside": _listed(grant.not_with_categories or ()),
        "law": grant.governing_law or "",
        "royalty": _royalty(grant.royalty) if grant.royalty else "",
    }
    return {name: text for name, text in limits.items() if text}


def _royalty(royalty: RoyaltyTerms) -> str:
    parts = (
        f"{royalty.currency} {royalty.per_image} an image" if royalty.per_image else "",
        f"{royalty.percent_of_fee} % of the fee" if royalty.percent_of_fee else "",
        f"at least {royalty.currency} {royalty.minimum_guarantee}" if royalty.minimum_guarantee else "",
    )
    return f"{', '.join(filter(None, parts))}, by the {royalty.period.value}"


def _say_facts(facts: dict[str, str]) -> None:
    for name, text in facts.items():
        say(f"  {name:<12}{text}")


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
