"""How a trainer's models are read: as TRL does, answer behind prompt, or packed into one row."""

import contextlib
from collections.abc import Sequence
from typing import Any

from accelerate import Accelerator
from accelerate.utils import is_peft_model
from torch import Tensor
from trl.trainer.utils import add_fused_lm_head, use_adapter

from agents.alignment.batch import Batch
from agents.alignment.language import LanguagePolicy, concatenated
from agents.alignment.readings import Policy


class Fused:
    """Log-probabilities from one padded pass through a model whose head TRL has fused.

    Logits are then never held for all tokens at once, which counts for large vocabularies.
    """

    def __init__(self, model: Any) -> None:
        """`model` has been through TRL's `add_fused_lm_head`, perhaps wrapped since."""
        self._model = model

    def __call__(self, batch: Batch) -> Tensor:
        """Log-probabilities [B, K, L]; 0 outside the mask."""
        tokens, real, answer = concatenated(batch)
        said = self._model(
            input_ids=tokens,
            attention_mask=real.long(),
            labels=tokens.masked_fill(~answer, -100),
            use_cache=False,
            fused_lm_head=True,
        ).log_probs
        width = tokens.shape[1] - 1  # prompt learning of PEFT puts tokens of its own before
        chosen: Tensor = said[:, -width:][answer[:, 1:]]
        return chosen.new_zeros(batch.mask.shape).masked_scatter(batch.mask, chosen)

    def logits(self, batch: Batch) -> Tensor:
        """Logits at each answer token, [B, K, L, V]: these cannot be fused away."""
        return LanguagePolicy(self._model, packed=False).logits(batch)


def reader(model: Any, *, packed: bool) -> Fused | LanguagePolicy:
    """How to read `model`."""
    return LanguagePolicy(model) if packed else Fused(model)


def reference(frozen: Any, trained: Any, accelerator: Accelerator, *, packed: bool) -> Policy:
    """Reads the frozen model; without one, the trained model as it was before its adapter."""

    def read(batch: Batch) -> Tensor:
        if frozen is not None:
            return reader(frozen, packed=packed)(batch)
        model = accelerator.unwrap_model(trained)
        bare: Any = contextlib.nullcontext()
        if is_peft_model(model):
            bare = use_adapter(model, adapter_name="ref" if "ref" in model.peft_config else None)
        with bare:
            return reader(trained, packed=packed)(batch)

    return read


def readable(
    models: Sequence[Any], accelerator: Accelerator, *, packed: bool
) -> list[Fused | LanguagePolicy]:
    """Other models that are read and never trained, on the trainer's devices."""
    readers = []
    for model in models:
        model.requires_grad_(requires_grad=False).eval()
        if not packed:
            add_fused_lm_head(model)
        readers.append(
            reader(accelerator.prepare_model(model, evaluation_mode=True), packed=packed)
        )
    return readers
