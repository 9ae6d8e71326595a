"""`imprimatur policy`: a refusal explained, and changes of rules and terms tried before they are made."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.governed import licence_grant
from support.registry import POLICIES, RegistryUnderTest
from support.versions import FOX, USE, Steps, accepted

from registry.issuance import log_what_is_in_force
from sdk.cli.application import run
from sdk.client import Client
from sdk.policy.bundle import PolicyBundle
from sdk.policy.cedar import CedarEngine
from sdk.spec.api import DecisionPage, DecisionQuery
from sdk.spec.canonical import encode_canonical
from sdk.spec.envelope import encode_envelope
from sdk.spec.ids import ConceptId, RecordId

SHRINE = ConceptId("demo/shrine")
ASKED = ["--purpose", "advertising", "--channel", "web"]
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(
    registry: RegistryUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs `imprimatur policy ...` as somebody; returns the exit status and what was printed."""
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())
    for module in ("connection", "policy", "review"):
        monkeypatch.setattr(f"sdk.cli.{module}.now", registry.clock)
    (tmp_path / "trust-root.json").write_bytes(encode_envelope(registry.runtime.trust_root_envelope))

    def call(*arguments: str, name: str = "app") -> tuple[int, str]:
        client = Client("http://registry.test", registry.credentials[name], transport=registry.transport)
        monkeypatch.setattr("sdk.cli.connection.connect", lambda profile: client)
        path = tmp_path / f"{name}.toml"
        path.write_text(
            f'registry = "http://registry.test"\nprincipal = "demo/{name}"\n'
            f'credential = "{registry.credentials[name]}"\ntrust_root = "trust-root.json"\n'
        )
        path.chmod(0o600)
        monkeypatch.setenv("IMPRIMATUR_PROFILE", str(path))
        status = run(["policy", *arguments])
        shown = capsys.readouterr()
        return status, shown.out + shown.err

    return call


@pytest.fixture
def proposed(tmp_path: Path) -> Path:
    """A copy of the shipped policies, to be changed."""
    folder = tmp_path / "proposed"
    shutil.copytree(POLICIES, folder)
    return folder


def edit(folder: Path, old: str, new: str) -> None:
    rules = folder / "composition" / "rules.cedar"
    text = rules.read_text("utf-8")
    assert old in text
    rules.write_text(text.replace(old, new), "utf-8")


class TestWhy:
    def test_a_permit_shows_every_rule_that_was_asked(self, registry: RegistryUnderTest, command: Command) -> None:
        Steps(registry).approved()
        status, shown = command("why", "demo/fox", *ASKED, "--territory", "JP")
        assert status == 0
        assert "permitted: advertising on web in JP, asked by demo/app" in shown
        assert "yes  Granted territory (composition.territory)" in shown
        assert shown.count("no   ") == 1
        assert (
            "no   Break-glass (composition.break-glass)" in shown
        )  # the other way to a permit, which is not this one's

    def test_a_refusal_shows_clauses_facts_and_where_they_are_written(
        self, registry: RegistryUnderTest, command: Command
    ) -> None:
        Steps(registry).approved()
        _, shown = command("why", "demo/fox@1", *ASKED, "--territory", "US")
        assert "refused: advertising on web in US" in shown
        assert "no   Granted territory (composition.territory)" in shown
        assert "asked for the territory US; demo/fox@1 is granted for DE, JP" in shown
        clause = "resource.territories.contains(context.territory) does not hold"
        assert f"{clause} (resource.territories: DE, JP; context.territory: US)" in shown
        assert "says DE, JP (document " in shown
        assert "p. 1 s. 2)" in shown  # the licence; the consent is s. 1

    def test_a_refusal_names_the_nearest_yes_and_who_can_grant_it(
        self, registry: RegistryUnderTest, command: Command
    ) -> None:
        Steps(registry).approved()
        _, shown = command("why", "demo/fox", *ASKED, "--territory", "US")
        changes = shown.split("what would make it a yes:")[1].strip().splitlines()
        assert [line.strip(" -") for line in changes] == [
            "ask for the territory DE: demo/app, who asks",
            "ask for the territory JP: demo/app, who asks",
            "obtain a consent and a licence of demo/fox@1 that grant US: the owner, demo/owner",
        ]

    def test_several_changes_are_needed_together(self, registry: RegistryUnderTest, command: Command) -> None:
        Steps(registry).submitted()
        _, shown = command("why", "demo/fox@1", "--purpose", "politics", "--channel", "web", "--territory", "JP")
        first, second = shown.split("what would make it a yes:")[1].strip().splitlines()
        assert (first[0], second.split()[0]) == ("-", "and")
        assert "approve a version of demo/fox: a reviewer" in shown

    def test_somebody_may_ask_for_another_role(self, registry: RegistryUnderTest, command: Command) -> None:
        Steps(registry).approved()
        _, shown = command("why", "demo/fox", *ASKED, "--territory", "JP", name="reviewer")
        assert "no   Only applications compose" in shown
        assert "give demo/reviewer the role app: an administrator" in shown
        _, shown = command("why", "demo/fox", *ASKED, "--territory", "JP", "--role", "app", name="reviewer")
        assert shown.startswith("permitted")

    def test_images_granted_before_are_counted(self, registry: RegistryUnderTest, command: Command) -> None:
        steps = Steps(registry)
        steps.concept()
        licence = RecordId(steps.licence(ConceptId("demo/fox"), max_images=5)["id"])
        fox = steps.approved(licences=(licence,))
        accepted(steps.compose(fox, count=3))
        _, shown = command("why", "demo/fox", *ASKED, "--territory", "JP", "--count", "2")
        assert shown.startswith("permitted")
        _, shown = command("why", "demo/fox", *ASKED, "--territory", "JP", "--count", "3")
        assert "asked for 3 images; the licences of demo/fox@1 allow 2 more" in shown
        assert "says at most 5 images (document" in shown
        assert "- ask for 2 images: demo/app, who asks" in shown

    def test_asking_records_nothing(self, registry: RegistryUnderTest, command: Command) -> None:
        steps = Steps(registry)
        steps.approved()
        before = len(steps.events())
        command("why", "demo/fox", *ASKED, "--territory", "US")
        assert len(steps.events()) == before


class TestTest:
    def test_the_shipped_cases_hold(self, command: Command) -> None:
        status, shown = command("test", str(POLICIES))
        assert status == 0
        assert "cases hold under sha256:" in shown

    def test_a_case_that_fails_is_named(self, command: Command, proposed: Path) -> None:
        edit(
            proposed,
            'unless { ["approved", "break-glass"].contains(resource.status) }',
            'unless { resource.status != "revoked" }',
        )
        status, shown = command("test", str(proposed))
        assert status == 1
        expected = "expected deny composition.approved-only, found permit"
        assert f"failed: composition: A version that waits for review is not composed: {expected}" in shown

    def test_a_case_that_cannot_be_read_is_named(self, command: Command, proposed: Path) -> None:
        path = proposed / "training" / "cases.yaml"
        path.write_text(path.read_text("utf-8").replace("answer: permit", "answer: perhaps"), "utf-8")
        status, shown = command("test", str(proposed))
        assert status == 1
        assert f"{path}: cases: cases.0.answer" in shown


class TestDiff:
    def test_equal_folders_do_not_differ(self, command: Command, proposed: Path) -> None:
        status, shown = command("diff", str(POLICIES), str(proposed))
        assert (status, shown.strip()) == (0, "0 rules differ; 0 cases are answered otherwise")

    def test_changed_rules_are_shown_with_their_words_and_cases(self, command: Command, proposed: Path) -> None:
        edit(proposed, 'resource.territories.contains("WORLD") || ', "")
        _, shown = command("diff", str(POLICIES), str(proposed))
        assert "changed: composition.territory (Granted territory)" in shown
        assert 'contains("WORLD")' in shown
        assert "case: composition: A fox granted for the whole world may be used in Japan" in shown
        assert "permit -> deny composition.territory" in shown
        assert "1 rules differ; 2 cases are answered otherwise" in shown

    def test_added_and_removed_rules(self, command: Command, proposed: Path) -> None:
        edit(proposed, "composition.minor", "composition.children")
        _, shown = command("diff", str(POLICIES), str(proposed))
        assert "removed: composition.minor (Minors)" in shown
        assert "added: composition.children (Minors)" in shown
        assert "deny composition.minor -> deny composition.children" in shown


class TestReplay:
    def test_proposed_rules_show_who_would_lose(
        self, registry: RegistryUnderTest, command: Command, proposed: Path
    ) -> None:
        steps = Steps(registry)
        accepted(steps.compose(steps.approved()))
        edit(proposed, '["adult", ', '["advertising", ')
        edit(proposed, "resource.has_minor &&", "")
        _, shown = command("replay", str(proposed), name="auditor")
        assert "Would gain: nobody" in shown
        assert "composition.minor" in shown.split("Would lose")[1]
        assert "1 decisions of 30 days under sha256:" in shown
        assert "0 gain, 1 lose" in shown

    def test_proposed_terms_show_who_would_gain(
        self, registry: RegistryUnderTest, command: Command, tmp_path: Path
    ) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        for territory in ("FR", "US"):
            steps.compose(fox, use=USE.model_copy(update={"territory": territory}))
        files = []
        for record in (*fox.manifest.consents, *fox.manifest.licences):
            held = steps.get("owner", f"/v1/{'consents' if record.startswith('con') else 'licences'}/{record}")
            body = held.get("record") or held["grant"]
            body["terms"]["territories"] = ["DE", "JP", "US"]
            path = tmp_path / f"{record}.json"
            path.write_bytes(encode_canonical(body))
            files += ["--terms", f"{record}={path}"]
        _, shown = command("replay", *files, name="owner")
        assert "2 decisions of 30 days" in shown
        assert "1 gain, 0 lose" in shown
        assert "advertising on web in US" in shown.split("Would lose")[0]

    def test_terms_of_one_concept_leave_others_alone(
        self, registry: RegistryUnderTest, command: Command, tmp_path: Path
    ) -> None:
        steps = Steps(registry)
        fox, shrine = steps.approved(), steps.approved(SHRINE, embedding=b"s")
        accepted(steps.compose(fox, key="a" * 16))
        accepted(steps.compose(shrine, key="b" * 16))
        path = tmp_path / "licence.json"
        path.write_bytes(encode_canonical(licence_grant(SHRINE, terms=steps.terms(channels=("print",)))))
        _, shown = command("replay", "--terms", f"{shrine.manifest.licences[0]}={path}", name="auditor")
        assert "0 gain, 1 lose" in shown
        assert "demo/fox" not in shown

    def test_only_decisions_of_the_days_asked_for(
        self, registry: RegistryUnderTest, command: Command, proposed: Path
    ) -> None:
        steps = Steps(registry)
        accepted(steps.compose(steps.approved()))
        registry.clock.advance(days=10)
        assert "0 decisions of 5 days" in command("replay", str(proposed), "--days", "5", name="auditor")[1]
        assert "1 decisions of 11 days" in command("replay", str(proposed), "--days", "11", name="auditor")[1]

    def test_every_page_is_read(
        self, registry: RegistryUnderTest, command: Command, proposed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        for key in "abc":
            accepted(steps.compose(fox, key=key * 16))
        make = DecisionQuery
        monkeypatch.setattr("sdk.cli.policy.DecisionQuery", lambda **given: make(**given | {"limit": 1}))
        assert "3 decisions of 30 days" in command("replay", str(proposed), name="auditor")[1]

    def test_nothing_proposed_is_an_error(self, command: Command) -> None:
        status, shown = command("replay", name="auditor")
        assert (status, "nothing is proposed" in shown) == (1, True)

    @pytest.mark.parametrize("given", ["con_x", "gen_" + "a" * 26 + "=x", "lic_" + "a" * 26])
    def test_terms_that_name_no_record_are_an_error(self, command: Command, given: str) -> None:
        assert command("replay", "--terms", given)[0] == 1

    def test_applications_see_their_own_decisions_only(
        self, registry: RegistryUnderTest, command: Command, proposed: Path
    ) -> None:
        accepted(Steps(registry).compose(Steps(registry).approved()))
        assert "1 decisions" in command("replay", str(proposed), name="app")[1]
        assert command("replay", str(proposed), name="reviewer")[0] == 1


class TestJoint:
    def test_shows_the_intersection_and_who_keeps_whom_away(
        self, registry: RegistryUnderTest, command: Command
    ) -> None:
        steps = Steps(registry)
        narrow = steps.licence(FOX, terms=steps.terms(purposes=("editorial",)), not_with=(SHRINE,), max_images=9)
        steps.approved(FOX, licences=(narrow["id"],))
        steps.approved(SHRINE, embedding=b"s")
        status, out = command("joint", "demo/fox", "demo/shrine")
        assert status == 0
        assert "purposes     editorial\n" in out
        assert "media        no limit" in out
        assert "images left  9" in out
        assert "demo/fox may not appear with demo/shrine" in out
        assert "no use of all of them together is possible" in out
        assert "a use of all of them is possible" in command("joint", "demo/fox")[1]


class TestRecheck:
    def test_old_decisions_follow_from_the_policies_that_they_name_whatever_is_in_force_now(
        self, registry: RegistryUnderTest, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        permitted = accepted(steps.compose(fox))["id"]
        steps.compose(fox, key="d" * 16, use=USE.model_copy(update={"territory": "US"}))
        files = dict(registry.runtime.policy_bundle.files)
        files["composition/rules.cedar"] += NEVER
        bundle = PolicyBundle(files=files)
        later = replace(registry.runtime, policy_bundle=bundle, policy=CedarEngine(bundle))
        registry.clock.advance(days=300)
        with later.transaction() as session:
            log_what_is_in_force(session, later)
        monkeypatch.setattr("sdk.cli.policy.current_trust_root", lambda *_, **__: registry.runtime.trust_root)
        status, out = command("recheck", "--days", "9000", name="auditor")
        assert (status, "2 of 2 decisions follow from what was recorded, by 1 bundles" in out) == (0, True), out
        status, out = command("recheck", permitted, name="auditor")
        assert (status, "1 of 1" in out) == (0, True), out

    def test_a_decision_that_was_exchanged_is_told(
        self, registry: RegistryUnderTest, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps = Steps(registry)
        accepted(steps.compose(steps.approved()))
        honest = Client.list_decisions

        def exchanged(client: Client, query: DecisionQuery | None = None) -> DecisionPage:
            (recorded,) = honest(client, query).decisions
            context = recorded.context.model_copy(update={"count": 1})
            return DecisionPage(decisions=(recorded.model_copy(update={"context": context}),))

        monkeypatch.setattr(Client, "list_decisions", exchanged)
        status, out = command("recheck", name="auditor")
        assert (status, "comes with a context that its entry of the log does not name" in out) == (1, True), out


NEVER = """
@id("composition.never") @title("x") @plain("x") @plain_ja("x") @because("x") @remedy("x")
forbid (principal, action == Action::"compose", resource);
"""
