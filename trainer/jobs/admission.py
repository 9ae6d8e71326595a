"""Whether a training may be asked for at all, decided before a job exists: request, pictures, consent, policy.

In this order:
1. The request agrees with itself: each concept once, each picture's concepts among them, each concept in a
   picture, masks of what the picture shows.
2. Every concept is of the caller's tenant, known to the registry, and of the kind the request says.
3. Every picture and mask was uploaded by the tenant.
4. Policy: the registry's bundle in force, over what the consent and licence records say now, decides "train".
5. A refusal is told to the registry, which decides it again and logs it, so that whom a concept is about can read of it.
   What is refused stays refused if the registry cannot be told.

What a picture shows, and whether it can be trained from, is found out by the job.
"""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime

from sdk.errors import ImprimaturError, InputError, NotFound, PolicyDenied, TrainingInputError
from sdk.policy.engine import enforce
from sdk.policy.facts import training_context, training_facts
from sdk.spec.api import ConceptView
from sdk.spec.denials import WantedConcept, WantedTraining
from sdk.spec.policy import ConceptFacts, Decision, PolicyPrincipal
from sdk.spec.training import ConceptRequest, TrainingRequest
from trainer.jobs.auth import Caller
from trainer.jobs.pictures import PictureStore
from trainer.jobs.ports import OpenPolicy, RegistryPort

_logger = logging.getLogger(__name__)


def admit(
    request: TrainingRequest,
    caller: Caller,
    *,
    registry: RegistryPort,
    open_policy: OpenPolicy,
    pictures: PictureStore,
    at: datetime,
) -> Decision:
    """Return the decision that permits the training.

    Raises:
        PolicyDenied: policy says no, with its reasons.
        InputError: the request contradicts itself, the registry, or the pictures that were uploaded.
        NotFound: a concept or record does not exist, or is another tenant's.
    """
    _check_request(request)  # 1
    concepts = [_check_concept(concept, caller, registry) for concept in request.concepts]  # 2
    _check_pictures(request, caller, pictures)  # 3
    facts = [
        _facts(concept, view, caller, registry, at) for concept, view in zip(request.concepts, concepts, strict=True)
    ]
    asker = PolicyPrincipal(id=caller.principal, roles=tuple(sorted(caller.roles)))
    try:
        return enforce(open_policy(registry.policies()), training_context(asker, facts, at))  # 4
    except PolicyDenied:
        _report(request, caller, registry)  # 5
        raise


def _report(request: TrainingRequest, caller: Caller, registry: RegistryPort) -> None:
    wanted = tuple(
        WantedConcept(concept=concept.id, consents=concept.consents, licences=concept.licences)
        for concept in request.concepts
    )
    try:
        registry.report_denied_training(WantedTraining(concepts=wanted))
    except ImprimaturError as exc:
        _logger.warning("a training that %s was refused is not in the log: %s", caller.principal, exc.message)


def _check_request(request: TrainingRequest) -> None:
    wanted = Counter(concept.id for concept in request.concepts)
    for concept, times in wanted.items():
        if times > 1:
            raise TrainingInputError(f"concept {concept} is listed {times} times; list it once")
    for name, times in Counter(picture.name for picture in request.pictures).items():
        if times > 1:
            raise TrainingInputError(f"{times} pictures are named {name!r}; give each a name of its own")
    for picture in request.pictures:
        for concept in picture.concepts:
            if concept not in wanted:
                raise TrainingInputError(
                    f"picture {picture.name!r} shows {concept}, which is not among the concepts to train; "
                    "add it or leave it out"
                )
        for concept in picture.masks:
            if concept not in picture.concepts:
                raise TrainingInputError(
                    f"picture {picture.name!r} has a mask of {concept}, which it does not show; "
                    "list it among the picture's concepts or leave the mask out"
                )
    for concept in wanted:
        if not any(concept in picture.concepts for picture in request.pictures):
            raise TrainingInputError(f"concept {concept} is in no picture; list it for a picture that shows it")


def _check_concept(concept: ConceptRequest, caller: Caller, registry: RegistryPort) -> ConceptView:
    if concept.id.tenant != caller.tenant:
        raise NotFound(f"there is no concept {concept.id} that {caller.principal} may see")
    view = registry.get_concept(concept.id)
    if view.kind is not concept.kind:
        raise InputError(
            f"concept {concept.id} is a {view.kind.value}, the request says {concept.kind.value}; correct it"
        )
    return view


def _check_pictures(request: TrainingRequest, caller: Caller, pictures: PictureStore) -> None:
    for picture in request.pictures:
        named = {f"picture {picture.name!r}": picture.digest}
        named |= {f"the mask of {concept} in {picture.name!r}": mask for concept, mask in picture.masks.items()}
        for what, digest in named.items():
            if not pictures.has(caller.tenant, digest):
                raise TrainingInputError(f"{what} was not uploaded; PUT its bytes to /v1/pictures/{digest} first")


def _facts(
    concept: ConceptRequest, view: ConceptView, caller: Caller, registry: RegistryPort, at: datetime
) -> ConceptFacts:
    return training_facts(
        concept=concept.id,
        kind=concept.kind,
        owner=view.owner,
        trainer=caller.principal,
        consents=[registry.get_consent(consent) for consent in concept.consents],
        licences=[registry.get_licence(licence) for licence in concept.licences],
        at=at,
    )
