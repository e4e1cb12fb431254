"""Rows of the method table inside TRL's trainers, on a model made on the spot."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trl_trainers as trl
from datasets import Dataset
from peft import LoraConfig, PeftModel
from small_models import llama, tokenizer
from torch.testing import assert_close
from trl import DPOConfig, GRPOConfig

from agents.alignment.batch import AlignmentError
from agents.alignment.carrier import trainers
from agents.alignment.carrier.row import reads_apart
from agents.alignment.methods import METHODS, method
from agents.alignment.policy_gradient import group_normalised
from agents.alignment.sources import bradley_terry, compared

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def pairs(count=16):
    """Which of two digits is preferred says the prompt."""
    asked = [f"ask {'high' if at % 2 else 'low'} {at % 5} " for at in range(count)]
    best = ["9 9" if at % 2 else "0" for at in range(count)]
    worst = ["0" if at % 2 else "9 9" for at in range(count)]
    return {"prompt": asked, "chosen": best, "rejected": worst}


def settings(folder, **changes):
    plain = {**trl.PLAIN, "per_device_train_batch_size": 4, "learning_rate": 1e-2, "seed": 1}
    return DPOConfig(output_dir=str(folder), **{**plain, "max_steps": 8, **changes})


def fixed(name, folder, data=None, *, model=None, using=None, args=None, **more):
    return trainers.fixed(
        method(name).using(**(using or {})),
        model=model or llama(),
        args=settings(folder, **(args or {})),
        train_dataset=Dataset.from_dict(data or pairs()),
        processing_class=tokenizer(),
        **more,
    )


def losses(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


LOGGED = {"logging_strategy": "steps", "logging_steps": 1}


def test_a_row_trains_and_its_loss_falls(tmp_path):
    trainer = fixed("dpo", tmp_path, using={"beta": 1.0}, args=LOGGED)

    trainer.train()

    first, *_, last = losses(trainer)
    assert first == pytest.approx(0.6931, abs=1e-3)
    assert last < 0.4
    assert trainer.state.log_history[0]["log_ratio/first"] == pytest.approx(0, abs=1e-5)


def test_the_row_is_what_trl_does_step_by_step(tmp_path):
    ours = fixed("dpo", tmp_path, args=LOGGED)
    theirs = trl.DPOTrainer(
        model=llama(),
        ref_model=llama(),
        args=settings(tmp_path, **LOGGED),
        train_dataset=Dataset.from_dict(pairs()),
        processing_class=tokenizer(),
    )

    ours.train()
    theirs.train()

    assert losses(ours) == pytest.approx(losses(theirs), abs=1e-4)


def test_packed_and_precomputed_it_is_the_same_training(tmp_path):
    plain = fixed("dpo", tmp_path, args=LOGGED)
    fast = fixed("dpo", tmp_path, packed=True, args={**LOGGED, "precompute_ref_log_probs": True})

    plain.train()
    fast.train()

    assert fast.ref_model is None
    assert losses(fast) == pytest.approx(losses(plain), abs=1e-4)


def test_a_checkpoint_is_resumed_with_what_the_method_remembers(tmp_path):
    keep = {**LOGGED, "save_strategy": "steps", "save_steps": 4}
    whole = fixed("bco", tmp_path / "whole", args=keep)
    whole.train()

    again = fixed("bco", tmp_path / "again", args=keep)
    again.train(resume_from_checkpoint=str(tmp_path / "whole/checkpoint-4"))

    assert losses(again)[-4:] == pytest.approx(losses(whole)[-4:], abs=1e-5)
    assert again.row.memory["seen"] == whole.row.memory["seen"] == 8 * 4 * 2
    other = fixed("dpo", tmp_path / "other", args=keep)
    with pytest.raises(AlignmentError, match="is of method bco, this run of dpo"):
        other.train(resume_from_checkpoint=str(tmp_path / "whole/checkpoint-4"))


def test_low_rank_adapters_learn_and_the_model_beneath_is_the_reference(tmp_path):
    model = llama()
    before = model.model.layers[0].self_attn.q_proj.weight.clone()
    trainer = fixed(
        "dpo",
        tmp_path,
        model=model,
        using={"beta": 1.0},
        args=LOGGED,
        peft_config=LoraConfig(task_type="CAUSAL_LM", r=8, target_modules=["q_proj", "v_proj"]),
    )

    trainer.train()

    assert isinstance(trainer.model, PeftModel)
    assert trainer.ref_model is None
    beneath = trainer.model.get_base_model().model.layers[0].self_attn.q_proj.base_layer.weight
    assert_close(beneath, before)
    first, *_, last = losses(trainer)
    assert first == pytest.approx(0.6931, abs=1e-3)
    assert last < 0.66


def test_two_processes_with_half_the_batch_each_are_one_with_the_whole(tmp_path):
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    program = [str(Path(__file__).parent / "two_processes.py"), str(tmp_path), "2"]
    alone = fixed("dpo", tmp_path, using={"beta": 1.0}, args={**LOGGED, "max_steps": 6})
    alone.train()

    ran = subprocess.run(
        [sys.executable, *launch, *program],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert ran.returncode == 0, ran.stderr[-2000:]
    processes, together = json.loads((tmp_path / "losses.json").read_text())
    assert processes == 2
    assert together == pytest.approx(losses(alone), abs=1e-4)


def test_lists_of_scored_responses_are_ranked(tmp_path):
    data = {
        "prompt": ["ask 1 ", "ask 2 "] * 4,
        "responses": [["9 9", "5", "1 1 1"]] * 8,
        "scores": [[2.0, 1.0, 0.0]] * 8,
    }
    trainer = fixed("listmle", tmp_path, data, using={"beta": 1.0}, args=LOGGED)

    trainer.train()

    assert trainer.state.log_history[-2]["log_ratio/first_ahead"] == 1
    assert losses(trainer)[-1] < losses(trainer)[0] - 0.3


def test_labelled_answers_train_rows_that_read_each_on_its_own(tmp_path):
    data = {
        "prompt": [f"ask {at} " for at in range(6)],
        "completion": ["9", "0", "9 9", "9", "0 0", "9"],
        "label": [True, False, True, True, False, True],
    }
    trainer = fixed("kto", tmp_path, data, using={"beta": 1.0}, args=LOGGED)

    trainer.train()

    assert len(trainer.train_dataset) == 4  # the two bad answers come twice
    assert losses(trainer)[-1] < losses(trainer)[0] - 0.1
    with pytest.raises(AlignmentError, match="kto and apo_zero read each answer on its own"):
        fixed("dpo", tmp_path, data)


@pytest.mark.parametrize("name", ["kto", "apo_zero", "sppo", "nca", "npo"])
def test_rows_that_read_answers_apart_are_found_by_their_gradients(name):
    assert reads_apart(METHODS[name])


@pytest.mark.parametrize("name", ["dpo", "hinge", "ipo", "simpo", "aot", "apo_down", "grpo"])
def test_rows_that_compare_answers_are_found_by_their_gradients(name):
    assert not reads_apart(METHODS[name])


PAIR_ROWS = [
    name
    for name, row in METHODS.items()
    if row.samplers is None and not {"scores", "goals"} & set(row.defaults)
]


def everything(count=4):
    return {
        **pairs(count),
        "scores": [[1.0, 0.0]] * count,
        "annotators": [0] * count,
    }


@pytest.mark.parametrize("name", [n for n in PAIR_ROWS if n not in {"dckd", "adpa", "ra_dpo"}])
def test_every_row_for_fixed_data_takes_a_step(name, tmp_path):
    using = {"rows": 4} if "rows" in METHODS[name].defaults else {}
    trainer = fixed(name, tmp_path, everything(), using=using, args={**LOGGED, "max_steps": 1})
    before = trainer.model.model.layers[0].self_attn.q_proj.weight.clone()

    trainer.train()

    assert (trainer.model.model.layers[0].self_attn.q_proj.weight != before).any()


def test_a_teacher_is_read_at_every_token(tmp_path):
    trainer = fixed("dckd", tmp_path, teachers=[llama(1)], args=LOGGED)

    trainer.train()

    assert losses(trainer)[-1] < losses(trainer)[0]


def test_goals_of_a_language_model_stand_in_its_prompt(tmp_path):
    trainer = fixed("ra_dpo", tmp_path, everything())

    with pytest.raises(AlignmentError, match="in the prompt's own words"):
        trainer.train()


def nines(completions, **_):
    return [float(text.count("9")) for text in completions]


def shortness(completions, **_):
    return [-float(len(text)) / 10 for text in completions]


def fresh(name, folder, *, count=4, using=None, rewards=nines, args=None, **more):
    plain = {**trl.PLAIN, "learning_rate": 1e-2, "max_steps": 6, "seed": 3}
    sizes = {"per_device_train_batch_size": 2 * count, "num_generations": count}
    return trainers.fresh(
        method(name).using(**(using or {})),
        model=llama(),
        args=GRPOConfig(
            output_dir=str(folder),
            max_completion_length=4,
            **{**plain, **sizes, **(args or {})},
        ),
        reward_funcs=rewards,
        train_dataset=Dataset.from_dict({"prompt": ["ask 1 ", "ask 2 ", "ask 3 "] * 4}),
        processing_class=tokenizer(),
        **more,
    )


def test_fresh_answers_earn_more_as_a_row_learns_from_rewards(tmp_path):
    trainer = fresh("grpo", tmp_path, count=8, args={**LOGGED, "max_steps": 20})

    trainer.train()

    earned = [entry["reward"] for entry in trainer.state.log_history if "reward" in entry]
    assert sum(earned[-4:]) > sum(earned[:4]) + 2


def test_advantages_are_those_trl_makes_of_the_same_rewards(tmp_path):
    trainer = fresh("grpo", tmp_path)
    seen = []
    original = trainer.grouped
    trainer.grouped = lambda inputs: seen.append((inputs, original(inputs))) or seen[-1][1]

    trainer.train()

    for inputs, batch in seen:
        theirs = inputs["advantages"][inputs["institutional_order"].argsort()].view(-1, 4)
        assert_close(group_normalised(batch.scores, floor=1e-4), theirs, atol=1e-5, rtol=1e-5)
        asked = batch.prompts[:, None].expand(-1, 4, -1).flatten(0, 1)
        assert (batch.prompts >= 0).any(dim=-1).all()
        assert len(asked) == len(inputs["prompt_ids"])


FRESH = [name for name, row in METHODS.items() if row.samplers is not None]


@pytest.mark.parametrize("name", FRESH)
def test_every_row_for_fresh_answers_takes_a_step_or_says_what_it_lacks(name, tmp_path):
    row, two = METHODS[name], METHODS[name].loss.__module__.endswith("pair_losses")
    build = partial(
        fresh,
        name,
        tmp_path,
        count=2 if two else 4,
        rewards=[nines, shortness],
        judge=compared(bradley_terry) if two else None,
        teachers=[llama(1)],
        history=[llama(2)],
        using={"count": 5} if "count" in row.defaults else None,
        args={"max_steps": 2},
    )
    if name in {"ipo_md", "nash_md"}:
        with pytest.raises(AlignmentError, match=r"draws from a mixture with 0\.125"):
            build()
        return
    trainer = build()

    trainer.train()

    assert trainer.state.global_step == 2


def test_what_a_trainer_cannot_carry_is_said_before_it_starts(tmp_path):
    with pytest.raises(AlignmentError, match=r"carrier\.trainers\.fresh draws them"):
        fixed("grpo", tmp_path)
    with pytest.raises(AlignmentError, match=r"beta=0.5, which dpo does not read"):
        fixed("dpo", tmp_path, args={"beta": 0.5})
    with pytest.raises(AlignmentError, match="loss_type"):
        fixed("dpo", tmp_path, args={"loss_type": ["ipo"]})
    with pytest.raises(AlignmentError, match="leave out precompute_ref_log_probs"):
        fixed("kto", tmp_path, args={"precompute_ref_log_probs": True})
    with pytest.raises(AlignmentError, match="lists of 1, 2 responses"):
        fixed("listmle", tmp_path, {"prompt": ["ask "] * 2, "responses": [["1"], ["1", "2"]]})
    with pytest.raises(AlignmentError, match="2 good answers and 0 bad ones"):
        fixed("kto", tmp_path, {**trl.LABELLED, "label": [True, True]})
    with pytest.raises(AlignmentError, match=r"say rows=\.\.\. in settings"):
        fixed("power_dl", tmp_path, everything(), using={"rows": 2}).train()
    with pytest.raises(AlignmentError, match="a score for each response"):
        fixed("listmle", tmp_path).train()
    with pytest.raises(AlignmentError, match="would part the 4 answers"):
        fresh("grpo", tmp_path, args={"gradient_accumulation_steps": 2})


def test_without_the_extra_one_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "trl", None)

    with pytest.raises(AlignmentError, match=r"pip install 'institutional\[trl\]'"):
        trainers.fixed(method("dpo"))
