"""Short texts of records, and what a person is called in them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

ShortText = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]
Salt = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""Random, so that nobody can guess what a digest in the log is of."""
Pseudonym = ShortText
"""What a person is called in records; who that is, is written down elsewhere."""
