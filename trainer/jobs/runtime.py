"""The `Runtime` of the trainer: settings, database and ports, as one frozen value.

`trainer.app` serves with one, `trainer.worker` works with one, tests make their own. The edge opens transactions;
services take the session and never commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from procrastinate.exceptions import ConnectorException
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from sdk.errors import ServiceUnavailable
from trainer.jobs.ports import Clock, Entropy, OpenPolicy, OpenRegistry
from trainer.settings import TrainerSettings


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What the trainer runs on."""

    settings: TrainerSettings
    sessions: sessionmaker[Session]
    open_registry: OpenRegistry
    open_policy: OpenPolicy
    clock: Clock
    entropy: Entropy

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back when it raises.

        Raises:
            ServiceUnavailable: the database gave no answer.
        """
        try:
            with self.sessions.begin() as session:
                yield session
        except (OperationalError, InterfaceError, ConnectorException) as exc:
            raise ServiceUnavailable("the trainer's database gives no answer; try again in a moment") from exc


def runtime_of(request: Request) -> Runtime:
    """The runtime of the application that serves `request`."""
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDep = Annotated[Runtime, Depends(runtime_of)]
