"""The error tree: the drawing in `sdk/errors.py` is the code, and every code is stable and unique."""

from __future__ import annotations

import inspect
import re

from sdk import errors
from sdk.errors import ImprimaturError

CLASSES = {name: cls for name, cls in vars(errors).items() if inspect.isclass(cls) and issubclass(cls, ImprimaturError)}


def drawn_tree() -> dict[str, str]:
    """Class name to code, as drawn in the module docstring."""
    lines = re.findall(r"^[ |`-]*([A-Z]\w+)\s+([a-z_]+\.[a-z_]+)", errors.__doc__ or "", flags=re.MULTILINE)
    return dict(lines)


class TestErrorTree:
    def test_drawing_names_every_class_with_its_code(self) -> None:
        expected = {name: cls.code for name, cls in CLASSES.items() if cls is not ImprimaturError}
        assert drawn_tree() == expected

    def test_codes_are_unique(self) -> None:
        codes = [cls.code for cls in CLASSES.values()]
        assert len(set(codes)) == len(codes)

    def test_every_class_says_what_it_means(self) -> None:
        assert [name for name, cls in CLASSES.items() if not cls.__doc__] == []
