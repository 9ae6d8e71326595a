"""The optimiser: from a few pictures and the names of what is in them to one embedding and one mask for each.

Mathematics only: no database, no HTTP, no files but the state's own.

    config       every number, named
    loop         the alternation: `fit`, convergence       progress     what it tells on the way
    together     several trainings, one pass
    problem      what stays the same over the rounds       rearrange    cut-and-paste under trusted masks
    e_step       masks from attention                      first_masks  masks where there is no class word
    appearance   pictures vote on one another's masks
    m_step       embeddings under the masks                losses       its two terms
    batches      what an update sees                       windows      the part of a picture that it sees
    guards       when a new mask is not believed           crf          the dense CRF
    attention    reading attention out of the network      prompts      prompts with slots for learned rows
    scene        labels, rows, presence                    latents      cached latents and colours
    state        everything the next round needs

Example:
    state = fit(backbone, training_set, EMConfig(seed=7), on_round=lambda state: save_state(state, path))
"""

from trainer.em.config import EMConfig, parse_config
from trainer.em.loop import fit
from trainer.em.progress import TrainingPhase, TrainingProgress
from trainer.em.state import EMState, load_state, save_state

__all__ = [
    "EMConfig",
    "EMState",
    "TrainingPhase",
    "TrainingProgress",
    "fit",
    "load_state",
    "parse_config",
    "save_state",
]
