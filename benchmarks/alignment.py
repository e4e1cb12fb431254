"""One preference step on a language model of two million parameters, ours and TRL's; bandit steps.

Both learn from the same pairs on the same machine, in turn: after each step of TRL's trainer (all
between two of its steps counts) comes one of our loop. Twice: TRL at its fastest, reference read
before and activations kept; and as it comes, reference run each step and activations made again,
as then ours are. Memory is what steps take beyond what a process held before them, each way in a
process of its own.

`python -m benchmarks.alignment ours|trl kept|again` prints that memory in MiB.
"""

import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch

from agents.alignment import bandit
from agents.alignment.batch import Batch, single
from agents.alignment.language import LanguagePolicy, alike, written
from agents.alignment.methods import method
from agents.alignment.optimizers import Descent
from agents.alignment.references import frozen
from agents.alignment.sources import fixed
from agents.alignment.train import Step, steps
from benchmarks.timing import Target, medians

PAIRS, WORDS, SIZE = 256, 832, 16
STEPS, FIRST = 14, 3
"""Steps taken of each, and how many of them warm up."""
BANDIT_STEPS = 400

torch.set_num_threads(1)  # two threads on two busy cores are ten times as slow as one


class Clipped:
    """AdamW as TRL's trainer uses it: fused, with gradients of norm 1 at most."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._weights = list(model.parameters())
        self._adam = torch.optim.AdamW(self._weights, lr=1e-5, weight_decay=0.0, fused=True)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._adam.zero_grad()

    def step(self) -> None:
        """Move the weights once."""
        torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        self._adam.step()


def model(*, kept: bool = True) -> Any:
    """A Llama of 2.1 million parameters, always the same; activations `kept` or made again."""
    from transformers import LlamaConfig, LlamaForCausalLM  # noqa: PLC0415 - as long as TRL takes

    torch.manual_seed(0)
    made = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=WORDS + 3,
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=6,
            num_key_value_heads=6,
            max_position_embeddings=256,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    )
    if not kept:
        made.activation_checkpointing_enable()
    return made.train()


def text() -> dict[str, list[str]]:
    """Pairs whose prompts have 8 to 64 words, their answers 4 to 32."""
    draw = torch.Generator().manual_seed(1)

    def sentence(least: int, most: int) -> str:
        length = int(torch.randint(least, most + 1, (), generator=draw))
        words = torch.randint(WORDS, (length,), generator=draw).tolist()
        return " ".join(f"w{word}" for word in words)

    return {
        "prompt": [sentence(8, 64) + " " for _ in range(PAIRS)],
        "chosen": [sentence(4, 31) + " " for _ in range(PAIRS)],
        "rejected": [sentence(4, 31) + " " for _ in range(PAIRS)],
    }


def trl_trainer(folder: str, *, kept: bool) -> Any:
    """DPOTrainer at its fastest, activations `kept`, or as it comes."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    from datasets import Dataset, disable_progress_bars  # noqa: PLC0415 - takes seconds
    from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: PLC0415 - likewise
    from transformers import PreTrainedTokenizerFast, PrinterCallback  # noqa: PLC0415 - likewise
    from trl import DPOConfig, DPOTrainer  # noqa: PLC0415 - likewise

    disable_progress_bars()
    os.environ["TQDM_DISABLE"] = "1"
    words = ["<pad>", "<s>", "</s>", *(f"w{at}" for at in range(WORDS))]
    known = {word: at for at, word in enumerate(words)}
    inner = Tokenizer(models.WordLevel(known, unk_token=words[0]))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {f"{name}_token": words[at] for at, name in enumerate(("pad", "bos", "eos"))}
    faster = {"precompute_ref_log_probs": True, "gradient_checkpointing": False}
    trainer = DPOTrainer(
        model=model(),
        ref_model=None if kept else model(),
        args=DPOConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=False,
            report_to=[],
            dataloader_pin_memory=False,
            disable_tqdm=True,
            save_strategy="no",
            logging_strategy="no",
            per_device_train_batch_size=SIZE,
            learning_rate=1e-5,
            max_steps=STEPS,
            **(faster if kept else {}),
        ),
        train_dataset=Dataset.from_dict(text()),
        processing_class=PreTrainedTokenizerFast(tokenizer_object=inner, **special),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def tokens() -> Batch:
    """The same pairs as one batch: word w7 is token 10, and 2 ends an answer."""
    pairs = text()

    def ids(words: str) -> list[int]:
        return [int(word[1:]) + 3 for word in words.split()]

    answers = zip(pairs["chosen"], pairs["rejected"], strict=True)
    return written(
        [ids(prompt) for prompt in pairs["prompt"]],
        [[[*ids(answer), 2] for answer in pair] for pair in answers],
    )


def our_steps(data: Batch, *, kept: bool) -> Iterator[Step]:
    """DPO in our loop, packed, the reference read once before."""
    policy = LanguagePolicy(model(kept=kept))
    reference = frozen(policy)
    with torch.no_grad():
        known = torch.cat([reference(data.picked(part)) for part in torch.arange(PAIRS).split(64)])
    read = Batch(responses=data.responses, mask=data.mask, prompts=data.prompts, reference=known)
    batches = alike(read, size=SIZE, generator=torch.Generator().manual_seed(2))
    return steps(method("dpo"), policy, batches, Clipped(policy))


def in_turn(*, kept: bool) -> tuple[float, float]:
    """CPU seconds of a step of TRL's and of ours, medians."""
    from transformers import TrainerCallback  # noqa: PLC0415 - takes seconds

    with tempfile.TemporaryDirectory() as folder:
        trainer = trl_trainer(folder, kept=kept)
        data = tokens()
        require_equal_losses(trainer, data)
        ours, times = our_steps(data, kept=kept), {"trl": [], "ours": []}
        marks = [time.process_time()]

        class Turn(TrainerCallback):
            """One step of ours after each of TRL's."""

            def on_step_end(self, *_: object, **__: object) -> None:
                """TRL's turn ends here, and begins again when this returns."""
                marks.append(time.process_time())
                times["trl"].append(marks[-1] - marks[-2])
                next(ours)
                marks.append(time.process_time())
                times["ours"].append(marks[-1] - marks[-2])

        trainer.add_callback(Turn())
        trainer.train()
    return median(times["trl"][FIRST:]), median(times["ours"][FIRST:])


def require_equal_losses(trainer: Any, data: Batch) -> None:
    """Both ways see one loss in a batch, of a policy that has left its reference."""
    policy = LanguagePolicy(model())
    reference, moved = frozen(policy), trainer.model.state_dict()
    before = {name: weight.clone() for name, weight in moved.items()}
    with torch.no_grad():
        for name, weight in policy.model.state_dict().items():
            weight.mul_(1.2)
            moved[name].copy_(weight)
    rows = [trainer.train_dataset[at] for at in range(SIZE)]
    with torch.no_grad():
        theirs = trainer.compute_loss(trainer.model, trainer.data_collator(rows)).item()
    still = Descent(policy.parameters(), rate=0.0)
    batch = data.picked(torch.arange(SIZE))
    ours = next(steps(method("dpo"), policy, [batch], still, reference=reference)).loss
    trainer.model.load_state_dict(before)
    assert abs(ours - theirs) < 1e-4, (ours, theirs)
    assert abs(ours - 0.6931) > 1e-3, ours  # log 2 would be the loss of two equal policies


def memory(way: str, *, kept: bool) -> float:
    """MiB that steps take beyond what the process held before the first of them."""
    with tempfile.TemporaryDirectory() as folder:
        run = trl_trainer(folder, kept=kept).train if way == "trl" else ours_alone(kept=kept)
        before = held("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
        run()
        return (held("VmHWM") - before) / 1024


def ours_alone(*, kept: bool) -> Callable[[], object]:
    """As many steps of ours as TRL's trainer takes."""
    learning = our_steps(tokens(), kept=kept)
    return lambda: deque(islice(learning, STEPS), maxlen=0)


def held(what: str) -> int:
    """KiB that this process holds (VmRSS) or held at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


def memory_apart(way: str, activations: str) -> float:
    """`memory`, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.alignment", way, activations]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def bandit_rates() -> tuple[float, float]:
    """DPO steps per CPU second on a table of 16 by 15, batches of 64: our loop, and bare torch."""
    draw = torch.Generator().manual_seed(0)
    which = torch.randint(16, (1024,), generator=draw)
    arms = torch.rand(1024, 15, generator=draw).argsort(dim=1)[:, :2]
    data = single(arms, prompts=which)

    def ours() -> None:
        policy = bandit.tabular(16, 15)
        batches = fixed(data, size=64, generator=torch.Generator().manual_seed(1))
        learning = steps(
            method("dpo"),
            policy,
            batches,
            Descent(policy.parameters(), rate=0.1),
            reference=frozen(policy),
        )
        for _ in range(BANDIT_STEPS):
            next(learning)

    return BANDIT_STEPS / medians(ours, repeats=3)[0], BANDIT_STEPS / bare(which, arms)


def bare(which: torch.Tensor, arms: torch.Tensor) -> float:
    """CPU seconds of the same steps with nothing around them: no batch, no check, no method."""

    def work() -> None:
        table = torch.zeros(16, 15, dtype=torch.float64, requires_grad=True)
        reference = torch.zeros(16, 15, dtype=torch.float64).log_softmax(dim=-1)
        draw = torch.Generator().manual_seed(1)
        for _ in range(BANDIT_STEPS):
            part = torch.randint(1024, (64,), generator=draw)
            states, chosen = which[part], arms[part]
            ratios = (table.log_softmax(dim=-1) - reference)[states].gather(1, chosen)
            loss = -torch.nn.functional.logsigmoid(0.1 * (ratios[:, 0] - ratios[:, 1])).mean()
            loss.backward()
            with torch.no_grad():
                table -= 0.1 * table.grad
                table.grad = None

    return medians(work, repeats=3)[0]


def against(name: str, activations: str) -> list[Target]:
    """Time and memory of our step as a share of TRL's."""
    theirs, ours = in_turn(kept=activations == "kept")
    room = memory_apart("ours", activations) / memory_apart("trl", activations)
    share = ours / theirs
    return [
        Target(f"preference step, 2M parameters, {name}, CPU ms", f"{ours * 1e3:.0f}"),
        Target("  share of its time", f"{share:.2f}", "<= 0.80", share <= 0.8),
        Target("  share of its memory", f"{room:.2f}", "<= 1.00", room <= 1),
    ]


def measure() -> list[Target]:
    """Time and memory of a preference step against TRL's; bandit steps per second."""
    rate, floor = bandit_rates()
    return [
        *against("to TRL at its fastest", "kept"),
        *against("to TRL as it comes", "again"),
        Target("DPO steps on a bandit, per CPU s", f"{rate:,.0f}"),
        Target("  share of bare torch's", f"{rate / floor:.2f}"),
    ]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(memory(sys.argv[1], kept=sys.argv[2] == "kept"))
    else:
        for target in measure():
            print(f"{target.what:<62} {target.shown:>14} {target.wanted:>14}  {target.verdict}")
