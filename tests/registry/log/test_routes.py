"""/v1/log over HTTP: an outsider rebuilds the tree from the tiles; auditors read entries of their own tenant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.database import DatabaseServer
from support.registry import ROLES, RegistryUnderTest, make_test_registry

from registry.log.routes import parse_place
from registry.log.service import append
from sdk.client import Client
from sdk.errors import NotFound, PolicyDenied
from sdk.signing.trust import verify_checkpoint
from sdk.spec.api import LogQuery
from sdk.spec.ids import PrincipalId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.log_tiles import parse_entry_bundle
from sdk.spec.merkle import leaf_hash, node_hash, root_of, verify_consistency

ENTRIES = 600  # two full tiles and a partial one


@pytest.fixture(scope="module")
def long_log(postgres_server: DatabaseServer) -> Iterator[RegistryUnderTest]:
    with postgres_server.fresh_database() as url, make_test_registry(url) as made:
        with made.runtime.transaction() as session:
            for number in range(len(ROLES) + 1, ENTRIES):
                append(
                    session,
                    made.runtime,
                    event=AuditEventType.CONCEPT_CREATED,
                    actor=made.principals["other-owner" if number % 3 == 0 else "owner"],
                    subject=f"demo/concept-{number % 5}",
                )
        yield made


@pytest.fixture
def auditor(long_log: RegistryUnderTest) -> Iterator[Client]:
    with client_of(long_log, "auditor") as client:
        yield client


def client_of(registry: RegistryUnderTest, name: str) -> Client:
    return Client("http://registry.test", registry.credentials[name], transport=registry.transport)


class TestTiles:
    def test_rebuild_the_signed_root(self, long_log: RegistryUnderTest, auditor: Client) -> None:
        checkpoint = verify_checkpoint(auditor.log_checkpoint(), long_log.runtime.trust_root)
        widths = [256, 256, ENTRIES - 512]
        entries = [
            entry
            for index, width in enumerate(widths)
            for entry in parse_entry_bundle(auditor.log_entry_bundle(index, width=width), width=width)
        ]
        leaves = [leaf_hash(entry) for entry in entries]
        assert checkpoint.tree_size == len(leaves) == ENTRIES
        assert checkpoint.root_hash == root_of(leaves)
        level_0 = b"".join(auditor.log_tile(0, index, width=width) for index, width in enumerate(widths))
        assert level_0 == b"".join(leaves)
        assert auditor.log_tile(1, 0, width=2) == root_of(leaves[:256]) + root_of(leaves[256:512])

    def test_that_are_full_may_be_cached_for_ever_and_others_may_not(self, long_log: RegistryUnderTest) -> None:
        public = long_log.client(None)
        assert "immutable" in public.get("/v1/log/tile/0/000").headers["cache-control"]
        assert "immutable" in public.get("/v1/log/tile/entries/001").headers["cache-control"]
        assert public.get("/v1/log/tile/0/002.p/88").headers["cache-control"] == "no-store"
        assert public.get("/v1/log/checkpoint").headers["cache-control"] == "no-store"

    def test_may_be_read_partially_when_they_are_full_by_now(self, auditor: Client) -> None:
        assert auditor.log_tile(0, 0).startswith(auditor.log_tile(0, 0, width=17))

    @pytest.mark.parametrize(
        "path",
        ["0/002", "0/002.p/89", "0/003", "1/000", "1/000.p/3", "2/000.p/1", "9/000", "entries/002", "entries/003.p/1"],
    )
    def test_that_are_not_there_yet_are_not_found(self, long_log: RegistryUnderTest, path: str) -> None:
        response = long_log.client(None).get(f"/v1/log/tile/{path}")
        assert (response.status_code, response.json()["code"]) == (404, "resource.not_found")

    @pytest.mark.parametrize(
        "place", ["", "0", "00", "0000", "x000/000", "000.p/0", "000.p/256", "000.p/257", "000.p/", "000.p/07", "a/b"]
    )
    def test_are_named_in_one_way_only(self, place: str) -> None:
        with pytest.raises(NotFound, match="no tile of the log is named"):
            parse_place(place)

    def test_names_are_read(self) -> None:
        assert [parse_place(place) for place in ("000", "x001/x234/067", "x001/000.p/255")] == [
            (0, 256),
            (1234067, 256),
            (1000, 255),
        ]


class TestEntries:
    def test_are_paged_and_filtered(self, auditor: Client) -> None:
        query = LogQuery(event=AuditEventType.CONCEPT_CREATED, subject="demo/concept-1", limit=50)
        seen: list[int] = []
        while True:
            page = auditor.log_entries(query)
            seen += [logged.index for logged in page.entries]
            assert all(logged.entry.subject == "demo/concept-1" for logged in page.entries)
            if page.next_after is None:
                break
            query = query.model_copy(update={"after": page.next_after})
        first = len(ROLES) + 1
        assert seen == [number for number in range(first, ENTRIES) if number % 5 == 1 and number % 3 != 0]

    def test_are_found_by_actor(self, auditor: Client) -> None:
        page = auditor.log_entries(LogQuery(actor=PrincipalId("demo/root"), limit=3))
        assert [logged.index for logged in page.entries] == [0, 1, 2]
        assert page.next_after == 2

    def test_of_other_tenants_are_not_shown(self, long_log: RegistryUnderTest) -> None:
        with client_of(long_log, "other-auditor") as other:
            page = other.log_entries(LogQuery(limit=1000))
            assert {logged.entry.actor for logged in page.entries} == {"other/owner"}
            with pytest.raises(NotFound):
                other.log_receipt(0)

    @pytest.mark.parametrize("name", ["app", "trainer", "owner", "reviewer"])
    def test_are_for_auditors_as_policy_says(self, long_log: RegistryUnderTest, name: str) -> None:
        with client_of(long_log, name) as client:
            for ask in (client.log_entries, lambda: client.log_receipt(0)):
                with pytest.raises(PolicyDenied) as denial:
                    ask()
                assert denial.value.decision.reasons[0].rule.startswith("audit_access.")

    @pytest.mark.parametrize("query", ["limit=0", "limit=1001", "event=nothing", "actor=nobody", "more=1"])
    def test_are_not_read_for_a_query_that_makes_no_sense(self, long_log: RegistryUnderTest, query: str) -> None:
        assert long_log.client("auditor").get(f"/v1/log/entries?{query}").status_code == 422


class TestConsistency:
    def test_is_proven_between_sizes(self, long_log: RegistryUnderTest, auditor: Client) -> None:
        leaves = [auditor.log_tile(0, 0)[start : start + 32] for start in range(0, 256 * 32, 32)]
        proof = auditor.log_consistency(100, 256)
        verify_consistency(
            old_size=100, new_size=256, old_root=root_of(leaves[:100]), new_root=root_of(leaves), proof=proof.hashes
        )
        assert node_hash(root_of(leaves[:128]), root_of(leaves[128:])) == root_of(leaves)

    @pytest.mark.parametrize(("sizes", "status"), [((5, 4), 422), ((0, ENTRIES + 1), 404), ((-1, 4), 422)])
    def test_is_refused_for_sizes_that_never_were(
        self, long_log: RegistryUnderTest, sizes: tuple[int, int], status: int
    ) -> None:
        path = f"/v1/log/consistency?old_size={sizes[0]}&new_size={sizes[1]}"
        assert long_log.client("auditor").get(path).status_code == status
