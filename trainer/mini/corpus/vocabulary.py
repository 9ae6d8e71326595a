"""The names that the corpus knows: what is drawn, what it is called, which class and colours it has.

A name is *seen* (the base model trains on it), *wide* (seen by the wide preset only) or *held out* (never drawn in
any training picture of any network; the examples and benchmarks teach these as new concepts). Held-out names are
listed in `heldout.txt`, beside this file; it wins over everything written here.

Sprites themselves are rendered in `sprites.py`; words become sentences in `captions.py`.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HELD_OUT_FILE = Path(__file__).with_name("heldout.txt")


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One drawable thing: `name` in captions, `icon` in the icon sets, `code` the code point, `kind` its class word."""

    name: str
    icon: str
    code: str
    kind: str
    colors: tuple[str, ...] = ()


def _thing(line: str) -> Thing:
    name, icon, code, kind, colors = (field.strip() for field in line.split("|"))
    return Thing(name=name, icon=icon, code=code, kind=kind, colors=tuple(colors.split()))


def _table(text: str) -> tuple[Thing, ...]:
    return tuple(_thing(line) for line in text.strip().splitlines())


# name | icon | code point | class word | colours that are true of every style used
SEEN: tuple[Thing, ...] = _table(
    """
    cat | cat-face | 1f431 | animal | yellow
    dog | dog-face | 1f436 | animal | brown
    lion | lion | 1f981 | animal | orange
    tiger | tiger-face | 1f42f | animal | orange
    panda | panda | 1f43c | animal | black white
    bear | bear | 1f43b | animal | brown
    pig | pig-face | 1f437 | animal | pink
    frog | frog | 1f438 | animal | green
    rabbit | rabbit-face | 1f430 | animal | white
    monkey | monkey-face | 1f435 | animal | brown
    mouse | mouse-face | 1f42d | animal | gray
    turtle | turtle | 1f422 | animal | green
    elephant | elephant | 1f418 | animal | gray
    chick | front-facing-baby-chick | 1f425 | bird | yellow
    owl | owl | 1f989 | bird | brown
    duck | duck | 1f986 | bird |
    apple | red-apple | 1f34e | fruit | red
    banana | banana | 1f34c | fruit | yellow
    strawberry | strawberry | 1f353 | fruit | red
    orange | tangerine | 1f34a | fruit | orange
    pear | pear | 1f350 | fruit | green
    watermelon | watermelon | 1f349 | fruit | red green
    tomato | tomato | 1f345 | vegetable | red
    carrot | carrot | 1f955 | vegetable | orange
    doughnut | doughnut | 1f369 | dessert |
    cake | birthday-cake | 1f382 | dessert |
    ice cream | soft-ice-cream | 1f366 | dessert | white
    hamburger | hamburger | 1f354 | food |
    pizza | pizza | 1f355 | food |
    sunflower | sunflower | 1f33b | flower | yellow
    tulip | tulip | 1f337 | flower | pink
    cactus | cactus | 1f335 | plant | green
    tree | christmas-tree | 1f384 | plant | green
    violin | violin | 1f3bb | instrument | brown
    drum | drum | 1f941 | instrument | red
    bus | bus | 1f68c | vehicle | yellow
    car | automobile | 1f697 | vehicle | red
    rocket | rocket | 1f680 | vehicle | gray
    basketball | basketball | 1f3c0 | ball | orange
    football | soccer-ball | 26bd | ball | blue
    robot | robot | 1f916 | toy | gray
    snowman | snowman-without-snow | 26c4 | toy | white
    pumpkin | jack-o-lantern | 1f383 | toy | orange
    crown | crown | 1f451 | hat | yellow
    balloon | balloon | 1f388 | toy | red
    gift | wrapped-gift | 1f381 | box | yellow
    """
)

WIDE: tuple[Thing, ...] = _table(
    """
    koala | koala | 1f428 | animal | gray
    hamster | hamster | 1f439 | animal | orange
    wolf | wolf | 1f43a | animal | gray
    cow | cow-face | 1f42e | animal | white
    horse | horse-face | 1f434 | animal | brown
    gorilla | gorilla | 1f98d | animal | gray
    snail | snail | 1f40c | animal | brown
    whale | whale | 1f40b | animal | blue
    octopus | octopus | 1f419 | animal | red
    crab | crab | 1f980 | animal | red
    fish | tropical-fish | 1f420 | animal |
    butterfly | butterfly | 1f98b | insect | blue
    bee | honeybee | 1f41d | insect | yellow
    ladybug | lady-beetle | 1f41e | insect | red
    swan | swan | 1f9a2 | bird | white
    rooster | rooster | 1f413 | bird | white
    eagle | eagle | 1f985 | bird | brown
    grapes | grapes | 1f347 | fruit | purple
    lemon | lemon | 1f34b | fruit | yellow
    cherries | cherries | 1f352 | fruit | red
    melon | melon | 1f348 | fruit | green
    avocado | avocado | 1f951 | fruit | green
    corn | ear-of-corn | 1f33d | vegetable | yellow
    broccoli | broccoli | 1f966 | vegetable | green
    potato | potato | 1f954 | vegetable | brown
    cookie | cookie | 1f36a | dessert | brown
    custard | custard | 1f36e | dessert | yellow
    pancakes | pancakes | 1f95e | dessert | yellow
    bread | bread | 1f35e | food | brown
    egg | egg | 1f95a | food | white
    hot dog | hot-dog | 1f32d | food |
    rose | rose | 1f339 | flower | red
    hibiscus | hibiscus | 1f33a | flower | pink
    trumpet | trumpet | 1f3ba | instrument | yellow
    bell | bell | 1f514 | instrument | yellow
    train | locomotive | 1f682 | vehicle | gray
    taxi | taxi | 1f695 | vehicle | yellow
    truck | delivery-truck | 1f69a | vehicle |
    airplane | airplane | 2708 | vehicle | blue
    sailboat | sailboat | 26f5 | vehicle |
    baseball | baseball | 26be | ball | white
    volleyball | volleyball | 1f3d0 | ball | yellow
    top hat | top-hat | 1f3a9 | hat | black
    alien | alien | 1f47d | toy | green
    ghost | ghost | 1f47b | toy | white
    skull | skull | 1f480 | toy | white
    yarn | yarn | 1f9f6 | ball | red
    umbrella | umbrella | 2602 | tool | purple
    hammer | hammer | 1f528 | tool | gray
    scissors | scissors | 2702 | tool | red
    camera | camera | 1f4f7 | machine | black
    television | television | 1f4fa | machine |
    telephone | telephone | 260e | machine | red
    teapot | teapot | 1fad6 | pot |
    chair | chair | 1fa91 | furniture | brown
    door | door | 1f6aa | furniture | brown
    key | key | 1f511 | tool | yellow
    shoe | running-shoe | 1f45f | clothes |
    backpack | backpack | 1f392 | bag |
    book | closed-book | 1f4d5 | book | red
    """
)


@cache
def held_out() -> dict[str, str]:
    """The held-out names and their class words, `{icon: class word}`, as committed in `heldout.txt`."""
    lines = (line.split("#")[0].strip() for line in _HELD_OUT_FILE.read_text().splitlines())
    return dict(line.split() for line in lines if line and not line.startswith("scene:"))


def seen(*, wide: bool) -> tuple[Thing, ...]:
    """The names a preset trains on; held-out names are never among them."""
    things = SEEN + WIDE if wide else SEEN
    return tuple(thing for thing in things if thing.icon not in held_out())


def kinds(*, wide: bool) -> tuple[str, ...]:
    """The class words of the seen names, in order, once each."""
    return tuple(dict.fromkeys(thing.kind for thing in seen(wide=wide)))
