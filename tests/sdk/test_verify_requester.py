"""Who asked for a review is proven, so that the separation of duties is checked offline, whole."""

from __future__ import annotations

import pytest
from support.governed import NOW, World

from sdk.errors import NotApproved, ProofInvalid
from sdk.spec.ids import parse_version_ref
from sdk.spec.log_entry import AuditEventType, LogReceipt
from sdk.verify import VerifiedVersion, verify_submission, verify_version

ASKED = AuditEventType.REVIEW_REQUESTED
REF = parse_version_ref("demo/fox@1")


class DraftWorld(World):
    """A version that was submitted as a draft, as its entry says, and that a reviewer approved."""

    def log_submission(self) -> int:
        evidence = {"manifest": self.manifest.digest, "attestation": self.attestation.digest}
        facts = {"owner": "demo/owner", "approvals_required": "1", "draft": "true"}
        return self.log.append(AuditEventType.VERSION_SUBMITTED, self.name, evidence=evidence, facts=facts)

    def asked(self, who: str, *, event: AuditEventType = ASKED, about: str = "demo/fox@1") -> LogReceipt:
        index = self.log.append(event, about, actor=f"demo/{who}", evidence={"manifest": self.manifest.digest})
        return self.log.receipt(index)


@pytest.fixture
def draft() -> DraftWorld:
    world = DraftWorld()
    world.approve()
    return world


def verify(world: World, request: LogReceipt | None) -> VerifiedVersion:
    bundle = world.bundle(request_receipt=request)
    return verify_version(bundle, ref=REF, trust=world.trust, now=NOW, status_list=world.status_list())


class TestRequester:
    def test_is_who_had_it_trained_where_it_was_no_draft(self) -> None:
        world = World()
        world.approve()
        assert verify(world, None).requester == "demo/trainer"

    def test_of_a_draft_is_who_the_log_says(self, draft: DraftWorld) -> None:
        assert verify(draft, draft.asked("second-reviewer")).requester == "demo/second-reviewer"

    def test_does_not_approve_what_they_put_up(self, draft: DraftWorld) -> None:
        with pytest.raises(NotApproved, match="demo/reviewer trained or owns demo/fox@1, or asked for its review"):
            verify(draft, draft.asked("reviewer"))

    def test_cannot_be_left_out(self, draft: DraftWorld) -> None:
        with pytest.raises(ProofInvalid, match="nothing proves who asked for its review"):
            verify(draft, None)

    def test_is_nobody_while_the_draft_waits(self, draft: DraftWorld) -> None:
        assert verify_submission(draft.bundle(), ref=REF, trust=draft.trust, now=NOW).requester is None

    @pytest.mark.parametrize("other", [{"event": AuditEventType.REVIEW_ASSIGNED}, {"about": "demo/fox@2"}])
    def test_is_not_read_off_another_entry(self, draft: DraftWorld, other: dict[str, object]) -> None:
        with pytest.raises(ProofInvalid, match="not review:requested of demo/fox@1"):
            verify(draft, draft.asked("second-reviewer", **other))  # type: ignore[arg-type]
