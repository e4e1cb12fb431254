"""Block 8, references: what the policy is held near to, and how that moves.

A reference is a policy whose gradient nobody takes. State dicts are plain mappings of tensors.

Shapes: [..., V] log-probabilities over a vocabulary (arms, tokens).
"""

import copy
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

Network = TypeVar("Network", bound=nn.Module)
State = Mapping[str, Tensor]


def frozen(policy: Network) -> Network:
    """A copy of `policy` as it is now, that no longer learns."""
    return copy.deepcopy(policy).requires_grad_(requires_grad=False).eval()


def soup(states: Sequence[State], weights: Sequence[float]) -> dict[str, Tensor]:
    """The weighted mean of equally shaped weights; `weights` sum to 1.

    SALSA 2024, arXiv:2411.01798; Wortsman et al. 2022, arXiv:2203.05482.
    """
    return {
        name: torch.stack([w * s[name] for w, s in zip(weights, states, strict=True)]).sum(dim=0)
        for name in states[0]
    }


def follow(reference: nn.Module, policy: nn.Module, *, share: float) -> None:
    """Move `reference` by `share` of the way to `policy`, in place.

    Gorbatovski et al. 2024, arXiv:2404.09656 (TR-DPO: share 0.6 every 512 steps in TRL).
    """
    now = reference.state_dict()
    reference.load_state_dict(soup([now, policy.state_dict()], [1 - share, share]))


def geometric(policy: Tensor, reference: Tensor, *, share: float) -> Tensor:
    """Log of pi^(1 - share) ref^share, normalised, [..., V]: 0 is the policy, 1 the reference.

    Per token this is a blend of logits.

    Munos et al. 2023, arXiv:2312.00886, the regularised policy of Nash-MD.
    """
    return log_softmax((1 - share) * policy + share * reference, dim=-1)


class History:
    """The last few policies, frozen, the latest first."""

    def __init__(self, first: nn.Module, *, most: int) -> None:
        """Start with `first` as the only past; keep `most`."""
        self._past = deque([frozen(first)], maxlen=most)

    def remember(self, policy: nn.Module) -> None:
        """Put a copy of `policy` before the others; the oldest may drop out."""
        self._past.appendleft(frozen(policy))

    def policies(self) -> tuple[nn.Module, ...]:
        """What is kept, the latest first."""
        return tuple(self._past)
