"""What looks alike is alike: the pictures of a training vote on one another's labels.

Attention reads one picture at a time, and may call one thing by another's name, most of all where two things always
come together. But a concept looks like itself in every picture. Queries and keys of self-attention on the nearly clean
latent are features in which the same thing in two pictures lies close (after DIFT, Tang et al., arXiv 2306.03881). How
well a label suits a cell is the mean kernel between the cell and the cells of *other* pictures that show the label;
multiplied with what attention says, a few times over, right readings outvote wrong ones. A label that no other picture
has, such as the ground that the user did not name, is compared with its own picture; a label that the user drew, with
the pictures in which it is drawn.

And a picture whose list leaves a label out says what the label does not look like: a cell that looks like that picture is
hardly the label, however many pictures confuse the two (ADR 0049).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.backbone import Backbone
from trainer.em.attention import Layers, attention_capture
from trainer.em.config import AppearanceConfig
from trainer.em.latents import Observed, resize
from trainer.em.prompts import CompiledPrompt, PromptCompiler, encode_prompts
from trainer.em.scene import UNNAMED_BACKGROUND, Scene

PROMPT = "a photo"
DOUBT = 1e-3  # of the best likelihood: what a label has at a cell that looks like none of its own
FLOOR = 1e-6


def plan_votes(
    backbone: Backbone,
    scene: Scene,
    observed: Observed,
    compiler: PromptCompiler,
    layers: Layers,
    config: AppearanceConfig,
    *,
    seed: int,
) -> Votes:
    """What the votes of a training rest on, read once: pictures never change."""
    kernel = None
    if layers.own and config.weight:
        prompt = compiler.compile((PROMPT,))
        kernel = resemblance(backbone, observed, prompt, layers.own, layers.self_size, config, seed=seed)
    judges = judging_pictures(scene, observed.is_given.cpu())
    return Votes(kernel=kernel, presence=scene.presence, judges=judges, config=config)


@torch.no_grad()
def resemblance(
    backbone: Backbone,
    observed: Observed,
    prompt: CompiledPrompt,
    layers: tuple[str, ...],
    size: int,
    config: AppearanceConfig,
    *,
    seed: int,
) -> Tensor:
    """The kernel [N, P, N, P] in (0, 1] between cells of all pictures, P at most `config.grid`^2.

    Read from the self-attention `layers` of side `size` under one `prompt` for all, so that no word takes a side.
    """
    generator = torch.Generator().manual_seed(seed)
    clean = observed.mean[0]
    timesteps = torch.full((1,), min(config.timestep, backbone.train_timesteps - 1), device=clean.device)
    noise = torch.randn(clean.shape[1:], generator=generator).to(clean)
    text = encode_prompts(backbone, [prompt], {tower.key: torch.zeros(1, tower.width) for tower in backbone.towers})
    read = []
    for one in clean.split(1):
        with attention_capture(backbone.unet, layers, stop_after_last=True) as seen:
            backbone.predict(backbone.add_noise(one, noise[None], timesteps), timesteps, text)
        both = [*(seen.queries[name] for name in layers), *(seen.keys[name] for name in layers)]
        read.append(torch.cat(both, dim=-1).float())  # [1, size * size, F]
    cells = torch.cat(read).transpose(1, 2).unflatten(-1, (size, size))
    side = min(size, config.grid)
    features = resize(cells, side).flatten(2).transpose(1, 2)  # [N, P, F]
    features = features - features.mean(dim=(0, 1))
    flat = (features / features.norm(dim=2, keepdim=True).clamp_min(FLOOR)).flatten(0, 1)
    kernel = torch.exp(config.sharpness * (flat @ flat.T - 1))
    return kernel.view(len(clean), side * side, len(clean), side * side)


@dataclass(frozen=True, kw_only=True)
class Votes:
    """The votes of one training; `kernel` None is a network without self-attention, or votes switched off.

    `presence` bool [N, K] says which labels a picture has, `judges` [N, N, K] whether picture m has a say on label k in
    picture n.
    """

    kernel: Tensor | None
    presence: Tensor
    judges: Tensor
    config: AppearanceConfig

    def __call__(self, prior: Tensor) -> Tensor:
        """The posterior [N, K, G, G] after `config.iterations` votes on what attention gave, `prior` [N, K, G, G]."""
        if self.kernel is None:
            return prior
        side = int(self.kernel.shape[1] ** 0.5)
        cells = resize(prior, side).flatten(2)  # [N, K, P]
        believed, judges = cells, self.judges.to(prior)
        elsewhere = look_elsewhere(self.kernel, self.presence)
        for _ in range(self.config.iterations):
            likelihood = self._likelihood(believed, judges)
            likelihood = likelihood * likelihood / (likelihood + self.config.absence * elsewhere)
            score = cells.clamp_min(FLOOR).log() + self.config.weight * likelihood.log()
            believed = score.masked_fill(cells.amax(dim=2, keepdim=True) == 0, float("-inf")).softmax(dim=1)
        swayed = believed / cells.clamp_min(FLOOR)
        voted = prior * resize(swayed.unflatten(-1, (side, side)), prior.shape[-1])  # finer than the cells that voted
        return voted / voted.sum(dim=1, keepdim=True).clamp_min(FLOOR)

    def _likelihood(self, believed: Tensor, judges: Tensor) -> Tensor:
        """[N, K, P]: how much a cell looks like what the judges believe to be the label."""
        seen = torch.einsum("nmk,mkq,npmq->nkp", judges, believed, self.kernel)
        total = torch.einsum("nmk,mk->nk", judges, believed.sum(dim=2)).clamp_min(FLOOR)
        likelihood = seen / total[:, :, None]
        return likelihood + DOUBT * likelihood.amax(dim=(1, 2), keepdim=True).clamp_min(FLOOR)


def look_elsewhere(kernel: Tensor, presence: Tensor) -> Tensor:
    """[N, K, P]: how much a cell looks like the pictures whose `presence` [N, K] leaves the label out; 0 where none does."""
    absent = (~presence).to(kernel)
    share = absent / absent.sum(dim=0).clamp_min(1)
    return torch.einsum("npm,mk->nkp", kernel.mean(dim=3), share)


def judging_pictures(scene: Scene, given: Tensor) -> Tensor:
    """[N, N, K]: any other picture that shows the label; where there is none, the picture itself.

    Where the user drew a label's mask, `given` [N, K], those pictures alone are asked: they know what it looks like.
    """
    presence = scene.presence.float()
    own = torch.eye(len(presence))[:, :, None]
    others = (1 - own) * presence[None]
    known = others * given[None].float()
    others = torch.where(known.sum(dim=1, keepdim=True) > 0, known, others)
    unnamed = torch.tensor([name == UNNAMED_BACKGROUND for name in scene.labels])
    lonely = (others.sum(dim=1, keepdim=True) == 0) | unnamed
    return torch.where(lonely, own * presence[None], others)
