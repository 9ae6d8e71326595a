"""`imprimatur train`: the training file, the request, the job's progress."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.accepting_services import Studio, job
from support.governed import record_id

from sdk.cli.application import run
from sdk.cli.train import TrainingPlan, follow, make_request, name_missing_concepts, read_plan
from sdk.errors import TrainingInputError
from sdk.spec.canonical import parse_wire
from sdk.spec.digest import Digest
from sdk.spec.training import JobProgress, TrainingRequest

PLAN = """
seed: 3
concepts:
  - {id: demo/fox, kind: subject, class_word: fox, title: The fox}
  - {id: demo/pier, kind: background, class_word: pier, vectors: 2}
pictures:
  - {file: a.png}
  - {file: deep/b.png, concepts: [demo/fox], caption: a fox}
settings: {rounds: 2}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.png").write_bytes(b"picture a")
    (tmp_path / "deep/b.png").write_bytes(b"picture b")
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path / "plan.yaml"


class TestTraining:
    def test_uploads_names_and_asks(self, studio: Studio, plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
        progress = JobProgress(phase="m-step", round=1, rounds=2, step=3, steps=10, loss=0.5, eta_seconds=9)
        studio.views = [job("queued"), job("running", progress=progress), job("succeeded", versions=("demo/fox@1",))]
        options = ["--consent", record_id("con"), "--licence", record_id("lic")]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sdk.cli.train.time.sleep", lambda seconds: None)
            assert run(["train", str(plan), *options]) == 0
        assert [concept.id for concept in studio.named] == ["demo/fox"]
        assert studio.pictures == [b"picture a", b"picture b"]
        request = parse_wire(TrainingRequest, studio.bodies[0], "request")
        assert [p.concepts for p in request.pictures] == [("demo/fox", "demo/pier"), ("demo/fox",)]
        assert [c.vectors for c in request.concepts] == [3, 2]
        assert (request.seed, request.settings) == (3, {"rounds": 2})
        assert all(c.consents == (record_id("con"),) and c.licences == (record_id("lic"),) for c in request.concepts)
        assert "demo/fox@1 is submitted" in capsys.readouterr().out

    def test_masks_are_uploaded_and_named(self, studio: Studio, plan: Path) -> None:
        (plan.parent / "mask.png").write_bytes(b"a mask")
        drawn = PLAN.replace("{file: a.png}", "{file: a.png, masks: {demo/fox: mask.png}}")
        plan.write_text(drawn)
        with studio.client() as client:
            request = make_request(client, read_plan(plan), plan.parent, [record_id("con")], [record_id("lic")])
        assert studio.pictures == [b"picture a", b"a mask", b"picture b"]
        assert [picture.masks for picture in request.pictures] == [{"demo/fox": Digest.of(b"a mask")}, {}]

    def test_a_failed_job_is_an_error(self, studio: Studio, plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
        studio.views = [job("failed", error="out of memory")]
        options = ["--consent", record_id("con"), "--licence", record_id("lic")]
        assert run(["train", str(plan), *options]) == 1
        assert "failed: out of memory" in capsys.readouterr().err

    def test_follow_waits_between_looks(self, studio: Studio) -> None:
        studio.views = [job("running"), job("running"), job("cancelled")]
        with studio.client() as client:
            assert follow(client, record_id("job"), poll_seconds=0).status.value == "cancelled"

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("concepts: [", "not YAML"),
            ("concepts: []", "concepts"),
            (PLAN + "colour: red\n", "colour"),
            (PLAN.replace("subject", "thing"), "kind"),
            ("", "training file"),
        ],
    )
    def test_names_what_is_wrong_in_the_file(self, tmp_path: Path, text: str, fault: str) -> None:
        (tmp_path / "plan.yaml").write_text(text)
        with pytest.raises(TrainingInputError, match=fault):
            read_plan(tmp_path / "plan.yaml")

    def test_names_what_cannot_be_trained(self, studio: Studio, plan: Path) -> None:
        wrong = TrainingPlan.model_validate(
            {
                "concepts": [{"id": "demo/fox", "kind": "subject", "class_word": "fox", "vectors": 99}],
                "pictures": [{"file": "a.png"}],
            }
        )
        with studio.client() as client, pytest.raises(TrainingInputError, match="vectors"):
            make_request(client, wrong, plan.parent, [record_id("con")], [record_id("lic")])

    def test_names_only_the_concepts_that_are_missing(self, studio: Studio, plan: Path) -> None:
        with studio.client() as client:
            name_missing_concepts(client, read_plan(plan))
        assert [(c.id, c.title) for c in studio.named] == [("demo/fox", "The fox")]
