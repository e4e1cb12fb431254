"""Data sets as TRL knows them into batches: pairs, lists, single answers with a label.

| columns | a case is |
|---|---|
| prompt, chosen, rejected | a pair, the chosen first |
| prompt, responses [K] | a list, in the order given |
| prompt, completion, label | half of a pair: the i-th good answer beside the i-th bad one |

Text or messages, as in TRL, whose own preparation makes tokens of them. Further columns of a case
fill fields of the batch: scores [K], preferences [K, K], objectives [M, K], annotators, users,
rows, weights.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import cycle
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor

from agents.alignment.batch import AXES, AlignmentError
from agents.alignment.language import written

FIELDS = ("scores", "preferences", "objectives", "annotators", "users", "rows", "weights")
COLUMNS = ["prompt_ids", "chosen_ids", "rejected_ids", "response_ids", "reference", *FIELDS]
"""What reaches the collator of a prepared data set."""

Prepare = Callable[[Dataset], Dataset]
"""TRL's own: prompt, chosen, rejected into prompt_ids, chosen_ids, rejected_ids."""


def listed(dataset: Dataset, prepare: Prepare) -> Dataset:
    """Lists of responses as prompt_ids [K] and response_ids [K] of each case."""
    if any(column not in dataset.column_names for column in ("prompt", "responses")):
        raise AlignmentError(
            f"a data set of lists has columns prompt and responses, this one "
            f"{', '.join(dataset.column_names)}"
        )
    asked = [
        (case["prompt"], answer, number)
        for number, case in enumerate(dataset)
        for answer in case["responses"]
    ]
    sizes = {len(case["responses"]) for case in dataset}
    if len(sizes) != 1:
        raise AlignmentError(
            f"lists of {', '.join(map(str, sorted(sizes)))} responses in one data set\n"
            "  every prompt has the same number of responses: leave some out, or split the data"
        )
    cases = _prepared(asked, prepare)
    whole = [number for number, answers in cases.items() if len(answers) == next(iter(sizes))]
    return _tokens([cases[number] for number in whole], _fields(dataset, whole))


def labelled(dataset: Dataset, prepare: Prepare) -> Dataset:
    """Single answers as pairs of a good and a bad one, each with its own prompt.

    The rarer kind is gone through again, so that good and bad count alike; a row's own weights
    (KTO's gain and loss) come on top.
    """
    asked = [(case["prompt"], case["completion"], at) for at, case in enumerate(dataset)]
    cases = _prepared(asked, prepare)
    kinds: dict[bool, list[Any]] = {True: [], False: []}
    for at, label in enumerate(dataset["label"]):
        kinds[bool(label)] += cases.get(at, [])
    if not (kinds[True] and kinds[False]):
        raise AlignmentError(
            f"{len(kinds[True])} good answers and {len(kinds[False])} bad ones\n"
            "  a method for labelled answers needs both"
        )
    good, bad = kinds[True], kinds[False]
    if len(good) < len(bad):
        pairs = list(zip(cycle(good), bad, strict=False))
    else:
        pairs = list(zip(good, cycle(bad), strict=False))
    return _tokens([list(pair) for pair in pairs], {})


def _prepared(asked: list[tuple[Any, Any, int]], prepare: Prepare) -> dict[int, list[Any]]:
    """Token ids (prompt, answer) of each case; without answers that TRL drops as too long."""
    prompts, answers, numbers = map(list, zip(*asked, strict=True))
    one_by_one = Dataset.from_dict(
        {"prompt": prompts, "chosen": answers, "rejected": answers, "case": numbers}
    )
    cases: dict[int, list[Any]] = {}
    for made in prepare(one_by_one):
        cases.setdefault(made["case"], []).append((made["prompt_ids"], made["chosen_ids"]))
    return cases


def _tokens(cases: list[list[Any]], fields: Mapping[str, list[Any]]) -> Dataset:
    prompts = [[prompt for prompt, _ in answers] for answers in cases]
    responses = [[answer for _, answer in answers] for answers in cases]
    return Dataset.from_dict({"prompt_ids": prompts, "response_ids": responses, **fields})


def _fields(dataset: Dataset, which: list[int]) -> dict[str, list[Any]]:
    kept = [name for name in FIELDS if name in dataset.column_names]
    chosen = dataset.select(which)
    return {name: list(chosen[name]) for name in kept}


class Collator:
    """Prepared cases into the fields of a batch; answers are cut where TRL would cut them."""

    def __init__(self, max_length: int | None) -> None:
        """`max_length` tokens of prompt and answer together."""
        self._most = max_length

    def __call__(self, cases: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Tensors by field."""
        prompts, responses = map(list, zip(*map(self._cut, cases), strict=True))
        if all(prompt == each[0] for each in prompts for prompt in each):
            prompts = [each[0] for each in prompts]
        batch = written(prompts, responses).known()
        for name in (*FIELDS, "reference"):
            if name in cases[0]:
                batch[name] = _field(name, [case[name] for case in cases], batch["mask"])
        return batch

    def _cut(self, case: dict[str, Any]) -> tuple[list[list[int]], list[list[int]]]:
        answers = case.get("response_ids") or [case["chosen_ids"], case["rejected_ids"]]
        prompts = case["prompt_ids"] if "response_ids" in case else [case["prompt_ids"]] * 2
        pairs = zip(prompts, answers, strict=True)
        cut = [(p, a if self._most is None else a[: self._most - len(p)]) for p, a in pairs]
        return [prompt for prompt, _ in cut], [answer for _, answer in cut]


def _field(name: str, values: list[Any], mask: Tensor) -> Tensor:
    if "L" in AXES[name]:  # ragged: what is known of each token
        flat = torch.tensor([number for case in values for answer in case for number in answer])
        return flat.new_zeros(mask.shape).masked_scatter(mask, flat)
    return torch.tensor(values).movedim(0, AXES[name].index("B"))


def as_lists(tokens: Tensor, mask: Tensor) -> Iterator[list[list[float]]]:
    """[B, K, L] as ragged lists, the way a data set keeps them."""
    for case, inside in zip(tokens, mask, strict=True):
        yield [answer[real].tolist() for answer, real in zip(case, inside, strict=True)]
