"""Opening the log and issuing credentials: each is logged, and the log is opened once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from support.registry import RegistryUnderTest

from registry.issuance import issue_credential, log_what_is_in_force, open_log
from registry.log.proofs import receipt
from registry.log.service import tree_size
from sdk.errors import Conflict, InputError
from sdk.policy.bundle import PolicyBundle
from sdk.policy.cedar import CedarEngine
from sdk.signing.trust import sign_trust_root
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId
from sdk.spec.log_entry import AuditEventType, parse_log_entry
from sdk.spec.policy import Role


class TestOpenLog:
    def test_is_entry_0_and_names_trust_root_and_policies(self, registry: RegistryUnderTest) -> None:
        entry = parse_log_entry(receipt(registry.runtime, 0).entry)
        assert (entry.event, entry.actor) == (AuditEventType.LOG_OPENED, "demo/root")
        assert entry.evidence == {
            "trust_root": registry.runtime.trust_root_envelope.digest,
            "policy_bundle": registry.runtime.policy_bundle.digest,
        }

    def test_happens_once(self, registry: RegistryUnderTest) -> None:
        with pytest.raises(Conflict, match="open already"), registry.runtime.transaction() as session:
            open_log(session, registry.runtime)


class TestIssueCredential:
    def test_is_logged_without_the_credential(self, registry: RegistryUnderTest) -> None:
        entry = parse_log_entry(receipt(registry.runtime, 1).entry)
        assert (entry.event, entry.subject) == (AuditEventType.CREDENTIAL_ISSUED, "demo/trainer")
        assert entry.evidence == {"credential": Digest.of(registry.credentials["trainer"].encode())}
        assert entry.facts["roles"] == "owner trainer"

    def test_needs_a_role(self, registry: RegistryUnderTest) -> None:
        with pytest.raises(InputError, match="at least one role"), registry.runtime.transaction() as session:
            issue_credential(session, registry.runtime, principal=PrincipalId("demo/x"), roles=frozenset())

    def test_needs_an_open_log(self, registry: RegistryUnderTest) -> None:
        with registry.engine.begin() as connection:
            connection.execute(text("ALTER TABLE log_entries DISABLE TRIGGER ALL"))
            connection.execute(text("DELETE FROM log_entries"))
        with registry.runtime.transaction() as session:
            with pytest.raises(Conflict, match="not open"):
                issue_credential(
                    session, registry.runtime, principal=PrincipalId("demo/x"), roles=frozenset({Role.APP})
                )
            session.rollback()


class TestInForce:
    def test_is_logged_when_it_changes_and_once(self, registry: RegistryUnderTest) -> None:
        with registry.runtime.transaction() as session:
            assert log_what_is_in_force(session, registry.runtime) == ()
        files = dict(registry.runtime.policy_bundle.files)
        name = "composition/rules.cedar"
        bundle = PolicyBundle(files=files | {name: files[name] + "\n// stricter days\n"})
        root = registry.runtime.trust_root.model_copy(update={"version": 2})
        changed = replace(
            registry.runtime,
            policy=CedarEngine(bundle),
            policy_bundle=bundle,
            trust_root=root,
            trust_root_envelope=sign_trust_root(root, registry.keys["root"]),
        )
        for _ in range(2):
            with changed.transaction() as session:
                logged = log_what_is_in_force(session, changed)
        assert logged == ()
        with registry.runtime.transaction() as session:
            last = tree_size(session)
        entries = [parse_log_entry(receipt(changed, index).entry) for index in (last - 2, last - 1)]
        assert [(entry.event.value, *entry.evidence.values()) for entry in entries] == [
            ("trust_root:changed", changed.trust_root_envelope.digest),
            ("policy:changed", bundle.digest),
        ]
        with registry.runtime.transaction() as session:
            assert len(log_what_is_in_force(session, registry.runtime)) == 2, "going back is a change, too"
