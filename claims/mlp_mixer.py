"""MLP-Mixer beside Network in Network, which the lecture calls the same thing.

Document 001, line 56.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from claims.cases import SEEDS, sampled
from claims.checks import Array, close
from claims.core.claim import Claim
from claims.core.verdict import Holds, Refuted
from claims.faults import operators as faults
from claims.subjects import OPERATORS
from nin_ref import oracle
from nin_ref.operators import Operators


@dataclass(frozen=True)
class Mixer:
    """An MLP-Mixer layer, as Tolstikhin et al. define it, and the image that it reads."""

    height: int
    width: int
    channels: int
    hidden: int
    seed: int = 0

    def numbers(self, which: int, *shape: int) -> Array:
        """Return an array of numbers of both signs; the same for the same `which`."""
        return np.random.default_rng([self.seed, which]).standard_normal(shape)

    @property
    def tokens(self) -> Array:
        """The image [H * W, C]: a row for each pixel."""
        return self.numbers(0, self.height * self.width, self.channels)

    @property
    def between_channels(self) -> tuple[Array, Array]:
        """The weights of the perceptron that mixes channels."""
        into = self.numbers(3, self.hidden, self.channels)
        return into, self.numbers(4, self.channels, self.hidden)

    def run(self, ops: Operators, tokens: Array) -> Array:
        """Return what the layer makes of [H * W, C]: it mixes pixels, then channels."""
        pixels = len(tokens)
        between_pixels = self.numbers(1, self.hidden, pixels), self.numbers(2, pixels, self.hidden)
        mixed = tokens + mlp(ops, normalised(tokens).T, *between_pixels).T
        return mixed + mlp(ops, normalised(mixed), *self.between_channels)

    def reached(self, ops: Operators, pixel: int) -> Array:
        """Return which pixels [H, W] of the output change with one pixel of the input."""
        bumped = self.tokens
        bumped[pixel, 0] += 1
        change = abs(self.run(ops, bumped) - self.run(ops, self.tokens)).max(axis=1)
        return np.asarray(change > 1e-9).reshape(self.height, self.width)


def normalised(x: Array) -> Array:
    """Return the rows of x with mean 0 and variance 1."""
    return np.asarray((x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True))


def gelu(x: Array) -> Array:
    """Return the activation of MLP-Mixer, in the tanh form of its reference code."""
    return np.asarray(x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2)


def mlp(ops: Operators, x: Array, into: Array, out_of: Array) -> Array:
    """Return a perceptron with one hidden layer on the rows of x, all biases one."""
    hidden = gelu(ops.linear(np.ascontiguousarray(x), into, np.ones(len(into))))
    return ops.linear(hidden, out_of, np.ones(len(out_of)))


MIXERS = sampled(
    "MLP-Mixer layers of 3 to 6 channels on 4x5 to 6x7 pixels, 7 to 9 hidden units",
    Mixer,
    {"height": (5, 4), "width": (5, 7), "channels": (3, 4), "hidden": (8, 9)},
    {
        "height": st.integers(4, 6),
        "width": st.integers(5, 7),
        "channels": st.integers(3, 6),
        "hidden": st.integers(7, 9),
        "seed": SEEDS,
    },
)

same_as_mixer = Claim(
    "mlp-mixer/is-the-same-thing-as-nin",
    says="MLP-Mixer and NiN are the same thing: a layer of either lets a pixel of the output "
    "depend on a window of the input only, such as 3x3.",
    cites=["001:56"],
    recorded=Refuted(instead="mlp-mixer/reads-all-pixels-at-once"),
    renamed_from="network-in-network/mlp-mixer-is-the-same-thing",
)


@same_as_mixer.judged(
    subject=OPERATORS,
    on=MIXERS,
    flipped_by=[
        faults.wrong(
            "linear layer that keeps its features apart",
            "linear",
            lambda f, x, w, b=None: f(x, w * np.eye(*w.shape), b),
        )
    ],
)
def mixer_reads_a_window(ops: Operators, c: Mixer) -> None:
    outside = c.reached(ops, 0)
    outside[:2, :2] = False
    assert not outside.any(), f"pixel (0, 0) changes {outside.sum()} pixels outside its 3x3 window"


mixer_reads_all = Claim(
    "mlp-mixer/reads-all-pixels-at-once",
    says="One MLP-Mixer layer makes every pixel of its output depend on every pixel of its input.",
    cites=["001:56"],
    recorded=Holds(),
    renamed_from="network-in-network/mlp-mixer-reads-all-pixels-at-once",
)


@mixer_reads_all.judged(
    subject=OPERATORS,
    on=MIXERS,
    flipped_by=[
        faults.feature_ignored,
        faults.linear_bias_missing,
        faults.linear_weight_transposed,
        faults.linear_in_float32,
    ],
)
def every_pixel_reaches_every_other(ops: Operators, c: Mixer) -> None:
    close(c.run(ops, c.tokens), c.run(oracle, c.tokens), "the Mixer layer")
    for pixel in (0, 2 * c.width + 1, c.height * c.width - 1):
        unreached = np.argwhere(~c.reached(ops, pixel))
        assert not len(unreached), f"pixel {pixel} does not change pixel {unreached[0]}"


mixer_channels = Claim(
    "mlp-mixer/mixes-channels-by-1x1-convolutions",
    says="What MLP-Mixer shares with NiN is the mixing of channels: this half of a Mixer layer is "
    "two 1x1 convolutions.",
    cites=["001:56"],
    recorded=Holds(),
    renamed_from="network-in-network/mlp-mixer-mixes-channels-by-1x1-convolutions",
)


@mixer_channels.judged(
    subject=OPERATORS,
    on=MIXERS,
    flipped_by=[
        faults.neighbours_mixed,
        faults.channel_ignored,
        faults.weight_transposed,
        faults.bias_missing,
        faults.axes_swapped,
        faults.conv2d_in_float32,
    ],
)
def channel_mixing_equals_convolutions(ops: Operators, c: Mixer) -> None:
    into, out_of = c.between_channels
    image = c.tokens.T.reshape(1, c.channels, c.height, c.width)
    hidden = gelu(ops.conv2d(image, into[:, :, None, None], np.ones(c.hidden)))
    mixed = ops.conv2d(hidden, out_of[:, :, None, None], np.ones(c.channels))
    expected = mlp(oracle, c.tokens, into, out_of).T.reshape(image.shape)
    close(mixed, expected, "the pair of convolutions")
