"""Networks narrowed to one channel: the same windows, for a hundredth of the arithmetic."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from claims.faults import models as surgeries

if TYPE_CHECKING:
    from torch import nn


def narrowed(layers: nn.Module) -> nn.Module:
    """Return the layers with one channel each, which changes nothing in what a unit sees."""
    from torch import nn

    narrow = copy.deepcopy(layers)
    for name in surgeries.of_kind(narrow, "Conv2d"):
        wide = narrow.get_submodule(name)
        assert isinstance(wide, nn.Conv2d)
        made = nn.Conv2d(1, 1, 1, device="meta")
        for option in ("kernel_size", "stride", "padding", "dilation"):
            setattr(made, option, getattr(wide, option))
        made.weight = nn.Parameter(wide.weight[:1, :1])
        surgeries.put(narrow, name, made)
    return narrow
