"""What many parameters cost: memory, arithmetic, memory traffic, and learning by heart.

Document 001 (lines 43 to 45).
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from claims._by_heart import CLASSES, INPUTS, LABELS, STEPS, Fit, steps_to_learn
from claims._classics import (
    ALEXNETS,
    ALL_VGGS,
    few_hidden_units,
    image_of,
    million_hidden_units,
    records_of,
    saved_for_backward,
)
from claims.core.claim import PROOF, Claim, Fault, Proof, Sample, Subject
from claims.core.verdict import Holds, HoldsIf, Refuted, Undecided
from claims.faults import models as surgeries
from claims.faults.formulas import layer
from claims.subjects import LAYERS, MEASUREMENTS, MODELS, Evidence, Layers, Models, traced
from claims.trained import trained
from claims.training.rules import Lower, Sooner
from nin_ref import counting

if TYPE_CHECKING:
    from torch import nn

# Memory -------------------------------------------------------------------------------------------

PARAMETERS = {
    "lenet5": 61_706,
    "squeezenet1_0": 1_248_424,
    "alexnet": 61_100_840,
    "vgg16": 138_357_544,
}

much_memory = Claim(
    "compute/many-parameters-take-much-memory",
    says="The weights of a network take four bytes of memory for each parameter.",
    cites=["001:43"],
    recorded=Holds(),
)


@much_memory.judged(
    subject=MODELS,
    on=list(PARAMETERS),
    flipped_by=[
        surgeries.surgery("weights in half precision", lambda model: model.half()),
        surgeries.biases_dropped,
        surgeries.last_convolution_removed,
    ],
)
def four_bytes_each(models: Models, name: str) -> dict[str, float]:
    storages = {weight.untyped_storage() for weight in models(name).parameters()}
    size = sum(storage.nbytes() for storage in storages)
    expected = 4 * PARAMETERS[name]
    assert size == expected, f"the weights of {name} take {size:,} bytes, not {expected:,}"
    return {"megabytes": size / 1e6}


@dataclass(frozen=True)
class Batch:
    """A network and the number of images that it sees at once."""

    network: str
    images: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Batch, channels, height and width."""
        return (self.images, *image_of(self.network))


def batches(*images: int) -> list[Batch]:
    """Return batches of some sizes for each AlexNet and VGG."""
    return [Batch(name, number) for name in [*ALEXNETS, *ALL_VGGS] for number in images]


weights_fill_memory = Claim(
    "compute/weights-take-most-of-the-training-memory",
    says="While AlexNet or VGG is trained, its weights take more memory than the values that are "
    "kept for the backward pass.",
    cites=["001:43"],
    recorded=HoldsIf("at most 7 images at once"),
)


@weights_fill_memory.judged(
    subject=MODELS,
    on=batches(7, 8),
    when={"at most 7 images at once": lambda c: c.images <= 7},
    flipped_by=[few_hidden_units],
)
def weights_exceed_saved_values(models: Models, c: Batch) -> dict[str, float]:
    model = models(c.network)
    weights = 4 * counting.parameter_count(model)
    saved = saved_for_backward(model, *c.shape)
    assert weights > saved, (
        f"{c.images} images keep {saved / 1e6:.0f} MB, the weights of {c.network} take "
        f"{weights / 1e6:.0f} MB"
    )
    return {"weights in MB": weights / 1e6, "saved in MB": saved / 1e6}


# Arithmetic and memory traffic: two readings ------------------------------------------------------

BANDWIDTH = "many parameters take up much computing bandwidth"

much_arithmetic = Claim(
    "compute/linear-layers-do-most-of-the-arithmetic",
    says="The fully connected layers of AlexNet and VGG, which hold most parameters, do most of "
    "the multiply-adds for an image.",
    cites=["001:44"],
    recorded=Refuted(instead="compute/linear-layers-do-less-than-a-tenth-of-the-arithmetic"),
    reading_of=BANDWIDTH,
)


@much_arithmetic.judged(
    subject=MODELS, on=[*ALEXNETS, *ALL_VGGS], flipped_by=[million_hidden_units]
)
def linear_layers_dominate_arithmetic(models: Models, name: str) -> None:
    share = linear_share(models(name), name, "multiply_adds")
    assert share > 0.5, f"they do {share:.1%} of the multiply-adds of {name}"


def linear_share(model: nn.Module, name: str, measure: str) -> float:
    """Return the share of linear layers in a field of the trace of one image."""
    records = records_of(model, name)
    linear = sum(getattr(one, measure) for one in records if one.kind == "Linear")
    return float(linear / sum(getattr(one, measure) for one in records))


little_arithmetic = Claim(
    "compute/linear-layers-do-less-than-a-tenth-of-the-arithmetic",
    says="The fully connected layers of AlexNet and VGG hold more than four fifths of the "
    "parameters and do less than a tenth of the multiply-adds for an image.",
    cites=["001:44"],
    recorded=Holds(),
)


@little_arithmetic.judged(
    subject=MODELS,
    on=[*ALEXNETS, *ALL_VGGS],
    flipped_by=[million_hidden_units, few_hidden_units, surgeries.linear_layers_removed],
)
def many_parameters_little_arithmetic(models: Models, name: str) -> dict[str, float]:
    parameters = linear_share(models(name), name, "parameters")
    arithmetic = linear_share(models(name), name, "multiply_adds")
    assert parameters > 0.8, f"they hold {parameters:.1%} of the parameters of {name}"
    assert arithmetic < 0.1, f"they do {arithmetic:.1%} of the multiply-adds of {name}"
    return {"share of parameters": parameters, "share of multiply-adds": arithmetic}


much_traffic = Claim(
    "compute/linear-layers-cause-most-memory-traffic",
    says="Of all that the convolutions and fully connected layers of AlexNet and VGG read and "
    "write, each value once, most is the weights of the fully connected layers.",
    cites=["001:44"],
    recorded=HoldsIf("at most 4 images at once"),
    reading_of=BANDWIDTH,
)


@much_traffic.judged(
    subject=MODELS,
    on=batches(4, 5),
    when={"at most 4 images at once": lambda c: c.images <= 4},
    flipped_by=[few_hidden_units, surgeries.linear_layers_removed],
)
def linear_weights_are_most_of_the_traffic(models: Models, c: Batch) -> dict[str, float]:
    linear = moved = 0
    for one in traced(models(c.network), *c.shape):
        if one.kind in ("Conv2d", "Linear"):
            moved += one.parameters + math.prod(one.input_shape) + math.prod(one.output_shape)
            linear += one.parameters * (one.kind == "Linear")
    share = linear / moved
    assert share > 0.5, f"with {c.images} images it is {share:.1%} of what {c.network} moves"
    return {"share": share}


# Is a large matrix product limited by memory access? Counted, then measured -----------------------

MEMORY_BOUND = "a very large matrix product is limited by memory access, not by arithmetic"


@dataclass(frozen=True)
class ProductCosts:
    """What a matrix product [rows, inner] x [inner, columns] costs, in closed form."""

    operations: Callable[[Any, Any, Any], Any]
    values_moved: Callable[[Any, Any, Any], Any]

    def intensity(self, rows: Any, inner: Any, columns: Any) -> Any:
        """Return the operations for each byte that has to be moved, at four bytes a value."""
        sizes = (rows, inner, columns)
        return self.operations(*sizes) / (4 * self.values_moved(*sizes))


PRODUCT_COSTS = Subject(
    "costs of a matrix product",
    lambda: ProductCosts(
        operations=lambda rows, inner, columns: 2 * rows * inner * columns,
        values_moved=lambda rows, inner, columns: rows * inner + inner * columns + rows * columns,
    ),
)


def other_costs(name: str, **forms: Callable[[Any, Any, Any], Any]) -> Fault[ProductCosts]:
    """Return a world in which a matrix product costs something else."""
    return Fault(name, lambda right: ProductCosts(**{**vars(right), **forms}))


nothing_reused = other_costs(
    "operands read anew for each multiplication",
    values_moved=lambda rows, inner, columns: 2 * rows * inner * columns + rows * columns,
)


@dataclass(frozen=True)
class Product:
    """A matrix product [rows, inner] x [inner, columns] in float32 on a device."""

    rows: int
    inner: int
    columns: int
    device: str = "cpu"

    @property
    def name(self) -> str:
        """How measurements call it."""
        return f"{self.rows}x{self.inner}x{self.columns}"


# VGG's first fully connected layer on some images, and a square product.
SHAPES = [*((images, 25_088, 4096) for images in (1, 2, 8, 32, 128)), (4096, 4096, 4096)]

grows_with_size = Claim(
    "compute/square-products-are-limited-by-arithmetic",
    says="In float32 the product of two N x N matrices does N / 6 operations for each byte that it "
    "must move, so that a large one is limited by arithmetic on any machine.",
    cites=["001:44"],
    recorded=Holds(),
)


@grows_with_size.judged(subject=PRODUCT_COSTS, on=PROOF, flipped_by=[nothing_reused])
def intensity_is_a_sixth_of_the_size(costs: ProductCosts, _: Proof) -> None:
    import sympy

    size = sympy.Symbol("N", positive=True)
    intensity = sympy.simplify(costs.intensity(size, size, size))
    assert intensity == size / 6, f"it does {intensity} operations a byte"


@grows_with_size.judged(
    subject=PRODUCT_COSTS,
    on=Sample("products of some sizes", [Product(3, 5, 7), Product(2, 9, 4), Product(6, 1, 8)]),
    flipped_by=[
        nothing_reused,
        other_costs(
            "additions left out", operations=lambda rows, inner, columns: rows * inner * columns
        ),
        other_costs(
            "result not written",
            values_moved=lambda rows, inner, columns: rows * inner + inner * columns,
        ),
    ],
)
def costs_are_those_of_the_definition(costs: ProductCosts, c: Product) -> None:
    counted = 0
    touched: set[tuple[str, int, int]] = set()
    for row, column, step in itertools.product(*map(range, (c.rows, c.columns, c.inner))):
        counted += 2  # a multiplication, and an addition to the sum that starts at zero
        touched |= {("left", row, step), ("right", step, column), ("result", row, column)}
    operations = costs.operations(c.rows, c.inner, c.columns)
    moved = costs.values_moved(c.rows, c.inner, c.columns)
    assert operations == counted, f"{c.name} takes {counted} operations, not {operations}"
    assert moved == len(touched), f"{c.name} has {len(touched)} values, not {moved}"


any_large_product = Claim(
    "compute/large-products-are-limited-by-memory",
    says="However large a matrix product is, the operations that it does for each byte stay below "
    "some bound that a machine can exceed.",
    cites=["001:44"],
    recorded=Refuted(instead="compute/square-products-are-limited-by-arithmetic"),
    reading_of=MEMORY_BOUND,
)


@any_large_product.judged(subject=PRODUCT_COSTS, on=PROOF, flipped_by=[nothing_reused])
def intensity_is_bounded(costs: ProductCosts, _: Proof) -> None:
    import sympy

    size = sympy.Symbol("N", positive=True)
    bound = sympy.limit(costs.intensity(size, size, size), size, sympy.oo)
    assert bound.is_finite, (
        "two N x N matrices: N / 6 operations a byte, "
        f"{float(costs.intensity(4096, 4096, 4096)):.0f} at N = 4096, without bound"
    )


# In a nanosecond, by NVIDIA's data sheet of the H200: 67 TFLOP/s in float32 and 4.8 TB/s.
OPERATIONS, BYTES = 67_000, 4_800

linear_layer = Claim(
    "compute/linear-layer-is-limited-by-memory",
    says="VGG's first fully connected layer does fewer operations for each byte that it must move "
    "than an H200 can do in float32 while it moves one: 14.",
    cites=["001:44"],
    recorded=HoldsIf("at most 28 images"),
    reading_of=MEMORY_BOUND,
)


@linear_layer.judged(
    subject=PRODUCT_COSTS,
    on=Sample(
        "VGG's first fully connected layer on some numbers of images",
        [Product(images, 25_088, 4096) for images in (1, 2, 8, 28, 29)],
    ),
    when={"at most 28 images": lambda c: c.rows <= 28},
    flipped_by=[
        nothing_reused,
        other_costs(
            "weights not read", values_moved=lambda rows, inner, columns: rows * (inner + columns)
        ),
        other_costs(
            "additions left out", operations=lambda rows, inner, columns: rows * inner * columns
        ),
    ],
)
def few_operations_a_byte(costs: ProductCosts, c: Product) -> None:
    intensity = costs.intensity(c.rows, c.inner, c.columns)
    assert intensity < OPERATIONS / BYTES, f"{c.rows} images: {intensity:.1f} operations a byte"


@linear_layer.judged(subject=PRODUCT_COSTS, on=PROOF, flipped_by=[nothing_reused])
def twenty_eight_images_are_the_most(costs: ProductCosts, _: Proof) -> None:
    import z3

    rows = z3.Int("rows")
    operations = costs.operations(rows, 25_088, 4096)
    needed = 4 * costs.values_moved(rows, 25_088, 4096)
    solver = z3.Solver()
    solver.add(rows >= 1, (operations * BYTES < OPERATIONS * needed) != (rows <= 28))
    assert solver.check() == z3.unsat, f"{solver.model()[rows]} images are an exception"


def slowdown(measured: dict[str, Any], c: Product) -> float:
    """Return how much longer a product took than one pass over the bytes that it must move.

    Both were timed in the same rounds; the median of the ratios counts.
    """
    moved = 4 * (c.rows * c.inner + c.inner * c.columns + c.rows * c.columns)
    products: list[float] = measured["seconds"][c.name]
    passes: list[float] = measured["seconds"]["pass"]
    ratios = [product / one_pass for product, one_pass in zip(products, passes, strict=True)]
    return statistics.median(ratios) * float(measured["bytes in a pass"]) / moved


def rate(measured: dict[str, Any], c: Product) -> float:
    """Return the operations a second of a product, by the median of its samples."""
    seconds: list[float] = measured["seconds"][c.name]
    return 2 * c.rows * c.inner * c.columns / statistics.median(seconds)


def timed(name: str, seconds: Callable[[Product], float]) -> Fault[Evidence]:
    """Return synthetic evidence: a machine that reads a gigabyte in one second."""

    @dataclass(frozen=True)
    class Synthetic(Evidence):
        def measurement(self, name: str) -> dict[str, Any]:  # noqa: ARG002 - the same for all
            samples = {Product(*shape).name: 3 * [seconds(Product(*shape))] for shape in SHAPES}
            return {"bytes in a pass": 1e9, "seconds": {**samples, "pass": 3 * [1.0]}}

    return Fault(name, lambda evidence: Synthetic(evidence.directory))


def _one_pass(c: Product) -> float:
    return 4e-9 * (c.rows * c.inner + c.inner * c.columns + c.rows * c.columns)


ONE_ROW = {"one row: a layer on one image": lambda c: c.rows == 1}

measured_on_cpu = Claim(
    "compute/large-products-are-limited-by-memory-on-a-cpu",
    says="Measured on a CPU, a large matrix product takes less than twice as long as one pass over "
    "the memory that it must read and write.",
    cites=["001:44"],
    recorded=HoldsIf("one row: a layer on one image"),
    reading_of=MEMORY_BOUND,
)

measured_on_gpu = Claim(
    "compute/large-products-are-limited-by-memory-on-a-gpu",
    says="Measured on a GPU, a large matrix product takes less than twice as long as one pass over "
    "the memory that it must read and write.",
    cites=["001:44"],
    recorded=Undecided("python -m claims.measure on a machine with a GPU"),
    reading_of=MEMORY_BOUND,
)


@measured_on_cpu.judged(
    subject=MEASUREMENTS,
    on=[Product(*shape) for shape in SHAPES],
    when=ONE_ROW,
    flipped_by=[
        timed("memory limits every product", _one_pass),
        timed("arithmetic limits every product", lambda c: 3 * _one_pass(c)),
    ],
)
@measured_on_gpu.judged(
    subject=MEASUREMENTS,
    on=[Product(*shape, device="cuda") for shape in SHAPES],
    when=ONE_ROW,
)
def product_takes_as_long_as_a_pass(evidence: Evidence, c: Product) -> dict[str, float]:
    measured = evidence.measurement(f"matrix-products-{c.device}")
    times = slowdown(measured, c)
    assert times < 2, f"{c.name} takes {times:.1f} times as long as one pass"
    square = Product(*SHAPES[-1])
    return {
        "times a pass": times,
        "share of the square's rate": rate(measured, c) / rate(measured, square),
    }


# Learning by heart: on random labels, and on real images ------------------------------------------


def _identity(_: Callable[..., nn.Module]) -> nn.Module:
    from torch import nn

    return nn.Identity()


def _amplified(right: Callable[..., nn.Module], *sizes: int) -> nn.Module:
    """Multiply what a layer puts out, so that small weights do what large ones did."""
    made = right(*sizes)
    made.register_forward_hook(lambda _layer, _inputs, output: 30 * output)
    return made


no_activation = layer("no activation", "ReLU", _identity)
two_hidden_units = layer(
    "two hidden units whatever is asked for",
    "Linear",
    lambda f, i, o: f(i if i == INPUTS else 2, o if o == CLASSES else 2),
)

BY_HEART = "a layer with too many parameters learns its training set by heart"
SEEDS = (0, 1, 2)

random_labels = Claim(
    "compute/many-parameters-fit-random-labels",
    says="A net with one hidden layer gets its mean loss on 64 random inputs with random labels "
    "below 0.1 within 400 steps, though there is nothing to learn but the labels themselves.",
    cites=["001:45"],
    recorded=HoldsIf("ten parameters or more for each label"),
    reading_of=BY_HEART,
    cost="cpu",
)


@random_labels.judged(
    subject=LAYERS,
    on=Sample(
        "nets with 2 to 512 hidden units, from some seeds",
        [Fit(units, seed) for units in (2, 32, 512) for seed in SEEDS],
    ),
    when={"ten parameters or more for each label": lambda c: c.parameters >= 10 * LABELS},
    flipped_by=[no_activation, two_hidden_units],
)
def random_labels_are_learnt(layers: Layers, c: Fit) -> None:
    steps = steps_to_learn(layers, c)
    assert steps < STEPS, f"{c.parameters} parameters have not learnt {LABELS} labels"


overfitting = trained(
    "compute/many-parameters-in-the-head-overfit",
    says="On CIFAR-10, the same convolutions end with a larger gap between training and test error "
    "under fully connected layers than under a global average.",
    cites=["001:45"],
    rule=Lower("plain-gap-short", "plain-fc-short", quantity="generalisation gap", family="heads"),
    reading_of=BY_HEART,
)

FAST = "too many parameters in one layer make a model converge very fast"

wide_is_faster = Claim(
    "compute/wide-layer-converges-faster",
    says="With the same optimiser and learning rate, a hidden layer five times as wide or wider "
    "needs less than half as many steps to learn 64 random labels.",
    cites=["001:45"],
    recorded=Holds(),
    reading_of=FAST,
    cost="cpu",
)


@wide_is_faster.judged(
    subject=LAYERS,
    on=Sample(
        "nets with 24 to 1024 hidden units, from some seeds",
        [
            (narrow, wide, seed)
            for narrow, wide in [(24, 128), (32, 512), (128, 1024)]
            for seed in SEEDS
        ],
    ),
    flipped_by=[no_activation, two_hidden_units],
)
def wide_needs_half_the_steps(layers: Layers, c: tuple[int, int, int]) -> None:
    narrow, wide = (steps_to_learn(layers, Fit(units, c[2])) for units in c[:2])
    assert 2 * wide < narrow, f"{c[1]} units take {wide} steps, {c[0]} take {narrow}"


converges_fast = trained(
    "compute/many-parameters-in-the-head-converge-faster",
    says="On CIFAR-10, the same convolutions reach a training loss of 0.5 in fewer epochs under "
    "fully connected layers than under a global average.",
    cites=["001:45"],
    rule=Sooner("plain-fc-short", "plain-gap-short"),
    reading_of=FAST,
)

REGULARISED = "much regularisation is needed, so that such a layer does not learn everything"

decay_prevents = Claim(
    "compute/regularisation-prevents-learning-by-heart",
    says="Under weight decay, 512 hidden units do not learn 64 random labels within 400 steps.",
    cites=["001:45"],
    recorded=HoldsIf("the decay is strong: 0.1 or more"),
    reading_of=REGULARISED,
    cost="cpu",
)


@decay_prevents.judged(
    subject=LAYERS,
    on=Sample(
        "weight decays from 0.0001 to 1, from some seeds",
        [Fit(512, seed, decay) for decay in (1e-4, 0.1, 1.0) for seed in SEEDS],
    ),
    when={"the decay is strong: 0.1 or more": lambda c: c.weight_decay >= 0.1},
    flipped_by=[
        two_hidden_units,
        layer("outputs amplified, so that decay matters less", "Linear", _amplified),
    ],
)
def random_labels_are_not_learnt(layers: Layers, c: Fit) -> None:
    steps = steps_to_learn(layers, c)
    assert steps == STEPS, f"with decay {c.weight_decay} they are learnt in {steps} steps"


needs_regularisation = trained(
    "compute/many-parameters-in-the-head-need-regularisation",
    says="On CIFAR-10, dropout on its fully connected layers lowers the test error of a plain CNN.",
    cites=["001:45"],
    rule=Lower("plain-fc-dropout-short", "plain-fc-short", family="heads"),
    reading_of=REGULARISED,
)
