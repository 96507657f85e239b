"""The parameter counts of the ImageNet network in the table: whether they are right.

Document 004, lines 42 to 57.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from claims._imagenet_table import (
    CCCP_LINES,
    CCCPS,
    CONVOLUTION_LINES,
    CONVOLUTIONS,
    DOWN_SAMPLING_LINES,
    DOWN_SAMPLINGS,
    PRINTED,
    TABLE,
    WEIGHTED,
    Row,
    Table,
    convolution,
    layer_of,
    misprints,
    misread,
    parameters,
    rewritten,
    times,
)
from claims._layers import remade
from claims.core.claim import Claim, Fault
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.faults import models as surgeries
from claims.subjects import MODELS, Models
from nin_ref import counting

# The parameters of the convolutions ---------------------------------------------------------------

HALF = "imagenet-parameters/convolutions-have-half-the-parameters-printed"
CONVOLUTION_PARAMETERS = (34_944, 614_656, 885_120, 3_539_968)
CCCP_PARAMETERS = (9_312, 9_312, 65_792, 65_792, 147_840, 147_840, 1_049_600, 1_025_000)


def weights_and_biases(row: Row) -> int:
    """Count a weight for each tap, input channel and output channel, and a bias for the latter."""
    return (math.prod(row.kernel) * row.input[2] + 1) * row.output[2]


def printed_count(name: str) -> Claim:
    """Declare that a convolution row has the parameters printed, which is false."""
    row = PRINTED[name]
    claim = Claim(
        f"imagenet-parameters/{name.lower()}-parameters",
        says=f"{name} has {row.parameters:,} trainable parameters, which is "
        f"({times((*row.kernel, row.depth or 0))} + 1) x {row.filters} x 2.",
        cites=[f"004:{row.line}"],
        recorded=Refuted(instead=HALF),
        renamed_from=f"imagenet-table/{name.lower()}-parameters",
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
    renamed_from="imagenet-table/convolutions-have-half-the-parameters-printed",
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


def factor_two(
    name: str,
    says: str,
    against: Callable[[Table, Row], tuple[object, object, str]],
    flipped_by: Fault[Table],
    cites: Sequence[str] = CONVOLUTION_LINES,
) -> Claim:
    """Declare a reading of the factor, which is false; `against` gives what would be equal."""
    claim = Claim(
        f"imagenet-parameters/factor-two-is-for-{name}",
        says=f"The factor 2 {says}.",
        cites=cites,
        recorded=Refuted(instead=HALF),
        reading_of=FACTOR_TWO,
        renamed_from=f"imagenet-table/factor-two-is-for-{name}",
    )

    @claim.judged(subject=TABLE, on=CONVOLUTIONS, flipped_by=[flipped_by])
    def numbers_agree(table: Table, name: str) -> None:
        one, other, what = against(table, table[name])
        assert one == other, f"{name}: {what.format(one, other)}"

    return claim


def with_cccp_layers(table: Table, row: Row) -> int:
    """Count the parameters of a convolution row and of the two rows below it."""
    stage = [one for one in table.values() if row.line <= one.line <= row.line + 2]
    return sum(parameters(convolution(one)) for one in stage)


FACTORS_TWO = (
    factor_two(
        "the-biases",
        "brings in the biases: half of each count is the weights without them",
        lambda _, row: (
            (row.parameters or 0) // 2,
            convolution(row).weight.numel(),
            "half of the count is {:,}, its weights are {:,}",
        ),
        rewritten(
            "counts without the + 1",
            lambda _, row: {"parameters": (row.parameters or 0) - 2 * (row.filters or 0)},
        ),
    ),
    factor_two(
        "two-gpus",
        "is for two GPUs, as in AlexNet, each with the filters that the row gives",
        lambda _, row: (
            (2 * convolution(row).out_channels, 2 * parameters(convolution(row))),
            (row.output[2], row.parameters),
            "maps and parameters of both are {}, not {}",
        ),
        rewritten(
            "half of the filters on each GPU",
            lambda _, row: {
                "filters": (row.filters or 0) // 2,
                "parameters": (row.parameters or 0) // 2,
            },
        ),
    ),
    factor_two(
        "the-two-cccp-layers",
        "counts the two CCCP layers that follow, whose own cells are empty",
        lambda table, row: (
            with_cccp_layers(table, row),
            row.parameters,
            "it and two CCCP have {:,}, not {:,}",
        ),
        rewritten(
            "counts of whole stages",
            lambda table, row: {"parameters": with_cccp_layers(table, row)} if row.filters else {},
        ),
        ["004:43-45", "004:47-49", "004:51-53", "004:55-57"],
    ),
)

two_for_momentum = Claim(
    "imagenet-parameters/factor-two-is-for-momentum",
    says="Read as the values that training with momentum keeps, a parameter and its momentum each, "
    "the counts printed are right; the momenta are not trainable parameters.",
    cites=CONVOLUTION_LINES,
    recorded=Holds(),
    reading_of=FACTOR_TWO,
    renamed_from="imagenet-table/factor-two-is-for-momentum",
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
    "imagenet-parameters/empty-cells-mean-no-parameters",
    says="The CCCP layers, whose cells in the last column are empty, have no trainable parameters.",
    cites=CCCP_LINES,
    recorded=Refuted(instead="imagenet-parameters/cccp-layers-have-parameters"),
    reading_of=EMPTY,
    renamed_from="imagenet-table/empty-cells-mean-no-parameters",
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
    "imagenet-parameters/cccp-layers-have-parameters",
    says="The CCCP layers have parameters of their own, which the table leaves out: a weight for "
    "each input and output channel and a bias; 9,312, 65,792 and 147,840 in the first three pairs, "
    "1,049,600 in CCCP7, 1,025,000 in CCCP8.",
    cites=CCCP_LINES,
    recorded=Holds(),
    reading_of=EMPTY,
    renamed_from="imagenet-table/cccp-layers-have-parameters",
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
    "imagenet-parameters/down-samplings-have-no-parameters",
    says="The down-samplings have no trainable parameters.",
    cites=DOWN_SAMPLING_LINES,
    recorded=HoldsIf("the down-sampling is a pool"),
    renamed_from="imagenet-table/down-samplings-have-no-parameters",
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
    "imagenet-parameters/cells-add-up-to-the-network",
    says="The counts in the last column add up to the parameters of the network.",
    cites=["004:42-57"],
    recorded=Refuted(instead="imagenet-parameters/network-has-7595176-parameters"),
    renamed_from="imagenet-table/cells-add-up-to-the-network",
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
    "imagenet-parameters/network-has-7595176-parameters",
    says="The network has 7,595,176 parameters: 5,074,688 in its convolutions and 2,520,488 in its "
    "CCCP layers; in float32 29 MiB.",
    cites=["004:42-57"],
    recorded=Holds(),
    renamed_from="imagenet-table/network-has-7595176-parameters",
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
