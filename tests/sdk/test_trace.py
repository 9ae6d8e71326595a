"""From a version back to who approved it: what the log says of something else is no approval."""

from __future__ import annotations

import pytest
from support.governed import World

from sdk.errors import ProofInvalid
from sdk.spec.bundle import ApprovalEvidence
from sdk.spec.log_entry import AuditEventType
from sdk.trace import trace_bundle


def test_an_approval_is_one_of_this_version_with_this_signature() -> None:
    world = World()
    world.approve()
    bundle = world.bundle()
    assert [each.reviewer for each in trace_bundle(bundle, world.trust).approvals] == ["demo/reviewer"]
    other = world.log.append(AuditEventType.CONCEPT_CREATED, "demo/other", actor="demo/ceo")
    claimed = ApprovalEvidence(envelope=bundle.approvals[0].envelope, receipt=world.log.receipt(other))
    with pytest.raises(ProofInvalid, match="is not approval:signed of demo/fox@1"):
        trace_bundle(bundle.model_copy(update={"approvals": (claimed,)}), world.trust)
