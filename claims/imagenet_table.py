"""The ImageNet network in a table: whether its rows fit together, and what else it needs.

Document 004, lines 42 to 57; its parameter counts are the next topic.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from claims._imagenet_table import (
    CCCPS,
    CONVOLUTION_LINES,
    CONVOLUTIONS,
    DOWN_SAMPLING_LINES,
    DOWN_SAMPLINGS,
    PADDINGS,
    PRINTED,
    ROWS,
    TABLE,
    WEIGHTED,
    Row,
    Size,
    Table,
    convolution,
    layer_of,
    misprints,
    misread,
    rewritten,
    times,
)
from claims._layers import assert_has_layers, proved, remade, swapped
from claims.cases import Convolution, integers, wide
from claims.checks import Array, close, same
from claims.core.claim import Claim, Fault, Sample
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.subjects import (
    LAYERS,
    MODELS,
    OPERATORS,
    Formulas,
    Layers,
    Models,
    traced,
)
from nin_ref import oracle
from nin_ref.operators import Operators

if TYPE_CHECKING:
    from torch import nn

# The rows one by one ------------------------------------------------------------------------------


def passed(layer: nn.Module, size: Size) -> Size:
    """Return the size (h, w, c) to which a layer takes maps of another."""
    import torch

    height, width, channels = size
    _, c, h, w = layer(torch.empty(1, channels, height, width, device="meta")).shape
    return h, w, c


# By the kind of a row: the ways to read it, and the cells that its sizes depend on.
READINGS: Mapping[str, Sequence[int | str] | Sample[int | str]] = {
    "convolution": Sample("paddings from 0 to 5", range(6)),
    "CCCP": ["filters", "depth"],
    "down-sampling": ["maximum", "maximum, rounded up", "average", "average, rounded up"],
}
CELLS = {
    "convolution": ("input", "kernel", "depth", "stride", "filters", "output"),
    "CCCP": ("kernel", "depth", "stride", "output"),
    "down-sampling": ("input", "kernel", "stride", "output"),
}


def row_shape(name: str, condition: str = "", right: Sequence[int | str] = ()) -> Claim:
    """Declare that a row has the sizes printed: in each way of reading it, or only in the right."""
    row = PRINTED[name]
    kernel = times((*row.kernel, row.depth) if row.depth else row.kernel)
    layer = {
        "convolution": f"{name}, {row.filters} filters of {kernel} at stride {row.stride},",
        "CCCP": f"{name}, a layer of {kernel} kernels,",
        "down-sampling": f"A pool of {kernel} at stride {row.stride}",
    }[row.kind]
    claim = Claim(
        f"imagenet-table/{name.lower()}-shape",
        says=f"{layer} turns {times(row.input)} into {times(row.output)}.",
        cites=[f"004:{row.line}"],
        recorded=HoldsIf(condition) if condition else Holds(),
    )

    @claim.judged(
        subject=TABLE,
        on=READINGS[row.kind],
        when={condition: lambda read: read in right} if condition else None,
        flipped_by=misprints([name], *CELLS[row.kind]),
    )
    def layer_gives_the_maps(table: Table, read: int | str) -> None:
        row = table[name]
        if row.filters or read == "depth":
            assert row.depth == row.input[2], f"depth {row.depth} does not fit {row.input[2]} maps"
        output = passed(layer_of(row, read), row.input)
        how = f"padding {read}" if isinstance(read, int) else read
        assert output == row.output, f"{name} gives {times(output)} with {how}"

    return claim


CONVOLUTION_ROWS = tuple(
    row_shape(name, f"the padding is {' or '.join(map(str, paddings))}", paddings)
    for name, paddings in PADDINGS.items()
)
CCCP8_ROW = row_shape("CCCP8", "its one number is that of the filters", ["filters"])
OTHER_ROWS = tuple(row_shape(name) for name in [*CCCPS[:-1], *DOWN_SAMPLINGS])

# How the rows fit together ------------------------------------------------------------------------

chain = Claim(
    "imagenet-table/each-row-takes-what-the-row-before-gives",
    says="The input size of each row is the output size of the row before.",
    cites=["004:43-57"],
    recorded=Holds(),
)


@chain.judged(
    subject=TABLE,
    on=ROWS[1:],
    flipped_by=[*misprints(["C1"], "line", "output"), *misprints(ROWS[1:], "line", "input")],
)
def input_is_the_output_before(table: Table, name: str) -> None:
    row = table[name]
    before = [times(other.output) for other in table.values() if other.line == row.line - 1]
    assert before == [times(row.input)], f"{name} takes {times(row.input)} after {before}"


stages = Claim(
    "imagenet-table/has-four-stages-and-three-down-samplings",
    says="The network has four stages, each a convolution and two CCCP layers, with a "
    "down-sampling between one stage and the next.",
    cites=["004:43-57"],
    recorded=Holds(),
)


@stages.judged(
    subject=TABLE,
    on=["the rows in order"],
    flipped_by=[
        *(misread(name, "kind", "other") for name in PRINTED),
        *misprints(["S1"], "line"),
        misread("CCCP8", "line", 56),
    ],
)
def rows_come_in_stages(table: Table, _: str) -> None:
    rows = sorted(table.values(), key=lambda row: row.line)
    assert [row.line for row in rows] == list(range(43, 58)), "a line has no row of its own"
    kinds = [row.kind for row in rows]
    expected = (["convolution", "CCCP", "CCCP", "down-sampling"] * 4)[:-1]
    assert kinds == expected, f"the rows are {', '.join(kinds)}"


def built() -> nn.Sequential:
    """Build the rows without storage: the smallest paddings, ReLUs, max pools, an average."""
    from torch import nn

    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, row in PRINTED.items():
        if row.kind == "down-sampling":
            layers[name.lower()] = nn.MaxPool2d(row.kernel[0], row.stride)
        else:
            layers[name.lower()] = convolution(row, PADDINGS.get(name, [0])[0])
            layers[f"{name.lower()}_relu"] = nn.ReLU()
    return nn.Sequential(layers | {"gap": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()})


@stages.judged(
    subject=MODELS,
    on=["table-nin"],
    flipped_by=[
        surgeries.padding_dropped,
        surgeries.linear_appended,
        surgeries.surgery("a ReLU in the middle removed", surgeries.removed("ReLU", 5)),
        surgeries.surgery(
            "CCCP2 shares the weights of CCCP1",
            lambda model: surgeries.put(model, "cccp2", model.get_submodule("cccp1")),
        ),
        swapped("c4_relu", "s3"),
        remade("s1", "AvgPool2d", kernel_size=3, stride=2),
        remade("s2", kernel_size=2),
        remade("c2", dilation=2, padding=4),
        remade("c3", bias=False),
        remade("cccp5", groups=2),
    ],
)
def network_is_the_table(models: Models, name: str) -> None:
    assert_has_layers(models(name), built())


overlap = Claim(
    "imagenet-table/down-samplings-overlap",
    says="The windows of a down-sampling overlap: each shares a row or a column of pixels with its "
    "neighbours.",
    cites=DOWN_SAMPLING_LINES,
    recorded=Holds(),
)


@overlap.judged(
    subject=TABLE,
    on=DOWN_SAMPLINGS,
    flipped_by=[
        *misprints(DOWN_SAMPLINGS, "kernel", "stride"),
        # This kernel would give all sizes in the table just as well.
        *(misread(name, "kernel", (2, 2)) for name in DOWN_SAMPLINGS),
    ],
)
def pixels_between_lie_in_two_windows(table: Table, name: str) -> None:
    import torch

    each_pixel = torch.eye(49).reshape(49, 1, 7, 7)
    reached = layer_of(table[name], "average")(each_pixel) > 0
    along = torch.tensor([1, 1, 2, 1, 2, 1, 1])
    windows = reached.sum(dim=(1, 2, 3)).reshape(7, 7)
    assert windows.equal(torch.outer(along, along)), f"pixels lie in {windows.unique()} windows"


# The kernel column --------------------------------------------------------------------------------

THIRD_NUMBER = "what the third number of a kernel is"
CHANGES = "imagenet-table/kernel-column-changes-its-meaning"


def third_number_is(what: str, says: str, side: str, flipped_by: Fault[Table]) -> Claim:
    """Declare that the third number is that of the channels on one side, which is false."""
    claim = Claim(
        f"imagenet-table/third-number-is-the-{what}",
        says=f"The third number of each kernel is {says}.",
        cites=["004:42-57"],
        recorded=Refuted(instead=CHANGES),
        reading_of=THIRD_NUMBER,
    )

    @claim.judged(subject=TABLE, on=WEIGHTED, flipped_by=[flipped_by])
    def number_is_the_channels(table: Table, name: str) -> None:
        depth, channels = table[name].depth, getattr(table[name], side)[2]
        assert depth == channels, f"{name} has {depth}, its {side} {channels} channels"

    return claim


THIRD_NUMBERS = (
    third_number_is(
        "depth",
        "its depth, the channels of its input",
        "input",
        misread("CCCP8", "depth", 1024),
    ),
    third_number_is(
        "number-of-filters",
        "the number of filters, the channels of its output",
        "output",
        rewritten(
            "filters in the place of the depth", lambda _, row: {"depth": row.filters or row.depth}
        ),
    ),
)

column_changes = Claim(
    CHANGES,
    says="The third number is the depth in convolution rows, which give stride and filters "
    "besides, and the number of filters in CCCP rows, which give neither; down-samplings give a "
    "stride.",
    cites=["004:42-57"],
    recorded=Holds(),
    reading_of=THIRD_NUMBER,
)


@column_changes.judged(
    subject=TABLE,
    on=ROWS,
    flipped_by=[
        *misprints(ROWS, "depth", "filters"),
        *misprints(CCCPS, "stride"),
        *(misread(name, "stride", None) for name in CONVOLUTIONS + DOWN_SAMPLINGS),
    ],
)
def numbers_depend_on_the_kind(table: Table, name: str) -> None:
    row = table[name]
    expected = {
        "convolution": (row.input[2], row.output[2], True),
        "CCCP": (row.output[2], None, False),
        "down-sampling": (None, None, True),
    }[row.kind]
    printed = (row.depth, row.filters, row.stride is not None)
    assert printed == expected, f"{name} gives depth {row.depth}, filters {row.filters}"


# Paddings, which the table leaves out -------------------------------------------------------------


def size_without_padding(row: Row) -> Size:
    """Count the positions at which the kernel lies within the maps; the channels are as printed."""
    height, width = (
        len(range(0, size - kernel + 1, row.stride or 1))
        for size, kernel in zip(row.input[:2], row.kernel, strict=True)
    )
    return height, width, row.output[2]


fixed_by_kernel = Claim(
    "imagenet-table/kernel-and-stride-give-the-sizes",
    says="The kernel and the stride of a row give its output size.",
    cites=["004:42-57"],
    recorded=Refuted(instead="imagenet-table/sizes-need-paddings"),
)


@fixed_by_kernel.judged(
    subject=TABLE,
    on=ROWS,
    flipped_by=[
        rewritten("sizes without padding", lambda _, row: {"output": size_without_padding(row)})
    ],
)
def windows_inside_give_the_size(table: Table, name: str) -> None:
    row = table[name]
    fitting = size_without_padding(row)
    assert fitting == row.output, f"{name} gives {times(fitting)}, not {times(row.output)}"


WRONG_SIZES = [
    wrong_formulas.output_size_off_by_one,
    wrong_formulas.padding_counted_once,
    wrong_formulas.stride_forgotten,
]

need_paddings = Claim(
    "imagenet-table/sizes-need-paddings",
    says="The sizes in the table are those for a padding of 2 or 3 in C1, 2 in C2, 1 in C3 and C4, "
    "and for no other paddings.",
    cites=CONVOLUTION_LINES,
    recorded=Holds(),
)


def paddings_fit(formulas: Formulas, padding: Any) -> Any:
    """Say of each convolution that a padding gives its size just where it is listed for it."""
    import z3

    return z3.And(
        (formulas.output_size(row.input[0], row.kernel[0], row.stride, padding) == row.output[0])
        == z3.Or([padding == one for one in PADDINGS[name]])
        for name, row in PRINTED.items()
        if name in PADDINGS
    )


def in_torch(layers: Layers, name: str, padding: int = 0) -> nn.Module:
    """Build the layer of a convolution row, without padding where none is given."""
    row = PRINTED[name]
    size = (row.depth, row.filters, row.kernel)
    return layers.Conv2d(*size, stride=row.stride, padding=padding, device="meta")


@need_paddings.judged(
    subject=LAYERS,
    on=CONVOLUTIONS,
    flipped_by=[
        wrong_formulas.padding_added,
        wrong_formulas.layer(
            "stride of one", "Conv2d", lambda f, *a, **o: f(*a, **o | {"stride": 1})
        ),
    ],
)
def other_paddings_do_not_fit(layers: Layers, name: str) -> None:
    row = PRINTED[name]
    sizes = [passed(in_torch(layers, name, padding), row.input) for padding in range(8)]
    fitting = [padding for padding, size in enumerate(sizes) if size == row.output]
    assert fitting == PADDINGS[name], f"{name} fits with {fitting}"


proved(need_paddings, paddings_fit, low=0, what="a padding", flipped_by=WRONG_SIZES)

larger_images = Claim(
    "imagenet-table/c1-fits-227-pixels-without-padding",
    says="Without padding C1 gives maps of 55x55 for images of 227 to 230 pixels, no others.",
    cites=["004:43"],
    recorded=Holds(),
)


@larger_images.judged(
    subject=LAYERS,
    on=Sample("sides from 224 to 231", range(224, 232)),
    flipped_by=[wrong_formulas.padding_added],
)
def layer_fits_these_sizes(layers: Layers, size: int) -> None:
    output = passed(in_torch(layers, "C1"), (size, size, 3))
    assert (output == (55, 55, 96)) == (227 <= size <= 230), f"{size} pixels give {times(output)}"


proved(
    larger_images,
    lambda formulas, side: (
        (formulas.output_size(side, 11, 4) == 55) == ((side >= 227) & (side <= 230))
    ),
    low=11,
    flipped_by=[wrong_formulas.output_size_off_by_one, wrong_formulas.stride_forgotten],
)

rounding_up = Claim(
    "imagenet-table/down-samplings-reach-their-sizes-from-54",
    says="Where C1 has no padding and gives 54x54, the down-samplings give the sizes printed.",
    cites=DOWN_SAMPLING_LINES,
    recorded=HoldsIf("they round up"),
)


@rounding_up.judged(
    subject=LAYERS,
    on=["rounded up", "rounded down"],
    when={"they round up": lambda rounded: rounded == "rounded up"},
    flipped_by=[
        wrong_formulas.layer(
            "rounding up ignored", "MaxPool2d", lambda f, k, s, ceil_mode: f(k, s)
        ),
        wrong_formulas.layer("pools of 2x2", "MaxPool2d", lambda f, k, s, **more: f(2, 2, **more)),
        wrong_formulas.layer(
            "kernel of 7x7", "Conv2d", lambda f, i, o, k, **more: f(i, o, 7, **more)
        ),
    ],
)
def pools_make_up_for_the_padding(layers: Layers, rounded: str) -> None:
    size = passed(in_torch(layers, "C1"), PRINTED["C1"].input)
    assert size == (54, 54, 96), f"C1 gives {times(size)}"
    for name in DOWN_SAMPLINGS:
        row = PRINTED[name]
        pool = layers.MaxPool2d(row.kernel, row.stride, ceil_mode=rounded == "rounded up")
        size = passed(pool, (*size[:2], row.input[2]))
        assert size == row.output, f"{name}, {rounded}, gives {times(size)}"


# What else the table leaves out -------------------------------------------------------------------

complete = Claim(
    "imagenet-table/is-the-whole-network",
    says="The table lists the whole network: its last row gives a score for each of 1000 classes.",
    cites=["004:42-57"],
    recorded=Refuted(instead="imagenet-table/an-average-gives-the-class-scores"),
)
AVERAGE = Row(58, "average", (6, 6, 1000), (6, 6), None, 1, None, (1, 1, 1000), 0)


@complete.judged(
    subject=TABLE,
    on=["the last row"],
    flipped_by=[
        misread("CCCP8", "output", (1, 1, 1000)),
        Fault("a row that averages", lambda table: {**table, "average": AVERAGE}),
    ],
)
def last_row_gives_scores(table: Table, _: str) -> None:
    last = max(table.values(), key=lambda row: row.line).output
    assert last == (1, 1, 1000), f"{times(last)} are {math.prod(last):,} values, not 1000 scores"


average_completes = Claim(
    "imagenet-table/an-average-gives-the-class-scores",
    says="After the last row each of the 1000 maps is averaged over its 6x6 pixels, which gives "
    "the class scores.",
    cites=["004:36", "004:57"],
    recorded=Holds(),
)


@average_completes.judged(
    subject=MODELS,
    on=["table-nin"],
    flipped_by=[
        surgeries.outputs_doubled,
        surgeries.padding_dropped,
        remade("gap", "Identity"),
        remade("gap", "AdaptiveMaxPool2d", output_size=1),
        remade("gap", "AvgPool2d", kernel_size=5),
        remade("flatten", "Softmax", dim=1),
    ],
)
def maps_become_scores(models: Models, name: str) -> None:
    import torch
    from torch import nn

    model = models(name)
    records = traced(model, 2, 3, 224, 224)
    at = max(at for at, record in enumerate(records) if record.kind == "Conv2d")
    maps, scores = records[at].output_shape, records[-1].output_shape
    assert maps == (2, 1000, 6, 6), f"the last row gives {maps}"
    assert scores == (2, 1000), f"the network gives {scores}"
    x = integers(0, 2, 5, 6, 6, low=0)  # as a ReLU gives them
    ending = [model.get_submodule(record.name) for record in records[at + 1 :]]
    end = nn.Sequential(*ending)(torch.from_numpy(x)).numpy()
    close(end, x.sum(axis=(2, 3)) / 36, "the end of the network")


ACTIVATIONS = "which activations stand between the rows"

no_activations = Claim(
    "imagenet-table/rows-as-printed-exceed-one-convolution",
    says="Taken as printed, without activations, a convolution and two CCCP layers compute what no "
    "single convolution can.",
    cites=["004:31", "004:43-57"],
    recorded=Refuted(instead="imagenet-table/rows-as-printed-are-one-convolution"),
    reading_of=ACTIVATIONS,
)
STAGES = Sample("the stages of the table, with fewer channels and smaller maps", CONVOLUTIONS)
CCCP_WEIGHTS = (integers(5, 5, 4, 1, 1, low=1, high=9), integers(6, 6, 5, 1, 1))
CCCP_BIASES = (integers(7, 5, low=1), integers(8, 6, low=1))


def in_small(name: str) -> Convolution:
    """Return a convolution with the kernel, the stride and the padding of a row."""
    row, padding = PRINTED[name], PADDINGS[name][0]
    height, width = {"C1": (19, 23), "C3": (8, 8)}.get(name, (7, 9))
    return Convolution(
        *(2, 3, 4, height, width),
        kernel=row.kernel,
        stride=(row.stride or 1,) * 2,
        padding=(padding, padding),
    )


def stage(ops: Operators, c: Convolution, x: Array, activation: Callable[[Array], Array]) -> Array:
    """Apply a convolution and two CCCP layers, each with an activation."""
    y = activation(ops.conv2d(x, c.weight, c.bias, **c.options))
    for weight, bias in zip(CCCP_WEIGHTS, CCCP_BIASES, strict=True):
        y = activation(ops.conv2d(y, weight, bias))
    return y


def as_printed(ops: Operators, name: str) -> Array:
    """Apply a convolution row and its two CCCP rows, and nothing else."""
    c = in_small(name)
    return stage(ops, c, wide(c.x), lambda y: y)


def in_one(name: str) -> Array:
    """Apply one convolution, whose weights are composed of those of the three rows."""
    c = in_small(name)
    weight, bias = c.weight, c.bias
    for cccp_weight, cccp_bias in zip(CCCP_WEIGHTS, CCCP_BIASES, strict=True):
        weight = np.einsum("om,mchw->ochw", cccp_weight[:, :, 0, 0], weight)
        bias = cccp_weight[:, :, 0, 0] @ bias + cccp_bias
    return oracle.conv2d(wide(c.x), weight, bias, **c.options)


@no_activations.judged(
    subject=OPERATORS,
    on=STAGES,
    flipped_by=[faults.rectified, faults.bias_missing, faults.weight_transposed],
)
def one_convolution_does_not_do(ops: Operators, name: str) -> None:
    equal = np.array_equal(as_printed(ops, name), in_one(name))
    assert not equal, f"one convolution does what {name} and two CCCP layers do"


one_convolution = Claim(
    "imagenet-table/rows-as-printed-are-one-convolution",
    says="Taken as printed, without activations, a convolution and two CCCP layers are one "
    "convolution, whose weights are composed of theirs.",
    cites=["004:31", "004:43-57"],
    recorded=Holds(),
    reading_of=ACTIVATIONS,
)


@one_convolution.judged(
    subject=OPERATORS,
    on=STAGES,
    flipped_by=[
        *(faults.rectified, faults.bias_missing, faults.weight_transposed, faults.channel_ignored),
        *(faults.padding_ignored, faults.stride_ignored, faults.kernel_flipped),
        *(faults.last_image_ignored, faults.conv2d_in_float32),
    ],
)
def one_convolution_does_it(ops: Operators, name: str) -> None:
    same(as_printed(ops, name), in_one(name), f"{name} and two CCCP layers")


with_relu = Claim(
    "imagenet-table/rows-with-relu-exceed-one-convolution",
    says="With a ReLU after each, a convolution and two CCCP layers compute what no single "
    "convolution can.",
    cites=["004:31", "004:43-57"],
    recorded=Holds(),
    reading_of=ACTIVATIONS,
)


@with_relu.judged(
    subject=OPERATORS,
    on=STAGES,
    flipped_by=[
        *(faults.relu_missing, faults.relu_leaky, faults.relu_absolute, faults.relu_capped),
        *(faults.bias_missing, faults.stride_ignored, faults.kernel_transposed),
    ],
)
def stage_is_not_affine(ops: Operators, name: str) -> None:
    c = in_small(name)
    x = wide(c.x)
    between, *ends = (stage(ops, c, images, ops.relu) for images in (0 * x, x, -x))
    same(ends[0], stage(oracle, c, x, oracle.relu), "the stage")
    # Of a convolution, whatever its weights, the results for x and -x add up to twice that for 0.
    assert not np.array_equal(ends[0] + ends[1], 2 * between), f"{name} and two CCCP are affine"
