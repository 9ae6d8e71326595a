"""C2SP tlog-policy: the example of the specification, and every line that is not one."""

from __future__ import annotations

import itertools

import pytest
from support.governed import ORIGIN, fixed_signer

from sdk.errors import FormatError
from sdk.signing.cosign import cosigner_key
from sdk.spec.log_checkpoint import log_key
from sdk.spec.log_policy import parse_log_policy
from sdk.spec.note_keys import parse_note_key

LOG = str(log_key(ORIGIN, fixed_signer("log").public_key))


def witness(name: str) -> str:
    return str(cosigner_key(f"{name}.test", fixed_signer(name).public_key))


EXAMPLE = f"""
# a policy
log {LOG} https://log.test/
witness X1 {witness("X1")}
witness X2 {witness("X2")} https://x2.test/
\twitness  狐 {witness("X3")}
group X-witnesses 2 X1 X2 狐

witness Y1 {witness("Y1")}
witness Y2 {witness("Y2")}
group Y-witnesses any Y1 Y2
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


class TestPolicy:
    def test_decides_as_the_example_of_the_specification_says(self) -> None:
        policy = parse_log_policy(EXAMPLE.encode())
        assert str(policy.logs[0].key) == LOG
        assert policy.witnesses["X2"].url == "https://x2.test/"
        names = sorted(policy.witnesses)
        assert len(names) == 5
        for count in range(6):
            for chosen in itertools.combinations(names, count):
                xs = sum(name[0] != "Y" for name in chosen)
                assert policy.is_met_by(chosen) == (xs >= 2 and len(chosen) > xs)

    def test_of_no_quorum_is_met_by_nobody(self) -> None:
        assert parse_log_policy(b"quorum none\n").is_met_by(())

    @pytest.mark.parametrize(
        "line",
        [
            "witness",
            "witness none KEY",
            "witness X1 KEY",
            "log KEY",
            f"log {LOG}",
            f"witness Z {LOG}",
            f"witness Z {witness('X1')}",
            "group g 0 X1",
            "group g 2 X1",
            "group g all",
            "group g any X9",
            "group g any Y1",
            "group X-and-Y any X1",
            "quorum X1",
            "quorum",
            "something else",
            "log " + LOG.replace("+", "-", 1),
        ],
    )
    def test_with_a_wrong_line_is_refused(self, line: str) -> None:
        with pytest.raises(FormatError):
            parse_log_policy((EXAMPLE + line + "\n").encode())

    def test_without_a_quorum_is_refused(self) -> None:
        with pytest.raises(FormatError, match="quorum"):
            parse_log_policy(f"log {LOG}\n".encode())


class TestNoteKey:
    def test_round_trips(self) -> None:
        for text in (LOG, witness("X1")):
            assert str(parse_note_key(text)) == text

    def test_of_the_specification_is_read(self) -> None:
        """The vkey in https://c2sp.org/signed-note."""
        key = parse_note_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
        assert key.name == "PeterNeumann"

    @pytest.mark.parametrize("text", ["", "a+b+c", "a b+00000000+AAAA", LOG[:-4] + "AAA=", "x" + LOG])
    def test_with_a_fault_is_refused(self, text: str) -> None:
        with pytest.raises(FormatError):
            parse_note_key(text)
