"""Held-out concepts of the model card: which they are, and that tuning a copy leaves the base model as it was."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from support.tiny_backbone import make_backbone_dir

from sdk.spec.manifest import ConceptKind
from trainer.backbone import Backbone, TextConditioning
from trainer.data import ConceptSpec, PictureSpec, TrainingSet, load_training_set
from trainer.em.config import parse_config
from trainer.em.loop import fit
from trainer.loading import load_backbone
from trainer.mini.corpus.vocabulary import held_out
from trainer.mini.evaluate import tune
from trainer.mini.evaluate.held_out import chosen
from trainer.mini.evaluate.tune import Replay, tuned

QUICK = {
    "max_rounds": 1,
    "m_step": {"steps": 1, "batch_size": 1},
    "e_step": {"timesteps": 1, "timestep_low": 10, "timestep_high": 70},
    "stop": {"evaluation_timesteps": 1},
}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return load_backbone(make_backbone_dir(tmp_path_factory.mktemp("backbone"), "sd"))


@pytest.fixture(scope="module")
def training(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    path = tmp_path_factory.mktemp("pictures") / "one.png"
    Image.new("RGB", (80, 80), (200, 90, 30)).save(path)
    concept = ConceptSpec(name="held-out/fox", kind=ConceptKind.SUBJECT, class_word="fox", vectors=1)
    picture = PictureSpec(path=path, concepts=(concept.name,))
    return load_training_set([picture], [concept], resolution=backbone.resolution)


def test_ten_are_chosen_one_of_each_class_word() -> None:
    names = chosen()
    assert len(names) == len(set(names.values())) == 10
    assert names.items() <= held_out().items()


def test_tuning_moves_a_copy_and_leaves_the_base_model(
    backbone: Backbone, training: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "STEPS", 2)
    before = {name: value.clone() for name, value in backbone.unet.state_dict().items()}
    state = fit(backbone, training, parse_config(QUICK))
    moved = tuned(backbone, training, state, empty_replay(backbone), seed=1).state_dict()
    assert all(torch.equal(value, before[name]) for name, value in backbone.unet.state_dict().items())
    assert any(not torch.equal(value, before[name]) for name, value in moved.items())
    assert not any(value.requires_grad for value in backbone.unet.parameters())


def test_the_rate_warms_up_and_falls_at_the_end() -> None:
    rates = [tune.rate(step) for step in range(tune.STEPS)]
    assert rates[0] < max(rates) <= tune.LEARNING_RATE
    assert rates[-1] < tune.LEARNING_RATE / 10


def empty_replay(backbone: Backbone) -> Replay:
    side, channels = backbone.latent_size, backbone.unet.config.in_channels
    tower = backbone.towers[0]
    text: TextConditioning = backbone.encode_ids((torch.zeros(1, tower.max_length, dtype=torch.long),))
    return Replay(latents=torch.zeros(1, channels, side, side), text=text)
