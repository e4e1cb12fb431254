"""Small language models, one per seed side by side, for studies in which answers have tokens.

One block of causal attention and one of tanh over a few tokens: enough to share weights between
what is preferred and what is not. What a batch's `prompts` are is tokens of the same vocabulary.

Shapes: S seeds, B = S * each rows, K responses, T tokens of a prompt, L of a response, W width.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from agents.alignment.batch import Batch
from agents.alignment.sources import Drawn
from agents.alignment.views import needed
from institutional.studies.alignment import Dice, drawn, tensor


class Writers(nn.Module):
    """A causal language model for each seed; a policy over responses, or a reward of them."""

    def __init__(
        self, seeds: Sequence[int], *names: str | int, vocabulary: int, longest: int, width: int
    ) -> None:
        """Weights come from each seed's stream `names`; `longest` counts prompt and response."""
        super().__init__()
        self._seeds, self._vocabulary = len(seeds), vocabulary

        def normal(part: str, *shape: int, scale: float) -> nn.Parameter:
            first = drawn(seeds, *names, part, draw=lambda rng: rng.standard_normal(shape))
            return nn.Parameter(tensor(first * scale).float())

        even, wider = width**-0.5, (2 * width) ** -0.5
        self.tokens = normal("tokens", vocabulary, width, scale=0.5)
        self.places = normal("places", longest, width, scale=0.5)
        self.looks = normal("looks", width, 3 * width, scale=even)
        self.seen = normal("seen", width, width, scale=even)
        self.thinks = normal("thinks", width, 2 * width, scale=even)
        self.thought = normal("thought", 2 * width, width, scale=wider)
        self.says = normal("says", width, vocabulary, scale=even)
        self.values = normal("values", width, 1, scale=even)

    def forward(self, batch: Batch) -> Tensor:
        """Log-probabilities of the tokens of every response, [B, K, L]."""
        spoken: Tensor = self.logits(batch).log_softmax(dim=-1)
        return spoken.gather(-1, batch.responses.unsqueeze(-1)).squeeze(-1)

    def logits(self, batch: Batch) -> Tensor:
        """What is thought of every token before each of the responses', [B, K, L, V]."""
        count = batch.responses.shape[-1]
        return self._read(batch, self.says)[..., -count - 1 : -1, :]

    def rewards(self, batch: Batch) -> Tensor:
        """One number for each response, read at its last place, [B, K]; for one length only."""
        return self._read(batch, self.values)[..., -1, 0]

    def write(self, prompts: Tensor, dice: Dice, *, length: int) -> Drawn:
        """One response to each prompt [B, T]; all have `length` tokens."""
        written = torch.zeros(len(prompts), 1, 0, dtype=torch.long)
        log_probs = []
        with torch.no_grad():
            for _ in range(length):
                blank = torch.zeros(len(prompts), 1, 1, dtype=torch.long)
                so_far = torch.cat([written, blank], dim=-1)
                asked = Batch(responses=so_far, mask=so_far >= 0, prompts=prompts)
                spoken = self.logits(asked)[:, 0, -1].double().log_softmax(dim=-1)
                edges = spoken.exp().cumsum(dim=-1)
                thrown = dice(len(prompts)).unsqueeze(-1) * edges[:, -1:]
                token = (thrown >= edges).sum(dim=-1, keepdim=True)
                log_probs.append(spoken.gather(-1, token))
                written = torch.cat([written, token.unsqueeze(1)], dim=-1)
        said = written[:, 0]
        return Drawn(said, torch.ones_like(said, dtype=torch.bool), torch.cat(log_probs, dim=1))

    def _read(self, batch: Batch, head: Tensor) -> Tensor:
        """What `head` [S, W, O] makes of each place of prompts and responses, [B, K, T + L, O]."""
        responses = batch.responses
        prompts = needed(batch.prompts, "prompts").unsqueeze(1)
        ids = torch.cat([prompts.expand(-1, responses.shape[1], -1), responses], dim=-1)
        places = ids.shape[-1]
        rows = ids.reshape(self._seeds, -1)
        own = torch.arange(self._seeds).unsqueeze(-1) * self._vocabulary
        apart = (self._seeds, -1, places)
        hidden = self.tokens.flatten(0, 1)[rows + own].reshape(*apart, self.places.shape[-1])
        hidden = (hidden + self.places[:, None, :places]).flatten(1, 2)  # [S, N (T + L), W]
        looks = (hidden @ self.looks).chunk(3, dim=-1)
        asks, keys, values = (part.reshape(*apart, part.shape[-1]) for part in looks)
        looked = scaled_dot_product_attention(asks, keys, values, is_causal=True)
        hidden = hidden + looked.flatten(1, 2) @ self.seen
        hidden = hidden + (hidden @ self.thinks).tanh() @ self.thought
        read: Tensor = (hidden @ head).reshape(*ids.shape, -1)
        return read

    def repeated(self, times: int) -> "Writers":
        """All seeds' models `times` times over: the first copies, then the second."""
        copies = copy.deepcopy(self)
        copies._seeds *= times  # noqa: SLF001 - of its own kind
        for parameter in copies.parameters():
            parameter.data = parameter.data.repeat(times, 1, 1)
        return copies


def known(writers: Writers, batch: Batch) -> Tensor:
    """The batch's log-probabilities now, as data: a reference's need be read only once."""
    with torch.no_grad():
        return writers.forward(batch)
