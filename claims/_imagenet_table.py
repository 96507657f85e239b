"""The ImageNet network of document 004 as the table there prints it: its rows as data, its layers.

Lines 42 to 57: four convolutions (C1 to C4), eight cascaded cross-channel pooling layers (CCCP1 to
CCCP8, convolutions of 1x1), three down-samplings (S1 to S3 here). The asterisks on four of the rows
have no footnote.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from claims.core.claim import Fault, Subject
from claims.faults.fields import perturbed

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


def parameters(layer: nn.Module) -> int:
    """Count the trainable parameters of a layer."""
    return sum(parameter.numel() for parameter in layer.parameters())


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
