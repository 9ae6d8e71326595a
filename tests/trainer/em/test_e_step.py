"""trainer.em.e_step."""

import dataclasses

import pytest
import torch
from torch import Tensor

from tests.support.tiny_backbone import BEACH, BIRD, FOX, make_picture, make_training_set, tiny_backbone
from trainer.data import ConceptSpec
from trainer.em.appearance import Votes, plan_votes
from trainer.em.attention import attention_capture
from trainer.em.config import AppearanceConfig, CRFConfig, EStepConfig
from trainer.em.e_step import (
    NOBODY,
    MaskEstimate,
    agreement,
    attention_maps,
    e_step,
    full_prompts,
    harden,
    impose_given,
    label_posterior,
    leakage,
    plan_crf,
    propagate,
    read_layers,
    refine,
    stratified,
    turned_prompts,
    winners,
)
from trainer.em.latents import Observed, observe
from trainer.em.problem import first_rows
from trainer.em.prompts import PromptCompiler, encode_prompts
from trainer.em.scene import Scene, layout_scene

CONFIG = EStepConfig(timesteps=3, timestep_low=10, timestep_high=70)
CRF = CRFConfig(grid=16)
NO_VOTES = Votes(kernel=None, presence=torch.zeros(0), judges=torch.zeros(0), config=AppearanceConfig())


def tiny_problem(**changes: object) -> tuple[Scene, Observed, dict[str, Tensor], PromptCompiler]:
    pictures = [make_picture("a", ["demo/fox", "demo/beach"], **changes), make_picture("b", ["demo/fox"], shift=8)]
    scene = layout_scene(make_training_set((FOX, BEACH), pictures=pictures))
    backbone = tiny_backbone()
    return scene, observe(backbone, scene, CRF.grid), first_rows(backbone, scene), PromptCompiler(backbone.towers)


def estimated(
    problem: tuple[Scene, Observed, dict[str, Tensor], PromptCompiler],
    *,
    config: EStepConfig = CONFIG,
    votes: Votes = NO_VOTES,
    crf: CRFConfig = CRF,
    seed: int = 0,
    said: Tensor | None = None,
) -> MaskEstimate:
    scene, observed, rows, compiler = problem
    made = plan_crf(observed, crf)
    return e_step(tiny_backbone(), scene, observed, rows, compiler, config, votes, made, seed=seed, said=said)


def drawn(concepts: tuple[ConceptSpec, ...], masks: dict[str, Tensor]) -> Observed:
    """A picture of `concepts` with masks of the user's."""
    picture = make_picture("p", [concept.name for concept in concepts], masks=masks)
    return observe(tiny_backbone(), layout_scene(make_training_set(concepts, pictures=[picture])), CRF.grid)


def given_observed(given: Tensor, is_given: Tensor) -> Observed:
    empty = torch.zeros(0)
    return Observed(mean=empty, std=empty, colours=empty, given=given, is_given=is_given)


class TestEStep:
    def test_posteriors_sum_to_one_over_the_labels_present(self) -> None:
        posterior = estimated(tiny_problem()).posterior
        torch.testing.assert_close(posterior.sum(1), torch.ones(2, 16, 16))
        assert posterior[0, 2].max() == 0
        assert posterior[1, 1].max() == 0

    def test_equal_arguments_give_equal_masks(self) -> None:
        problem = tiny_problem()
        one, two = (estimated(problem, seed=4) for _ in range(2))
        assert torch.equal(one.posterior, two.posterior)

    def test_the_batch_size_does_not_matter(self) -> None:
        scene, observed, rows, compiler = tiny_problem()
        maps = [
            attention_maps(
                tiny_backbone(),
                scene,
                observed,
                rows,
                compiler,
                dataclasses.replace(CONFIG, batch_size=size),
                (),
                seed=0,
            )[0]
            for size in (1, 4, 16)
        ]
        torch.testing.assert_close(maps[0], maps[1])
        torch.testing.assert_close(maps[0], maps[2])

    def test_maps_are_the_mean_attention_of_a_labels_token(self) -> None:
        scene, observed, rows, compiler = tiny_problem()
        backbone, config = tiny_backbone(), dataclasses.replace(CONFIG, timesteps=1, timestep_low=40, timestep_high=40)
        maps, _ = attention_maps(backbone, scene, observed, rows, compiler, config, (), seed=9)
        noise = torch.randn(1, *observed.mean.shape[2:], generator=torch.Generator().manual_seed(9))
        noisy = backbone.add_noise(observed.mean[0, :1], noise, torch.tensor([40]))
        prompt = full_prompts(scene, compiler)[0]
        layers = read_layers(backbone, observed.latent_size, config).cross
        with attention_capture(backbone.unet, layers) as seen, torch.no_grad():
            backbone.predict(noisy, torch.tensor([40]), encode_prompts(backbone, [prompt], rows))
        expected = torch.stack([seen.probabilities(name)[0].mean(0)[:, prompt.columns[0]] for name in layers]).mean(0)
        torch.testing.assert_close(maps[0, 0].flatten(), expected)

    def test_every_picture_is_looked_at_under_stratified_noise_and_no_further_than_the_last_layer_read(self) -> None:
        scene, observed, rows, compiler = tiny_problem()
        backbone, levels, ends = tiny_backbone(), list[int](), list[str]()
        handles = [
            backbone.unet.register_forward_pre_hook(lambda _unet, inputs: levels.extend(inputs[1].tolist())),
            backbone.unet.conv_out.register_forward_hook(lambda *_: ends.append("the end was reached")),
        ]
        learning = {key: value.clone().requires_grad_() for key, value in rows.items()}
        own_layers = read_layers(backbone, observed.latent_size, CONFIG).own
        maps, own = attention_maps(backbone, scene, observed, learning, compiler, CONFIG, own_layers, seed=0)
        for handle in handles:
            handle.remove()
        assert levels == [20, 40, 60] * 2
        assert ends == []
        assert own is not None
        assert not maps.requires_grad

    @pytest.mark.parametrize(("map_size", "is_finer"), [(4, True), (16, False)])
    def test_self_attention_carries_the_maps_where_it_is_finer_than_they_are(
        self, map_size: int, is_finer: bool
    ) -> None:
        moving = dataclasses.replace(CONFIG, map_size=map_size)
        problem, still = tiny_problem(), dataclasses.replace(moving, propagation_power=0)
        one, two = (estimated(problem, config=config) for config in (moving, still))
        assert torch.allclose(one.heard, two.heard, atol=1e-2) is not is_finer

    def test_a_mask_the_user_gave_stays(self) -> None:
        mask = torch.zeros(32, 32, dtype=torch.bool)
        mask[:16] = True
        problem = tiny_problem(masks={"demo/fox": mask})
        posterior = estimated(problem).posterior
        assert torch.equal(posterior[0, 0], problem[1].given[0, 0])
        torch.testing.assert_close(posterior.sum(1), torch.ones(2, 16, 16))

    def test_the_crf_refines_the_prior(self) -> None:
        problem, raw = tiny_problem(), dataclasses.replace(CRF, iterations=0)
        one, two = (estimated(problem, crf=crf) for crf in (CRF, raw))
        assert not torch.allclose(one.posterior, two.posterior, atol=1e-2)

    def test_the_other_pictures_are_heard(self) -> None:
        scene, observed, _, compiler = problem = tiny_problem()
        backbone, layers = tiny_backbone(), read_layers(tiny_backbone(), observed.latent_size, CONFIG)
        votes = plan_votes(backbone, scene, observed, compiler, layers, AppearanceConfig(), seed=0)
        one, two = (estimated(problem, votes=each) for each in (votes, NO_VOTES))
        assert not torch.allclose(one.posterior, two.posterior, atol=1e-2)

    def test_noise_levels_take_turns_at_the_orders_of_a_prompt(self) -> None:
        scene = layout_scene(make_training_set((FOX, BIRD, BEACH)))
        prompts, asked = turned_prompts(scene, PromptCompiler(tiny_backbone().towers), 3)
        assert asked.tolist() == [0, 1, 0, 2, 3, 2, 4, 5, 4]
        assert prompts[0].rows == (0, 1, 2)
        assert prompts[1].rows == (1, 0, 2)

    def test_what_the_class_words_said_is_heard_beside_the_tokens(self) -> None:
        problem = tiny_problem()
        said = problem[0].presence[:, :, None, None].expand(-1, -1, 16, 16).float() * 1e-6
        said[:, 0] = 1.0
        estimate = estimated(problem, said=said)
        assert (estimate.posterior.argmax(1) == 0).all()
        assert not (estimate.heard.argmax(1) == 0).all()


class TestRefine:
    def test_votes_and_field_both_see_the_masks_that_the_user_gave(self) -> None:
        mask = torch.zeros(32, 32, dtype=torch.bool)
        mask[:16] = True
        _, observed, _, _ = tiny_problem(masks={"demo/fox": mask})
        seen: list[Tensor] = []

        def keep(posterior: Tensor) -> Tensor:
            seen.append(posterior)
            return torch.full_like(posterior, 1 / 3)

        even = torch.full((2, 3, 16, 16), 1 / 3)
        refined = refine(even, even, even, observed, keep, keep).posterior  # type: ignore[arg-type]
        assert len(seen) == 2
        assert all(torch.equal(each[0, 0], observed.given[0, 0]) for each in (*seen, refined))

    def test_what_no_mask_covers_is_nobodys_where_every_label_was_drawn(self) -> None:
        fox, beach = (torch.zeros(32, 32, dtype=torch.bool) for _ in range(2))
        fox[:8], beach[24:] = True, True
        heard = torch.tensor([0.6, 0.4]).view(1, 2, 1, 1).expand(1, 2, 16, 16)
        for masks, nobodys in (({FOX.name: fox, BEACH.name: beach}, 0.5), ({FOX.name: fox}, 0.0)):
            observed = drawn((FOX, BEACH), masks)
            hard = harden(refine(heard, heard, heard, observed, NO_VOTES, lambda each: each).posterior)  # type: ignore[arg-type]
            assert (hard.sum(1) == 0).float().mean() == nobodys
            assert torch.equal(hard[0, 0], observed.given[0, 0])

    def test_so_it_is_of_a_label_that_is_alone(self) -> None:
        mask = torch.zeros(32, 32, dtype=torch.bool)
        mask[24:] = True
        heard = torch.ones(1, 1, 16, 16)
        observed = drawn((BEACH,), {BEACH.name: mask})
        hard = harden(refine(heard, heard, heard, observed, NO_VOTES, lambda each: each).posterior)  # type: ignore[arg-type]
        assert hard.mean() == 0.25


class TestPlanCRF:
    def test_every_number_of_the_settings_reaches_the_field(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trainer.em.e_step.DenseCRF", lambda _colours, **numbers: numbers)
        _, observed, _, _ = tiny_problem()
        numbers = {f.name: n + 1 for n, f in enumerate(dataclasses.fields(CRFConfig)) if f.name != "grid"}
        assert plan_crf(observed, CRFConfig(**numbers)) == numbers  # type: ignore[arg-type]


class TestAgreement:
    def test_is_the_product_with_the_second_to_its_weight(self) -> None:
        heard, said = (torch.tensor(each).view(1, 2, 1, 1) for each in ([0.6, 0.4], [0.2, 0.8]))
        torch.testing.assert_close(agreement(heard, said, 0.0), heard)
        squared = torch.tensor([0.6 * 0.04, 0.4 * 0.64])
        torch.testing.assert_close(agreement(heard, said, 2.0).flatten(), squared / squared.sum())


class TestPropagate:
    def test_carries_a_spot_over_the_cells_that_attend_to_it(self) -> None:
        own = torch.full((1, 4, 4), 0.0)
        own[0, :2, :2] = 0.5  # cells 0 and 1 belong together, so do 2 and 3
        own[0, 2:, 2:] = 0.5
        spot = torch.tensor([1.0, 0, 0, 0]).view(1, 1, 2, 2)
        assert propagate(spot, own, 1).flatten().tolist() == [0.5, 0.5, 0, 0]

    def test_power_zero_changes_nothing(self) -> None:
        maps = torch.rand(1, 2, 2, 2)
        assert propagate(maps, torch.rand(1, 4, 4), 0) is maps


BOTH = torch.ones(1, 2, dtype=torch.bool)
NO_BACKGROUND = torch.tensor([False])


class TestLabelPosterior:
    def test_absent_labels_get_nothing(self) -> None:
        present = torch.tensor([[True, False, True]])
        posterior = label_posterior(torch.rand(1, 3, 4, 4), present, NO_BACKGROUND.expand(3), 6.0)
        assert posterior[0, 1].abs().max() == 0
        torch.testing.assert_close(posterior.sum(1), torch.ones(1, 4, 4))

    def test_a_token_that_gets_little_attention_can_still_win_where_it_peaks(self) -> None:
        strong = torch.tensor([[0.9, 0.5], [0.5, 0.5]])
        weak = torch.tensor([[0.0, 0.0], [0.0, 0.001]])
        posterior = label_posterior(torch.stack([strong, weak])[None], BOTH, NO_BACKGROUND.expand(2), 6.0)
        assert posterior[0].argmax(0).tolist()[1][1] == 1

    def test_the_sharper_the_surer(self) -> None:
        maps = torch.tensor([[[0.9, 0.1], [0.1, 0.1]], [[0.1, 0.1], [0.1, 0.9]]])[None]
        mild, sharp = (label_posterior(maps, BOTH, NO_BACKGROUND.expand(2), by)[0, 0, 0, 0] for by in (1.0, 6.0))
        torch.testing.assert_close(mild, torch.tensor(1.0).sigmoid())
        torch.testing.assert_close(sharp, torch.tensor(6.0).sigmoid())

    def test_a_background_takes_the_room_that_subjects_leave(self) -> None:
        subject = torch.tensor([[0.9, 0.0], [0.0, 0.0]])
        silent = torch.full((2, 2), 0.01)
        posterior = label_posterior(torch.stack([subject, silent])[None], BOTH, torch.tensor([False, True]), 6.0)
        assert posterior[0].argmax(0).tolist() == [[0, 1], [1, 1]]

    def test_noise_in_a_background_does_not_claim_a_subject(self) -> None:
        subject = torch.tensor([[0.8, 0.5], [0.0, 0.0]])
        noise = torch.tensor([[0.01, 0.02], [0.0, 0.0]])  # its peak lies on the subject
        posterior = label_posterior(torch.stack([subject, noise])[None], BOTH, torch.tensor([False, True]), 6.0)
        assert posterior[0].argmax(0).tolist() == [[0, 0], [1, 1]]

    def test_of_two_backgrounds_the_more_attended_wins(self) -> None:
        left = torch.tensor([[0.2, 0.0], [0.2, 0.0]])
        maps = torch.stack([left, left.flip(1)])[None]
        posterior = label_posterior(maps, BOTH, torch.tensor([True, True]), 6.0)
        assert posterior[0].argmax(0).tolist() == [[0, 1], [0, 1]]


class TestImposeGiven:
    def test_the_rest_is_shared_in_the_old_proportion(self) -> None:
        posterior = torch.tensor([0.2, 0.6, 0.2]).view(1, 3, 1, 1).expand(1, 3, 2, 2).clone()
        given = torch.zeros(1, 3, 2, 2)
        given[0, 0, 0] = 1
        result = impose_given(posterior, given_observed(given, torch.tensor([[True, False, False]])))
        assert result[0, :, 0, 0].tolist() == [1, 0, 0]
        torch.testing.assert_close(result[0, :, 1, 0], torch.tensor([0, 0.75, 0.25]))

    def test_overlapping_masks_share_a_cell(self) -> None:
        posterior = torch.full((1, 3, 2, 2), 1 / 3)
        given = torch.ones(1, 3, 2, 2)
        result = impose_given(posterior, given_observed(given, torch.tensor([[True, True, False]])))
        torch.testing.assert_close(result[0, :, 0, 0], torch.tensor([0.5, 0.5, 0.0]))


class TestLeakage:
    def test_is_the_share_of_attention_in_each_mask(self) -> None:
        maps = torch.tensor([[[[3.0, 1.0]], [[0.0, 2.0]]]]).expand(1, 2, 2, 2)
        masks = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]]).expand(1, 2, 2, 2)
        matrix = leakage(maps, masks, torch.ones(1, 2, dtype=torch.bool))
        torch.testing.assert_close(matrix, torch.tensor([[0.75, 0.25], [0.0, 1.0]]))

    def test_a_label_in_no_picture_has_an_empty_row(self) -> None:
        matrix = leakage(torch.rand(1, 2, 4, 4), torch.rand(1, 2, 4, 4), torch.tensor([[True, False]]))
        assert matrix[1].tolist() == [0, 0]


class TestHarden:
    def test_a_cell_of_two_equally_probable_labels_is_nobodys(self) -> None:
        posterior = torch.tensor([[[[0.5, 0.7]], [[0.5, 0.3]], [[0.0, 0.0]]]])
        assert winners(posterior).tolist() == [[[NOBODY, 0]]]
        assert harden(posterior).flatten(1).tolist() == [[0, 1, 0, 0, 0, 0]]

    def test_every_cell_has_one_owner(self) -> None:
        hard = harden(torch.rand(2, 3, 4, 4))
        assert torch.equal(hard.sum(1), torch.ones(2, 4, 4))


class TestStratified:
    def test_gives_the_middles_of_equal_strata(self) -> None:
        assert stratified(100, 700, 3).tolist() == [200, 400, 600]
