"""TRL's own trainers on a tiny model, and models that say given log-probabilities to them."""

import os
from types import SimpleNamespace

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # TRL reads it when it is imported

import torch
from datasets import Dataset
from small_models import llama, tokenizer
from trl import (
    DPOConfig,
    DPOTrainer,
    GRPOConfig,
    GRPOTrainer,
    KTOConfig,
    KTOTrainer,
    RLOOConfig,
    RLOOTrainer,
)
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

PLAIN = {
    "use_cpu": True,
    "bf16": False,
    "report_to": [],
    "dataloader_pin_memory": False,
    "gradient_checkpointing": False,
    "save_strategy": "no",
    "disable_tqdm": True,
    "logging_strategy": "no",
}
PAIRS = {"prompt": ["ask 1 "] * 2, "chosen": ["high 2"] * 2, "rejected": ["low 3"] * 2}
LABELLED = {"prompt": ["ask 1 "] * 2, "completion": ["high 2"] * 2, "label": [True, False]}


def made(kind, settings, data, folder, **changes):
    """A TRL trainer of a tiny model, in training mode."""
    trainer = kind(
        model=llama(),
        args=settings(output_dir=str(folder), **PLAIN, **changes.pop("args", {})),
        train_dataset=Dataset.from_dict(data),
        processing_class=tokenizer(),
        **changes,
    )
    trainer.model.train()
    return trainer


def dpo(folder):
    return made(DPOTrainer, DPOConfig, PAIRS, folder, ref_model=llama(1))


def kto(folder):
    return made(
        KTOTrainer,
        KTOConfig,
        LABELLED,
        folder,
        ref_model=llama(1),
        args={"train_sampling_strategy": "sequential", "per_device_train_batch_size": 2},
    )


def cpo(folder):
    return made(CPOTrainer, CPOConfig, PAIRS, folder)


def orpo(folder):
    return made(ORPOTrainer, ORPOConfig, PAIRS, folder)


def _generating(kind, settings, folder, **more):
    return made(
        kind,
        settings,
        {"prompt": ["ask 1 "] * 2},
        folder,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args={"per_device_train_batch_size": 4, "num_generations": 2, **more},
    )


def grpo(folder):
    return _generating(GRPOTrainer, GRPOConfig, folder)


def rloo(folder):
    return _generating(RLOOTrainer, RLOOConfig, folder, beta=0.0)


PROMPT = 2
"""Tokens of every prompt where log-probabilities are given: their values do not matter."""


class Saying:
    """A model that gives each token of some answers [N, L] the log-probability it was given."""

    def __init__(self, log_probs, mask):
        shown = torch.where(mask, log_probs, 0.0)
        self._rows = torch.cat([torch.zeros(len(shown), PROMPT - 1), shown], dim=1)

    def __call__(self, **_):
        nothing = torch.zeros_like(self._rows)
        return SimpleNamespace(
            log_probs=self._rows,
            entropy=nothing,
            mean_logits=nothing,
            is_top1=nothing.bool(),
            log_sum_sq_probs=nothing,
        )


def in_order(tensor):
    """[B, K, L] as TRL stacks it: all first answers, then all second ones, [K B, L]."""
    return tensor.transpose(0, 1).flatten(0, 1)


def stacked(batch):
    """What DPOTrainer's collator makes of answers behind prompts of two tokens."""
    answer = in_order(batch.mask).long()
    before = torch.zeros(len(answer), PROMPT, dtype=torch.long)
    completion = torch.cat([before, answer], dim=1)
    return {
        "input_ids": torch.full_like(completion, 5),
        "attention_mask": torch.cat([before + 1, answer], dim=1),
        "completion_mask": completion,
    }
