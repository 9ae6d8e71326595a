"""Captions: a small grammar that says what a composite shows, and which of its words name which object.

"a photo of a red apple on a wooden table", "a bear next to a violin in the snow", "an animal in a field". A class word
sometimes stands for a seen name, so that the class words, from which concept learning starts, find objects too.
"""

from dataclasses import dataclass

from numpy.random import Generator

from trainer.mini.corpus.scenes import SCENES, Scene
from trainer.mini.corpus.scenes_held_out import HELD_OUT_PLACES
from trainer.mini.corpus.vocabulary import SEEN, WIDE, Thing, held_out

OPENINGS = ("a photo of", "a photo of", "a picture of", "an image of", "")
JOINTS = ("next to", "and", "beside", "with")
SUPPLY = (
    "the this that of on in at by under over near behind above below left right front side with and or no one "
    "two three big small large little tiny old new bright dark light soft happy cute shiny red green blue "
    "yellow purple pink orange white gray black brown golden silver photo picture image painting drawing close "
    "up view style toy thing object animal bird fruit vegetable dessert food flower plant instrument vehicle "
    "ball hat box insect tool machine pot furniture clothes bag place field sky wall floor pattern background "
    "room desert beach forest garden street city mountain river lake park house kitchen office table chair "
    "shop studio person man woman child product logo bottle cup"
)


@dataclass(frozen=True, kw_only=True)
class Caption:
    """Pieces of text in order; `owners[i]` is the index of the object that piece i names, or -1.

    `vectors[i]` is the index of the pseudo-word vector that piece i, a class word, carries, or -1; empty where none do.
    """

    pieces: tuple[str, ...]
    owners: tuple[int, ...]
    vectors: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """The caption as one string."""
        return " ".join(self.pieces)


def with_article(phrase: str) -> str:
    """'apple' to 'an apple'."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def write_caption(rng: Generator, things: tuple[Thing, ...], scene: Scene) -> Caption:
    """A caption for these objects in this scene; no objects gives a scene-only caption."""
    opening = str(rng.choice(OPENINGS))
    pieces: list[tuple[str, int]] = [(opening, -1)] if opening else []
    if not things:
        pieces.append((str(rng.choice(scene.alone)), -1))
    for index, thing in enumerate(things):
        if index:
            pieces.append((str(rng.choice(JOINTS)), -1))
        pieces += _name(rng, thing, index)
    if things and rng.random() < 0.95:
        class_word = rng.random() < 0.08
        pieces.append((scene.kind_phrase if class_word else str(rng.choice(scene.phrases)), -1))
    words, owners = zip(*pieces, strict=True)
    return Caption(pieces=words, owners=owners)


def every_word() -> tuple[str, ...]:
    """All words that captions can hold, the names of held-out concepts, and a general supply, sorted."""
    things = SEEN + WIDE
    texts = [word for thing in things for word in (thing.name, thing.kind, *thing.colors)]
    texts += [text for scene in SCENES + HELD_OUT_PLACES for text in (*scene.phrases, *scene.alone, scene.kind_phrase)]
    texts += [*OPENINGS, *JOINTS, SUPPLY, *(icon.replace("-", " ") for icon in held_out())]
    return tuple(sorted({word for text in texts for word in text.lower().split()}))


def _name(rng: Generator, thing: Thing, index: int) -> list[tuple[str, int]]:
    """Article, perhaps a colour that is true, and the name (or its class word): article and colour own nothing."""
    noun = thing.kind if rng.random() < 0.1 else thing.name
    color = str(rng.choice(thing.colors)) if thing.colors and rng.random() < 0.25 else ""
    article = with_article(color or noun).split()[0]
    return [(f"{article} {color}".strip(), -1), (noun, index)]
