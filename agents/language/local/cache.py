"""Keys and values of what was read, with room for what is to be written."""

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_BLOCK = 64  # tokens of room at a time


class _Roomy(DynamicLayer):
    """A layer that grows by blocks: the usual one copies the whole conversation for each token."""

    _layer_type = None  # not to be taken for everybody's

    def __init__(self) -> None:
        super().__init__()
        self._room: list[torch.Tensor] = []  # keys and values, [B, H, room, D]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append; returns all keys and all values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        used = self.get_seq_length()
        end = used + key_states.shape[-2]
        if not self._room or end > self._room[0].shape[-2]:
            larger = [
                new.new_empty(*new.shape[:2], end + _BLOCK, new.shape[3])
                for new in (key_states, value_states)
            ]
            for old, room in zip(self._room, larger, strict=False):
                room[:, :, :used] = old[:, :, :used]
            self._room = larger
        for room, new in zip(self._room, (key_states, value_states), strict=True):
            room[:, :, used:end] = new
        self.keys, self.values = (room[:, :, :end] for room in self._room)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows."""
        end = self.get_seq_length()
        self._room = [room[indices] for room in self._room]
        self.keys, self.values = (room[:, :, :end] for room in self._room)


def new_cache(model: Any) -> DynamicCache:
    """An empty cache for `model`, whatever its layers are."""
    cache = DynamicCache(config=model.config)
    cache.layers = [_Roomy() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
