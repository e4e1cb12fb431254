"""The same loop and rows on answers of several tokens, from a small language model."""

import pytest
import torch
from alignment_examples import generator
from torch import nn

from agents.alignment.batch import checked
from agents.alignment.methods import method
from agents.alignment.optimizers import Adam
from agents.alignment.references import History, frozen
from agents.alignment.sources import Drawn, answered, asked, played, repeated, scored
from agents.alignment.train import train
from agents.alignment.transforms import best_and_worst

VOCABULARY, LONGEST, END = 4, 5, 0


class Writer(nn.Module):
    """A small recurrent language model: the prompt is its first state, token 0 ends an answer."""

    def __init__(self, draw):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY + 1, 8, dtype=torch.float64)
        self.cell = nn.GRUCell(8, 16, dtype=torch.float64)
        self.head = nn.Linear(16, VOCABULARY, dtype=torch.float64)
        with torch.no_grad():
            for weight in self.parameters():
                weight.normal_(0.0, 0.3, generator=draw)

    def logits(self, batch):
        tokens = batch.responses.flatten(0, 1)
        before = torch.cat([torch.full_like(tokens[:, :1], VOCABULARY), tokens[:, :-1]], dim=1)
        state, said = torch.zeros(len(tokens), 16, dtype=torch.float64), []
        for token in self.embedding(before).unbind(dim=1):
            state = self.cell(token, state)
            said.append(self.head(state))
        return torch.stack(said, dim=1).unflatten(0, batch.responses.shape[:2])

    def forward(self, batch):
        log_probs = self.logits(batch).log_softmax(dim=-1)
        return log_probs.gather(-1, batch.responses.unsqueeze(-1)).squeeze(-1)

    def draw(self, batch, draw):
        count = len(batch.prompts)
        token = torch.full((count,), VOCABULARY)
        state = torch.zeros(count, 16, dtype=torch.float64)
        going, tokens, mask, log_probs = torch.ones(count, dtype=torch.bool), [], [], []
        with torch.no_grad():
            for _ in range(LONGEST):
                state = self.cell(self.embedding(token), state)
                said = self.head(state).log_softmax(dim=-1)
                token = said.exp().multinomial(1, generator=draw)[:, 0]
                tokens.append(token)
                mask.append(going)
                log_probs.append(said.gather(-1, token.unsqueeze(-1))[:, 0])
                going = going & (token != END)
        return Drawn(*(torch.stack(part, dim=1) for part in (tokens, mask, log_probs)))


def ones_said(batch):
    """The reward: how many of an answer's tokens are 1."""
    return ((batch.responses == 1) & batch.mask).sum(dim=-1).double()


def mean_reward(policy):
    questions = asked(torch.zeros(512, dtype=torch.long))
    return ones_said(answered(questions, [policy], generator(99))).mean().item()


def test_likelihoods_of_drawn_answers_are_those_the_policy_gives_them():
    policy = Writer(generator(0))
    batch = checked(
        answered(asked(torch.zeros(6, dtype=torch.long)), [policy, policy], generator(1))
    )

    found = policy(batch)[batch.mask]

    assert torch.allclose(found, batch.behaviour[batch.mask])
    assert (batch.lengths < LONGEST).any()


@pytest.mark.parametrize("name", ["grpo", "gspo", "r2vpo", "rloo", "copg", "trpa", "listmle"])
def test_rewarded_tokens_are_said_more_often(name):
    policy, draw = Writer(generator(0)), generator(1)
    before = mean_reward(policy)
    questions = repeated([asked(torch.zeros(16, dtype=torch.long))], 30)

    train(
        method(name),
        policy,
        played(questions, [policy] * 6, scored(ones_said), generator=draw),
        Adam(policy.parameters(), rate=0.02),
        reference=frozen(policy),
    )

    assert mean_reward(policy) > before + 0.3


@pytest.mark.parametrize(
    "name", ["dpo", "dpo_norm", "ipo", "simpo", "kto", "orpo", "cpo_clip", "mnpo"]
)
def test_preferred_tokens_are_said_more_often(name):
    policy, draw = Writer(generator(0)), generator(1)
    before, reference = mean_reward(policy), frozen(policy)
    questions = asked(torch.zeros(128, dtype=torch.long))
    answers = answered(questions, [policy] * 4, draw)
    pairs = best_and_worst(scored(ones_said)(answers, draw))

    train(
        method(name),
        policy,
        repeated([pairs], 40),
        Adam(policy.parameters(), rate=0.01),
        reference=reference,
        history=History(policy, most=1).policies,
    )

    assert mean_reward(policy) > before + 0.3


def test_student_comes_to_say_what_its_teacher_says():
    student, teacher, draw = Writer(generator(0)), Writer(generator(7)), generator(1)
    with torch.no_grad():
        teacher.head.bias[1] += 2.0
    questions = repeated([asked(torch.zeros(64, dtype=torch.long))], 60)

    train(
        method("opd").using(count=2),
        student,
        played(questions, [student], scored(ones_said), generator=draw),
        Adam(student.parameters(), rate=0.02),
        teachers=[teacher],
    )

    assert abs(mean_reward(student) - mean_reward(teacher)) < 0.4
