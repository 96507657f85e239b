"""A template to copy: operators of your own, for `pytest claims --subject nin_ref.template.Mine`.

Offer any of the methods of `nin_ref.operators.Operators`, with its signatures: NumPy arrays in,
NumPy arrays of the same floating point type out. What you leave out is reported as not provided.
"""

from __future__ import annotations

import numpy as np

from nin_ref.oracle import Array, Pair


class Mine:
    """Two operators in plain NumPy; replace them with yours, and add others."""

    def relu(self, x: Array) -> Array:
        """Replace negative values of an array of any shape by zero."""
        return np.maximum(x, 0)

    def conv2d(
        self,
        x: Array,
        weight: Array,
        bias: Array | None = None,
        *,
        stride: Pair = (1, 1),
        padding: Pair = (0, 0),
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Array:
        """Convolve [N, C, H, W] with [O, C / groups, kh, kw] and add [O]."""
        spans = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
        padded = np.pad(x, ((0, 0), (0, 0), *((side, side) for side in padding)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=(2, 3))
        patches = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
        maps = [
            np.einsum("nchwij,ocij->nohw", part, kernel)
            for part, kernel in zip(
                np.split(patches, groups, axis=1), np.split(weight, groups), strict=True
            )
        ]
        y = np.concatenate(maps, axis=1)
        return y if bias is None else y + bias[:, None, None]
