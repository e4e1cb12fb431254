"""What every alignment method reads: prompts with K responses each, and what models say of them.

A source yields a batch without log-probabilities; readings (see `readings`) fill in what the method
needs of the policy, the reference and the others; the loss is a pure function of the result.

Shapes: B prompts, K responses to each, L tokens in a response, H past policies, T teachers, V
tokens in the vocabulary, M objectives. A bandit is the case L = 1 with its arms as vocabulary.
Order: where a method speaks of a pair, response 0 is the preferred one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from agents.contract import AgentError


class AlignmentError(AgentError):
    """A batch or a setting that no method can learn from; the message says where and what next."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """B prompts with K responses each; log-probabilities are of single tokens, in nats.

    Values outside `mask` are never read. `None` means unknown, and a method that needs it says so.
    """

    responses: Tensor  # [B, K, L] token ids; of a bandit: arms
    mask: Tensor  # [B, K, L] true where a token belongs to the response
    prompts: Tensor | None = None  # [B, ...] whatever the policy reads
    goals: Tensor | None = None  # [B] the score the prompt asks for
    policy: Tensor | None = None  # [B, K, L] under the trained policy, with gradient
    reference: Tensor | None = None  # [B, K, L]
    behaviour: Tensor | None = None  # [B, K, L] under the policy that produced the responses
    history: Tensor | None = None  # [H, B, K, L] under past policies, the latest first
    mismatched: Tensor | None = None  # [B] log-ratios to the reference of answers to other prompts
    logits: Tensor | None = None  # [B, K, L, V] of the policy at each token, with gradient
    teachers: Tensor | None = None  # [T, B, K, L, V] logits of teachers
    scores: Tensor | None = None  # [B, K] rewards or levels, larger is better
    objectives: Tensor | None = None  # [M, B, K] rewards of M groups or objectives
    preferences: Tensor | None = None  # [B, K, K] probability that the first beats the second
    annotators: Tensor | None = None  # [B] who labelled
    users: Tensor | None = None  # [B] for whom
    rows: Tensor | None = None  # [B] which example of the data set
    weights: Tensor | None = None  # [B] weight of each prompt in the mean

    @property
    def lengths(self) -> Tensor:
        """Tokens in each response, [B, K]."""
        return self.mask.sum(dim=-1)

    def swapped(self) -> "Batch":
        """The same batch with its responses in reverse: of pairs, every preference turned."""
        turned = {
            name: tensor.flip([axis for axis, letter in enumerate(AXES[name]) if letter == "K"])
            for name, tensor in self.known().items()
            if "K" in AXES[name]
        }
        return replace(self, **turned)

    def picked(self, which: Tensor) -> "Batch":
        """The prompts that `which` (indices or a boolean mask over B) names, in its order."""
        index = which.nonzero()[:, 0] if which.dtype == torch.bool else which
        index = index.to(self.responses.device)
        chosen = {
            name: tensor.index_select(AXES[name].index("B"), index)
            for name, tensor in self.known().items()
        }
        return replace(self, **chosen)

    def arranged(self, order: Tensor) -> "Batch":
        """Responses `order` [B, M] of each prompt in this order, M of K with or without repeats."""
        changed = {}
        for name, tensor in self.known().items():
            arranged = tensor
            for axis, letter in enumerate(AXES[name]):
                if letter == "K":
                    arranged = _taken(arranged, order, batch=AXES[name].index("B"), axis=axis)
            changed[name] = arranged
        return replace(self, **changed)

    def known(self) -> dict[str, Tensor]:
        """The fields that are not None, by name."""
        pairs = ((item.name, getattr(self, item.name)) for item in fields(self))
        return {name: tensor for name, tensor in pairs if tensor is not None}


AXES: Mapping[str, str] = {
    "responses": "BKL",
    "mask": "BKL",
    "prompts": "B",
    "goals": "B",
    "policy": "BKL",
    "reference": "BKL",
    "behaviour": "BKL",
    "history": "HBKL",
    "mismatched": "B",
    "logits": "BKLV",
    "teachers": "TBKLV",
    "scores": "BK",
    "objectives": "MBK",
    "preferences": "BKK",
    "annotators": "B",
    "users": "B",
    "rows": "B",
    "weights": "B",
}
"""The axes of each field; `prompts` may have more. Checks and rearrangements derive from it."""


def single(responses: Tensor, **fields_: Tensor) -> Batch:
    """A batch of one-token responses: `responses` [B, K], and every [.., L] field without its L.

    What a bandit yields, and how the sum over a whole response enters where tokens do not matter.
    """
    tokens = {
        name: tensor.unsqueeze(AXES[name].index("L")) if "L" in AXES[name] else tensor
        for name, tensor in fields_.items()
    }
    ids = responses.unsqueeze(-1)
    return Batch(responses=ids, mask=torch.ones_like(ids, dtype=torch.bool), **tokens)


def checked(batch: Batch, counts: Mapping[str, int] | None = None) -> Batch:
    """`batch` itself, if a method can learn from it; the one place where it is looked over.

    `counts` says how many annotators, users or rows there are, where a method keeps a number for
    each; ids are below them.
    Raises AlignmentError for an empty batch, shapes that do not match, a response without a token,
    a value that is not finite, an id, a probability or a weight out of range.
    """
    _require_shapes(batch)
    if (empty := ~batch.mask.any(dim=-1)).any():
        raise AlignmentError(
            f"{_place(empty.nonzero()[0], 'BK')} has no token in mask\n"
            "  an empty answer is its end-of-text token: keep that token in the mask"
        )
    for name, tensor in batch.known().items():
        if tensor.is_floating_point():
            _require_numbers(batch, name, tensor)
    if batch.preferences is not None:
        _require_range("preferences", batch.preferences, 0.0, 1.0, "a probability")
    if batch.weights is not None:
        _require_range("weights", batch.weights, 0.0, float("inf"), "a weight")
    for name, count in (counts or {}).items():
        ids: Tensor | None = getattr(batch, name)
        if ids is not None:
            _require_range(name, ids, 0, count - 1, f"one of {count}: say {name}=... in settings")
    return batch


def _require_shapes(batch: Batch) -> None:
    if batch.responses.dim() != 3:
        raise AlignmentError(
            f"responses have shape {tuple(batch.responses.shape)}, not [B, K, L]\n"
            "  of a bandit, `single` makes a batch of arms [B, K]"
        )
    if batch.responses.numel() == 0:
        raise AlignmentError(
            f"an empty batch: responses have shape {tuple(batch.responses.shape)}\n"
            "  a source that has nothing left ends; it yields no empty batch"
        )
    sizes = dict(zip("BKL", batch.responses.shape, strict=True))
    for name, tensor in batch.known().items():
        shape = tensor.shape[:1] if name == "prompts" else tensor.shape
        expected = [sizes.get(letter, letter) for letter in AXES[name]]
        fits = len(shape) == len(expected) and all(
            size == want or isinstance(want, str)
            for size, want in zip(shape, expected, strict=True)
        )
        if not fits:
            raise AlignmentError(
                f"{name} have shape {tuple(tensor.shape)}, but [{', '.join(AXES[name])}] is "
                f"[{', '.join(map(str, expected))}] for responses of shape "
                f"{tuple(batch.responses.shape)}\n"
                "  every field of a batch is about the same prompts, responses and tokens"
            )


def _require_numbers(batch: Batch, name: str, tensor: Tensor) -> None:
    """Logits may be minus infinity (a token that cannot follow); nothing else may."""
    wrong = tensor.isnan() if "V" in AXES[name] else ~tensor.isfinite()
    if "L" in AXES[name]:
        inside = batch.mask.unsqueeze(-1) if "V" in AXES[name] else batch.mask
        wrong = wrong & inside
    if wrong.any():
        places = wrong.nonzero()
        value = tensor[tuple(places[0])].item()
        raise AlignmentError(
            f"{name} hold {value} at {_place(places[0], AXES[name])} "
            f"({len(places)} of {tensor.numel()} values)\n"
            "  look at the model or file these come from; no method can learn from them"
        )


def _require_range(name: str, tensor: Tensor, low: float, high: float, what: str) -> None:
    if (wrong := (tensor < low) | (tensor > high)).any():
        places = wrong.nonzero()
        value = tensor[tuple(places[0])].item()
        raise AlignmentError(
            f"{name} hold {value} at {_place(places[0], AXES[name])}, which is not {what}\n"
            f"  values lie in [{low:g}, {high:g}]"
        )


_WORDS = {
    "B": "prompt",
    "K": "response",
    "L": "token",
    "H": "past policy",
    "T": "teacher",
    "M": "objective",
}


def _place(index: Tensor, axes: str) -> str:
    words = [_WORDS.get(letter, "entry") for letter in axes] + ["entry"] * len(index)
    return ", ".join(f"{word} {at}" for word, at in zip(words, index.tolist(), strict=False))


def _taken(tensor: Tensor, order: Tensor, *, batch: int, axis: int) -> Tensor:
    """`tensor` with `axis` (length K) replaced by entries `order` [B, M] of it."""
    shape = [1] * tensor.dim()
    shape[batch], shape[axis] = order.shape
    wide = list(tensor.shape)
    wide[axis] = order.shape[1]
    return tensor.gather(axis, order.reshape(shape).expand(wide))
