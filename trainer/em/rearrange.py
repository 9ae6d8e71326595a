"""Cut-and-paste augmentation with our own masks: the same things at other places and sizes, in one another's pictures.

After "Cut, Paste and Learn" (Dwibedi et al., arXiv 1708.01642). A few pictures show each subject at a few places, before
a few grounds, and a token learns those along with it. Once masks are trusted, each picture gets rearranged copies: its
subjects are taken out and the hole filled from around it, then each is set somewhere else, cut from any picture that
shows it. What fills a hole belongs to no label, so no token is taught the smear. Pictures of these copies are made anew
for every M-step; the E-step never sees them.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Generator, Tensor
from torch.nn import functional

from trainer.backbone import Backbone
from trainer.em.latents import Observed, encode_both_flips, resize
from trainer.em.scene import Scene

SMALLEST, LARGEST = 0.7, 1.3  # range of a cut-out's new size, relative to its old one
WIDEST = 0.95  # share of the picture's side that a cut-out may take
RIM = 0.02  # share of the side
MIN_CUT = 0.01  # share of a picture below which a mask is too small to cut out


def with_rearranged(
    backbone: Backbone, scene: Scene, observed: Observed, masks: Tensor, copies: int, generator: Generator
) -> tuple[Scene, Observed, Tensor]:
    """`scene`, `observed` and hard `masks` [N, K, G, G] with `copies` rearranged copies of each picture behind them."""
    if not copies or all(scene.backgrounds):
        return scene, observed, masks
    pixels = torch.stack([picture.pixels for picture in scene.pictures]).float()  # [N, 3, S, S]
    owners = (resize(masks.cpu(), pixels.shape[-1]) > 0.5).float()  # [N, K, S, S]
    order = [number for _ in range(copies) for number in range(len(pixels))]
    drawn = [rearrange(scene, pixels, owners, number, generator) for number in order]
    made, shown = (torch.stack(parts) for parts in zip(*drawn, strict=True))
    mean, std = encode_both_flips(backbone, made)
    more = dataclasses.replace(
        scene,
        presence=torch.cat([scene.presence, scene.presence[order]]),
        unnamed=(*scene.unnamed, *(scene.unnamed[number] for number in order)),
        pictures=(*scene.pictures, *(scene.pictures[number] for number in order)),
    )
    latents = dataclasses.replace(
        observed, mean=torch.cat([observed.mean, mean], dim=1), std=torch.cat([observed.std, std], dim=1)
    )
    return more, latents, torch.cat([masks, resize(shown, masks.shape[-1]).to(masks)])


def rearrange(scene: Scene, pixels: Tensor, owners: Tensor, number: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """One copy of picture `number`: pixels [3, S, S] and masks [K, S, S], zero where a hole was filled.

    A picture of which no mask says anything stays as it is.
    """
    if not owners[number].any():
        return pixels[number], owners[number]
    behind = torch.tensor(scene.backgrounds)
    ground = eroded(owners[number, behind].amax(dim=0))
    picture, shown = fill(pixels[number], ground), owners[number] * behind[:, None, None]
    subjects = [label for label in scene.present(number) if not scene.backgrounds[label]]
    for at in torch.randperm(len(subjects), generator=generator).tolist():
        sources = cut_sources(owners[:, subjects[at]])
        if not sources:
            continue
        source = sources[int(torch.randint(len(sources), (), generator=generator))]
        cut, mask = moved(pixels[source], owners[source, subjects[at]], generator)
        picture = picture * (1 - mask) + cut * mask
        shown = shown * (1 - mask)
        shown[subjects[at]] = mask
    return picture, shown


def cut_sources(masks: Tensor) -> list[int]:
    """Pictures whose mask [N, S, S] is large enough to cut out; those that the border cuts only if there is no other."""
    enough = masks.mean(dim=(1, 2)) >= MIN_CUT
    rim = torch.stack([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]]).amax(dim=(0, 2)) > 0
    whole = enough & ~rim
    return (whole if whole.any() else enough).nonzero().flatten().tolist()


def moved(picture: Tensor, mask: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """A picture [3, S, S] and its mask [S, S], resized and shifted together so that the masked part stays inside."""
    cells = mask.nonzero().float() * 2 / (len(mask) - 1) - 1  # [n, 2], y and x in -1..1
    low, high = cells.amin(dim=0), cells.amax(dim=0)
    middle, half = (low + high) / 2, (high - low) / 2
    draw = torch.rand(3, generator=generator)
    scale = (SMALLEST + (LARGEST - SMALLEST) * draw[0]).clamp(max=WIDEST / float(half.max().clamp_min(1e-3)))
    target = (2 * draw[1:] - 1) * (1 - half * scale).clamp_min(0)
    shift = middle - target / scale
    y, x = shift.tolist()
    back = torch.tensor([[1 / float(scale), 0.0, x], [0.0, 1 / float(scale), y]])
    both = torch.cat([picture, mask[None]])[None]
    grid = functional.affine_grid(back[None], list(both.shape), align_corners=True)
    out = functional.grid_sample(both, grid, align_corners=True)[0]
    return out[:3], (out[3] > 0.5).float()


def eroded(mask: Tensor) -> Tensor:
    """`mask` [S, S] without a rim of `RIM`: masks are coarser than pictures, and a rim of a subject would be smeared."""
    reach = max(1, round(RIM * len(mask)))
    return 1 - functional.max_pool2d(1 - mask[None], 2 * reach + 1, stride=1, padding=reach)[0]


def fill(picture: Tensor, known: Tensor) -> Tensor:
    """`picture` [3, S, S] with all that is not `known` [S, S] filled from around it, coarse to fine (pull-push)."""
    if min(picture.shape[-2:]) == 1 or known.all():
        return picture
    padded = functional.pad(
        torch.cat([picture * known, known[None]]), (0, picture.shape[-1] % 2, 0, picture.shape[-2] % 2)
    )
    half = functional.avg_pool2d(padded[None], 2)[0]
    weight = half[3:]
    coarse = fill(half[:3] / weight.clamp_min(1e-6), (weight[0] > 0).float())
    spread = functional.interpolate(coarse[None], size=picture.shape[-2:], mode="bilinear", align_corners=False)[0]
    return picture * known + spread * (1 - known)
