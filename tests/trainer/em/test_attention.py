"""trainer.em.attention, against diffusers' own full attention."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor
from torch import Tensor

from sdk.errors import BackboneError
from tests.support.tiny_backbone import tiny_backbone
from trainer.backbone import Backbone, TextConditioning
from trainer.em.attention import attention_capture, choose_layers, list_layers, plan_layers


def inputs(backbone: Backbone, *, batch: int = 2) -> tuple[Tensor, Tensor, TextConditioning]:
    generator = torch.Generator().manual_seed(1)
    width = backbone.unet.config.cross_attention_dim
    return (
        torch.randn(batch, 4, 8, 8, generator=generator),
        torch.tensor([10, 60][:batch]),
        TextConditioning(hidden=torch.randn(batch, 24, width, generator=generator)),
    )


def hook_count(unet: torch.nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in unet.modules())


class RecordingProcessor(AttnProcessor):
    """Diffusers' plain processor, keeping the probabilities that it multiplies the values with."""

    def __init__(self) -> None:
        super().__init__()
        self.probabilities: Tensor | None = None

    def __call__(self, attn: Attention, hidden_states: Tensor, *args: object, **kwargs: object) -> Tensor:
        original = attn.get_attention_scores

        def keep(*inner: object) -> Tensor:
            self.probabilities = original(*inner)
            return self.probabilities

        attn.get_attention_scores = keep  # type: ignore[method-assign]
        try:
            return super().__call__(attn, hidden_states, *args, **kwargs)
        finally:
            del attn.get_attention_scores


class TestAttentionCapture:
    @pytest.mark.parametrize("kind", ["attn1", "attn2"])
    def test_equals_the_probabilities_of_full_attention(self, kind: str) -> None:
        backbone = tiny_backbone()
        noisy, timesteps, text = inputs(backbone)
        layers = [layer.name for layer in list_layers(backbone.unet, 8, kind=kind)]
        with attention_capture(backbone.unet, layers) as seen, torch.no_grad():
            backbone.predict(noisy, timesteps, text)
        before = dict(backbone.unet.attn_processors)
        recorders = {name: RecordingProcessor() for name in layers}
        try:
            for name, recorder in recorders.items():
                backbone.unet.get_submodule(name).set_processor(recorder)
            with torch.no_grad():
                backbone.predict(noisy, timesteps, text)
        finally:
            backbone.unet.set_attn_processor(dict(before))
        for name, recorder in recorders.items():
            mine = seen.probabilities(name)
            torch.testing.assert_close(mine.flatten(0, 1), recorder.probabilities)
            torch.testing.assert_close(mine.sum(-1), torch.ones(mine.shape[:-1]))

    def test_does_not_change_the_prediction(self) -> None:
        backbone = tiny_backbone()
        noisy, timesteps, text = inputs(backbone)
        layers = [layer.name for layer in list_layers(backbone.unet, 8, kind="attn2")]
        with torch.no_grad():
            expected = backbone.predict(noisy, timesteps, text)
            with attention_capture(backbone.unet, layers):
                assert torch.equal(backbone.predict(noisy, timesteps, text), expected)

    def test_leaves_no_hook_behind(self) -> None:
        unet = tiny_backbone().unet
        before = hook_count(unet)
        layers = [layer.name for layer in list_layers(unet, 8, kind="attn2")]
        with attention_capture(unet, layers):
            assert hook_count(unet) == before + 2 * len(layers)
        assert hook_count(unet) == before

    def test_leaves_no_hook_behind_after_an_exception(self) -> None:
        unet = tiny_backbone().unet
        before = hook_count(unet)
        with (
            pytest.raises(KeyboardInterrupt),
            attention_capture(unet, ["mid_block.attentions.0.transformer_blocks.0.attn2"]),
        ):
            raise KeyboardInterrupt
        assert hook_count(unet) == before

    def test_ends_the_pass_after_the_last_layer_read(self) -> None:
        backbone = tiny_backbone()
        first = list_layers(backbone.unet, 8, kind="attn2")[0].name
        ran: list[str] = []
        handles = [
            backbone.unet.get_submodule(name).register_forward_hook(lambda *_, name=name: ran.append(name))
            for name in ("conv_in", "mid_block", "conv_out")
        ]
        noisy, timesteps, text = inputs(backbone)
        try:
            with attention_capture(backbone.unet, [first], stop_after_last=True) as seen, torch.no_grad():
                backbone.predict(noisy, timesteps, text)
        finally:
            for handle in handles:
                handle.remove()
        assert ran == ["conv_in"]
        assert seen.probabilities(first).shape == (2, 4, 64, 24)

    def test_a_shortened_pass_reads_what_the_whole_pass_reads(self) -> None:
        backbone = tiny_backbone()
        layers = [layer.name for layer in list_layers(backbone.unet, 8, kind="attn2")][:2]
        maps = []
        for stop in (False, True):
            with attention_capture(backbone.unet, layers, stop_after_last=stop) as seen, torch.no_grad():
                backbone.predict(*inputs(backbone))
            maps.append(torch.stack([seen.probabilities(name).mean(1).mean(1) for name in layers]))
        assert torch.equal(maps[0], maps[1])

    def test_probabilities_are_float32_under_autocast(self) -> None:
        backbone = tiny_backbone()
        layer = list_layers(backbone.unet, 8, kind="attn2")[0].name
        with attention_capture(backbone.unet, [layer]) as seen, torch.no_grad():
            backbone.predict(*inputs(backbone))
        exact = seen.probabilities(layer)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            under = seen.probabilities(layer)
        assert under.dtype is torch.float32
        assert torch.equal(under, exact)

    def test_refuses_to_mix_two_passes(self) -> None:
        backbone = tiny_backbone()
        layer = list_layers(backbone.unet, 8, kind="attn2")[0].name
        with (
            pytest.raises(BackboneError, match="ran twice"),
            attention_capture(backbone.unet, [layer]),
            torch.no_grad(),
        ):
            backbone.predict(*inputs(backbone))
            backbone.predict(*inputs(backbone))

    def test_lets_gradients_reach_the_text(self) -> None:
        backbone = tiny_backbone()
        noisy, timesteps, text = inputs(backbone)
        hidden = text.hidden.requires_grad_()
        layer = list_layers(backbone.unet, 8, kind="attn2")[0].name
        with attention_capture(backbone.unet, [layer]) as seen:
            backbone.predict(noisy, timesteps, TextConditioning(hidden=hidden))
        seen.probabilities(layer)[..., 3].sum().backward()
        assert hidden.grad is not None
        assert hidden.grad.abs().max() > 0


class TestChooseLayers:
    def test_stable_diffusion_15_has_five_layers_of_side_16(self) -> None:
        with torch.device("meta"):
            unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
        chosen = choose_layers(list_layers(unet, 64, kind="attn2"), 16)
        assert [layer.name.split(".attentions")[0] for layer in chosen] == ["down_blocks.2"] * 2 + ["up_blocks.1"] * 3
        assert {layer.size for layer in chosen} == {16}

    def test_sides_are_what_the_layers_really_have(self) -> None:
        backbone = tiny_backbone()
        layers = list_layers(backbone.unet, 8, kind="attn2")
        with attention_capture(backbone.unet, [layer.name for layer in layers]) as seen, torch.no_grad():
            backbone.predict(*inputs(backbone))
        assert [seen.probabilities(layer.name).shape[2] for layer in layers] == [layer.size**2 for layer in layers]

    def test_layers_run_in_the_order_listed(self) -> None:
        backbone = tiny_backbone()
        layers = list_layers(backbone.unet, 8, kind="attn2")
        with attention_capture(backbone.unet, [layer.name for layer in layers]) as seen, torch.no_grad():
            backbone.predict(*inputs(backbone))
        assert list(seen.keys) == [layer.name for layer in layers]

    def test_takes_the_nearest_side_and_of_two_the_finer(self) -> None:
        layers = list_layers(tiny_backbone().unet, 8, kind="attn2")
        assert {layer.size for layer in choose_layers(layers, 16)} == {8}
        assert {layer.size for layer in choose_layers(layers, 1)} == {4}

    def test_refuses_a_network_without_attention(self) -> None:
        with pytest.raises(BackboneError, match="no attention layers"):
            choose_layers((), 16)


class TestPlanLayers:
    def test_self_attention_never_extends_the_pass(self) -> None:
        layers = plan_layers(tiny_backbone().unet, 8, map_size=8, self_map_size=8)
        assert layers.size == layers.self_size == 8
        assert layers.own
        assert layers.cross[-1].startswith("up_blocks.1")
