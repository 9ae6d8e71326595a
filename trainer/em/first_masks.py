"""First masks where there is no class word to look for: clusters of self-attention on the nearly clean latent.

Cells that attend to the same places belong together (ConceptExpress, arXiv 2407.07077, clusters the same maps). Each
picture is cut into as many clusters as it has labels; clusters go to backgrounds by how much of the border they hold,
to labels with a class word by its attention, and to the rest by their colour's likeness to what the same label got in
earlier pictures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from sdk.spec.manifest import ConceptKind
from trainer.backbone import Backbone
from trainer.em.appearance import Votes
from trainer.em.config import EStepConfig
from trainer.em.crf import DenseCRF
from trainer.em.e_step import MaskEstimate, attention_maps, read_layers, refine
from trainer.em.latents import Observed, resize
from trainer.em.prompts import PromptCompiler
from trainer.em.scene import Scene

CONFIDENCE = 0.9  # probability that a cell belongs to its cluster's label
KMEANS_ITERATIONS = 20
CLEAN_TIMESTEP = 1  # of the scheduler's training timesteps: next to no noise


def needs_clusters(scene: Scene) -> bool:
    """Whether a concept with a mask, other than a background, has no class word."""
    return bool(_wordless(scene))


def _wordless(scene: Scene) -> set[int]:
    nameless = {c.name for c in scene.concepts if not c.class_word.strip() and c.kind is not ConceptKind.BACKGROUND}
    return {label for label, name in enumerate(scene.labels) if name in nameless}


def cluster_posterior(
    backbone: Backbone,
    scene: Scene,
    observed: Observed,
    rows: Mapping[str, Tensor],
    compiler: PromptCompiler,
    config: EStepConfig,
    votes: Votes,
    crf: DenseCRF,
    *,
    seed: int,
) -> MaskEstimate:
    """The first estimate for scenes with wordless concepts; the same shape of answer as `e_step`."""
    clean = dataclasses.replace(config, timesteps=1, timestep_low=CLEAN_TIMESTEP, timestep_high=CLEAN_TIMESTEP)
    looked_at = read_layers(backbone, observed.latent_size, config).own if config.propagation_power else ()
    maps, own = attention_maps(backbone, scene, observed, rows, compiler, clean, looked_at, seed=seed)
    side = maps.shape[-1] if own is None else int(own.shape[-1] ** 0.5)
    colours = resize(observed.colours, side).flatten(2).transpose(1, 2)  # [N, M * M, 3]
    seen_colours: dict[int, Tensor] = {}
    prior = torch.zeros(*scene.presence.shape, side, side, device=maps.device)
    attention = resize(maps, side).flatten(2)  # [N, K, M * M]
    for picture in range(observed.count):
        present = scene.present(picture)
        features = colours[picture] / 255 if own is None else own[picture].clamp_min(0).sqrt()
        clusters = kmeans(features, len(present))
        scores = _scores(scene, present, clusters, attention[picture], colours[picture], seen_colours, side)
        for place, cluster in _assign(scores):
            members = clusters == cluster
            prior[picture, present[place]] = members.view(side, side).float()
            seen_colours.setdefault(present[place], _mean(colours[picture], members))
        even = torch.zeros_like(prior[picture])
        even[list(present)] = 1 / len(present)
        prior[picture] = CONFIDENCE * prior[picture] + (1 - CONFIDENCE) * even
    present = scene.presence.to(prior)[:, :, None, None]
    nothing = (present / present.sum(dim=1, keepdim=True)).expand(-1, -1, observed.grid, observed.grid)
    return refine(nothing, resize(prior, observed.grid), maps, observed, votes, crf)


def kmeans(points: Tensor, count: int) -> Tensor:
    """Cluster numbers [P] of `points` [P, F]; deterministic, started from points far from one another."""
    centres = points[(points - points.mean(dim=0)).square().sum(dim=1).argmax()][None]
    while len(centres) < count:
        centres = torch.cat([centres, points[torch.cdist(points, centres).amin(dim=1).argmax()][None]])
    for _ in range(KMEANS_ITERATIONS):
        nearest = torch.cdist(points, centres).argmin(dim=1)
        centres = torch.stack(
            [_mean(points, nearest == c) if (nearest == c).any() else centres[c] for c in range(count)]
        )
    return torch.cdist(points, centres).argmin(dim=1)


def _mean(points: Tensor, members: Tensor) -> Tensor:
    return points[members].mean(dim=0) if bool(members.any()) else points.mean(dim=0)


def _scores(
    scene: Scene,
    present: tuple[int, ...],
    clusters: Tensor,
    attention: Tensor,
    colours: Tensor,
    seen_colours: Mapping[int, Tensor],
    side: int,
) -> Tensor:
    """How well each present label [P] suits each cluster [P], in about [0, 1]."""
    wordless = _wordless(scene)
    border = torch.zeros(side, side, dtype=torch.bool, device=clusters.device)
    border[[0, -1], :] = True
    border[:, [0, -1]] = True
    scores = torch.zeros(len(present), len(present))
    for place, label in enumerate(present):
        for cluster in range(len(present)):
            members = clusters == cluster
            if scene.backgrounds[label]:
                score = members[border.flatten()].float().mean()
            elif label not in wordless:
                score = _mean(attention[label], members) / attention[label].max().clamp_min(1e-12)
            elif label in seen_colours:
                score = 1 - (_mean(colours, members) - seen_colours[label]).norm() / 255
            else:
                score = torch.tensor(0.0)
            scores[place, cluster] = score
    return scores


def _assign(scores: Tensor) -> list[tuple[int, int]]:
    """Pair labels with clusters, best score first."""
    left, pairs = scores.clone(), []
    for _ in range(len(scores)):
        place, cluster = divmod(int(left.argmax()), len(scores))
        pairs.append((place, cluster))
        left[place, :] = float("-inf")
        left[:, cluster] = float("-inf")
    return pairs
