"""A receiver that is there for each test of webhooks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.webhook_receiver import Receiver, webhook_receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with webhook_receiver() as made:
        yield made
