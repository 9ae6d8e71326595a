"""Where jobs and the optimiser meet: a tiny real network trained from an order, and gone on from its checkpoint."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from support.credentials import signer_of
from support.prompt_trainer import QUICK
from support.tiny_backbone import make_backbone_dir
from support.training import CONSENT, FOX, LICENCE, PIER

from sdk.credentials.authority import create_authority
from sdk.credentials.read import CredentialState, read_credentials
from sdk.errors import ConfigurationError, TrainingInputError
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.manifest import ArtefactRole, ConceptKind
from sdk.spec.training import ConceptRequest, JobProgress, PictureRequest, TrainingRequest
from trainer.app import make_runtime
from trainer.backbone import Backbone
from trainer.encoders import load_encoder
from trainer.jobs.files import CHECKPOINT_FILE, OUT
from trainer.jobs.ports import Trained, TrainingOrder
from trainer.loading import load_backbone
from trainer.orders import read_config
from trainer.run import STATE_FILE
from trainer.settings import SHIPPED_IMAGE_ENCODER, TrainerSettings
from trainer.worker import run, train_with_em

JOB = RecordId("job_" + "a" * 26)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    torch.set_num_threads(1)
    return load_backbone(make_backbone_dir(tmp_path_factory.mktemp("backbone"), "sd"))


ONE, TWO, DRAWN = Digest.of(b"1"), Digest.of(b"2"), Digest.of(b"3")


def request(**changes: object) -> TrainingRequest:
    fox = ConceptRequest(
        id=FOX, kind=ConceptKind.SUBJECT, class_word="fox", vectors=1, consents=(CONSENT,), licences=(LICENCE,)
    )
    pier = ConceptRequest(
        id=PIER, kind=ConceptKind.BACKGROUND, class_word="beach", vectors=2, consents=(CONSENT,), licences=(LICENCE,)
    )
    pictures = (
        PictureRequest(name="set/one.png", digest=ONE, concepts=(FOX, PIER)),
        PictureRequest(name="two.png", digest=TWO, concepts=(PIER,)),
    )
    made = TrainingRequest(concepts=(fox, pier), pictures=pictures, seed=3, settings=QUICK)
    return made.model_copy(update=changes)


def order(folder: Path, *earlier: Path, **changes: object) -> TrainingOrder:
    stored = folder.parent / "stored"
    stored.mkdir(exist_ok=True)
    wanted = request(**changes)
    paths = {}
    for number, picture in enumerate(wanted.pictures):
        paths[picture.digest] = stored / picture.digest.hex
        Image.new("RGB", (80, 80), (60 + 90 * number, 30, 200)).save(paths[picture.digest], format="PNG")
    return TrainingOrder(
        job=JOB, attempt=1 + len(earlier), request=wanted, files=paths, folder=folder, resume_from=earlier
    )


def masked_order(folder: Path, size: tuple[int, int]) -> TrainingOrder:
    """The same with a mask of the fox: the left half of the first picture."""
    one, two = request().pictures
    wanted = order(folder, pictures=(one.model_copy(update={"masks": {FOX: DRAWN}}), two))
    path = folder.parent / "stored" / DRAWN.hex
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, size[0] // 2, size[1]))
    mask.save(path, format="PNG")
    return dataclasses.replace(wanted, files={**wanted.files, DRAWN: path})


def train(backbone: Backbone, wanted: TrainingOrder) -> tuple[Trained, list[JobProgress]]:
    heard: list[JobProgress] = []
    return train_with_em(backbone, wanted, on_progress=heard.append), heard


class Killed(BaseException):
    """Stands for the end of the process."""


def die_in_the_second_round(backbone: Backbone, wanted: TrainingOrder) -> None:
    def die(progress: JobProgress) -> None:
        if progress.round >= 2 and progress.phase == "m-step":
            raise Killed

    with pytest.raises(Killed):
        train_with_em(backbone, wanted, on_progress=die)
    assert (wanted.folder / OUT / CHECKPOINT_FILE).is_file()


def first_round(heard: list[JobProgress]) -> int:
    """The round of the first updates."""
    return min(progress.round for progress in heard if progress.phase == "m-step")


def embedding(trained: Trained) -> list[bytes]:
    """What was learned of the first concept."""
    return [file.path.read_bytes() for file in trained.concepts[0].files if file.role is ArtefactRole.EMBEDDING]


Done = tuple[Trained, list[JobProgress]]


@pytest.fixture(scope="module")
def done(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """One finished training."""
    return train(backbone, order(tmp_path_factory.mktemp("job") / "attempt-1"))


class TestTrainWithEm:
    def test_gives_every_file_of_every_concept(self, done: Done) -> None:
        fox, pier = done[0].concepts
        assert (fox.concept, pier.concept) == (FOX, PIER)
        for concept, pictures in ((fox, 1), (pier, 2)):
            roles = [file.role for file in concept.files]
            assert roles.count(ArtefactRole.EMBEDDING) == 1
            assert roles.count(ArtefactRole.MASK) == pictures
            assert roles.count(ArtefactRole.TRAINING_PICTURE) == pictures
            assert ArtefactRole.SAMPLE in roles
            assert ArtefactRole.REPORT in roles
            assert len({file.name for file in concept.files}) == len(concept.files)
            assert all(file.path.is_file() for file in concept.files)

    def test_names_files_as_the_request_names_pictures(self, done: Done) -> None:
        names = {file.name for file in done[0].concepts[1].files}
        assert {"masks/one.png", "masks/two.png", "pictures/one.png", "pictures/two.png"} <= names

    def test_shows_the_masks_of_every_round(self, done: Done) -> None:
        folder = done[0].concepts[0].files[0].path.parents[2] / "rounds"
        expected = {f"{name}/{number}.png" for name in ("one", "two") for number in range(done[0].rounds + 1)}
        assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")} == expected

    def test_states_how_the_embedding_is_bound(self, done: Done, backbone: Backbone) -> None:
        facts = done[0].concepts[1].embedding
        assert (facts.placeholder_token, facts.vectors, facts.class_word) == ("<demo-pier>", 2, "beach")
        assert facts.dimensions == (backbone.towers[0].width,)
        assert done[0].base_model == backbone.digest

    def test_reports_the_phases_in_words_of_the_api(self, done: Done) -> None:
        phases = list(dict.fromkeys(progress.phase for progress in done[1]))
        assert phases[0] == "prepare"
        assert phases[-2:] == ["quality", "export"]
        assert {"e-step", "m-step"} <= set(phases)

    def test_counts_the_samples_while_it_draws_them(self, done: Done) -> None:
        drawn = [(progress.step, progress.steps) for progress in done[1] if progress.phase == "quality"][1:]
        assert drawn[0][0] == 0
        assert drawn[-1][0] == drawn[-1][1] > 0
        assert len(drawn) > 2

    def test_goes_on_from_the_newest_checkpoint_to_the_same_result(
        self, done: Done, backbone: Backbone, tmp_path: Path
    ) -> None:
        first, second = tmp_path / "attempt-1", tmp_path / "attempt-2"
        die_in_the_second_round(backbone, order(first))
        again, heard = train(backbone, order(second, first))
        assert first_round(heard) == 2
        assert embedding(again) == embedding(done[0])

    def test_passes_over_a_checkpoint_that_a_dying_worker_left_torn(
        self, done: Done, backbone: Backbone, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        first, second, third = (tmp_path / f"attempt-{number}" for number in (1, 2, 3))
        die_in_the_second_round(backbone, order(first))
        whole = (first / OUT / CHECKPOINT_FILE).read_bytes()
        (second / OUT).mkdir(parents=True)
        (second / OUT / CHECKPOINT_FILE).write_bytes(whole[: len(whole) // 2])
        again, heard = train(backbone, order(third, second, first))
        assert first_round(heard) == 2
        assert embedding(again) == embedding(done[0])
        assert f"{second / OUT / CHECKPOINT_FILE} cannot be read as a training state" in caplog.text

    def test_starts_over_when_the_checkpoint_is_of_other_settings(
        self, done: Done, backbone: Backbone, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        first, second = tmp_path / "attempt-1", tmp_path / "attempt-2"
        die_in_the_second_round(backbone, order(first, settings={**QUICK, "m_step.learning_rate": 0.001}))
        again, heard = train(backbone, order(second, first))
        assert first_round(heard) == 1
        assert embedding(again) == embedding(done[0])
        assert f"{first / OUT / CHECKPOINT_FILE} is of another training" in caplog.text

    def test_names_a_bad_picture_as_the_request_does(self, backbone: Backbone, tmp_path: Path) -> None:
        wanted = order(tmp_path / "attempt-1")
        wanted.files[ONE].write_bytes(b"no picture")
        with pytest.raises(TrainingInputError) as refusal:
            train(backbone, wanted)
        assert refusal.value.message.startswith("one.png: ")
        assert str(tmp_path) not in refusal.value.message

    def test_a_mask_that_the_user_drew_is_the_mask_of_that_picture(self, backbone: Backbone, tmp_path: Path) -> None:
        wanted = masked_order(tmp_path / "attempt-1", (80, 80))
        fox = train(backbone, wanted)[0].concepts[0]
        mask = Image.open(next(file.path for file in fox.files if file.name == "masks/one.png")).convert("L")
        left, right = mask.crop((0, 0, 30, 80)), mask.crop((50, 0, 80, 80))
        assert (left.getextrema(), right.getextrema()) == ((255, 255), (0, 0))

    def test_names_a_bad_mask_as_the_request_does(self, backbone: Backbone, tmp_path: Path) -> None:
        with pytest.raises(TrainingInputError, match=r"^mask of demo/fox in one.png: the mask is 40 x 80 pixels"):
            train(backbone, masked_order(tmp_path / "attempt-1", (40, 80)))

    def test_says_when_a_picture_is_gone(self, backbone: Backbone, tmp_path: Path) -> None:
        wanted = order(tmp_path / "attempt-1")
        wanted.files[TWO].unlink()
        with pytest.raises(TrainingInputError, match=r"'two.png' is no longer stored"):
            train(backbone, wanted)

    def test_knows_the_checkpoint_by_the_optimisers_name_for_it(self) -> None:
        assert CHECKPOINT_FILE == STATE_FILE


class TestReadConfig:
    def test_takes_overrides_by_dotted_name(self) -> None:
        config = read_config(request(settings={"max_rounds": 4, "m_step.steps": 9, "m_step.learning_rate": 0.5}))
        assert (config.seed, config.max_rounds, config.m_step.steps, config.m_step.learning_rate) == (3, 4, 9, 0.5)

    @pytest.mark.parametrize("name", ["rounds", "m_step.stepps", "z_step.steps", "m_step.steps.more", "seed"])
    def test_refuses_names_it_does_not_know(self, name: str) -> None:
        with pytest.raises(TrainingInputError):
            read_config(request(settings={name: 1}))

    def test_takes_windows_and_captions_as_a_job_says_them(self) -> None:
        settings = {"m_step.windows": [[1, 1]], "m_step.templates": ["a painting of {}"], "m_step.betas": [0.8, 0.9]}
        said = request().model_dump(mode="json") | {"settings": settings}
        m_step = read_config(TrainingRequest.model_validate_json(json.dumps(said))).m_step
        assert (m_step.windows, m_step.templates, m_step.betas) == (((1, 1),), ("a painting of {}",), (0.8, 0.9))

    @pytest.mark.parametrize(
        ("settings", "fault"),
        [
            ({"m_step": 1, "m_step.steps": 2}, "settings have both m_step and m_step.steps"),
            ({"max_rounds": 3, "max_rounds.x": 3}, "settings have both max_rounds and max_rounds.x"),
            ({"m_step": 1}, "m_step is a group"),
            ({"max_rounds.x": 2}, "max_rounds is no group"),
            ({"m_step.windows": 1}, "training configuration"),
            ({"m_step.templates": [1]}, "training configuration"),
        ],
    )
    def test_refuses_what_no_setting_can_be(self, settings: dict[str, Any], fault: str) -> None:
        with pytest.raises(TrainingInputError, match=fault):
            read_config(request(settings=settings))

    def test_refuses_values_out_of_range(self) -> None:
        with pytest.raises(TrainingInputError, match="m_step"):
            read_config(request(settings={"m_step.steps": 0}))

    def test_refuses_adapters_which_a_job_would_lose(self) -> None:
        with pytest.raises(TrainingInputError, match="a job's adapters would be lost; leave it out"):
            read_config(request(settings={"adapters.steps": 20}))


class TestRun:
    def test_needs_the_services_own_profile(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="training-service"):
            run(make_runtime(TrainerSettings(directory=tmp_path, database_url="postgresql://x/y")))


def test_samples_carry_content_credentials_that_say_what_drew_them(backbone: Backbone, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    authority = create_authority(folder, organization="Demo", now=datetime.now(UTC))
    trained = train_with_em(
        backbone, order(tmp_path / "job"), on_progress=lambda progress: None, open_marker=lambda: signer_of(folder)
    )
    for concept in trained.concepts:
        samples = [file.path.read_bytes() for file in concept.files if file.role is ArtefactRole.SAMPLE]
        assert {read_credentials(sample, [authority]).state for sample in samples} == {CredentialState.TRUSTED}
        assert all(str(concept.concept).encode() in sample and JOB.encode() in sample for sample in samples)


def test_a_report_measures_likeness_with_the_encoder_it_is_given(backbone: Backbone, tmp_path: Path) -> None:
    wanted, encoder = order(tmp_path / "job"), load_encoder(SHIPPED_IMAGE_ENCODER)
    train_with_em(backbone, wanted, on_progress=lambda progress: None, encoder=encoder)
    report = json.loads((wanted.folder / OUT / "report.json").read_text())
    assert report["not_measured"] == []
    for concept in report["concepts"]:
        assert all(-1 <= concept[name] <= 1 for name in ("identity", "identity_floor", "prompt"))


def test_a_report_without_an_encoder_says_how_to_get_one(backbone: Backbone, tmp_path: Path) -> None:
    wanted = order(tmp_path / "job")
    train_with_em(backbone, wanted, on_progress=lambda progress: None)
    report = json.loads((wanted.folder / OUT / "report.json").read_text())
    assert "[trainer] image_encoder" in report["not_measured"][0]
    assert not any("identity" in concept for concept in report["concepts"])
