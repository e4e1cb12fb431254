"""Rows of the method table on answers drawn as it goes, inside TRL's GRPOTrainer.

TRL draws the answers, asks the reward functions, wraps the model, steps, logs and saves; what is
made of the rewards is ours: advantages, preferences, levels, whatever the row reads.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import is_peft_model
from torch import Tensor
from trl import GRPOTrainer
from trl.models import prepare_deepspeed, prepare_fsdp
from trl.trainer.utils import add_fused_lm_head

from agents.alignment.batch import AlignmentError, Batch
from agents.alignment.carrier.reading import readable, reader, reference
from agents.alignment.carrier.row import Row, require_one_process, require_untouched, watched
from agents.alignment.language import unwrapped
from agents.alignment.method import Method
from agents.alignment.packing import require_packable
from agents.alignment.readings import Models
from agents.alignment.references import frozen
from agents.alignment.sources import Judge, Sampler

NOT_READ = (
    "loss_type",
    "beta",
    "epsilon",
    "epsilon_high",
    "delta",
    "importance_sampling_level",
    "scale_rewards",
    "multi_objective_aggregation",
    "mask_truncated_completions",
    "top_entropy_quantile",
    "entropy_coef",
    "off_policy_mask_threshold",
    "use_bias_correction_kl",
    "sync_ref_model",
    "use_vllm",
    "temperature",
)
"""Settings of GRPOConfig that are the row's matter, or that no row was tried with."""

_ORDER, _REWARDS = "institutional_order", "institutional_rewards"


class FreshTrainer(GRPOTrainer):
    """TRL's GRPOTrainer with the loss of a row; K answers to each prompt are its num_generations.

    Takes what GRPOTrainer takes, by name, and
    method      the row, with its settings
    judge       what is made of the rewards (`sources`): nothing more than scores, unless given
    ref_model   the reference, if not the model as it is at the start
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
        judge: Judge | None = None,
        ref_model: Any = None,
        packed: bool = False,
        history: Sequence[Any] = (),
        teachers: Sequence[Any] = (),
        **settings: Any,
    ) -> None:
        require_untouched(args, NOT_READ, method)
        _require_own_answers(method)
        if isinstance(model, str):
            raise AlignmentError(
                f'model="{model}" is a name\n  give the model: from_pretrained("{model}")'
            )
        self.row, self._judge, self._packed = Row(method), judge, packed
        adapted = is_peft_model(model) or settings.get("peft_config") is not None
        if self.row.refers and ref_model is None and not adapted:
            ref_model = frozen(model)  # before TRL changes its forward
        super().__init__(model=model, args=args, **settings)
        require_one_process(method, self.accelerator.num_processes)
        if (
            args.steps_per_generation != 1
            or args.per_device_train_batch_size % args.num_generations
        ):
            raise AlignmentError(
                f"steps_per_generation={args.steps_per_generation} and batches of "
                f"{args.per_device_train_batch_size} would part the {args.num_generations} answers "
                "to a prompt\n  give steps_per_generation=1 and a per_device_train_batch_size "
                "that is a multiple of num_generations"
            )
        self.ref_model = self._prepared(ref_model)
        self._past = readable(history, self.accelerator, packed=packed)
        self._taught = readable(teachers, self.accelerator, packed=packed)
        self._rewards = torch.zeros(0)
        if packed:
            require_packable(unwrapped(self.model))

    def _prepared(self, model: Any) -> Any:
        """The reference where its batches are, as TRL does it for one of its own."""
        if model is None:
            return None
        model.requires_grad_(requires_grad=False).eval()
        add_fused_lm_head(model)
        if self.is_deepspeed_enabled:
            return prepare_deepspeed(model, self.accelerator)
        if self.is_fsdp_enabled:
            return prepare_fsdp(model, self.accelerator)
        return self.accelerator.prepare_model(model, evaluation_mode=True)

    def _calculate_rewards(self, *given: Any) -> Tensor:
        self._rewards = super()._calculate_rewards(*given)
        return self._rewards

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        """TRL's, with this process's rewards of each function and the order before it shuffles."""
        made: dict[str, Any] = super()._generate_and_score_completions(inputs)
        count = len(made["completion_ids"])
        first = self.accelerator.process_index * count
        made[_REWARDS] = self._rewards[first : first + count]
        made[_ORDER] = torch.arange(count, device=made["completion_ids"].device)
        return made

    def grouped(self, inputs: dict[str, Tensor]) -> Batch:
        """What TRL made, prompt by prompt."""
        training = self.model.training
        count = self.num_generations if training else self.num_generations_eval
        order = inputs[_ORDER].argsort()

        def by_prompt(tensor: Tensor) -> Tensor:
            return tensor[order].view(-1, count, *tensor.shape[1:])

        prompts = inputs["prompt_ids"].masked_fill(inputs["prompt_mask"] == 0, -1)
        mask = inputs["completion_mask"]
        if "tool_mask" in inputs:
            raise AlignmentError(
                "answers with the replies of tools between their tokens\n"
                "  a batch has no place for tokens that are read and not said: leave tools out"
            )
        rewards = by_prompt(inputs[_REWARDS]) * self.reward_weights.to(mask.device)
        old = inputs.get("old_per_token_logps")
        batch = Batch(
            prompts=by_prompt(prompts)[:, 0],
            responses=by_prompt(inputs["completion_ids"]),
            mask=by_prompt(mask).bool(),
            behaviour=None if old is None else by_prompt(old),
            scores=rewards.nansum(dim=-1),
            objectives=rewards.movedim(-1, 0) if rewards.isfinite().all() else None,
        )
        if self._judge is None:
            return batch
        # A seed of its own for each step: a resumed run tosses the same coins.
        seed = 1_000_003 * self.args.seed + self.state.global_step
        return self._judge(batch, torch.Generator(mask.device).manual_seed(seed))

    def _compute_loss(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        loss, batch = self.row.loss(
            self.grouped(inputs),
            Models(
                policy=reader(model, packed=self._packed),
                reference=reference(
                    self.ref_model, self.model, self.accelerator, packed=self._packed
                ),
                history=lambda: self._past,
                teachers=self._taught,
            ),
            learns=self.model.training,
        )
        seen = self._metrics["train" if self.model.training else "eval"]
        for name, value in watched(batch).items():
            seen[name].append(self.accelerator.gather(value).mean().item())
        return loss / (self.current_gradient_accumulation_steps if self.model.training else 1)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            self.row.save(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self.row.load(Path(resume_from_checkpoint), device=str(self.accelerator.device))

    def _send_telemetry(self) -> None:
        """Nothing: what is trained here is nobody else's business."""


def _require_own_answers(method: Method) -> None:
    """AlignmentError where answers are to come from a mixture, which GRPOTrainer cannot draw."""

    def mixed(share: float) -> Sampler:
        raise AlignmentError(
            f"{method.name} draws from a mixture with {share:g} of the reference, "
            "and GRPOTrainer draws from the policy alone\n"
            "  online_ipo does without the mixture; over arms, agents.alignment.train draws both"
        )

    if method.samplers is not None:
        method.samplers(_Nobody(), mixed)


class _Nobody:
    """Stands for the policy where only the question is who draws."""

    def draw(self, batch: Batch, generator: torch.Generator) -> Any:
        """Never asked."""
        raise NotImplementedError
