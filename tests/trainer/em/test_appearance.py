"""trainer.em.appearance: pictures vote on one another's labels."""

import dataclasses
import math

import torch
from torch import Tensor

from tests.support.tiny_backbone import BEACH, BIRD, FOX, make_picture, make_training_set, tiny_backbone
from trainer.data import Picture
from trainer.em.appearance import Votes, judging_pictures, look_elsewhere, plan_votes
from trainer.em.attention import plan_layers
from trainer.em.config import AppearanceConfig
from trainer.em.latents import observe
from trainer.em.prompts import PromptCompiler
from trainer.em.scene import Scene, layout_scene

CONFIG = AppearanceConfig()
NAMES = (FOX.name, BIRD.name, BEACH.name)


def scene(*shown: tuple[str, ...]) -> Scene:
    pictures = [make_picture(f"p{n}", names, shift=2 * n) for n, names in enumerate(shown)]
    return layout_scene(make_training_set((FOX, BIRD, BEACH), pictures=pictures))


def judges_of(laid_out: Scene, *given: tuple[int, int]) -> Tensor:
    """Who judges whom where the user drew the masks `given`, (picture, label) each."""
    is_given = torch.zeros_like(laid_out.presence)
    for picture, label in given:
        is_given[picture, label] = True
    return judging_pictures(laid_out, is_given)


def kernel_of(kinds: Tensor) -> Tensor:
    """Cells [N, P] of the same kind look alike, of different kinds do not."""
    flat = torch.nn.functional.one_hot(kinds.flatten()).float()
    kernel = torch.exp(CONFIG.sharpness * (flat @ flat.T - 1))
    return kernel.view(*kinds.shape, *kinds.shape)


def votes_of(kinds: Tensor, laid_out: Scene, *given: tuple[int, int]) -> Votes:
    """Votes on the concepts among cells of `kinds` [N, P]; `given` like `judges_of`."""
    named = len(NAMES)
    judges = judges_of(laid_out, *given)[:, :, :named]
    return Votes(kernel=kernel_of(kinds), presence=laid_out.presence[:, :named], judges=judges, config=CONFIG)


def prior_of(labels: Tensor, count: int, *, sure: float = 0.8) -> Tensor:
    """[N, K, 2, 2] that believes `labels` [N, 4]."""
    one_hot = torch.nn.functional.one_hot(labels, count).float()
    spread = one_hot * sure + (1 - one_hot) * (1 - sure) / (count - 1)
    return spread.transpose(1, 2).unflatten(-1, (2, 2))


class TestVotes:
    def test_pictures_that_agree_outvote_one_that_swapped_two_things(self) -> None:
        kinds = torch.tensor([[0, 1, 2, 2], [1, 0, 2, 2], [2, 2, 0, 1], [2, 0, 1, 2]])
        read = kinds.clone()
        read[3] = torch.tensor([2, 1, 0, 2])
        votes = votes_of(kinds, scene(*[NAMES] * 4))
        assert torch.equal(votes(prior_of(read, 3)).flatten(2).argmax(1), kinds)

    def test_one_picture_that_the_user_drew_sets_right_what_all_others_swapped(self) -> None:
        kinds = torch.tensor([[0, 1, 2, 2], [1, 0, 2, 2], [2, 2, 0, 1], [2, 0, 1, 2]])
        swapped = torch.tensor([1, 0, 2])
        read = swapped[kinds]
        read[0] = kinds[0]
        prior = prior_of(read, 3, sure=0.6)
        prior[0] = prior_of(kinds, 3, sure=1.0)[0]
        votes = votes_of(kinds, scene(*[NAMES] * 4), (0, 0), (0, 1))
        assert torch.equal(votes(prior).flatten(2).argmax(1), kinds)

    def test_one_picture_whose_list_leaves_a_thing_out_sets_right_what_all_others_call_by_its_name(self) -> None:
        kinds = torch.tensor([[0, 1, 2, 2], [1, 0, 2, 2], [2, 2, 0, 1], [1, 1, 2, 2]])
        without_fox = (BIRD.name, BEACH.name)
        laid_out = scene(NAMES, NAMES, NAMES, without_fox)
        read = torch.where(kinds == 2, 0, kinds)  # wherever there is a fox, the beach is called fox
        read[3] = kinds[3]
        prior = prior_of(read, 3)
        prior[3, 0] = 0
        assert torch.equal(votes_of(kinds, laid_out)(prior).flatten(2).argmax(1), kinds)

    def test_every_cell_is_shared_out_among_the_labels_present(self) -> None:
        kinds = torch.tensor([[0, 0, 1, 1], [0, 0, 0, 2]])
        prior = prior_of(kinds, 3)
        prior[0, 2] = 0
        prior = prior / prior.sum(1, keepdim=True)
        voted = votes_of(kinds, scene((FOX.name, BIRD.name), NAMES))(prior)
        torch.testing.assert_close(voted.sum(1), torch.ones(2, 2, 2))
        assert voted[0, 2].max() == 0

    def test_switched_off_they_change_nothing(self) -> None:
        backbone, laid_out = tiny_backbone(), scene(NAMES, NAMES)
        observed = observe(backbone, laid_out, 16)
        layers = plan_layers(backbone.unet, observed.latent_size, map_size=8, self_map_size=8)
        off = dataclasses.replace(CONFIG, weight=0.0)
        votes = plan_votes(backbone, laid_out, observed, PromptCompiler(backbone.towers), layers, off, seed=0)
        prior = torch.rand(2, 3, 16, 16)
        assert votes(prior) is prior


class TestJudgingPictures:
    def test_other_pictures_that_show_the_label_judge_it(self) -> None:
        judges = judges_of(scene(NAMES, NAMES, (FOX.name, BEACH.name)))
        assert judges[0, :, 0].tolist() == [0, 1, 1]
        assert judges[0, :, 1].tolist() == [0, 1, 0]

    def test_where_the_user_drew_a_label_those_pictures_alone_judge_the_others(self) -> None:
        judges = judges_of(scene(NAMES, NAMES, NAMES), (1, 0))
        assert judges[:, :, 0].tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
        assert judges[0, :, 1].tolist() == [0, 1, 1]

    def test_a_label_that_no_other_picture_shows_is_judged_by_its_own(self) -> None:
        judges = judges_of(scene(NAMES, (FOX.name, BEACH.name)))
        assert judges[0, :, 1].tolist() == [1, 0]

    def test_grounds_that_the_user_did_not_name_are_not_alike(self) -> None:
        laid_out = scene((FOX.name,), (FOX.name,))
        unnamed = len(laid_out.labels) - 1
        assert judges_of(laid_out)[:, :, unnamed].tolist() == [[1, 0], [0, 1]]


class TestLookElsewhere:
    def test_is_the_mean_likeness_to_pictures_that_leave_the_label_out(self) -> None:
        kinds = torch.tensor([[0, 1, 2, 2], [1, 1, 2, 2], [0, 0, 0, 2]])
        presence = torch.tensor([[True, True], [False, True], [True, True]])
        found = look_elsewhere(kernel_of(kinds), presence)
        unlike = math.exp(-CONFIG.sharpness)
        torch.testing.assert_close(found[0, 0], torch.tensor([0.0, 0.5, 0.5, 0.5]), atol=unlike, rtol=0)
        assert found[:, 1].abs().max() == 0  # no picture leaves it out


class TestResemblance:
    def kernel(self, *pictures: Picture) -> Tensor:
        backbone, laid_out = tiny_backbone(), layout_scene(make_training_set((FOX, BEACH), pictures=pictures))
        observed = observe(backbone, laid_out, 16)
        layers = plan_layers(backbone.unet, observed.latent_size, map_size=8, self_map_size=8)
        votes = plan_votes(backbone, laid_out, observed, PromptCompiler(backbone.towers), layers, CONFIG, seed=0)
        assert votes.kernel is not None
        return votes.kernel

    def test_a_picture_is_most_like_its_own_copy(self) -> None:
        names = [FOX.name, BEACH.name]
        kernel = self.kernel(make_picture("a", names), make_picture("b", names), make_picture("c", names, shift=8))
        assert kernel.shape == (3, 64, 3, 64)
        torch.testing.assert_close(kernel[0].diagonal(dim1=0, dim2=2)[1], torch.ones(64), atol=1e-4, rtol=0)
        assert kernel[0, :, 2].diagonal().mean() < 0.99

    def test_it_is_symmetric(self) -> None:
        names = [FOX.name, BEACH.name]
        kernel = self.kernel(make_picture("a", names), make_picture("b", names, shift=6))
        torch.testing.assert_close(kernel[0, :, 1], kernel[1, :, 0].T)
