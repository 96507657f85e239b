"""Squeeze-and-excitation: weights of channels that the image itself decides.

Document 003 (lines 81 to 87).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from claims._blocks import BLOCKS, Blocks, altered, built_otherwise, forwarded
from claims.cases import Convolution, integers, wide
from claims.checks import Array, close, differs, same
from claims.core.claim import PROOF, Claim, Fault, Proof, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.faults.formulas import formula
from claims.subjects import FORMULAS, MODELS, OPERATORS, Formulas, Models
from claims.trained import trained
from claims.training.rules import AllOf, Lower, MeanAbove
from nin_ref import counting, oracle
from nin_ref.operators import Operators

if TYPE_CHECKING:
    import torch
    from torch import nn

# The channels of a standard convolution -----------------------------------------------------------

STANDARD = Sample(
    "standard convolutions of 2 to 5 channels, kernels up to 3x4, some strides and paddings",
    [
        Convolution(2, 3, 4, 6, 7, (3, 2), (1, 1), (1, 0)),
        Convolution(1, 5, 2, 5, 9, (2, 4), (2, 3), (0, 2), (1, 2), seed=1),
        Convolution(3, 2, 5, 4, 5, (3, 3), seed=2),
    ],
)
EQUAL = "a standard convolution gives all channels equal weight"

one_slice_for_all = faults.wrong(
    "one slice of the kernel for all channels",
    "conv2d",
    lambda f, x, w, b=None, **o: f(x, np.broadcast_to(w[:, :1], w.shape).copy(), b, **o),
)
STANDARD_FAULTS = [
    one_slice_for_all,
    faults.channel_ignored,
    faults.weight_transposed,
    faults.kernel_flipped,
    faults.rectified,
    faults.stride_swapped,
    faults.padded_by_edge,
    faults.dilation_ignored,
    faults.sum_over_batch,
    faults.weight_by_input,
    faults.conv2d_in_float32,
]

adds_channels = Claim(
    "squeeze-excitation/standard-convolution-adds-its-channels",
    says="A filter of a standard convolution convolves every channel with a slice of its own and "
    "adds what they give, each with factor one.",
    cites=["003:81"],
    recorded=Holds(),
    reading_of=EQUAL,
)


@adds_channels.judged(
    subject=OPERATORS,
    on=STANDARD,
    flipped_by=[
        *STANDARD_FAULTS,
        faults.wrong("channels averaged", "conv2d", lambda f, x, w, **o: f(x, w, **o) / len(w[0])),
    ],
)
def output_is_the_sum_over_channels(ops: Operators, c: Convolution) -> None:
    x = wide(c.x)
    parts = [oracle.conv2d(x[:, [i]], c.weight[:, [i]], **c.options) for i in range(c.in_channels)]
    same(ops.conv2d(x, c.weight, **c.options), np.sum(parts, axis=0))


equal_weight = Claim(
    "squeeze-excitation/standard-convolution-weighs-channels-equally",
    says="To a standard convolution all channels are equal: given them in another order it gives "
    "what it gave.",
    cites=["003:81"],
    recorded=Refuted(instead="squeeze-excitation/fixed-channel-weights-are-part-of-the-kernel"),
    reading_of=EQUAL,
)


@equal_weight.judged(subject=OPERATORS, on=STANDARD, flipped_by=[one_slice_for_all])
def order_of_channels_does_not_matter(ops: Operators, c: Convolution) -> None:
    y = ops.conv2d(c.x, c.weight, **c.options)
    reverse = ops.conv2d(c.x[:, ::-1].copy(), c.weight, **c.options)
    assert (y == reverse).all(), (
        f"channels in reverse order change {(y != reverse).sum()} of {y.size} outputs"
    )


fixed_weights = Claim(
    "squeeze-excitation/fixed-channel-weights-are-part-of-the-kernel",
    says="A standard convolution has a weight for every channel in its kernel: weights of channels "
    "that are the same for all images add nothing to it, for the kernel can be multiplied by them.",
    cites=["003:81"],
    recorded=Holds(),
    reading_of=EQUAL,
)


@fixed_weights.judged(subject=OPERATORS, on=STANDARD, flipped_by=STANDARD_FAULTS)
def kernel_takes_channel_weights(ops: Operators, c: Convolution) -> None:
    weights = wide(integers(c.seed + 4, c.in_channels))[:, None, None]
    expected = oracle.conv2d(weights * c.x, c.weight, c.bias, **c.options)
    same(ops.conv2d(c.x, weights * c.weight, c.bias, **c.options), expected)


# Blocks that weigh channels -----------------------------------------------------------------------


@dataclass(frozen=True)
class Images:
    """Maps [N, C, H, W] that a block weighs, and the seed of their numbers and of its weights.

    `hidden` is the number of hidden units; `offset` is added to the biases of all of these.
    """

    batch: int
    channels: int
    hidden: int
    height: int
    width: int
    offset: float = 0.0
    seed: int = 0

    @functools.cached_property
    def x(self) -> Array:
        """The maps, of small integers."""
        return integers(self.seed, self.batch, self.channels, self.height, self.width)

    @functools.cached_property
    def weights(self) -> Mapping[str, Array]:
        """Weights and biases of the fully connected layers by their names in torchvision."""
        rng = np.random.default_rng(self.seed)
        return {
            "fc1.weight": rng.normal(size=(self.hidden, self.channels)),
            "fc1.bias": rng.normal(size=self.hidden) + self.offset,
            "fc2.weight": rng.normal(size=(self.channels, self.hidden)),
            "fc2.bias": rng.normal(size=self.channels),
        }

    @functools.cached_property
    def scores(self) -> Array:
        """What the first fully connected layer makes of the channel vectors [N, hidden]."""
        return np.asarray(means(self.x) @ self.weights["fc1.weight"].T + self.weights["fc1.bias"])

    def gates(self, hidden: Array) -> Array:
        """Return the gates [N, C]: the second fully connected layer, and the logistic function."""
        scores = hidden @ self.weights["fc2.weight"].T + self.weights["fc2.bias"]
        return np.asarray(1 / (1 + np.exp(-scores)))


def means(x: Array) -> Array:
    """Return the sum of each map over its number of pixels [N, C]."""
    return np.asarray(x.sum(axis=(2, 3)) / (x.shape[2] * x.shape[3]))


IMAGES = Sample(
    "blocks on 2 or 3 images of 3 or 6 channels, 3x5 and 6x2",
    [Images(2, 6, 3, 3, 5), Images(3, 3, 5, 6, 2, seed=1)],
)
WITH_DEAD_UNITS = Sample(
    "blocks on 2 or 3 images with active hidden units, without any, and with some for one image",
    [
        *IMAGES.covering,
        Images(2, 6, 3, 3, 5, offset=-100),
        Images(2, 6, 3, 3, 5, offset=-2, seed=3),
        Images(2, 4, 2, 5, 3, offset=7, seed=4),
    ],
)
SOME_ACTIVE = {"a hidden unit is active for some image": lambda c: bool((c.scores > 0).any())}
EACH_ACTIVE = {
    "a hidden unit is active for each image": lambda c: bool((c.scores > 0).any(axis=1).all())
}


@dataclass(frozen=True)
class Passed:
    """What a block made of maps: channel vector [N, C], gates [N, C], output, and the block."""

    squeezed: torch.Tensor
    gates: torch.Tensor
    output: torch.Tensor
    block: nn.Module


def passed(blocks: Blocks, c: Images, x: torch.Tensor) -> Passed:
    """Run a block with the weights of a case on maps."""
    import torch

    block = blocks.SqueezeExcitation(c.channels, c.hidden).double()
    state = block.state_dict()
    block.load_state_dict(
        {name: torch.tensor(c.weights[name]).reshape(state[name].shape) for name in state}
    )
    kept: dict[str, torch.Tensor] = {}
    for name in ("avgpool", "scale_activation"):
        block.get_submodule(name).register_forward_hook(
            lambda _layer, _inputs, y, name=name: kept.update({name: y.flatten(1)})
        )
    output = block(x)
    return Passed(kept["avgpool"], kept["scale_activation"], output, block)


def values(blocks: Blocks, c: Images, x: Array) -> tuple[Array, Array, Array]:
    """Return what a block makes of maps: channel vector, gates and output."""
    import torch

    maps = torch.tensor(x)
    with torch.no_grad():
        run = passed(blocks, c, maps)
    same(maps.numpy(), x, "what the block was given")
    return run.squeezed.numpy(), run.gates.numpy(), run.output.numpy()


def slopes(
    blocks: Blocks, c: Images, values_of: Callable[[Passed], torch.Tensor]
) -> tuple[Array, Array]:
    """Return derivatives [C, N, C, H, W] of a number of each channel by the maps, over all images.

    Before they are added the numbers of each image get a weight, which is returned as well [N].
    """
    import torch

    x = torch.tensor(c.x, requires_grad=True)
    weights = np.arange(1.0, c.batch + 1)
    # The zero gives numbers that no pixel reaches a derivative.
    told = torch.tensor(weights) @ values_of(passed(blocks, c, x)) + 0 * x.sum()
    rows = [torch.autograd.grad(one, x, retain_graph=True)[0].numpy() for one in told]
    return np.stack(rows), weights


# Faults -------------------------------------------------------------------------------------------


def otherwise(name: str, alter: Callable[[Any], object]) -> Fault[Blocks]:
    """Return a fault in squeeze-and-excitation blocks."""
    return altered(name, alter, "SqueezeExcitation")


def other_layer(part: str, kind: str, *args: Any) -> Fault[Blocks]:
    """Return a fault that puts another layer in the place of a part of a block."""

    def alter(block: Any) -> None:
        from torch import nn

        surgeries.put(block, part, getattr(nn, kind)(*args))

    return otherwise(f"{kind} for {part}", alter)


def changed(name: str, part: str, change: Callable[[Any, Any], Any]) -> Fault[Blocks]:
    """Return a fault in which a part makes `change(x, y)` of x, where it made y."""
    return otherwise(
        name,
        lambda block: block.get_submodule(part).register_forward_hook(
            lambda _layer, inputs, y: change(inputs[0], y)
        ),
    )


def rewired(name: str, combine: Callable[[Any, Any], Any]) -> Fault[Blocks]:
    """Return a fault in which a block puts out `combine(x, gates)`, gates being [N, C, 1, 1]."""

    def forward(block: Any, x: Any) -> Any:
        hidden = block.activation(block.fc1(block.avgpool(x)))
        return combine(x, block.scale_activation(block.fc2(hidden)))

    return forwarded(name, forward, "SqueezeExcitation")


maximum_squeezed = other_layer("avgpool", "AdaptiveMaxPool2d", 1)
sum_squeezed = changed("squeeze by sum", "avgpool", lambda x, _: x.sum((2, 3), keepdim=True))
left_squeezed = changed(
    "last column not squeezed", "avgpool", lambda x, _: x[..., :-1].mean((2, 3), keepdim=True)
)
images_mixed = changed(
    "squeeze over the batch", "avgpool", lambda _, z: z.mean(0, keepdim=True).expand_as(z)
)
channels_mixed = changed(
    "squeeze mixes channels", "avgpool", lambda _, z: z + z.mean(1, keepdim=True)
)
correlation_squeezed = changed(
    "squeeze of products of neighbouring channels",
    "avgpool",
    lambda x, z: z + (x * x.roll(1, 1)).mean((2, 3), keepdim=True),
)
SQUEEZE_FAULTS = [maximum_squeezed, sum_squeezed, left_squeezed, images_mixed, channels_mixed]

no_relu = other_layer("activation", "Identity")
gates_of_first_image = changed(
    "gates of the first image for all", "scale_activation", lambda _, s: s[:1].expand_as(s)
)
gates_reversed = changed("gates of other channels", "scale_activation", lambda _, s: s.flip(1))
constant_gates = changed(
    "gates that no image changes", "scale_activation", lambda _, s: 0 * s + 0.5
)
one_gate = changed(
    "one gate for all channels",
    "scale_activation",
    lambda _, s: s.mean(1, keepdim=True).expand_as(s),
)
gates_added = rewired("gates added", lambda x, gates: x + gates)

# Squeeze ------------------------------------------------------------------------------------------

is_global_average = Claim(
    "squeeze-excitation/squeeze-is-the-global-average",
    says="Squeeze turns each channel into one number, the average of its map, and an image into a "
    "vector with as many numbers as there are channels.",
    cites=["003:85"],
    recorded=Holds(),
)


@is_global_average.judged(subject=BLOCKS, on=IMAGES, flipped_by=SQUEEZE_FAULTS)
def channel_vector_is_the_mean(blocks: Blocks, c: Images) -> None:
    close(values(blocks, c, c.x)[0], means(c.x), "the channel vector")


sees_whole_map = Claim(
    "squeeze-excitation/squeeze-sees-every-pixel",
    says="Each number of the channel vector has the whole map as its receptive field: every pixel "
    "of its own channel counts alike, one over the number of pixels, and those of others do not.",
    cites=["003:85"],
    recorded=Holds(),
)


@sees_whole_map.judged(subject=BLOCKS, on=IMAGES, flipped_by=SQUEEZE_FAULTS)
def every_pixel_counts_alike(blocks: Blocks, c: Images) -> None:
    found, images = slopes(blocks, c, lambda run: run.squeezed)
    own = np.einsum("kc,n->knc", np.eye(c.channels), images) / (c.height * c.width)
    close(found, np.broadcast_to(own[..., None, None], found.shape), "the gradient")


DISTRIBUTION = "the channel vector stands for the global distribution of the responses"

tells_shares = Claim(
    "squeeze-excitation/squeeze-tells-the-share-of-each-channel",
    says="The channel vector shows how the responses of an image are distributed over the "
    "channels: a channel's part of the sum of the vector is its part of the sum of all responses.",
    cites=["003:85"],
    recorded=Holds(),
    reading_of=DISTRIBUTION,
)


@tells_shares.judged(
    subject=BLOCKS,
    on=IMAGES,
    flipped_by=[maximum_squeezed, left_squeezed, images_mixed, channels_mixed],
)
def shares_are_those_of_the_responses(blocks: Blocks, c: Images) -> None:
    responses = abs(c.x) + 1
    squeezed = values(blocks, c, responses)[0]
    sums = responses.sum(axis=(2, 3))
    found, expected = (one / one.sum(axis=1, keepdims=True) for one in (squeezed, sums))
    close(found, expected, "the share")


tells_distributions = Claim(
    "squeeze-excitation/squeeze-tells-distributions-apart",
    says="The channel vector shows how the responses within a channel are distributed: a map of "
    "many values gives another number than a flat one with the same average.",
    cites=["003:85"],
    recorded=Refuted(instead="squeeze-excitation/squeeze-keeps-the-averages-alone"),
    reading_of=DISTRIBUTION,
)


@tells_distributions.judged(
    subject=BLOCKS, on=IMAGES, flipped_by=[maximum_squeezed, correlation_squeezed]
)
def flat_maps_give_another_vector(blocks: Blocks, c: Images) -> None:
    flat = np.broadcast_to(means(c.x)[:, :, None, None], c.x.shape)
    one, other = (values(blocks, c, x)[0] for x in (c.x, flat))
    first = c.x[0, 0]
    assert differs(one, other), (
        f"a map with values from {first.min():g} to {first.max():g} and a flat one both give "
        f"{other[0, 0]:.3g}"
    )


keeps_averages = Claim(
    "squeeze-excitation/squeeze-keeps-the-averages-alone",
    says="Of the responses nothing counts for the gates but the average of each channel: with "
    "pixels rearranged and fields of mean zero added in each channel the gates stay as they are.",
    cites=["003:85-86"],
    recorded=Holds(),
)


@keeps_averages.judged(
    subject=BLOCKS, on=IMAGES, flipped_by=[maximum_squeezed, left_squeezed, correlation_squeezed]
)
def equal_averages_give_equal_gates(blocks: Blocks, c: Images) -> None:
    rng = np.random.default_rng(c.seed)
    field = integers(c.seed + 1, *c.x.shape)
    pixels = (c.x + field).reshape(c.batch, c.channels, -1)
    other = rng.permuted(pixels, axis=2).reshape(c.x.shape) - rng.permuted(field, axis=3)
    close(values(blocks, c, other)[1], values(blocks, c, c.x)[1], "the gates")


# Excitation ---------------------------------------------------------------------------------------

LAYERS_OF_EXCITATION = "the gates come from two fully connected layers and a sigmoid"

nothing_between = Claim(
    "squeeze-excitation/gates-are-two-linear-layers-and-a-sigmoid",
    says="The gates are the sigmoid of two fully connected layers on the channel vector, with "
    "nothing between the layers.",
    cites=["003:86"],
    recorded=Refuted(instead="squeeze-excitation/gates-need-a-relu-between-the-layers"),
    reading_of=LAYERS_OF_EXCITATION,
)


@nothing_between.judged(subject=BLOCKS, on=IMAGES, flipped_by=[no_relu])
def gates_are_linear_up_to_the_sigmoid(blocks: Blocks, c: Images) -> None:
    gates, without = values(blocks, c, c.x)[1], c.gates(c.scores)
    worst = abs(gates - without).max()
    assert not differs(gates, without), f"a gate is off by {worst:.3f}: a ReLU lies between"


relu_between = Claim(
    "squeeze-excitation/gates-need-a-relu-between-the-layers",
    says="The gates are the sigmoid of two fully connected layers on the channel vector with a "
    "ReLU between them.",
    cites=["003:86"],
    recorded=Holds(),
    reading_of=LAYERS_OF_EXCITATION,
)


@relu_between.judged(
    subject=BLOCKS,
    on=WITH_DEAD_UNITS,
    flipped_by=[
        no_relu,
        *(other_layer("activation", kind) for kind in ("SiLU", "ReLU6")),
        *(other_layer("scale_activation", kind) for kind in ("Identity", "Hardsigmoid", "Tanh")),
        other_layer("scale_activation", "Softmax", 1),
        gates_reversed,
        gates_of_first_image,
        maximum_squeezed,
    ],
)
def gates_are_those_of_the_formula(blocks: Blocks, c: Images) -> None:
    close(values(blocks, c, c.x)[1], c.gates(oracle.relu(c.scores)), "the gates")


are_learnt = Claim(
    "squeeze-excitation/gates-are-learnt",
    says="The weights and biases of both fully connected layers are learnt: a loss behind the "
    "block has a gradient by each of the four that is not zero.",
    cites=["003:86"],
    recorded=HoldsIf(*SOME_ACTIVE),
)


@are_learnt.judged(
    subject=BLOCKS,
    on=WITH_DEAD_UNITS,
    when=SOME_ACTIVE,
    flipped_by=[
        no_relu,
        rewired("gates cut off from the loss", lambda x, gates: x * gates.detach()),
        otherwise("first layer fixed", lambda block: block.fc1.requires_grad_(requires_grad=False)),
        otherwise("last bias fixed", lambda block: block.fc2.bias.requires_grad_(False)),
    ],
)
def gradients_reach_all_weights(blocks: Blocks, c: Images) -> None:
    import torch

    run = passed(blocks, c, torch.tensor(c.x))
    pulled = integers(c.seed + 1, *c.x.shape)
    if run.output.requires_grad:
        torch.autograd.backward(run.output, torch.tensor(pulled))
    hidden = oracle.relu(c.scores)
    gates = c.gates(hidden)
    scores = (pulled * c.x).sum(axis=(2, 3)) * gates * (1 - gates)
    units = scores @ c.weights["fc2.weight"] * (hidden > 0)
    expected = {
        "fc1.weight": units.T @ means(c.x),
        "fc1.bias": units.sum(axis=0),
        "fc2.weight": scores.T @ hidden,
        "fc2.bias": scores.sum(axis=0),
    }
    for name, weight in run.block.named_parameters():
        assert weight.grad is not None, f"{name} has no gradient"
        gradient = weight.grad.numpy().reshape(expected[name].shape)
        assert gradient.any(), f"the gradient by {name} is zero"
        close(gradient, expected[name], f"the gradient by {name}")


CORRELATION = "the excitation models how the channels are correlated"

depends_on_all = Claim(
    "squeeze-excitation/a-gate-depends-on-all-channels",
    says="Every gate depends on every pixel of every channel of its image, and on no other image.",
    cites=["003:85-86"],
    recorded=HoldsIf(*EACH_ACTIVE),
    reading_of=CORRELATION,
)


@depends_on_all.judged(
    subject=BLOCKS,
    on=WITH_DEAD_UNITS,
    when=EACH_ACTIVE,
    flipped_by=[
        maximum_squeezed,
        left_squeezed,
        images_mixed,
        gates_of_first_image,
        one_gate,
        constant_gates,
        forwarded(
            "gates from the own channel alone",
            lambda block, x: x * block.scale_activation(block.avgpool(x)),
            "SqueezeExcitation",
        ),
    ],
)
def gates_see_all_channels(blocks: Blocks, c: Images) -> None:
    found, images = slopes(blocks, c, lambda run: run.gates)
    gates = c.gates(oracle.relu(c.scores))
    first, second = c.weights["fc1.weight"], c.weights["fc2.weight"]
    by_mean = np.einsum(
        "n,nk,kh,nh,hc->knc", images, gates * (1 - gates), second, c.scores > 0, first
    )
    for channel, found_one in enumerate(found):
        unseen = (found_one == 0).sum()
        assert not unseen, f"gate {channel} ignores {unseen} of {c.x.size} numbers"
    expected = by_mean[..., None, None] / (c.height * c.width)
    close(found, np.broadcast_to(expected, found.shape), "the gradient of the gates")


correlation = Claim(
    "squeeze-excitation/gates-see-correlated-channels",
    says="The gates tell images apart by how their channels are correlated over the pixels.",
    cites=["003:86"],
    recorded=Refuted(instead="squeeze-excitation/squeeze-keeps-the-averages-alone"),
    reading_of=CORRELATION,
)


@correlation.judged(subject=BLOCKS, on=IMAGES, flipped_by=[correlation_squeezed])
def other_correlation_gives_other_gates(blocks: Blocks, c: Images) -> None:
    apart = c.x.copy()
    apart[:, 0] = np.roll(c.x[:, 0], 1, axis=2)
    one, other = (values(blocks, c, x)[1] for x in (c.x, apart))
    correlations = [np.corrcoef(x[0, 0].ravel(), x[0, 1].ravel())[0, 1] for x in (c.x, apart)]
    assert differs(one, other), (
        f"channels 0 and 1 correlated by {correlations[0]:.2f} or {correlations[1]:.2f}: the same "
        "gates"
    )


costs = Claim(
    "squeeze-excitation/has-2-c-squared-over-r-weights",
    says="With C channels and C / r hidden units the fully connected layers have 2 C^2 / r weights "
    "and C / r + C biases: with r = 16 behind every block of ResNet-50 a tenth of its parameters.",
    cites=["003:86"],
    recorded=Holds(),
)


@costs.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        formula("biases forgotten", "linear_parameters", lambda f, i, o: f(i, o, bias=False)),
        formula("square layers", "linear_parameters", lambda f, i, o: f(o, o)),
    ],
)
def weights_for_all_sizes(formulas: Formulas, _: Proof) -> None:
    import sympy

    channels, r = sympy.symbols("C r", positive=True)
    first = formulas.linear_parameters(channels, channels / r)
    both = sympy.expand(first + formulas.linear_parameters(channels / r, channels))
    assert both == sympy.expand(2 * channels**2 / r + channels / r + channels), f"they have {both}"


def parameters(channels: int, hidden: int) -> int:
    """Return how many weights and biases a block has."""
    return 2 * channels * hidden + hidden + channels


@costs.judged(
    subject=BLOCKS,
    on=Sample("channels and hidden units of some blocks", [(64, 4), (10, 5), (7, 7)]),
    flipped_by=[
        otherwise("no biases", lambda block: block.fc1.register_parameter("bias", None)),
        built_otherwise(
            "one hidden unit more", lambda f, c, h, **o: f(c, h + 1, **o), "SqueezeExcitation"
        ),
    ],
)
def blocks_have_as_many(blocks: Blocks, sizes: tuple[int, int]) -> None:
    counted = counting.parameter_count(blocks.SqueezeExcitation(*sizes))
    expected = parameters(*sizes)
    assert counted == expected, f"{sizes[0]} channels: {counted} parameters, not {expected}"


def _stage_emptied(model: nn.Module) -> None:
    from torch import nn

    surgeries.put(model, "layer4", nn.Sequential())


@costs.judged(
    subject=MODELS,
    on=["resnet50"],
    flipped_by=[surgeries.surgery("last stage without its blocks", _stage_emptied)],
)
def resnet_grows_by_a_tenth(models: Models, name: str) -> dict[str, float]:
    model = models(name)
    norms: list[Any] = [layer.bn3 for layer in model.modules() if hasattr(layer, "bn3")]
    added = sum(parameters(norm.num_features, norm.num_features // 16) for norm in norms)
    share = added / counting.parameter_count(model)
    assert added == 2_530_992, f"the blocks have {added:,} parameters"
    assert 0.095 < share < 0.105, f"they add {share:.1%}"
    return {"parameters": added, "share": share}


# Reweight -----------------------------------------------------------------------------------------

channelwise_product = Claim(
    "squeeze-excitation/reweights-by-a-channelwise-product",
    says="What is weighed is the output of an ordinary convolution as it is: a gate for each of "
    "its channels multiplies every number of that channel, and nothing else is done.",
    cites=["003:83-84", "003:87"],
    recorded=Holds(),
)


@channelwise_product.judged(
    subject=BLOCKS,
    on=IMAGES,
    flipped_by=[
        gates_added,
        changed("a single gate", "scale_activation", lambda _, s: s[:, :1]),
        rewired("gates of other channels", lambda x, gates: x * gates.flip(1)),
        rewired("weighed maps rectified", lambda x, gates: (x * gates).relu()),
        rewired("weighed maps shifted", lambda x, gates: (x * gates).roll(1, 3)),
        rewired("weighed in place", lambda x, gates: x.mul_(gates)),
        rewired("maps averaged", lambda x, gates: gates * x.mean((2, 3), keepdim=True)),
    ],
)
def output_is_gate_times_input(blocks: Blocks, c: Images) -> None:
    source = integers(c.seed + 1, c.batch, c.channels + 2, c.height + 2, c.width + 1)
    kernel = integers(c.seed + 2, c.channels, c.channels + 2, 3, 2, low=-1, high=1)
    maps = oracle.conv2d(source, kernel)
    _, gates, output = values(blocks, c, maps)
    assert gates.shape[1] == c.channels, f"{gates.shape[1]} gates for {c.channels} channels"
    same(output, gates[:, :, None, None] * maps, "the output")


own_gates = Claim(
    "squeeze-excitation/every-image-has-its-own-gates",
    says="The weights of the channels are not fixed: in a batch each image gets the gates that it "
    "gets alone, and they are not the same for all images.",
    cites=["003:86"],
    recorded=HoldsIf(*SOME_ACTIVE),
)


@own_gates.judged(
    subject=BLOCKS,
    on=WITH_DEAD_UNITS,
    when=SOME_ACTIVE,
    flipped_by=[no_relu, images_mixed, gates_of_first_image, constant_gates],
)
def alone_as_in_a_batch(blocks: Blocks, c: Images) -> None:
    together = values(blocks, c, c.x)[1]
    alone = [values(blocks, c, c.x[[image]])[1] for image in range(c.batch)]
    close(together, np.concatenate(alone), "the gates")
    assert (together != together[0]).any(), f"{c.batch} images have the same gates"


IMPORTANCE = "the gate of a channel is its importance"

gate_is_importance = Claim(
    "squeeze-excitation/larger-gate-means-larger-share",
    says="Of the channels of an image the one with the largest gate is that which counts most in "
    "what the block puts out.",
    cites=["003:87"],
    recorded=Refuted(instead="squeeze-excitation/reweights-by-a-channelwise-product"),
    reading_of=IMPORTANCE,
)


@gate_is_importance.judged(
    subject=BLOCKS,
    on=IMAGES,
    flipped_by=[
        rewired(
            "all channels brought to one size",
            lambda x, gates: gates * x / x.norm(dim=(2, 3), keepdim=True),
        )
    ],
)
def largest_gate_has_largest_share(blocks: Blocks, c: Images) -> None:
    growing = np.arange(1, c.channels + 1)[:, None, None]
    _, gates, output = values(blocks, c, growing * c.x)
    sizes = np.sqrt((output**2).sum(axis=(2, 3)))
    for gate, size in zip(gates, sizes, strict=True):
        largest, most = int(gate.argmax()), int(size.argmax())
        assert largest == most, (
            f"channel {largest} with gate {gate[largest]:.2f} puts out {size[largest]:.1f}, "
            f"channel {most} with gate {gate[most]:.2f} puts out {size[most]:.1f} (roots of the "
            "sums of squares)"
        )


# What only training decides -----------------------------------------------------------------------

TRAINED = (
    trained(
        "squeeze-excitation/channels-contribute-differently",
        says="The channels of a trained network contribute differently to what it says: without "
        "some of them the error rises more than without others of the same layer.",
        cites=["003:81"],
        # Each channel set to its mean in turn; where they do not differ, nothing correlates.
        rule=MeanAbove(
            "trunk",
            0.3,
            quantity="correlation of the rises of error by channel between halves of the images",
            seeds=5,
        ),
    ),
    trained(
        "squeeze-excitation/channel-weights-lower-the-error",
        says="Weights of the channels are worth having: squeeze-and-excitation blocks lower the "
        "test error on CIFAR-10.",
        cites=["003:81"],
        rule=Lower("trunk-squeeze-excitation", "trunk", seeds=5),
    ),
    trained(
        "squeeze-excitation/gates-rank-channels-by-importance",
        says="In a trained network the gates rank the channels by importance: without the tenth of "
        "the channels that have the lowest mean gates the error rises less than without a random "
        "tenth, and more without the tenth with the highest.",
        cites=["003:87"],
        # The differences are those within a run, so both tests are paired over the seeds.
        rule=AllOf(
            tuple(
                MeanAbove("trunk-squeeze-excitation", 0.3, quantity=difference, seeds=5)
                for difference in (
                    "rise of test error by random channels beyond that by low gates",
                    "rise of test error by high gates beyond that by random channels",
                )
            )
        ),
        reading_of=IMPORTANCE,
    ),
)
