"""The compose call: images with learned concepts, or a refusal that says why.

call       the call and the order of its steps, which is the promise
options    what it was given, checked before anything is spent
versions   what references mean, verified, or as an earlier call verified it
checking   what must hold of them before drawing, and before handing out
recording  the intent, a refusal, the result: what the registry records
drawing    drawing, and marking what was drawn
question   what it asks policy
explaining  what an explanation of it is made from
key        the idempotency key that it is counted under
grant      the registry's answer, held to what this call knows
remote     drawing by a rendering service
values     what it takes with it, reports and hands out
bar        a bar in the terminal
aio        `acompose`: the same call for event loops
rows       the rows of a campaign, and the file that remembers them
campaign   `variants`: a matrix of calls, resumable

result = sdk.compose(["demo/fox"], "a photo of {demo/fox}", purpose="advertising", territory="JP", channel="web")
"""

import sys
from types import ModuleType

from sdk.compose.aio import acompose
from sdk.compose.bar import progress_bar
from sdk.compose.call import compose
from sdk.compose.campaign import variants
from sdk.compose.rows import Campaign, Outcome, VariantRow
from sdk.compose.values import ComposedImage, ComposeProgress, ComposeStage, Composition

__all__ = [
    "Campaign",
    "ComposeProgress",
    "ComposeStage",
    "ComposedImage",
    "Composition",
    "Outcome",
    "VariantRow",
    "acompose",
    "compose",
    "progress_bar",
    "variants",
]


class _CallableModule(ModuleType):
    """Lets `sdk.compose(...)` mean the call whichever import came first: a submodule shadows a name of its package."""

    __call__ = staticmethod(compose)


sys.modules[__name__].__class__ = _CallableModule
