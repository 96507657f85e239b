"""Train one network by one recipe from one seed; this file needs PyTorch and NumPy alone.

The whole data set lies on the device. A step gathers its batch there, cropped and mirrored, and on
a GPU is one CUDA graph. All randomness is a function of seed, epoch, step and place: no generator's
state is carried along, so that a run stopped after any epoch goes on to the same bits, and devices
draw the same batches and the same dropout masks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import math
import os
import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nin_ref import networks
from nin_ref.files import write_atomically
from nin_ref.networks import CounterDropout

Array = np.ndarray[Any, np.dtype[Any]]

# Images. A GPU has work with many; of few the activations fit into the cache of a CPU.
EVALUATED_AT_ONCE = {"cuda": 500, "cpu": 50}
FIRST_LOSSES = 10
DTYPES = {"float64": torch.float64}  # all other precisions keep their weights in float32


class TrainingError(Exception):
    """A run cannot be made or continued; one sentence in the user's words."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that the outcome of training depends on, apart from seed, device and versions.

    The defaults are the CIFAR-10 recipe of the authors of Network in Network, in PyTorch's terms.
    `phases` are (epochs, factor of the learning rate). `initial_deviations` are the standard
    deviations of the first weights, layer by layer, the last one for all layers that follow, with
    biases of 0; None leaves PyTorch's initialisation. Biases have `bias_rate` times the learning
    rate and no weight decay; in the last layer all rates are multiplied by `last_layer_rate`.
    `crop` is the padding on each side before a random crop. `held_out` training images, the last
    ones, take the place of the test set. `stream` chooses other random numbers for a copy of an
    arm. `probes` name changes of the test images under which the trained network is tested too.
    """

    data: str = "cifar10"
    preprocessing: str = "whitened"
    network: str = "nin"
    options: Mapping[str, Any] = field(default_factory=dict)
    initial_deviations: tuple[float, ...] | None = (0.05,)
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 0.1
    bias_rate: float = 2.0
    last_layer_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    batch_size: int = 128
    phases: tuple[tuple[int, float], ...] = ((200, 1.0), (30, 0.1), (30, 0.01))
    crop: int = 0
    mirror: bool = False
    precision: Literal["bf16", "tf32", "float32", "float64"] = "bf16"
    held_out: int = 0
    stream: int = 0
    probes: tuple[str, ...] = ()

    @property
    def epochs(self) -> int:
        """The epochs of all phases together."""
        return sum(epochs for epochs, _ in self.phases)

    def rate_factor(self, epoch: int) -> float:
        """Return the factor of the learning rate in an epoch, counted from 0."""
        for epochs, factor in self.phases:
            if epoch < epochs:
                return factor
            epoch -= epochs
        raise ValueError(f"the recipe has {self.epochs} epochs; there is none {epoch} further on")

    @property
    def digest(self) -> str:
        """16 hex digits that change with any field."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Images:
    """What a run trains on and is tested on.

    Images are float32 [N, C, H, W] after preprocessing, labels uint8 [N]. `digest` is that of the
    data set before it.
    """

    train: Array
    train_labels: Array
    test: Array
    test_labels: Array
    classes: int
    digest: str


@dataclass
class Progress:
    """How far a run has come, and all that its record needs of the epochs so far.

    `curve` has a row an epoch, without times; "first gradient" is the mean norm of the gradient of
    the first layer's weights. `first_losses` are those of the first ten steps;
    `seconds` the wall time of each epoch's training, without evaluation. `resumed` counts stops.
    `threads` are those of the CPU; with another number sums would differ in their last digits.
    """

    started: str
    threads: int
    resumed: int = 0
    epoch: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    first_losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


Report = Callable[[Progress, float], None]  # progress, and the share of the current epoch done


def train(
    recipe: Recipe,
    seed: int,
    images: Images,
    device: torch.device,
    *,
    checkpoint: Checkpoint | None = None,
    report: Report = lambda progress, share: None,
) -> tuple[nn.Module, Progress, dict[str, Array]]:
    """Train from the start, or on from a checkpoint, to the end of the recipe.

    Returns the network, its progress, and the classes that it predicts, uint8 [N], for the test
    images ("test") and for each probe of the recipe.

    Raises:
        TrainingError: if the checkpoint is of another run, or the recipe does not fit the images.
    """
    with backends(recipe):
        training = Training(recipe, seed, images, device)
        progress = checkpoint and checkpoint.load(training)
        progress = progress or Progress(now(), torch.get_num_threads())
        with threads(progress.threads):
            while progress.epoch < recipe.epochs:
                training.epoch(progress, report)
                if checkpoint:
                    checkpoint.save_at_times(training, progress)
            return training.network, progress, training.predictions()


def now() -> str:
    """Return the time in UTC, as text."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Training:
    """A network in training: the data and all state on the device, and the steps that change it."""

    def __init__(self, recipe: Recipe, seed: int, images: Images, device: torch.device) -> None:
        self.recipe = recipe
        self.seed = seed
        self.device = device
        self.data_digest = images.digest
        self.dtype = DTYPES.get(recipe.precision, torch.float32)
        train, test = (self.on_device(part) for part in (images.train, images.test))
        train_labels, test_labels = (
            torch.from_numpy(part.astype(np.int64)).to(device)
            for part in (images.train_labels, images.test_labels)
        )
        if recipe.held_out:
            test, test_labels = train[-recipe.held_out :], train_labels[-recipe.held_out :]
            train, train_labels = train[: -recipe.held_out], train_labels[: -recipe.held_out]
        self.steps = len(train) // recipe.batch_size
        if not self.steps:
            raise TrainingError(
                f"{len(train)} training images are fewer than a batch of {recipe.batch_size}"
            )
        self.test, self.test_labels = test, test_labels
        self.sample, self.sample_labels = train[: len(test)], train_labels[: len(test)]
        self.train, self.train_labels = train, train_labels
        if recipe.crop:
            border = recipe.crop
            self.train = functional.pad(train, (0, 0, border, border, border, border))

        self.network = initialised(recipe, seed).to(
            device=device,
            dtype=self.dtype,
            memory_format=torch.channels_last,  # type: ignore[call-overload]
        )
        self.optimizer = optimizer(recipe, self.network, device)
        self.dropouts = [
            layer for layer in self.network.modules() if isinstance(layer, CounterDropout)
        ]
        self.draws = self.drawn(0)
        self.position = torch.zeros(1, dtype=torch.int64, device=device)
        self.numbers = torch.arange(self.steps, device=device)
        self.lanes = torch.arange(recipe.batch_size, device=device)
        self.first_layer = weighted(self.network)[0].weight
        self.losses = torch.zeros(self.steps, dtype=self.dtype, device=device)
        self.gradients = torch.zeros_like(self.losses)
        self.wrong = torch.zeros(self.steps, dtype=torch.int64, device=device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.rate_factor = math.nan

    def on_device(self, images: Array) -> Tensor:
        """Return images as [N, H, W, C] on the device, where a batch is gathered fastest."""
        laid_out = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        return torch.from_numpy(laid_out).to(self.device, self.dtype)

    def drawn(self, epoch: int) -> dict[str, Tensor]:
        """Draw an epoch: which image each lane gets, where it is cropped, whether it is mirrored.

        `order` and `mirrored` are [steps * batch]; `corner` [steps * batch, 2] is (top, left);
        `keys` [steps, 2] seed the dropout masks of a step.
        """
        random = np.random.default_rng([self.recipe.stream, self.seed, epoch])
        count, recipe = self.steps * self.recipe.batch_size, self.recipe
        drawn = {
            "order": random.permutation(len(self.train))[:count],
            "corner": random.integers(0, 2 * recipe.crop + 1, (count, 2)),
            "mirrored": random.integers(0, 2 if recipe.mirror else 1, count).astype(bool),
            "keys": random.integers(-(2**31), 2**31, (self.steps, 2), dtype=np.int32),
        }
        return {name: torch.from_numpy(values).to(self.device) for name, values in drawn.items()}

    def epoch(self, progress: Progress, report: Report) -> None:
        """Train one epoch, evaluate, and note both in `progress`."""
        self.set_rate(self.recipe.rate_factor(progress.epoch))
        self.network.train()
        self.synchronize()
        start = time.perf_counter()
        self.train_epoch(progress.epoch, lambda share: report(progress, share))
        self.synchronize()
        progress.seconds.append(time.perf_counter() - start)

        losses = self.losses.double().cpu()
        wrong = int(self.wrong.sum())
        if not progress.epoch:
            progress.first_losses = losses[:FIRST_LOSSES].tolist()
        test_loss, test_error = self.evaluated(self.test, self.test_labels)
        sample_loss, sample_error = self.evaluated(self.sample, self.sample_labels)
        progress.curve.append(
            {
                "loss in training": float(losses.mean()),
                "error in training": 100 * wrong / (self.steps * self.recipe.batch_size),
                "first gradient": float(self.gradients.double().mean()),
                "training loss": sample_loss,
                "training error": sample_error,
                "test loss": test_loss,
                "test error": test_error,
            }
        )
        progress.epoch += 1
        report(progress, 0.0)

    def train_epoch(self, epoch: int, report: Callable[[float], None]) -> None:
        """Take all steps of an epoch; `report` is told the share done, where steps take long."""
        for name, values in self.drawn(epoch).items():
            self.draws[name].copy_(values)
        self.position.zero_()
        for number in range(self.steps):
            if self.graph is None:
                self.step()
                report(number / self.steps)
            else:
                self.graph.replay()

    def step(self) -> None:
        """Train on the batch at `position`; nothing here waits for the device."""
        self.optimizer.zero_grad(set_to_none=True)
        for dropout, key in zip(self.dropouts, self.dropout_keys(), strict=True):
            dropout.key = key
        images, labels = self.batch()
        scores = self.scores(images)
        loss = functional.cross_entropy(scores, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        with torch.no_grad():
            self.note(self.losses, loss)
            self.note(self.gradients, self.first_layer.grad.norm())
            self.note(self.wrong, (scores.argmax(1) != labels).sum())
            self.position += 1

    def note(self, noted: Tensor, value: Tensor) -> None:
        """Put a value at `position` of what is noted of an epoch; no wait for the device."""
        noted.copy_(torch.where(self.numbers == self.position, value, noted))

    def dropout_keys(self) -> Iterator[Tensor]:
        """Yield a key [2] for each dropout layer, another one for each layer and step."""
        key = self.draws["keys"].index_select(0, self.position)[0]
        for number in range(len(self.dropouts)):
            yield key + number

    def batch(self) -> tuple[Tensor, Tensor]:
        """Gather the batch at `position`, cropped and mirrored, as [N, C, H, W] and labels [N]."""
        lanes = self.position * self.recipe.batch_size + self.lanes
        chosen = self.draws["order"][lanes]
        top, left = self.draws["corner"][lanes].unbind(1)
        _, height, width, _ = self.test.shape
        rows = top[:, None] + torch.arange(height, device=self.device)
        columns = torch.arange(width, device=self.device).expand(len(lanes), width)
        mirrored = self.draws["mirrored"][lanes][:, None]
        columns = left[:, None] + torch.where(mirrored, width - 1 - columns, columns)
        images = self.train[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
        return images.permute(0, 3, 1, 2), self.train_labels[chosen]

    def scores(self, images: Tensor) -> Tensor:
        """Return the class scores of images [N, C, H, W], in the precision of the weights."""
        bf16 = self.recipe.precision == "bf16"
        # A cache of cast weights would outlive the graph that filled it.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16, cache_enabled=False):
            scores: Tensor = self.network(images)
        return scores.to(self.dtype)

    def set_rate(self, factor: float) -> None:
        """Set the learning rates for a phase; a CUDA graph holds them, so it is captured anew."""
        if factor == self.rate_factor:
            return
        self.rate_factor = factor
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_rate"] * factor
        if self.device.type == "cuda":
            self.capture()

    def capture(self) -> None:
        """Capture a step as a CUDA graph, and leave network and optimizer as they were."""
        self.network.train()
        before = [tensor.clone() for tensor in self.state()]
        warm_up = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        warm_up.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(warm_up):
            for _ in range(3):
                self.position.zero_()
                self.step()
        torch.cuda.current_stream().wait_stream(warm_up)
        after = self.state()
        for tensor in after[len(before) :]:
            tensor.zero_()  # state that the optimizer made in its first step
        for tensor, value in zip(after, before, strict=False):
            tensor.copy_(value)
        self.position.zero_()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.step()

    def state(self) -> list[Tensor]:
        """Return all tensors that a step changes and the next one depends on."""
        of_optimizer = self.optimizer.state.values()
        return [
            *self.network.state_dict().values(),
            *(value for one in of_optimizer for value in one.values() if torch.is_tensor(value)),
        ]

    def evaluated(self, images: Tensor, labels: Tensor) -> tuple[float, float]:
        """Return mean loss and error in percent on images [N, H, W, C], without dropout."""
        scores = self.class_scores(images)
        loss = functional.cross_entropy(scores, labels.cpu())
        wrong = int((scores.argmax(1) != labels.cpu()).sum())
        return float(loss), 100 * wrong / len(labels)

    @torch.inference_mode()
    def class_scores(self, images: Tensor) -> Tensor:
        """Return the scores of images [N, H, W, C] as float64 [N, classes] on the CPU."""
        self.network.eval()
        at_once = EVALUATED_AT_ONCE[self.device.type]
        parts = torch.split(images.permute(0, 3, 1, 2), at_once)
        return torch.cat([self.scores(part) for part in parts]).double().cpu()

    def predictions(self) -> dict[str, Array]:
        """Return the predicted classes, uint8 [N], of the test images and of each probe."""
        tested = {"test": self.test}
        tested |= {name: PROBES[name](self.test) for name in self.recipe.probes}
        return {
            name: self.class_scores(images).argmax(1).numpy().astype(np.uint8)
            for name, images in tested.items()
        }

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@contextlib.contextmanager
def backends(recipe: Recipe) -> Iterator[None]:
    """Choose deterministic kernels and the arithmetic of the recipe, for the duration."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
    deterministic = torch.are_deterministic_algorithms_enabled()
    cudnn: Any = torch.backends.cudnn
    filled: Any = torch.utils.deterministic
    arithmetics = (cudnn.conv, torch.backends.cuda.matmul)
    before = cudnn.benchmark, filled.fill_uninitialized_memory
    precisions = [arithmetic.fp32_precision for arithmetic in arithmetics]
    torch.use_deterministic_algorithms(True, warn_only=True)
    cudnn.benchmark = filled.fill_uninitialized_memory = False
    for arithmetic in arithmetics:
        arithmetic.fp32_precision = "tf32" if recipe.precision == "tf32" else "ieee"
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        cudnn.benchmark, filled.fill_uninitialized_memory = before
        for arithmetic, precision in zip(arithmetics, precisions, strict=True):
            arithmetic.fp32_precision = precision


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many threads on the CPU, for the duration."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def initialised(recipe: Recipe, seed: int) -> nn.Module:
    """Build the network of a recipe on the CPU, with the first weights of this seed."""
    with torch.random.fork_rng(devices=[]):
        # PyTorch's generator on a CPU heeds 32 bits of its seed.
        torch.manual_seed(int(np.random.SeedSequence([recipe.stream, seed]).generate_state(1)[0]))
        network = networks.build(recipe.network, **recipe.options)
        if recipe.initial_deviations is None:
            return network
        for number, layer in enumerate(weighted(network)):
            deviations = recipe.initial_deviations
            nn.init.normal_(layer.weight, std=deviations[min(number, len(deviations) - 1)])
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def weighted(network: nn.Module) -> list[Any]:
    """Return the layers whose weights are matrices or kernels, in their order."""
    return [
        layer
        for layer in network.modules()
        if isinstance(weight := getattr(layer, "weight", None), nn.Parameter) and weight.ndim > 1
    ]


def optimizer(recipe: Recipe, network: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    """Build the optimizer, with a group for each learning rate; only kernels and matrices decay."""
    last = set(weighted(network)[-1].parameters())
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        rate = recipe.learning_rate
        rate *= recipe.bias_rate if name.endswith("bias") else 1.0
        rate *= recipe.last_layer_rate if parameter in last else 1
        kernel = parameter.ndim > 1 and not name.endswith("bias")
        decay = recipe.weight_decay if kernel else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    described = [
        {"params": parameters, "lr": rate, "full_rate": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(described, fused=True, capturable=device.type == "cuda")
    return torch.optim.SGD(described, momentum=recipe.momentum, fused=True)


def shifted(images: Tensor, down: int, right: int) -> Tensor:
    """Move images [N, H, W, C] by pixels; zeros, which whitened images average to, move in."""
    _, height, width, _ = images.shape
    grown = functional.pad(images, (0, 0, *2 * [abs(right)], *2 * [abs(down)]))
    top, left = abs(down) - down, abs(right) - right
    return grown[:, top : top + height, left : left + width]


def noisy(images: Tensor, share: float) -> Tensor:
    """Add Gaussian noise, always the same, of this share of the images' standard deviation."""
    noise = np.random.default_rng(0).standard_normal(images.shape, dtype=np.float32)
    return images + share * images.std() * torch.from_numpy(noise).to(images)


PROBES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "4 pixels up": lambda images: shifted(images, -4, 0),
    "4 pixels down": lambda images: shifted(images, 4, 0),
    "4 pixels left": lambda images: shifted(images, 0, -4),
    "4 pixels right": lambda images: shifted(images, 0, 4),
    "noise of a tenth": lambda images: noisy(images, 0.1),
    "noise of a half": lambda images: noisy(images, 0.5),
}


def collapsed(curve: Sequence[Mapping[str, float]], classes: int) -> bool:
    """Whether training led nowhere: the last epoch's loss is that of guessing, or no number.

    The loss of guessing among C classes is log C; 2 % below it is where learning begins. Only the
    training loss counts, so that leaving collapsed runs out cannot select good test errors.
    """
    loss = curve[-1]["loss in training"]
    return not loss < 0.98 * math.log(classes)


@dataclass
class Checkpoint:
    """A file from which a run goes on after a stop, written at most every `interval` seconds.

    A SHA-256 precedes the content, and is checked before anything is read from it. `warn` is told
    in one sentence what goes wrong with the file; the run itself goes on.
    """

    path: Path
    warn: Callable[[str], None]
    interval: float = 60.0
    written: float = field(default_factory=time.monotonic)

    def save_at_times(self, training: Training, progress: Progress) -> None:
        """Write the file if the interval is over."""
        if time.monotonic() - self.written < self.interval:
            return
        content = io.BytesIO()
        torch.save(
            {
                "identity": identity(training),
                "network": training.network.state_dict(),
                "optimizer": training.optimizer.state_dict(),
                "progress": dataclasses.asdict(progress),
            },
            content,
        )
        digest = hashlib.sha256(content.getbuffer()).hexdigest()
        try:
            write_atomically(self.path, digest.encode() + b"\n" + content.getvalue())
        except OSError as error:
            self.warn(f"no checkpoint after epoch {progress.epoch} ({error}); the run goes on")
        self.written = time.monotonic()

    def load(self, training: Training) -> Progress | None:
        """Put the training where the file left it; None if there is no file that can be used."""
        try:
            stored = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.warn(f"the checkpoint cannot be read ({error}); starting from the beginning")
            return None
        digest, _, content = stored.partition(b"\n")
        if digest != hashlib.sha256(content).hexdigest().encode():
            self.warn(f"the checkpoint {self.path} is damaged; starting from the beginning")
            return None
        try:
            found = torch.load(io.BytesIO(content), map_location=training.device, weights_only=True)
            then = found["identity"]
        except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError):
            self.warn(f"{self.path} is no checkpoint of this program; starting from the beginning")
            return None
        other = {
            name: (then.get(name), value)
            for name, value in identity(training).items()
            if then.get(name) != value
        }
        if other:
            changes = ", ".join(
                f"{name} {was} then, {now} now" for name, (was, now) in other.items()
            )
            self.warn(
                f"the checkpoint is of another run or machine ({changes}), so it would not lead to "
                "the same result; starting from the beginning"
            )
            return None
        training.network.load_state_dict(found["network"])
        training.optimizer.load_state_dict(found["optimizer"])
        progress = Progress(**found["progress"])
        progress.resumed += 1
        return progress


def identity(training: Training) -> dict[str, str]:
    """Return what must agree for a run to go on to the same bits."""
    cuda = training.device.type == "cuda"
    return {
        "recipe": training.recipe.digest,
        "seed": str(training.seed),
        "data": training.data_digest,
        "torch": str(torch.__version__),
        "device": torch.cuda.get_device_name(training.device) if cuda else "cpu",
        "code": code_digest(),
    }


def code_digest() -> str:
    """Return 16 hex digits that change with the source of this package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


TRACED_STEPS, TRACED_BATCH = 5, 4


def trace(recipe: Recipe, shape: tuple[int, int, int], classes: int) -> list[float]:
    """Return the losses of five steps from seed 0 on noise, in float64 on the CPU.

    `shape` is that of an image, [C, H, W]. The batch has four images only; all else is the
    recipe's. Two versions of this code that train alike give the same losses up to rounding.
    """
    random = np.random.default_rng(0)
    count = TRACED_STEPS * TRACED_BATCH
    noise = random.standard_normal((count, *shape)).astype(np.float32)
    labels = random.integers(0, classes, count).astype(np.uint8)
    small = dataclasses.replace(
        recipe, batch_size=TRACED_BATCH, precision="float64", held_out=0, phases=((1, 1.0),)
    )
    with backends(small):
        images = Images(noise, labels, noise, labels, classes, digest="noise")
        training = Training(small, 0, images, torch.device("cpu"))
        training.set_rate(1.0)
        training.network.train()
        for _ in range(TRACED_STEPS):
            training.step()
    return [float(loss) for loss in training.losses]
