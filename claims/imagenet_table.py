"""The ImageNet network in a table: whether its sizes and its parameter counts are right.

Document 004, lines 42 to 57: four convolutions (C1 to C4), eight cascaded cross-channel pooling
layers (CCCP1 to CCCP8, convolutions of 1x1), three down-samplings (S1 to S3 here). The asterisks on
four of the rows have no footnote.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from claims.cases import Convolution, integers
from claims.checks import Array, close, same
from claims.core.claim import PROOF, Claim, Fault, Proof, Subject
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import formulas as wrong_formulas
from claims.faults import models as surgeries
from claims.faults import operators as faults
from claims.faults.fields import perturbed
from claims.subjects import FORMULAS, LAYERS, MODELS, OPERATORS, Formulas, Layers, Models
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

CONVOLUTIONS = [name for name, row in PRINTED.items() if row.kind == "convolution"]
CCCPS = [name for name, row in PRINTED.items() if row.kind == "CCCP"]
DOWN_SAMPLINGS = [name for name, row in PRINTED.items() if row.kind == "down-sampling"]
WEIGHTED = CONVOLUTIONS + CCCPS
# The paddings that the output sizes need and the table does not print.
PADDINGS = {"C1": [2, 3], "C2": [2], "C3": [1], "C4": [1]}
IMAGE = (3, 224, 224)


def misread(name: str, cell: str, value: object) -> Fault[Table]:
    """Return a fault that reads something else in a cell of a row."""
    return perturbed(f"{name}: {cell} read as {value}", name, **{cell: value})


def misprints(name: str, *cells: str) -> Iterator[Fault[Table]]:
    """Yield faults that each make one number of these cells of a row larger by two."""
    for cell in cells:
        value = getattr(PRINTED[name], cell)
        if isinstance(value, tuple):
            for index, number in enumerate(value):
                yield misread(name, cell, (*value[:index], number + 2, *value[index + 1 :]))
        else:
            yield misread(name, cell, (value or 0) + 2)


def rewritten(name: str, change: Callable[[Table, Row], Mapping[str, Any]]) -> Fault[Table]:
    """Return a fault that changes fields of every row by what the table says."""
    return Fault(
        name,
        lambda table: {
            key: dataclasses.replace(row, **change(table, row)) for key, row in table.items()
        },
    )


def times(numbers: tuple[int, ...]) -> str:
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


def weights_and_biases(row: Row) -> int:
    """Count a weight for each tap, input channel and output channel, and a bias for the latter."""
    (height, width), channels, filters = row.kernel, row.input[2], row.output[2]
    return (height * width * channels + 1) * filters


def parameters(layer: nn.Module) -> int:
    """Count the trainable parameters of a layer."""
    return sum(parameter.numel() for parameter in layer.parameters())


def size_without_padding(row: Row) -> Size:
    """Count the positions at which the kernel lies within the maps; the channels are as printed."""
    stride = row.stride or 1
    height, width = (
        len(range(0, size - kernel + 1, stride))
        for size, kernel in zip(row.input[:2], row.kernel, strict=True)
    )
    return height, width, row.output[2]


# The rows one by one ------------------------------------------------------------------------------


def weights_fit(models: Models, name: str) -> None:
    """Assert that the layer of a row in table-nin has its weights, and its sizes, as printed."""
    from torch import nn

    row, layer = PRINTED[name], models("table-nin").get_submodule(name.lower())
    assert isinstance(layer, nn.Conv2d), f"{name} is {layer}"
    shape = (row.output[2], row.input[2], *row.kernel)
    assert tuple(layer.weight.shape) == shape, f"{name} has weights {tuple(layer.weight.shape)}"
    assert layer.dilation == (1, 1), f"{name} has dilation {layer.dilation}"
    output = passed(layer, row.input)
    assert output == row.output, f"{name} turns {times(row.input)} into {times(output)}"


def remade(name: str, **options: Any) -> Fault[Models]:
    """Return a surgery that remakes the convolution of a row with other options."""

    def change(model: nn.Module) -> None:
        from torch import nn

        layer = model.get_submodule(name.lower())
        if isinstance(layer, nn.Conv2d):
            kept = {
                option: getattr(layer, option)
                for option in ("in_channels", "out_channels", "kernel_size", "stride", "padding")
            }
            surgeries.put(model, name.lower(), nn.Conv2d(**kept | options, device="meta"))

    told = ", ".join(f"{option} {value}" for option, value in options.items())
    return surgeries.surgery(f"{name} made with {told}", change)


def convolution_row(name: str) -> Claim:
    """Declare that a convolution row has the sizes printed, with one of its paddings."""
    row, paddings = PRINTED[name], PADDINGS[name]
    condition = f"the padding is {' or '.join(map(str, paddings))}"
    claim = Claim(
        f"imagenet-table/{name.lower()}-shape",
        says=f"{name}, {row.filters} filters of {times((*row.kernel, row.depth or 0))} at stride "
        f"{row.stride}, turns {times(row.input)} into {times(row.output)}.",
        cites=[f"004:{row.line}"],
        recorded=HoldsIf(condition),
    )

    @claim.judged(
        subject=TABLE,
        on=[0, 1, 2, 3, 4, 5],
        when={condition: lambda padding: padding in paddings},
        flipped_by=[*misprints(name, "input", "kernel", "depth", "stride", "filters", "output")],
    )
    def filters_give_the_maps(table: Table, padding: int) -> None:
        row = table[name]
        assert row.depth == row.input[2], f"filters of depth {row.depth} on {row.input[2]} maps"
        output = passed(convolution(row, padding), row.input)
        assert output == row.output, f"padding {padding} gives {times(output)}"

    @claim.judged(
        subject=MODELS,
        on=["table-nin"],
        flipped_by=[
            surgeries.padding_dropped,
            remade(name, groups=2) if name != "C1" else remade(name, groups=3),
            remade(name, dilation=2, padding=PADDINGS[name][0] + (row.kernel[0] - 1) // 2),
            remade(name, kernel_size=row.kernel[0] + 2, padding=PADDINGS[name][0] + 1),
        ],
    )
    def layer_is_as_printed(models: Models, _: str) -> None:
        weights_fit(models, name)

    return claim


def cccp_row(name: str, recorded: Holds | HoldsIf) -> Claim:
    """Declare that a CCCP row has the sizes printed, its one number read in either way."""
    row = PRINTED[name]
    claim = Claim(
        f"imagenet-table/{name.lower()}-shape",
        says=f"{name}, a layer of {times((*row.kernel, row.depth or 0))} kernels, turns "
        f"{times(row.input)} into {times(row.output)}.",
        cites=[f"004:{row.line}"],
        recorded=recorded,
    )

    @claim.judged(
        subject=TABLE,
        on=["filters", "depth"],
        when={condition: lambda meant: meant == "filters" for condition in recorded.conditions},
        flipped_by=[*misprints(name, "kernel", "depth", "output"), *misprints(name, "stride")],
    )
    def kernels_give_the_maps(table: Table, meant: str) -> None:
        row = table[name]
        if meant == "depth":
            assert row.depth == row.input[2], f"depth {row.depth} does not fit {row.input[2]} maps"
            row = dataclasses.replace(row, filters=row.output[2])
        output = passed(convolution(row), row.input)
        assert output == row.output, f"{name} gives {times(output)}"

    @claim.judged(
        subject=MODELS,
        on=["table-nin"],
        flipped_by=[
            remade(name, groups=2),
            remade(name, kernel_size=3, padding=1),
            remade(name, padding=1),
            remade(name, stride=2),
        ],
    )
    def layer_is_as_printed(models: Models, _: str) -> None:
        weights_fit(models, name)

    return claim


def down_sampling_row(name: str) -> Claim:
    """Declare that a down-sampling row has the sizes printed, whichever pool it is."""
    row = PRINTED[name]
    claim = Claim(
        f"imagenet-table/{name.lower()}-shape",
        says=f"A pool of {times(row.kernel)} at stride {row.stride} turns {times(row.input)} into "
        f"{times(row.output)}.",
        cites=[f"004:{row.line}"],
        recorded=Holds(),
    )

    @claim.judged(
        subject=TABLE,
        on=["maximum", "maximum, rounded up", "average", "average, rounded up"],
        flipped_by=[*misprints(name, "input", "kernel", "stride", "output")],
    )
    def pool_gives_the_maps(table: Table, pool: str) -> None:
        from torch import nn

        row = table[name]
        kind = nn.MaxPool2d if pool.startswith("maximum") else nn.AvgPool2d
        layer = kind(row.kernel, row.stride or 1, ceil_mode=pool.endswith("up"))
        output = passed(layer, row.input)
        assert output == row.output, f"{pool}: {times(output)}"
        exact = size_without_padding(row)
        assert exact == row.output, f"{times(exact)} windows fit"

    @claim.judged(
        subject=MODELS,
        on=["table-nin"],
        flipped_by=[
            surgeries.max_pools_removed,
            surgeries.surgery("pools of 2x2", lambda model: _pools_remade(model, 2, 2)),
            surgeries.surgery("pools of stride 3", lambda model: _pools_remade(model, 3, 3)),
        ],
    )
    def layer_is_as_printed(models: Models, _: str) -> None:
        import torch

        layer = models("table-nin").get_submodule(name.lower())
        output = passed(layer, row.input)
        assert output == row.output, f"{name} turns {times(row.input)} into {times(output)}"
        # Pools of 2x2 would give the same size; the values tell which pixels a window reads.
        ramp = torch.arange(49.0).reshape(1, 1, 7, 7)
        corners = layer(ramp)[0, 0].diagonal().tolist()
        assert corners == [16, 32, 48], f"windows end at {corners} of {times(row.kernel)}"

    return claim


def _pools_remade(model: nn.Module, kernel: int, stride: int) -> None:
    from torch import nn

    for name in surgeries.of_kind(model, "MaxPool2d"):
        surgeries.put(model, name, nn.MaxPool2d(kernel, stride))


CONVOLUTION_ROWS = tuple(convolution_row(name) for name in CONVOLUTIONS)
CCCP_ROWS = tuple(
    cccp_row(
        name,
        HoldsIf("its one number is that of the filters") if name == "CCCP8" else Holds(),
    )
    for name in CCCPS
)
DOWN_SAMPLING_ROWS = tuple(down_sampling_row(name) for name in DOWN_SAMPLINGS)

# How the rows fit together ------------------------------------------------------------------------

takes_crops = Claim(
    "imagenet-table/takes-the-crops-of-alexnet-and-vgg",
    says="The network takes colour images cropped to the size that AlexNet and VGG take.",
    cites=["004:43"],
    recorded=Holds(),
)


@takes_crops.judged(subject=TABLE, on=["alexnet", "vgg16"], flipped_by=[*misprints("C1", "input")])
def crop_is_the_first_input(table: Table, name: str) -> None:
    from torchvision.models import get_model_weights

    preset = get_model_weights(name).DEFAULT.transforms()
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
    on=list(PRINTED)[1:],
    flipped_by=[
        *misprints("C1", "line", "output"),
        *(fault for name in list(PRINTED)[1:] for fault in misprints(name, "line", "input")),
    ],
)
def input_is_the_output_before(table: Table, name: str) -> None:
    row = table[name]
    before = [times(other.output) for other in table.values() if other.line == row.line - 1]
    assert before == [times(row.input)], f"{name} takes {times(row.input)} after {before}"


@chain.judged(
    subject=MODELS,
    on=["table-nin"],
    flipped_by=[
        surgeries.padding_dropped,
        surgeries.first_max_pool_removed,
        surgeries.last_max_pool_removed,
        surgeries.last_convolution_removed,
        surgeries.outputs_doubled,
    ],
)
def sizes_are_those_of_the_network(models: Models, name: str) -> None:
    records = {record.name: record for record in counting.trace(models(name), 1, *IMAGE)}
    for row_name, row in PRINTED.items():
        record = records[row_name.lower()]
        shapes = [(1, size[2], *size[:2]) for size in (row.input, row.output)]
        assert shapes == [record.input_shape, record.output_shape], f"{row_name} is {record}"


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
        *misprints("S1", "line"),
        misread("CCCP8", "line", 56),
    ],
)
def rows_come_in_stages(table: Table, _: str) -> None:
    rows = sorted(table.values(), key=lambda row: row.line)
    assert [row.line for row in rows] == list(range(43, 58)), "a line has no row of its own"
    kinds = [row.kind for row in rows]
    expected = (["convolution", "CCCP", "CCCP", "down-sampling"] * 4)[:-1]
    assert kinds == expected, f"the rows are {', '.join(kinds)}"


@stages.judged(
    subject=MODELS,
    on=["table-nin"],
    flipped_by=[
        surgeries.first_max_pool_removed,
        surgeries.last_max_pool_removed,
        surgeries.last_convolution_removed,
        remade("C3", kernel_size=1, padding=0),
        remade("CCCP5", kernel_size=3, padding=1),
    ],
)
def layers_come_in_stages(models: Models, name: str) -> None:
    from torch import nn

    kinds = ""
    for layer in models(name).modules():
        if isinstance(layer, nn.Conv2d):
            kinds += "c" if layer.kernel_size == (1, 1) else "C"
        kinds += "S" if isinstance(layer, nn.MaxPool2d) else ""
    assert kinds == "CccSCccSCccSCcc", f"the layers are {kinds}"


overlap = Claim(
    "imagenet-table/down-samplings-overlap",
    says="The windows of a down-sampling overlap: each shares a row or a column of pixels with its "
    "neighbours.",
    cites=["004:46", "004:50", "004:54"],
    recorded=Holds(),
)


@overlap.judged(
    subject=TABLE,
    on=DOWN_SAMPLINGS,
    flipped_by=[
        fault
        for name in DOWN_SAMPLINGS
        for fault in (
            *misprints(name, "kernel", "stride"),
            # This kernel would give all sizes in the table just as well.
            misread(name, "kernel", (2, 2)),
        )
    ],
)
def pixels_between_lie_in_two_windows(table: Table, name: str) -> None:
    import torch
    from torch import nn

    row = table[name]
    each_pixel = torch.eye(49).reshape(49, 1, 7, 7)
    reached = nn.AvgPool2d(row.kernel, row.stride)(each_pixel) > 0
    along = torch.tensor([1, 1, 2, 1, 2, 1, 1])
    windows = reached.sum(dim=(1, 2, 3)).reshape(7, 7)
    assert windows.equal(torch.outer(along, along)), f"pixels lie in {windows.unique()} windows"


# The kernel column --------------------------------------------------------------------------------

THIRD_NUMBER = "what the third number of a kernel is"

third_is_depth = Claim(
    "imagenet-table/third-number-is-the-depth",
    says="The third number of each kernel is its depth, the channels of its input.",
    cites=["004:42-57"],
    recorded=Refuted(instead="imagenet-table/kernel-column-changes-its-meaning"),
    reading_of=THIRD_NUMBER,
)


@third_is_depth.judged(
    subject=TABLE,
    on=WEIGHTED,
    flipped_by=[misread("CCCP8", "depth", 1024)],
)
def number_is_the_input_channels(table: Table, name: str) -> None:
    row = table[name]
    assert row.depth == row.input[2], f"{name} has {row.depth}, its input {row.input[2]} channels"


third_is_filters = Claim(
    "imagenet-table/third-number-is-the-number-of-filters",
    says="The third number of each kernel is the number of filters, the channels of its output.",
    cites=["004:42-57"],
    recorded=Refuted(instead="imagenet-table/kernel-column-changes-its-meaning"),
    reading_of=THIRD_NUMBER,
)


@third_is_filters.judged(
    subject=TABLE,
    on=WEIGHTED,
    flipped_by=[
        rewritten(
            "filters in the place of the depth",
            lambda _, row: {"depth": row.filters} if row.filters else {},
        )
    ],
)
def number_is_the_output_channels(table: Table, name: str) -> None:
    row = table[name]
    assert row.depth == row.output[2], (
        f"{name} has {row.depth}, its output {row.output[2]} channels"
    )


column_changes = Claim(
    "imagenet-table/kernel-column-changes-its-meaning",
    says="The third number is the depth in convolution rows, which give stride and filters "
    "besides, and the number of filters in CCCP rows, which give neither; down-samplings give a "
    "stride.",
    cites=["004:42-57"],
    recorded=Holds(),
    reading_of=THIRD_NUMBER,
)


@column_changes.judged(
    subject=TABLE,
    on=list(PRINTED),
    flipped_by=[
        *(fault for name in WEIGHTED for fault in misprints(name, "depth", "filters")),
        *(fault for name in CCCPS for fault in misprints(name, "stride")),
        *(fault for name in DOWN_SAMPLINGS for fault in misprints(name, "depth", "filters")),
        *(misread(name, "stride", None) for name in CONVOLUTIONS),
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

fixed_by_kernel = Claim(
    "imagenet-table/kernel-and-stride-give-the-sizes",
    says="The kernel and the stride of a row give its output size.",
    cites=["004:42-57"],
    recorded=Refuted(instead="imagenet-table/sizes-need-paddings"),
)


@fixed_by_kernel.judged(
    subject=TABLE,
    on=list(PRINTED),
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
    cites=["004:43", "004:47", "004:51", "004:55"],
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

    padding = z3.Int("padding")
    for name, paddings in PADDINGS.items():
        row = PRINTED[name]
        for before, kernel, after in zip(row.input, row.kernel, row.output, strict=False):
            fits = formulas.output_size(before, kernel, row.stride, padding) == after
            solver = z3.Solver()
            solver.add(padding >= 0, fits != z3.Or([padding == one for one in paddings]))
            assert solver.check() == z3.unsat, f"{name} with {solver.model()}"


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
    layer = functools.partial(
        layers.Conv2d, row.depth, row.filters, row.kernel, stride=row.stride, device="meta"
    )
    sizes = [passed(layer(padding=padding), row.input) for padding in range(8)]
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

    c1, size = PRINTED["C1"], z3.Int("size")
    fits = formulas.output_size(size, c1.kernel[0], c1.stride) == c1.output[0]
    solver = z3.Solver()
    solver.add(size >= c1.kernel[0], fits != z3.And(size >= 227, size <= 230))
    assert solver.check() == z3.unsat, f"C1 with {solver.model()}"


@larger_images.judged(
    subject=LAYERS, on=[224, 226, 227, 230, 231], flipped_by=[wrong_formulas.padding_added]
)
def layer_fits_these_sizes(layers: Layers, size: int) -> None:
    c1 = PRINTED["C1"]
    layer = layers.Conv2d(c1.depth, c1.filters, c1.kernel, stride=c1.stride, device="meta")
    output = passed(layer, (size, size, 3))
    assert (output == c1.output) == (227 <= size <= 230), f"{size} pixels give {times(output)}"


rounding_up = Claim(
    "imagenet-table/down-samplings-reach-their-sizes-from-54",
    says="Where C1 has no padding and gives 54x54, the down-samplings give the sizes printed.",
    cites=["004:46", "004:50", "004:54"],
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
    c1 = PRINTED["C1"]
    first = layers.Conv2d(c1.depth, c1.filters, c1.kernel, stride=c1.stride, device="meta")
    size = passed(first, c1.input)
    for name in DOWN_SAMPLINGS:
        row = PRINTED[name]
        pool = layers.MaxPool2d(row.kernel, row.stride, ceil_mode=rounded == "rounded up")
        size = passed(pool, (*size[:2], row.input[2]))
        assert size == row.output, f"{name}, {rounded}, gives {times(size)}"


# The parameters of the convolutions ---------------------------------------------------------------

HALF = "imagenet-table/convolutions-have-half-the-parameters-printed"


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
        assert count == table[name].parameters, f"{name} has {count:,}"

    return claim


PRINTED_COUNTS = tuple(printed_count(name) for name in CONVOLUTIONS)

halves = Claim(
    HALF,
    says="The convolutions have half of the parameters printed: a weight for each tap, input "
    "channel and filter, and a bias for each filter; 34,944, 614,656, 885,120 and 3,539,968.",
    cites=["004:43", "004:47", "004:51", "004:55"],
    recorded=Holds(),
)


@halves.judged(
    subject=TABLE,
    on=CONVOLUTIONS,
    flipped_by=[
        fault
        for name in CONVOLUTIONS
        for fault in misprints(name, "kernel", "depth", "filters", "parameters")
    ],
)
def cell_is_twice_the_count(table: Table, name: str) -> dict[str, int]:
    row = table[name]
    taps = (row.kernel[0] * row.kernel[1] * (row.depth or 0) + 1) * (row.filters or 0)
    count = parameters(convolution(row))
    assert count == taps, f"{name} has {count:,} parameters, its cells multiply to {taps:,}"
    assert 2 * count == row.parameters, f"{name} has {count:,}, printed are {row.parameters}"
    return {"parameters": count}


@halves.judged(
    subject=MODELS,
    on=["table-nin"],
    flipped_by=[
        surgeries.biases_dropped,
        remade("C1", bias=False),
        remade("C2", groups=2),
        remade("C3", kernel_size=1),
        remade("C4", out_channels=2048),
    ],
)
def network_has_half(models: Models, model: str) -> dict[str, float]:
    counts = counting.layer_parameters(models(model))
    for name, count in zip(CONVOLUTIONS, (34_944, 614_656, 885_120, 3_539_968), strict=True):
        found = counts.get(name.lower(), 0)
        assert found == count, f"{name} has {found:,} parameters"
    return {"share of C4": counts["c4"] / sum(counts.values())}


# Where the factor 2 could come from ---------------------------------------------------------------

FACTOR_TWO = "where the factor 2 of the parameter counts comes from"

two_for_biases = Claim(
    "imagenet-table/factor-two-is-for-the-biases",
    says="The factor 2 brings in the biases: half of each count is the weights without them.",
    cites=["004:43", "004:47", "004:51", "004:55"],
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
    row = table[name]
    weights = convolution(row).weight.numel()
    half = (row.parameters or 0) / 2
    assert half == weights, f"half of {name} is {half:,.0f}, its weights are {weights:,}"


two_for_devices = Claim(
    "imagenet-table/factor-two-is-for-two-gpus",
    says="The factor 2 is for two GPUs, as in AlexNet, each with the filters that the row gives.",
    cites=["004:43", "004:47", "004:51", "004:55"],
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
    below = [one for one in table.values() if one.line in (row.line, row.line + 1, row.line + 2)]
    return sum(parameters(convolution(one)) for one in below)


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
    cites=["004:43", "004:47", "004:51", "004:55"],
    recorded=Holds(),
    reading_of=FACTOR_TWO,
)


@two_for_momentum.judged(
    subject=TABLE,
    on=CONVOLUTIONS,
    flipped_by=[
        fault for name in CONVOLUTIONS for fault in misprints(name, "parameters", "filters")
    ],
)
def training_keeps_the_count(table: Table, name: str) -> None:
    import torch

    layer = convolution(table[name])
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    for parameter in layer.parameters():
        parameter.grad = torch.empty_like(parameter)
    optimiser.step()
    momenta = sum(state["momentum_buffer"].numel() for state in optimiser.state.values())
    kept = parameters(layer) + momenta
    assert kept == table[name].parameters, f"{kept:,} values are kept for {name}"


# The cells without a count ------------------------------------------------------------------------

EMPTY = "what an empty cell of the last column means"

cccps_are_free = Claim(
    "imagenet-table/empty-cells-mean-no-parameters",
    says="The CCCP layers, whose cells in the last column are empty, have no trainable parameters.",
    cites=["004:44-45", "004:48-49", "004:52-53", "004:56-57"],
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
    assert count == (table[name].parameters or 0), f"{name} has {count:,}"


cccps_have_parameters = Claim(
    "imagenet-table/cccp-layers-have-parameters",
    says="The CCCP layers have parameters of their own, which the table leaves out: a weight for "
    "each input and output channel and a bias; 9,312, 65,792 and 147,840 in the first three pairs, "
    "1,049,600 in CCCP7, 1,025,000 in CCCP8.",
    cites=["004:44-45", "004:48-49", "004:52-53", "004:56-57"],
    recorded=Holds(),
    reading_of=EMPTY,
)
CCCP_PARAMETERS = (9_312, 9_312, 65_792, 65_792, 147_840, 147_840, 1_049_600, 1_025_000)


@cccps_have_parameters.judged(
    subject=TABLE,
    on=CCCPS,
    flipped_by=[
        fault for name in CCCPS for fault in misprints(name, "kernel", "depth", "parameters")
    ],
)
def layer_has_what_is_left_out(table: Table, name: str) -> dict[str, int]:
    row = table[name]
    assert row.parameters is None, f"the cell of {name} is not empty"
    count = parameters(convolution(row))
    assert count == CCCP_PARAMETERS[CCCPS.index(name)], f"{name} has {count:,}"
    return {"parameters": count}


@cccps_have_parameters.judged(
    subject=MODELS,
    on=["table-nin"],
    flipped_by=[
        surgeries.biases_dropped,
        remade("CCCP8", out_channels=1024),
        remade("CCCP3", groups=2),
        surgeries.surgery(
            "CCCP2 shares the weights of CCCP1",
            lambda model: surgeries.put(model, "cccp2", model.get_submodule("cccp1")),
        ),
    ],
)
def network_has_what_is_left_out(models: Models, model: str) -> None:
    counts = counting.layer_parameters(models(model))
    for name, count in zip(CCCPS, CCCP_PARAMETERS, strict=True):
        found = counts.get(name.lower(), 0)
        assert found == count, f"{name} has {found:,} parameters of its own"


pools_are_free = Claim(
    "imagenet-table/down-samplings-have-no-parameters",
    says="The down-samplings have no trainable parameters.",
    cites=["004:46", "004:50", "004:54"],
    recorded=HoldsIf("the down-sampling is a pool"),
)


@pools_are_free.judged(
    subject=TABLE,
    on=[(name, kind) for name in DOWN_SAMPLINGS for kind in ("maximum", "average", "convolution")],
    when={"the down-sampling is a pool": lambda case: case[1] != "convolution"},
    flipped_by=[fault for name in DOWN_SAMPLINGS for fault in misprints(name, "parameters")],
)
def down_sampling_has_none(table: Table, case: tuple[str, str]) -> dict[str, int]:
    from torch import nn

    name, kind = case
    row = table[name]
    layer: nn.Module = nn.AvgPool2d(row.kernel, row.stride)
    if kind == "maximum":
        layer = nn.MaxPool2d(row.kernel, row.stride)
    if kind == "convolution":
        layer = convolution(dataclasses.replace(row, filters=row.output[2]))
    count = parameters(layer)
    assert count == row.parameters, f"a {kind} in the place of {name} has {count:,}"
    return {"parameters": count}


@pools_are_free.judged(
    subject=MODELS,
    on=["table-nin"],
    flipped_by=[
        surgeries.surgery(
            "strided convolution for S2",
            lambda model: surgeries.put(model, "s2", convolution(PRINTED["C2"])),
        )
    ],
)
def pools_of_the_network_have_none(models: Models, model: str) -> None:
    counts = counting.layer_parameters(models(model))
    for name in DOWN_SAMPLINGS:
        assert name.lower() not in counts, f"{name} has {counts[name.lower()]:,} parameters"


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
    subject=TABLE,
    on=["the fifteen rows"],
    flipped_by=[fault for name in WEIGHTED for fault in misprints(name, "kernel")],
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
        surgeries.last_convolution_removed,
        surgeries.linear_appended,
    ],
)
def network_has_the_count(models: Models, model: str) -> dict[str, float]:
    count = counting.parameter_count(models(model))
    assert count == 7_595_176, f"{count:,} parameters"
    return {"parameters": count, "MiB in float32": 4 * count / 2**20}


# What else the table leaves out -------------------------------------------------------------------


def _maximum_at_the_end(model: nn.Module) -> None:
    from torch import nn

    for name in surgeries.of_kind(model, "AdaptiveAvgPool2d"):
        surgeries.put(model, name, nn.AdaptiveMaxPool2d(1))


complete = Claim(
    "imagenet-table/is-the-whole-network",
    says="The table lists the whole network: its last row gives a score for each of 1000 classes.",
    cites=["004:57"],
    recorded=Refuted(instead="imagenet-table/an-average-gives-the-class-scores"),
)


@complete.judged(
    subject=TABLE,
    on=["the last row"],
    flipped_by=[
        misread("CCCP8", "output", (1, 1, 1000)),
        Fault(
            "a row that averages",
            lambda table: (
                table
                | {
                    "average": Row(
                        58, "average", (6, 6, 1000), (6, 6), None, 1, None, (1, 1, 1000), 0
                    )
                }
            ),
        ),
    ],
)
def last_row_gives_scores(table: Table, _: str) -> None:
    last = max(table.values(), key=lambda row: row.line).output
    assert last == (1, 1, 1000), f"{times(last)} are {np.prod(last):,} values, not 1000 scores"


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
        surgeries.surgery("average left out", surgeries.all_removed("AdaptiveAvgPool2d")),
        surgeries.surgery("maximum for the average", _maximum_at_the_end),
    ],
)
def maps_become_scores(models: Models, name: str) -> None:
    import torch

    model = models(name)
    records = {record.name: record for record in counting.trace(model, 2, *IMAGE)}
    maps = records["cccp8"].output_shape
    assert maps == (2, 1000, 6, 6), f"the last row gives {maps}"
    at_end = list(records).index("cccp8_relu") + 1
    x = integers(0, 2, 5, 6, 6)
    scores = torch.nn.Sequential(*model.children())[at_end:](torch.from_numpy(x)).numpy()
    close(scores, x.sum(axis=(2, 3)) / 36, "the end of the network")


ACTIVATIONS = "which activations stand between the rows"

no_activations = Claim(
    "imagenet-table/rows-as-printed-exceed-one-convolution",
    says="Taken as printed, without activations, a convolution and two CCCP layers compute what no "
    "single convolution can.",
    cites=["004:31", "004:43-57"],
    recorded=Refuted(instead="imagenet-table/rows-as-printed-are-one-convolution"),
    reading_of=ACTIVATIONS,
)
# Kernels, strides and paddings of the table on smaller maps and fewer channels.
STAGES = {
    name: Convolution(
        batch=2,
        in_channels=3,
        out_channels=4,
        height=19 if name == "C1" else 7,
        width=23 if name == "C1" else 9,
        kernel=PRINTED[name].kernel,
        stride=(PRINTED[name].stride or 1,) * 2,
        padding=(PADDINGS[name][0],) * 2,
    )
    for name in CONVOLUTIONS
}
CCCP_WEIGHTS = (integers(5, 5, 4, 1, 1, low=1, high=9), integers(6, 6, 5, 1, 1))
CCCP_BIASES = (integers(7, 5, low=1), integers(8, 6, low=1))


def as_printed(ops: Operators, name: str) -> Array:
    """Apply a convolution row and its two CCCP rows, and nothing else."""
    c = STAGES[name]
    y = ops.conv2d(c.x, c.weight, c.bias, **c.options)
    for weight, bias in zip(CCCP_WEIGHTS, CCCP_BIASES, strict=True):
        y = ops.conv2d(y, weight, bias)
    return y


def in_one(name: str) -> Array:
    """Apply one convolution, whose weights are composed of those of the three rows."""
    c = STAGES[name]
    weight, bias = c.weight, c.bias
    for cccp_weight, cccp_bias in zip(CCCP_WEIGHTS, CCCP_BIASES, strict=True):
        weight = np.einsum("om,mchw->ochw", cccp_weight[:, :, 0, 0], weight)
        bias = cccp_weight[:, :, 0, 0] @ bias + cccp_bias
    return oracle.conv2d(c.x, weight, bias, **c.options)


relu_inside = faults.wrong(
    "ReLU inside the convolution",
    "conv2d",
    lambda f, x, w, b=None, **o: np.maximum(f(x, w, b, **o), 0),
)


@no_activations.judged(
    subject=OPERATORS,
    on=CONVOLUTIONS,
    flipped_by=[relu_inside, faults.bias_missing, faults.weight_transposed],
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
    on=CONVOLUTIONS,
    flipped_by=[
        relu_inside,
        faults.bias_missing,
        faults.weight_transposed,
        faults.padding_ignored,
        faults.stride_ignored,
        faults.kernel_flipped,
        faults.channel_ignored,
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
    on=CONVOLUTIONS,
    flipped_by=[
        faults.relu_missing,
        faults.relu_leaky,
        faults.relu_absolute,
        faults.relu_capped,
        faults.bias_missing,
        faults.stride_ignored,
        faults.kernel_transposed,
    ],
)
def stage_is_not_affine(ops: Operators, name: str) -> None:
    c = STAGES[name]

    def stage(operators: Operators, x: Array) -> Array:
        y = operators.relu(operators.conv2d(x, c.weight, c.bias, **c.options))
        for weight, bias in zip(CCCP_WEIGHTS, CCCP_BIASES, strict=True):
            y = operators.relu(operators.conv2d(y, weight, bias))
        return y

    between, *ends = (stage(ops, x) for x in (0 * c.x, c.x, -c.x))
    same(ends[0], stage(oracle, c.x), "the stage")
    assert not np.array_equal(ends[0] + ends[1], 2 * between), f"{name} and two CCCP are affine"


@with_relu.judged(
    subject=MODELS,
    on=["table-nin"],
    flipped_by=[
        surgeries.relu_layers_removed,
        surgeries.surgery("first ReLU removed", surgeries.removed("ReLU", 0)),
        surgeries.surgery("last ReLU removed", surgeries.removed("ReLU", -1)),
    ],
)
def network_has_them(models: Models, name: str) -> dict[str, int]:
    kinds = [record.kind for record in counting.trace(models(name), 1, *IMAGE)]
    after = [kinds[at + 1] for at, kind in enumerate(kinds) if kind == "Conv2d"]
    assert after == ["ReLU"] * len(WEIGHTED), f"after the convolutions stand {after}"
    return {"ReLUs": kinds.count("ReLU")}
