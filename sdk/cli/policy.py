"""`imprimatur policy`: why a use is refused, and what a change of the rules or of terms would do. Decides nothing.

`show`, `why`, `replay` and `recheck` read the registry; `test` and `diff` read folders only.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from sdk.cli.alias import AsOf, parse_moment
from sdk.cli.connection import ProfileOption, connected, console, named, now, read_document, say, show_table
from sdk.cli.policy_text import in_short, show_changed_rule, show_findings, show_nearest, show_replayed
from sdk.cli.review import verified
from sdk.client import Client
from sdk.errors import InputError, VerificationError
from sdk.policy.bundle import load_bundle, parse_bundle, write_bundle
from sdk.policy.cases import failures, load_cases
from sdk.policy.cedar import CedarEngine
from sdk.policy.compare import compare_bundles
from sdk.policy.joint import joint_terms
from sdk.policy.recheck import recheck
from sdk.policy.replay import ProposedTerms, replay
from sdk.policy.risk import risk_classes
from sdk.resolve import current_trust_root
from sdk.signing.receipts import verify_receipt
from sdk.spec.api import DecisionQuery, RecordedDecision
from sdk.spec.canonical import validate_wire
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.policy import PolicyPrincipal, Role, Use
from sdk.spec.terms import ConsentRecord, LicenceGrant
from sdk.verify import VerifiedVersion

commands = typer.Typer()
_policy = typer.Typer(no_args_is_help=True, help="Ask why, and try a change of rules or terms before it is made.")
commands.add_typer(_policy, name="policy")

Folder = Annotated[Path, typer.Argument(help="A folder of policies.", metavar="FOLDER")]


@_policy.command("show")
def show_policies(
    as_of: AsOf = None,
    digest: Annotated[str | None, typer.Option(help="The bundle with this digest.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the files into this new folder.", metavar="FOLDER", show_default=False)
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """Show which policies are in force, or were at a moment, or the ones a decision names; --out writes them, to be read or tried."""
    moment = parse_moment(as_of) if as_of else None
    wanted = Digest(digest) if digest else None
    with connected(profile) as (_, client):
        view = client.policies(as_of=moment, digest=wanted)
    bundle = parse_bundle(view)
    say(f"policies {bundle.digest}")
    if view.since:
        say(f"in force since {view.since:%Y-%m-%d %H:%M:%SZ}, log entry {view.log_index}")
    show_table("Files", ("name", "lines"), [(n, str(len(t.splitlines()))) for n, t in sorted(bundle.files.items())])
    if out:
        write_bundle(bundle, out)
        say(f"written to {out}")


@_policy.command("why")
def explain_decision(
    concepts: Annotated[list[str], typer.Argument(help="Versions, such as demo/fox or demo/fox@2.", metavar="REF...")],
    purpose: Annotated[str, typer.Option(help="What it is for, such as advertising.")],
    territory: Annotated[str, typer.Option(help="Where: ISO 3166-1 alpha-2 such as JP, or WORLD.")],
    channel: Annotated[str, typer.Option(help="On what, such as web.")],
    count: Annotated[int, typer.Option(help="How many images.", min=1, max=64)] = 1,
    role: Annotated[
        list[Role] | None, typer.Option(help="Ask as somebody with this role, not your own.", show_default=False)
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """Ask whether a use is permitted now: rule by rule, and the nearest change that would make it so. Records nothing."""
    from sdk.compose.question import composition_context

    use = validate_wire(Use, {"purpose": purpose, "territory": territory, "channel": channel}, "use")
    with connected(profile) as (chosen, client):
        versions = [verified(chosen, client, reference) for reference in concepts]
        engine = CedarEngine(parse_bundle(client.policies()))
        who = client.whoami()
        granted = _images_granted(client, versions)
    asker = PolicyPrincipal(id=who.principal, roles=tuple(role or who.roles))
    context = composition_context(asker, versions, use, count=count, at=now(), images_granted=granted)
    decision = engine.evaluate(context)
    answer = "permitted" if decision.permitted else "refused"
    say(f"{answer}: {purpose} on {channel} in {territory}, asked by {who.principal}")
    for version, (_, findings) in zip(versions, engine.read_clauses(context), strict=True):
        show_findings(version, findings, decision)
    if not decision.permitted:
        show_nearest(engine, context)


@_policy.command("joint")
def show_joint_terms(
    concepts: Annotated[list[str], typer.Argument(help="Versions, such as demo/fox or demo/fox@2.", metavar="REF...")],
    profile: ProfileOption = None,
) -> None:
    """Show what one picture of several concepts may be for: the intersection of their terms, and who keeps whom away."""
    from sdk.compose.question import version_facts

    with connected(profile) as (chosen, client):
        versions = [verified(chosen, client, reference) for reference in concepts]
        granted = _images_granted(client, versions)
    terms = joint_terms([version_facts(version, now(), granted) for version in versions])
    limits = {
        "purposes": terms.purposes,
        "territories": terms.territories,
        "channels": terms.channels,
        "media": terms.media,
        "applications": terms.applications,
    }
    for name, values in limits.items():
        say(f"{name:<13}{'no limit' if values is None else ', '.join(values) or 'none in common'}")
    say(f"{'images left':<13}{'no limit' if terms.images_left is None else terms.images_left}")
    for concept, kept in terms.apart:
        say(f"{concept} may not appear with {kept}")
    say("a use of all of them is possible" if terms.usable else "no use of all of them together is possible")


@_policy.command("test")
def run_cases(folder: Folder) -> None:
    """Run the cases of a folder of policies against its rules. Exit status 1 when one of them fails."""
    cases = load_cases(folder)
    bundle = load_bundle(folder)
    engine = CedarEngine(bundle)
    risk_classes(bundle)  # raises where the table of classes is faulty
    failed = failures(engine, cases)
    for case, decision in failed:
        expected = f"{case.answer.value} {' '.join(case.because)}".strip()
        say(f"failed: {case.domain.value}: {case.name}: expected {expected}, found {in_short(decision)}")
    say(f"{len(cases) - len(failed)} of {len(cases)} cases hold under {engine.bundle_digest}")
    if failed:
        raise typer.Exit(1)


@_policy.command("diff")
def compare_folders(
    before: Annotated[Path, typer.Argument(help="The policies as they are.", metavar="BEFORE")],
    after: Annotated[Path, typer.Argument(help="The policies as they would be.", metavar="AFTER")],
) -> None:
    """Show which rules are added, removed or changed, and which cases would be answered otherwise."""
    difference = compare_bundles(before, after)
    for changed in difference.rules:
        show_changed_rule(changed)
    for each in difference.cases:
        say(f"case: {each.case.domain.value}: {each.case.name}")
        say(f"  {in_short(each.before)} -> {in_short(each.after)}")
    say(f"{len(difference.rules)} rules differ; {len(difference.cases)} cases are answered otherwise")


@_policy.command("replay")
def replay_decisions(
    folder: Annotated[
        Path | None, typer.Argument(help="The proposed policies; those in force when left out.", metavar="[FOLDER]")
    ] = None,
    terms: Annotated[
        list[str] | None,
        typer.Option(help="Proposed terms, ID=FILE: a consent or licence id, and the record that would replace it."),
    ] = None,
    days: Annotated[int, typer.Option(help="Replay the decisions of this many days.", min=1, max=3650)] = 30,
    profile: ProfileOption = None,
) -> None:
    """Decide the recorded decisions again under proposed policies or terms: who would gain, who would lose. Signs nothing."""
    proposed = _read_terms(terms or [])
    if folder is None and not proposed:
        raise InputError("nothing is proposed; name a folder of policies, or --terms ID=FILE")
    with connected(profile) as (_, client):
        engine = CedarEngine(load_bundle(folder) if folder else parse_bundle(client.policies()))
        decisions = _since(client, days)
        shown = track(decisions, "replaying", console=console(), transient=True)
        replayed = replay(engine, shown, terms=proposed, fetch_version=client.get_version)
    show_replayed("Would gain", [each for each in replayed if each.gains])
    show_replayed("Would lose", [each for each in replayed if each.loses])
    gain, lose = sum(each.gains for each in replayed), sum(each.loses for each in replayed)
    say(f"{len(replayed)} decisions of {days} days under {engine.bundle_digest}: {gain} gain, {lose} lose")


@_policy.command("recheck")
def recheck_decisions(
    generations: Annotated[
        list[str] | None,
        typer.Argument(help="Whose decisions; those of the last days when left out.", metavar="GEN..."),
    ] = None,
    days: Annotated[int, typer.Option(help="Recheck the decisions of this many days.", min=1, max=9000)] = 30,
    profile: ProfileOption = None,
) -> None:
    """Make recorded decisions again from what was recorded and the policies that each names, and hold them to the log. Exit status 1 when one differs."""
    faults = []
    with connected(profile) as (chosen, client):
        trust = current_trust_root(client, chosen, now=now())
        decisions = _of_generations(client, generations) if generations else _since(client, days)
        engines: dict[Digest, CedarEngine] = {}
        for recorded in track(decisions, "rechecking", console=console(), transient=True):
            named = recorded.decision.bundle
            if named not in engines:
                engines[named] = CedarEngine(parse_bundle(client.policies(digest=named)))
            entry = verify_receipt(client.log_receipt(recorded.log_index), trust)
            try:
                recheck(recorded, entry, engines[named])
            except VerificationError as exc:
                faults.append(exc.message)
    for fault in faults:
        say(f"failed: {fault}")
    say(
        f"{len(decisions) - len(faults)} of {len(decisions)} decisions follow from what was recorded, by {len(engines)} bundles"
    )
    if faults:
        raise typer.Exit(1)


def _of_generations(client: Client, generations: list[str]) -> list[RecordedDecision]:
    found: list[RecordedDecision] = []
    for generation in map(RecordId, generations):
        index = client.get_generation(generation).intent_index
        found += client.list_decisions(DecisionQuery(after=index - 1, limit=1)).decisions
    return found


def _since(client: Client, days: int) -> list[RecordedDecision]:
    return _recorded(client, DecisionQuery(since=now() - timedelta(days=days), limit=500))


def _images_granted(client: Client, versions: list[VerifiedVersion]) -> dict[RecordId, int]:
    held = (licence for version in versions for licence in version.bundle.licences)
    return {licence.id: client.count_images(licence.id).granted for licence in held if licence.grant.max_images}


def _recorded(client: Client, query: DecisionQuery) -> list[RecordedDecision]:
    found: list[RecordedDecision] = []
    while True:
        page = client.list_decisions(query)
        found += page.decisions
        if page.next_after is None:
            return found
        query = query.model_copy(update={"after": page.next_after})


def _read_terms(given: list[str]) -> ProposedTerms:
    return dict(map(_read_term, given))


def _read_term(text: str) -> tuple[RecordId, ConsentRecord | LicenceGrant]:
    name, _, path = text.partition("=")
    record = named(RecordId, name)
    if path and record.startswith("con_"):
        return record, read_document(Path(path), ConsentRecord, "consent record")
    if path and record.startswith("lic_"):
        return record, read_document(Path(path), LicenceGrant, "licence grant")
    raise InputError(f"expected --terms con_...=FILE or lic_...=FILE, found {text!r}")
