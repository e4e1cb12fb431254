"""Rows of the method table on fixed data, inside TRL's DPOTrainer.

TRL prepares the data, wraps the model (accelerate, PEFT, several devices), steps, logs and saves;
the batch, its readings and the loss are ours.
"""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import is_peft_model
from datasets import Dataset
from datasets.fingerprint import Hasher
from torch import Tensor
from trl import DPOTrainer

from agents.alignment.batch import AlignmentError, Batch
from agents.alignment.carrier import data
from agents.alignment.carrier.reading import readable, reader, reference
from agents.alignment.carrier.row import (
    Row,
    reads_apart,
    require_one_process,
    require_untouched,
    watched,
)
from agents.alignment.language import unwrapped
from agents.alignment.method import Method
from agents.alignment.packing import require_packable
from agents.alignment.readings import Models
from agents.alignment.references import frozen

NOT_READ = (
    "loss_type",
    "loss_weights",
    "beta",
    "label_smoothing",
    "f_divergence_type",
    "ld_alpha",
    "use_weighting",
    "discopop_tau",
    "truncation_mode",
)
"""Settings of DPOConfig that are the row's matter, or no longer TRL's own."""


class FixedTrainer(DPOTrainer):
    """TRL's DPOTrainer with the loss of a row, for pairs, lists and labelled answers.

    Takes what DPOTrainer takes, by name, and
    method      the row, with its settings
    packed      run each prompt once and pad nothing: faster, for models with full attention
    history     past policies, the latest first, for rows that read them
    teachers    models, for rows that read them
    """

    def __init__(
        self,
        *,
        method: Method,
        model: Any,
        args: Any,
        ref_model: Any = None,
        packed: bool = False,
        history: Sequence[Any] = (),
        teachers: Sequence[Any] = (),
        **settings: Any,
    ) -> None:
        if method.samplers is not None:
            raise AlignmentError(
                f"{method.name} learns from answers drawn as it goes, not from fixed data\n"
                "  carrier.trainers.fresh draws them"
            )
        require_untouched(args, NOT_READ, method)
        self.row, self._packed = Row(method), packed
        args = copy.copy(args)
        if not self.row.refers:
            args.precompute_ref_log_probs = True  # TRL then keeps no reference; nor do we make one
        elif self.row.crosses and args.precompute_ref_log_probs:
            raise AlignmentError(
                f"{method.name} asks the reference of each batch's answers to other prompts\n"
                "  leave out precompute_ref_log_probs"
            )
        elif not (
            ref_model is not None
            or args.precompute_ref_log_probs
            or isinstance(model, str)
            or is_peft_model(model)
            or settings.get("peft_config") is not None
        ):
            ref_model = frozen(model)
        super().__init__(
            model=model,
            ref_model=ref_model,
            args=args,
            data_collator=data.Collator(args.max_length),
            **settings,
        )
        require_one_process(method, self.accelerator.num_processes)
        self._past = readable(history, self.accelerator, packed=packed)
        self._taught = readable(teachers, self.accelerator, packed=packed)
        if packed:
            require_packable(unwrapped(self.model))

    def _prepare_dataset(self, dataset: Any, tokenizer: Any, args: Any, name: str) -> Any:
        columns = set(next(iter(dataset)))
        if "prompt_ids" in columns:
            return dataset

        def prepare(pairs: Any) -> Any:
            return DPOTrainer._prepare_dataset(self, pairs, tokenizer, args, name)  # noqa: SLF001

        if "responses" in columns:
            return self._numbered(data.listed(self._whole(dataset), prepare))
        if "completion" in columns:
            if not reads_apart(self.row.method):
                raise AlignmentError(
                    f"{self.row.method.name} compares the two answers of one prompt, and these "
                    "are labelled one by one\n  kto and apo_zero read each answer on its own"
                )
            return data.labelled(self._whole(dataset), prepare)
        return self._numbered(prepare(dataset))

    @staticmethod
    def _whole(dataset: Any) -> Dataset:
        if not isinstance(dataset, Dataset):
            raise AlignmentError(
                f"{type(dataset).__name__} of lists or labelled answers\n"
                "  give a datasets.Dataset: cases are put together before training"
            )
        return dataset

    def _numbered(self, dataset: Any) -> Any:
        """Rows that remember something of each case know which it is."""
        if "rows" in self.row.method.defaults and "rows" not in dataset.column_names:
            return dataset.add_column("rows", list(range(len(dataset))))
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = data.COLUMNS

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """Each token's log-probability, where TRL keeps sums; every process reads all data."""
        if not self.row.refers:
            return dataset

        def read(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
            values = zip(*columns.values(), strict=True)
            cases = [dict(zip(columns, value, strict=True)) for value in values]
            tensors = self.data_collator(cases)
            batch = Batch(**{k: v.to(self.accelerator.device) for k, v in tensors.items()})
            with torch.no_grad():
                said = self._reference(batch)
            return {"reference": list(data.as_lists(said, batch.mask))}

        kept = [column for column in dataset.column_names if column in data.COLUMNS]
        return dataset.select_columns(kept).map(
            read,
            batched=True,
            batch_size=batch_size,
            new_fingerprint=Hasher.hash((dataset._fingerprint, self._precompute_model_hash)),  # noqa: SLF001
            desc=f"Reading the reference on {name} data",
        )

    def _reference(self, batch: Batch) -> Tensor:
        return reference(self.ref_model, self.model, self.accelerator, packed=self._packed)(batch)

    def _compute_loss(self, model: Any, inputs: dict[str, Tensor], return_outputs: bool) -> Tensor:  # noqa: FBT001 - TRL calls it so
        if return_outputs:
            raise AlignmentError(
                "compute_metrics wants logits, which are not kept\n  leave compute_metrics out"
            )
        loss, batch = self.row.loss(
            Batch(**inputs),
            Models(
                policy=reader(model, packed=self._packed),
                reference=self._reference,
                history=lambda: self._past,
                teachers=self._taught,
            ),
            learns=self.model.training,
        )
        seen = self._metrics["train" if self.model.training else "eval"]
        for name, value in watched(batch).items():
            seen[name].append(self.accelerator.gather(value).mean().item())
        return loss

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            self.row.save(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self.row.load(Path(resume_from_checkpoint), device=str(self.accelerator.device))

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: the batch is not one of token ids alone."""
        del inputs
        return 0

    def _send_telemetry(self) -> None:
        """Nothing: what is trained here is nobody else's business."""
