"""The ImageNet network in a table: whether its sizes and its parameter counts are right.

Document 004, lines 42 to 57: four convolutions (C1 to C4), eight cascaded cross-channel pooling
layers (CCCP1 to CCCP8, convolutions of 1x1), three down-samplings (S1 to S3 here). The asterisks on
four of the rows have no footnote.
"""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from claims._layers import assert_has_layers, for_all, remade, swapped
from claims.cases import Convolution, integers, wide
from claims.checks import Array, close, same
from claims.core.claim import PROOF, Claim, Fault, Proof, Sample, Subject
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.faults.fields import perturbed
from claims.subjects import (
    FORMULAS,
    LAYERS,
    MODELS,
    OPERATORS,
    Formulas,
    Layers,
    Models,
    torchvision_models,
    traced,
)
from nin_ref import counting, oracle
from nin_ref.operators import Operators

if TYPE_CHECKING:
    from torch import nn

Size = tuple[int, int, int]


@dataclass(frozen=True)
class Row:
    """A row as printed; None where a cell leaves something out.

    Sizes are height, width, channels. `depth` is the third factor of the kernel, and `parameters`
    the value of the product in the last cell.
    """

    line: int
    kind: str
    input: Size
    kernel: tuple[int, int]
    depth: int | None
    stride: int | None
    filters: int | None
    output: Size
    parameters: int | None


Table = Mapping[str, Row]

# fmt: off
PRINTED: Table = {
    "C1": Row(43, "convolution", (224, 224, 3), (11, 11), 3, 4, 96, (55, 55, 96),
              (11 * 11 * 3 + 1) * 96 * 2),
    "CCCP1": Row(44, "CCCP", (55, 55, 96), (1, 1), 96, None, None, (55, 55, 96), None),
    "CCCP2": Row(45, "CCCP", (55, 55, 96), (1, 1), 96, None, None, (55, 55, 96), None),
    "S1": Row(46, "down-sampling", (55, 55, 96), (3, 3), None, 2, None, (27, 27, 96), 0),
    "C2": Row(47, "convolution", (27, 27, 96), (5, 5), 96, 1, 256, (27, 27, 256),
              (5 * 5 * 96 + 1) * 256 * 2),
    "CCCP3": Row(48, "CCCP", (27, 27, 256), (1, 1), 256, None, None, (27, 27, 256), None),
    "CCCP4": Row(49, "CCCP", (27, 27, 256), (1, 1), 256, None, None, (27, 27, 256), None),
    "S2": Row(50, "down-sampling", (27, 27, 256), (3, 3), None, 2, None, (13, 13, 256), 0),
    "C3": Row(51, "convolution", (13, 13, 256), (3, 3), 256, 1, 384, (13, 13, 384),
              (3 * 3 * 256 + 1) * 384 * 2),
    "CCCP5": Row(52, "CCCP", (13, 13, 384), (1, 1), 384, None, None, (13, 13, 384), None),
    "CCCP6": Row(53, "CCCP", (13, 13, 384), (1, 1), 384, None, None, (13, 13, 384), None),
    "S3": Row(54, "down-sampling", (13, 13, 384), (3, 3), None, 2, None, (6, 6, 384), 0),
    "C4": Row(55, "convolution", (6, 6, 384), (3, 3), 384, 1, 1024, (6, 6, 1024),
              (3 * 3 * 384 + 1) * 1024 * 2),
    "CCCP7": Row(56, "CCCP", (6, 6, 1024), (1, 1), 1024, None, None, (6, 6, 1024), None),
    "CCCP8": Row(57, "CCCP", (6, 6, 1024), (1, 1), 1000, None, None, (6, 6, 1000), None),
}
# fmt: on
TABLE = Subject("ImageNet table", lambda: PRINTED)

ROWS = list(PRINTED)
CONVOLUTIONS = [name for name, row in PRINTED.items() if row.kind == "convolution"]
CCCPS = [name for name, row in PRINTED.items() if row.kind == "CCCP"]
DOWN_SAMPLINGS = [name for name, row in PRINTED.items() if row.kind == "down-sampling"]
WEIGHTED = CONVOLUTIONS + CCCPS
# The paddings that the output sizes need and the table does not print.
PADDINGS = {"C1": [2, 3], "C2": [2], "C3": [1], "C4": [1]}
CONVOLUTION_LINES = ["004:43", "004:47", "004:51", "004:55"]
CCCP_LINES = ["004:44-45", "004:48-49", "004:52-53", "004:56-57"]
DOWN_SAMPLING_LINES = ["004:46", "004:50", "004:54"]


def misread(name: str, cell: str, value: object) -> Fault[Table]:
    """Return a fault that reads something else in a cell of a row."""
    return perturbed(f"{name}: {cell} read as {value}", name, **{cell: value})


def misprints(names: Sequence[str], *cells: str) -> list[Fault[Table]]:
    """Return faults that each make one number of these cells larger by two; an empty one is 0."""
    found = []
    for name, cell in ((name, cell) for name in names for cell in cells):
        value = getattr(PRINTED[name], cell)
        if isinstance(value, tuple):
            found += [
                misread(name, cell, (*value[:at], number + 2, *value[at + 1 :]))
                for at, number in enumerate(value)
            ]
        else:
            found.append(misread(name, cell, (value or 0) + 2))
    return found


def rewritten(name: str, change: Callable[[Table, Row], Mapping[str, Any]]) -> Fault[Table]:
    """Return a fault that changes fields of every row by what the table says."""
    return Fault(
        name,
        lambda table: {
            key: dataclasses.replace(row, **change(table, row)) for key, row in table.items()
        },
    )


def times(numbers: Sequence[int]) -> str:
    """Write sizes as the table does, such as 55x55x96."""
    return "x".join(map(str, numbers))


def convolution(row: Row, padding: int = 0) -> nn.Conv2d:
    """Build the layer of a convolution row, or of a CCCP row, whose one number is its filters."""
    from torch import nn

    filters = row.filters or row.depth or 0
    stride = row.stride or 1
    return nn.Conv2d(row.input[2], filters, row.kernel, stride, padding, device="meta")


def passed(layer: nn.Module, size: Size) -> Size:
    """Return the size (h, w, c) to which a layer takes maps of another."""
    import torch

    height, width, channels = size
    _, c, h, w = layer(torch.empty(1, channels, height, width, device="meta")).shape
    return h, w, c


def parameters(layer: nn.Module) -> int:
    """Count the trainable parameters of a layer."""
    return sum(parameter.numel() for parameter in layer.parameters())


def weights_and_biases(row: Row) -> int:
    """Count a weight for each tap, input channel and output channel, and a bias for the latter."""
    return (math.prod(row.kernel) * row.input[2] + 1) * row.output[2]


# The rows one by one ------------------------------------------------------------------------------


def layer_of(row: Row, read: int | str) -> nn.Module:
    """Build the layer of a row, read in one of the ways that the table leaves open.

    That is a padding for a convolution, what its one number means for a CCCP layer, a kind of pool.
    """
    from torch import nn

    if isinstance(read, int):
        return convolution(row, read)
    if read == "filters":
        return convolution(row)
    if read == "depth":
        return convolution(dataclasses.replace(row, filters=row.output[2]))
    pool = nn.MaxPool2d if read.startswith("maximum") else nn.AvgPool2d
    return pool(row.kernel, row.stride, ceil_mode=read.endswith("up"))


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

takes_crops = Claim(
    "imagenet-table/takes-the-crops-of-alexnet-and-vgg",
    says="The network takes colour images of 224x224, the size to which torchvision crops for "
    "AlexNet and VGG.",
    cites=["004:43"],
    recorded=Holds(),
)


@takes_crops.judged(subject=TABLE, on=["alexnet", "vgg16"], flipped_by=misprints(["C1"], "input"))
def crop_is_the_first_input(table: Table, name: str) -> None:
    preset = torchvision_models().get_model_weights(name).DEFAULT.transforms()
    size = (*preset.crop_size * 2, len(preset.mean))
    assert table["C1"].input == size, f"{name} takes {times(size)}"


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
        surgeries.biases_dropped,
        surgeries.last_max_pool_removed,
        surgeries.outputs_doubled,
        surgeries.linear_appended,
        surgeries.surgery("a ReLU in the middle removed", surgeries.removed("ReLU", 5)),
        surgeries.surgery(
            "CCCP2 shares the weights of CCCP1",
            lambda model: surgeries.put(model, "cccp2", model.get_submodule("cccp1")),
        ),
        swapped("c4_relu", "s3"),
        remade("s1", "AvgPool2d", kernel_size=3, stride=2),
        remade("s2", kernel_size=2),
        remade("c1", padding=3),
        remade("c1", groups=3),
        remade("c2", dilation=2, padding=4),
        remade("c3", bias=False),
        remade("c4", kernel_size=5, padding=2),
        remade("cccp5", groups=2),
        remade("cccp7", kernel_size=3, padding=1),
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

third_is_depth = Claim(
    "imagenet-table/third-number-is-the-depth",
    says="The third number of each kernel is its depth, the channels of its input.",
    cites=["004:42-57"],
    recorded=Refuted(instead=CHANGES),
    reading_of=THIRD_NUMBER,
)


@third_is_depth.judged(subject=TABLE, on=WEIGHTED, flipped_by=[misread("CCCP8", "depth", 1024)])
def number_is_the_input_channels(table: Table, name: str) -> None:
    depth, channels = table[name].depth, table[name].input[2]
    assert depth == channels, f"{name} has {depth}, its input {channels} channels"


third_is_filters = Claim(
    "imagenet-table/third-number-is-the-number-of-filters",
    says="The third number of each kernel is the number of filters, the channels of its output.",
    cites=["004:42-57"],
    recorded=Refuted(instead=CHANGES),
    reading_of=THIRD_NUMBER,
)


@third_is_filters.judged(
    subject=TABLE,
    on=WEIGHTED,
    flipped_by=[
        rewritten(
            "filters in the place of the depth", lambda _, row: {"depth": row.filters or row.depth}
        )
    ],
)
def number_is_the_output_channels(table: Table, name: str) -> None:
    depth, channels = table[name].depth, table[name].output[2]
    assert depth == channels, f"{name} has {depth}, its output {channels} channels"


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


need_paddings = Claim(
    "imagenet-table/sizes-need-paddings",
    says="The sizes in the table are those for a padding of 2 or 3 in C1, 2 in C2, 1 in C3 and C4, "
    "and for no other paddings.",
    cites=CONVOLUTION_LINES,
    recorded=Holds(),
)


@need_paddings.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[
        wrong_formulas.output_size_off_by_one,
        wrong_formulas.padding_counted_once,
        wrong_formulas.stride_forgotten,
    ],
)
def no_other_padding_fits(formulas: Formulas, _: Proof) -> None:
    import z3

    for name, paddings in PADDINGS.items():
        row = PRINTED[name]

        def only_these_fit(padding: Any, row: Row = row, paddings: list[int] = paddings) -> Any:
            size = formulas.output_size(row.input[0], row.kernel[0], row.stride, padding)
            return (size == row.output[0]) == z3.Or([padding == one for one in paddings])

        for_all(only_these_fit, low=0, what=f"{name} with a padding")


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


larger_images = Claim(
    "imagenet-table/c1-fits-227-pixels-without-padding",
    says="Without padding C1 gives maps of 55x55 for images of 227 to 230 pixels, no others.",
    cites=["004:43"],
    recorded=Holds(),
)


@larger_images.judged(
    subject=FORMULAS,
    on=PROOF,
    flipped_by=[wrong_formulas.output_size_off_by_one, wrong_formulas.stride_forgotten],
)
def four_sizes_fit(formulas: Formulas, _: Proof) -> None:
    import z3

    for_all(
        lambda side: (formulas.output_size(side, 11, 4) == 55) == z3.And(side >= 227, side <= 230),
        low=11,
        what="a side",
    )


@larger_images.judged(
    subject=LAYERS,
    on=Sample("sides from 224 to 231", range(224, 232)),
    flipped_by=[wrong_formulas.padding_added],
)
def layer_fits_these_sizes(layers: Layers, size: int) -> None:
    output = passed(in_torch(layers, "C1"), (size, size, 3))
    assert (output == (55, 55, 96)) == (227 <= size <= 230), f"{size} pixels give {times(output)}"


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


# The parameters of the convolutions ---------------------------------------------------------------

HALF = "imagenet-table/convolutions-have-half-the-parameters-printed"
CONVOLUTION_PARAMETERS = (34_944, 614_656, 885_120, 3_539_968)
CCCP_PARAMETERS = (9_312, 9_312, 65_792, 65_792, 147_840, 147_840, 1_049_600, 1_025_000)


def printed_count(name: str) -> Claim:
    """Declare that a convolution row has the parameters printed, which is false."""
    row = PRINTED[name]
    claim = Claim(
        f"imagenet-table/{name.lower()}-parameters",
        says=f"{name} has {row.parameters:,} trainable parameters, which is "
        f"({times((*row.kernel, row.depth or 0))} + 1) x {row.filters} x 2.",
        cites=[f"004:{row.line}"],
        recorded=Refuted(instead=HALF),
    )

    @claim.judged(
        subject=TABLE,
        on=[name],
        flipped_by=[
            misread(name, "parameters", (row.parameters or 0) // 2),
            misread(name, "filters", 2 * (row.filters or 0)),
        ],
    )
    def layer_has_them(table: Table, _: str) -> None:
        count = parameters(convolution(table[name]))
        assert count == table[name].parameters, f"{name} has {count:,}, half of what is printed"

    return claim


PRINTED_COUNTS = tuple(printed_count(name) for name in CONVOLUTIONS)

halves = Claim(
    HALF,
    says="The convolutions have half of the parameters printed: a weight for each tap, input "
    "channel and filter, and a bias for each filter; 34,944, 614,656, 885,120 and 3,539,968.",
    cites=CONVOLUTION_LINES,
    recorded=Holds(),
)


@halves.judged(
    subject=TABLE,
    on=CONVOLUTIONS,
    flipped_by=misprints(CONVOLUTIONS, "kernel", "depth", "filters", "parameters"),
)
def cell_is_twice_the_count(table: Table, name: str) -> dict[str, int]:
    row = table[name]
    product = (math.prod(row.kernel) * (row.depth or 0) + 1) * (row.filters or 0)
    count = parameters(convolution(row))
    assert count == product, f"{name} has {count:,} parameters, its cells multiply to {product:,}"
    assert count == CONVOLUTION_PARAMETERS[CONVOLUTIONS.index(name)], f"{name} has {count:,}"
    assert 2 * count == row.parameters, f"{name} has {count:,}, printed are {row.parameters:,}"
    return {"parameters": count}


# Where the factor 2 could come from ---------------------------------------------------------------

FACTOR_TWO = "where the factor 2 of the parameter counts comes from"

two_for_biases = Claim(
    "imagenet-table/factor-two-is-for-the-biases",
    says="The factor 2 brings in the biases: half of each count is the weights without them.",
    cites=CONVOLUTION_LINES,
    recorded=Refuted(instead=HALF),
    reading_of=FACTOR_TWO,
)


@two_for_biases.judged(
    subject=TABLE,
    on=CONVOLUTIONS,
    flipped_by=[
        rewritten(
            "counts without the + 1",
            lambda _, row: {"parameters": (row.parameters or 0) - 2 * (row.filters or 0)},
        )
    ],
)
def half_is_the_weights(table: Table, name: str) -> None:
    weights = convolution(table[name]).weight.numel()
    half = (table[name].parameters or 0) / 2
    assert half == weights, f"half of {name} is {half:,.0f}, its weights are {weights:,}"


two_for_devices = Claim(
    "imagenet-table/factor-two-is-for-two-gpus",
    says="The factor 2 is for two GPUs, as in AlexNet, each with the filters that the row gives.",
    cites=CONVOLUTION_LINES,
    recorded=Refuted(instead=HALF),
    reading_of=FACTOR_TWO,
)


@two_for_devices.judged(
    subject=TABLE,
    on=CONVOLUTIONS,
    flipped_by=[
        rewritten(
            "half of the filters on each GPU",
            lambda _, row: {
                "filters": (row.filters or 0) // 2,
                "parameters": (row.parameters or 0) // 2,
            },
        )
    ],
)
def filters_of_both_give_the_maps(table: Table, name: str) -> None:
    row = table[name]
    both = 2 * convolution(row).out_channels
    assert both == row.output[2], f"{name} would give {both} maps, not {row.output[2]}"
    count = 2 * parameters(convolution(row))
    assert count == row.parameters, f"{name} has {count:,} on both"


two_for_cccp = Claim(
    "imagenet-table/factor-two-is-for-the-two-cccp-layers",
    says="The factor 2 counts the two CCCP layers that follow, whose own cells are empty.",
    cites=["004:43-45", "004:47-49", "004:51-53", "004:55-57"],
    recorded=Refuted(instead=HALF),
    reading_of=FACTOR_TWO,
)


def with_cccp_layers(table: Table, row: Row) -> int:
    """Count the parameters of a convolution row and of the two rows below it."""
    stage = [one for one in table.values() if row.line <= one.line <= row.line + 2]
    return sum(parameters(convolution(one)) for one in stage)


@two_for_cccp.judged(
    subject=TABLE,
    on=CONVOLUTIONS,
    flipped_by=[
        rewritten(
            "counts of whole stages",
            lambda table, row: {"parameters": with_cccp_layers(table, row)} if row.filters else {},
        )
    ],
)
def stage_has_the_count(table: Table, name: str) -> None:
    row = table[name]
    count = with_cccp_layers(table, row)
    assert count == row.parameters, f"{name} and two CCCP have {count:,}, not {row.parameters:,}"


two_for_momentum = Claim(
    "imagenet-table/factor-two-is-for-momentum",
    says="Read as the values that training with momentum keeps, a parameter and its momentum each, "
    "the counts printed are right; the momenta are not trainable parameters.",
    cites=CONVOLUTION_LINES,
    recorded=Holds(),
    reading_of=FACTOR_TWO,
)


@two_for_momentum.judged(
    subject=TABLE, on=CONVOLUTIONS, flipped_by=misprints(CONVOLUTIONS, "parameters", "filters")
)
def training_keeps_the_count(table: Table, name: str) -> None:
    layer = convolution(table[name])
    velocities = [parameter.new_zeros(parameter.shape) for parameter in layer.parameters()]
    kept = parameters(layer) + sum(velocity.numel() for velocity in velocities)
    assert kept == table[name].parameters, f"{kept:,} values are kept for {name}"


# The cells without a count ------------------------------------------------------------------------

EMPTY = "what an empty cell of the last column means"

cccps_are_free = Claim(
    "imagenet-table/empty-cells-mean-no-parameters",
    says="The CCCP layers, whose cells in the last column are empty, have no trainable parameters.",
    cites=CCCP_LINES,
    recorded=Refuted(instead="imagenet-table/cccp-layers-have-parameters"),
    reading_of=EMPTY,
)


@cccps_are_free.judged(
    subject=TABLE,
    on=CCCPS,
    flipped_by=[
        rewritten("the cells filled in", lambda _, row: {"parameters": weights_and_biases(row)})
    ],
)
def layer_has_no_more_than_its_cell(table: Table, name: str) -> None:
    count = parameters(convolution(table[name]))
    assert count == (table[name].parameters or 0), f"{name} has {count:,} parameters, not none"


cccps_have_parameters = Claim(
    "imagenet-table/cccp-layers-have-parameters",
    says="The CCCP layers have parameters of their own, which the table leaves out: a weight for "
    "each input and output channel and a bias; 9,312, 65,792 and 147,840 in the first three pairs, "
    "1,049,600 in CCCP7, 1,025,000 in CCCP8.",
    cites=CCCP_LINES,
    recorded=Holds(),
    reading_of=EMPTY,
)


@cccps_have_parameters.judged(
    subject=TABLE, on=CCCPS, flipped_by=misprints(CCCPS, "kernel", "depth", "parameters")
)
def layer_has_what_is_left_out(table: Table, name: str) -> dict[str, int]:
    row = table[name]
    assert row.parameters is None, f"the cell of {name} is not empty"
    count = parameters(convolution(row))
    assert count == CCCP_PARAMETERS[CCCPS.index(name)], f"{name} has {count:,}"
    return {"parameters": count}


pools_are_free = Claim(
    "imagenet-table/down-samplings-have-no-parameters",
    says="The down-samplings have no trainable parameters.",
    cites=DOWN_SAMPLING_LINES,
    recorded=HoldsIf("the down-sampling is a pool"),
)


@pools_are_free.judged(
    subject=TABLE,
    on=[(name, kind) for name in DOWN_SAMPLINGS for kind in ("maximum", "average", "convolution")],
    when={"the down-sampling is a pool": lambda case: case[1] != "convolution"},
    flipped_by=misprints(DOWN_SAMPLINGS, "parameters"),
)
def down_sampling_has_none(table: Table, case: tuple[str, str]) -> dict[str, int]:
    name, kind = case
    row = table[name]
    count = parameters(layer_of(row, "depth" if kind == "convolution" else kind))
    assert count == row.parameters, f"a {kind} in the place of {name} has {count:,}"
    return {"parameters": count}


cells_add_up = Claim(
    "imagenet-table/cells-add-up-to-the-network",
    says="The counts in the last column add up to the parameters of the network.",
    cites=["004:42-57"],
    recorded=Refuted(instead="imagenet-table/network-has-7595176-parameters"),
)


@cells_add_up.judged(
    subject=TABLE,
    on=["the fifteen rows"],
    flipped_by=[
        rewritten(
            "every cell right",
            lambda _, row: {"parameters": weights_and_biases(row) if row.depth else 0},
        )
    ],
)
def sum_is_the_count(table: Table, _: str) -> None:
    printed = sum(row.parameters or 0 for row in table.values())
    count = sum(parameters(convolution(table[name])) for name in WEIGHTED)
    assert printed == count, f"the cells add up to {printed:,}, the layers have {count:,}"


whole_network = Claim(
    "imagenet-table/network-has-7595176-parameters",
    says="The network has 7,595,176 parameters: 5,074,688 in its convolutions and 2,520,488 in its "
    "CCCP layers; in float32 29 MiB.",
    cites=["004:42-57"],
    recorded=Holds(),
)


@whole_network.judged(
    subject=TABLE, on=["the fifteen rows"], flipped_by=misprints(WEIGHTED, "kernel")
)
def closed_form_gives_the_count(table: Table, _: str) -> None:
    first, second = (
        sum(weights_and_biases(table[name]) for name in names) for names in (CONVOLUTIONS, CCCPS)
    )
    assert (first, second) == (5_074_688, 2_520_488), f"{first:,} and {second:,}"


@whole_network.judged(
    subject=MODELS,
    on=["table-nin"],
    flipped_by=[
        surgeries.biases_dropped,
        surgeries.outputs_doubled,
        surgeries.linear_appended,
        remade("c2", groups=2),
        remade("cccp3", out_channels=512),
        remade("cccp8", bias=False),
        remade("c3_relu", "PReLU"),
    ],
)
def network_has_the_count(models: Models, model: str) -> dict[str, float]:
    counts = counting.layer_parameters(models(model))
    names = [name.lower() for name in WEIGHTED]
    expected = dict(zip(names, CONVOLUTION_PARAMETERS + CCCP_PARAMETERS, strict=True))
    total = sum(counts.values())
    assert counts == expected, f"{total:,} parameters, by layer {counts}"
    share = counts["c4"] / total
    return {"parameters": total, "MiB in float32": 4 * total / 2**20, "share of C4": share}


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
        *(faults.padding_ignored, faults.stride_ignored, faults.kernel_flipped, faults.row_ignored),
        *(faults.last_image_ignored, faults.filter_ignored, faults.conv2d_in_float32),
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
