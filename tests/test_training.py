"""The training loop: its arithmetic against independent definitions, and exact resumption."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nin_ref import training
from nin_ref.training import Checkpoint, Images, Progress, Recipe, Training

CPU = torch.device("cpu")
TINY = Recipe(
    data="noise",
    network="tiny",
    initial_deviations=None,
    learning_rate=0.05,
    batch_size=8,
    phases=((2, 1.0), (2, 0.1)),
    crop=2,
    mirror=True,
    precision="float32",
)
Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def noise(count: int = 40, *, classes: int = 10, seed: int = 0) -> Images:
    """Return noise to train on, and half as many images to test on."""
    random = np.random.default_rng(seed)
    images = random.standard_normal((count, 3, 32, 32)).astype(np.float32)
    labels = random.integers(0, classes, count).astype(np.uint8)
    half = count // 2
    return Images(images, labels, images[:half] + 1, labels[:half], classes, f"noise {seed}")


def changed(recipe: Recipe, **fields: Any) -> Recipe:
    return dataclasses.replace(recipe, **fields)


def outcome(recipe: Recipe, seed: int = 0, **arguments: Any) -> tuple[Any, ...]:
    network, progress, predictions = training.train(recipe, seed, noise(), CPU, **arguments)
    weights = [value.numpy().tobytes() for value in network.state_dict().values()]
    shown = {name: classes.tolist() for name, classes in predictions.items()}
    return weights, progress.curve, progress.first_losses, shown


# The schedule, the weights at the start, the optimizer --------------------------------------------


def test_the_learning_rate_follows_the_phases() -> None:
    recipe = Recipe()
    factors = [recipe.rate_factor(epoch) for epoch in range(recipe.epochs)]
    assert factors == [1.0] * 200 + [0.1] * 30 + [0.01] * 30
    with pytest.raises(ValueError, match=r"the recipe has 260 epochs; there is none 0 further on"):
        recipe.rate_factor(260)


def test_the_schedule_reaches_the_optimizer() -> None:
    rates = []

    def note(progress: Progress, share: float) -> None:
        rates.append(found.optimizer.param_groups[0]["lr"])

    found = Training(TINY, 0, noise(), CPU)
    progress = Progress("now", 1)
    for _ in range(TINY.epochs):
        found.epoch(progress, note)
    per_epoch = found.steps + 1
    full = found.optimizer.param_groups[0]["full_rate"]
    assert rates == [*2 * per_epoch * [full], *2 * per_epoch * [0.1 * full]]


def test_each_field_changes_the_digest() -> None:
    other: dict[str, Any] = {
        "options": {"head": "maximum"},
        "initial_deviations": (0.1,),
        "phases": ((1, 1.0),),
        "probes": ("4 pixels up",),
        "precision": "bf16",
        "mirror": False,
        "optimizer": "adam",
    }
    digests = {TINY.digest}
    fields = [field.name for field in dataclasses.fields(Recipe)]
    for name in fields:
        value = getattr(TINY, name)
        if name not in other:
            other[name] = f"{value}x" if isinstance(value, str) else 2 * value + 1
        digests.add(changed(TINY, **{name: other[name]}).digest)
    assert len(digests) == len(fields) + 1


def test_first_weights_have_the_deviation_of_their_layer_and_biases_are_0() -> None:
    recipe = changed(Recipe(), initial_deviations=(0.001, 0.01, 0.05))
    layers = training.weighted(training.initialised(recipe, 0))
    assert len(layers) == 9
    for number, layer in enumerate(layers):
        deviation = (0.001, 0.01, 0.05)[min(number, 2)]
        assert layer.weight.std().item() == pytest.approx(deviation, rel=0.05)
        assert abs(layer.weight.mean().item()) < deviation / 10
        assert not layer.bias.any()


def test_first_weights_depend_on_seed_and_stream_alone() -> None:
    def first(seed: int, stream: int = 0) -> Any:
        return training.weighted(training.initialised(changed(TINY, stream=stream), seed))[0].weight

    torch.manual_seed(7)
    state = torch.get_rng_state()
    one = first(3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, first(3))
    assert not torch.equal(one, first(4))
    assert not torch.equal(one, first(3, stream=1))


def by_hand(recipe: Recipe, network: nn.Module, gradients: list[list[torch.Tensor]]) -> None:
    """Change the parameters as the recipe says, one step for each list of gradients."""
    last = list(network.modules())[-1]  # of a network that ends in the layer with weights
    parameters = dict(network.named_parameters())
    velocities = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for of_step in gradients:
        for (name, parameter), gradient in zip(parameters.items(), of_step, strict=True):
            rate, decay = recipe.learning_rate, recipe.weight_decay
            if name.endswith("bias"):
                rate, decay = rate * recipe.bias_rate, 0.0
            elif parameter.ndim == 1:
                decay = 0.0
            if any(parameter is one for one in last.parameters()):
                rate *= recipe.last_layer_rate
            velocities[name] = recipe.momentum * velocities[name] + gradient + decay * parameter
            with torch.no_grad():
                parameter.sub_(rate * velocities[name])


def test_sgd_is_that_of_the_recipe() -> None:
    recipe = Recipe(learning_rate=0.3, bias_rate=2.5, last_layer_rate=0.2, weight_decay=0.07)

    def built() -> nn.Module:
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 5)
        return nn.Sequential(*layers).double()

    mine, its = built(), built()
    optimizer = training.optimizer(recipe, its, CPU)
    torch.manual_seed(1)
    gradients = [[torch.randn_like(one) for one in its.parameters()] for _ in range(3)]
    for of_step in gradients:
        for parameter, gradient in zip(its.parameters(), of_step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    by_hand(recipe, mine, gradients)
    for one, other in zip(mine.parameters(), its.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


def test_adam_moves_each_parameter_by_its_rate_at_first() -> None:
    recipe = Recipe(optimizer="adam", learning_rate=1e-3, bias_rate=3.0, last_layer_rate=0.5)
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)).double()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 5.0)
    training.optimizer(changed(recipe, weight_decay=0.0), network, CPU).step()
    moved = [
        (old - new).mean().item() for old, new in zip(before, network.parameters(), strict=True)
    ]
    assert moved == pytest.approx([1e-3, 3e-3, 0.5e-3, 1.5e-3], rel=1e-6)


# The batches --------------------------------------------------------------------------------------


def batch_by_hand(images: Array, where: dict[str, Array], recipe: Recipe, number: int) -> Array:
    """Cut the images of a batch out of a padded array, one after the other."""
    border, size = recipe.crop, images.shape[2]
    padded = np.pad(images, ((0, 0), (0, 0), (border, border), (border, border)))
    batch = []
    for lane in range(number * recipe.batch_size, (number + 1) * recipe.batch_size):
        top, left = where["corner"][lane]
        image = padded[where["order"][lane], :, top : top + size, left : left + size]
        batch.append(image[:, :, ::-1] if where["mirrored"][lane] else image)
    return np.stack(batch)


@pytest.mark.parametrize(("crop", "mirror"), [(0, False), (0, True), (3, False), (4, True)])
def test_batches_are_cropped_and_mirrored(crop: int, mirror: bool) -> None:
    recipe = changed(TINY, crop=crop, mirror=mirror)
    images = noise()
    found = Training(recipe, 5, images, CPU)
    where = {name: values.numpy() for name, values in found.drawn(2).items()}
    found.draws = found.drawn(2)
    for number in range(found.steps):
        found.position.fill_(number)
        batch, labels = found.batch()
        assert np.array_equal(batch.numpy(), batch_by_hand(images.train, where, recipe, number))
        lanes = slice(number * recipe.batch_size, (number + 1) * recipe.batch_size)
        assert labels.tolist() == images.train_labels[where["order"][lanes]].tolist()


def test_an_epoch_draws_each_image_once_and_every_crop() -> None:
    found = Training(changed(TINY, crop=2, batch_size=4), 0, noise(44), CPU)
    drawn = [found.drawn(epoch) for epoch in range(60)]
    assert all(sorted(one["order"].tolist()) == list(range(44)) for one in drawn)
    corners = torch.cat([one["corner"] for one in drawn])
    assert {tuple(corner) for corner in corners.tolist()} == {
        (top, left) for top in range(5) for left in range(5)
    }
    mirrored = torch.cat([one["mirrored"] for one in drawn]).double().mean().item()
    assert abs(mirrored - 0.5) < 6 * 0.5 / math.sqrt(60 * 44)
    keys = torch.cat([one["keys"] for one in drawn])
    assert len(set(map(tuple, keys.tolist()))) == len(keys)


def test_epochs_seeds_and_streams_draw_differently() -> None:
    orders = [
        Training(changed(TINY, stream=stream), seed, noise(), CPU).drawn(epoch)["order"].tolist()
        for stream, seed, epoch in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    ]
    assert len({tuple(order) for order in orders}) == 4


def test_the_held_out_images_are_not_trained_on() -> None:
    images = noise(40)
    found = Training(changed(TINY, held_out=10, crop=0, mirror=False), 0, images, CPU)
    assert len(found.train) == 30
    tested = found.test.permute(0, 3, 1, 2).numpy()
    assert np.array_equal(tested, images.train[30:])
    assert found.test_labels.tolist() == images.train_labels[30:].tolist()


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(training.TrainingError, match="40 training images are fewer than a batch"):
        Training(changed(TINY, batch_size=41), 0, noise(), CPU)


# A step, an epoch ---------------------------------------------------------------------------------


def test_a_step_descends_the_cross_entropy_of_its_batch() -> None:
    recipe = changed(TINY, precision="float64", momentum=0.0, weight_decay=0.0)
    recipe = changed(recipe, options={"dropout": None})
    images = noise()
    found, same = (Training(recipe, 0, images, CPU) for _ in range(2))
    for one in (found, same):
        one.set_rate(1.0)
    batch, labels = same.batch()
    loss = -torch.log_softmax(same.network(batch), 1)[range(len(labels)), labels].mean()
    gradients = torch.autograd.grad(loss, list(same.network.parameters()))
    found.step()
    assert found.gradients[0].item() == pytest.approx(gradients[0].norm().item(), rel=1e-9)
    assert found.losses[0].item() == pytest.approx(loss.item(), rel=1e-12)
    assert found.position.tolist() == [1]
    rates = {
        id(parameter): group["lr"]
        for group in found.optimizer.param_groups
        for parameter in group["params"]
    }
    for mine, its, gradient in zip(
        found.network.parameters(), same.network.parameters(), gradients, strict=True
    ):
        torch.testing.assert_close(mine, its - rates[id(mine)] * gradient, rtol=1e-9, atol=1e-14)


def test_the_curve_says_what_the_network_does() -> None:
    images = noise()
    network, progress, predictions = training.train(TINY, 0, images, CPU)
    scores = network(torch.from_numpy(images.test)).detach().double()
    last = progress.curve[-1]
    log_likelihoods = torch.log_softmax(scores, 1)
    labels = images.test_labels.astype(np.int64)
    loss = -log_likelihoods[range(len(labels)), labels].mean().item()
    assert last["test loss"] == pytest.approx(loss, rel=1e-5)
    wrong = (scores.argmax(1).numpy() != labels).mean()
    assert last["test error"] == pytest.approx(100 * wrong)
    assert predictions["test"].tolist() == scores.argmax(1).tolist()
    assert predictions["test"].dtype == np.uint8
    sample = network(torch.from_numpy(images.train[:20])).detach()
    wrong = (sample.argmax(1).numpy() != images.train_labels[:20]).mean()
    assert last["training error"] == pytest.approx(100 * wrong)


def test_losses_of_an_epoch_are_averaged_and_the_first_ten_kept() -> None:
    recipe = changed(TINY, batch_size=3, phases=((2, 1.0),))
    found, progress = Training(recipe, 0, noise(), CPU), Progress("now", 1)
    found.epoch(progress, lambda progress, share: None)
    losses = found.losses.tolist()
    assert len(losses) == 13
    assert progress.first_losses == losses[:10]
    assert progress.curve[0]["loss in training"] == pytest.approx(sum(losses) / 13)
    gradients = found.gradients.tolist()
    assert progress.curve[0]["first gradient"] == pytest.approx(sum(gradients) / 13)
    found.epoch(progress, lambda progress, share: None)
    assert progress.first_losses == losses[:10]
    assert len(progress.seconds) == progress.epoch == 2


def test_noise_is_learnt_by_heart() -> None:
    recipe = changed(TINY, crop=0, mirror=False, phases=((120, 1.0),), precision="bf16")
    recipe = changed(recipe, options={"dropout": None})
    _, progress, _ = training.train(recipe, 0, noise(16), CPU)
    assert progress.curve[-1]["loss in training"] < 0.2 < progress.curve[0]["loss in training"]


@pytest.mark.parametrize("precision", ["bf16", "tf32", "float32"])
def test_same_seed_same_curves(precision: str) -> None:
    recipe = changed(TINY, precision=precision)
    assert outcome(recipe) == outcome(recipe)
    assert outcome(recipe) != outcome(recipe, seed=1)


def test_dropout_has_another_mask_in_each_layer_and_step() -> None:
    found = Training(TINY, 0, noise(), CPU)
    assert len(found.dropouts) == 2
    seen = []
    for _ in range(3):
        seen += [tuple(key.tolist()) for key in found.dropout_keys()]
        found.step()
        assert [tuple(one.key.tolist()) for one in found.dropouts] == seen[-2:]  # type: ignore[union-attr]
    assert len(set(seen)) == 6


def test_backends_are_put_back() -> None:
    cudnn: Any = torch.backends.cudnn

    def settings() -> tuple[Any, ...]:
        return (
            torch.are_deterministic_algorithms_enabled(),
            cudnn.benchmark,
            cudnn.conv.fp32_precision,
            torch.backends.cuda.matmul.fp32_precision,
        )

    before = settings()
    for precision in ("tf32", "float32"):
        with training.backends(changed(TINY, precision=precision)):
            kind = "tf32" if precision == "tf32" else "ieee"
            assert settings() == (True, False, kind, kind)
        assert settings() == before


class Stream:
    """A stream, or a graph, of a GPU that is not there: what is captured is not run."""

    def wait_stream(self, other: object) -> None:
        pass


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("steps", [0, 2])
def test_capturing_a_step_leaves_the_training_as_it_was(
    optimizer: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is captured is not run, so one step less is seen than taken; the rest is undone."""
    found, same = (Training(changed(TINY, optimizer=optimizer), 0, noise(), CPU) for _ in range(2))
    for one in (found, same):
        one.set_rate(1.0)
        one.network.train()
        for _ in range(steps):
            one.step()
    taken: list[int] = []
    step = found.step

    @contextlib.contextmanager
    def capturing(graph: object) -> Iterator[None]:
        monkeypatch.setattr(found, "step", lambda: taken.append(-1))
        yield
        monkeypatch.setattr(found, "step", step)

    for name in ("Stream", "CUDAGraph"):
        monkeypatch.setattr(torch.cuda, name, Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "graph", capturing)

    def counted() -> None:
        taken.append(1)
        step()

    monkeypatch.setattr(found, "step", counted)
    found.capture()
    assert taken == [1, 1, 1, -1]
    assert found.graph is not None
    # A replay begins at the first batch with the state that there was; so must the other.
    same.position.zero_()
    for _ in range(3):
        step()
        same.step()
    for mine, its in zip(found.state(), same.state(), strict=True):
        assert torch.equal(mine, its)
    assert torch.equal(found.losses[:3], same.losses[:3])


# Probes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "down", "right"),
    [("up", -4, 0), ("down", 4, 0), ("left", 0, -4), ("right", 0, 4)],
)
def test_shifts_move_zeros_in(name: str, down: int, right: int) -> None:
    images = torch.randn(2, 9, 11, 3)
    found = training.PROBES[f"4 pixels {name}"](images)
    expected = torch.zeros_like(images)
    for row in range(9):
        for column in range(11):
            if 0 <= row - down < 9 and 0 <= column - right < 11:
                expected[:, row, column] = images[:, row - down, column - right]
    assert torch.equal(found, expected)


@pytest.mark.parametrize(("name", "share"), [("a tenth", 0.1), ("a half", 0.5)])
def test_noise_has_its_share_of_the_deviation(name: str, share: float) -> None:
    images = 3 + 20 * torch.randn(50, 16, 16, 3)
    added = training.PROBES[f"noise of {name}"](images) - images
    assert added.std().item() == pytest.approx(share * images.std().item(), rel=0.02)
    assert abs(added.mean().item()) < 6 * added.std().item() / math.sqrt(added.numel())
    assert torch.equal(added, training.PROBES[f"noise of {name}"](images) - images)


def test_probes_are_predicted_too() -> None:
    recipe = changed(TINY, probes=("4 pixels up", "noise of a half"))
    images = noise()
    network, _, predictions = training.train(recipe, 0, images, CPU)
    assert list(predictions) == ["test", "4 pixels up", "noise of a half"]
    moved = training.shifted(torch.from_numpy(images.test).permute(0, 2, 3, 1), -4, 0)
    scores = network(moved.permute(0, 3, 1, 2))
    assert predictions["4 pixels up"].tolist() == scores.argmax(1).tolist()


# Collapse, trace ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "classes", "verdict"),
    [
        (2.302585, 10, True),
        (2.26, 10, True),
        (2.25, 10, False),
        (4.6, 100, True),
        (2.26, 100, False),
        (math.nan, 10, True),
        (math.inf, 10, True),
        (0.1, 10, False),
    ],
)
def test_a_collapsed_run_shows_in_its_last_training_loss(
    loss: float, classes: int, verdict: bool
) -> None:
    curve = [{"loss in training": 1.0}, {"loss in training": loss}]
    assert training.collapsed(curve, classes) is verdict
    assert training.collapsed([*curve, curve[0]], classes) is False


def test_the_trace_shows_each_change_of_the_arithmetic() -> None:
    recipe = changed(TINY, initial_deviations=(0.1,), optimizer="sgd")
    changes: dict[str, Any] = {
        "learning_rate": 0.06,
        "bias_rate": 1.0,
        "last_layer_rate": 1.0,
        "momentum": 0.8,
        "weight_decay": 1e-3,
        "initial_deviations": (0.11,),
        "crop": 1,
        "mirror": False,
        "stream": 1,
        "optimizer": "adam",
        "options": {"head": "maximum"},
    }
    traces = [training.trace(recipe, (3, 32, 32), 10)]
    traces += [
        training.trace(changed(recipe, **{name: value}), (3, 32, 32), 10)
        for name, value in changes.items()
    ]
    assert all(len(trace) == 5 for trace in traces)
    for number, trace in enumerate(traces):
        for other in traces[:number]:
            assert any(abs(one / its - 1) > 1e-7 for one, its in zip(trace, other, strict=True))


def test_the_trace_does_not_depend_on_the_length_of_training_or_its_precision() -> None:
    other = changed(TINY, phases=((7, 1.0),), precision="bf16", batch_size=128, held_out=3)
    assert training.trace(TINY, (3, 32, 32), 10) == training.trace(other, (3, 32, 32), 10)


# Checkpoints --------------------------------------------------------------------------------------


class Stop(Exception):  # noqa: N818 - stands for a kill
    pass


def stopping_after(epochs: int) -> Callable[[Progress, float], None]:
    def report(progress: Progress, share: float) -> None:
        if progress.epoch == epochs and share > 0.5:
            raise Stop

    return report


def stopped(recipe: Recipe, path: Path, epochs: int, seed: int = 0) -> None:
    checkpoint = Checkpoint(path, pytest.fail, interval=0)
    with pytest.raises(Stop):
        training.train(
            recipe, seed, noise(), CPU, checkpoint=checkpoint, report=stopping_after(epochs)
        )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_stopped_run_goes_on_to_the_same_bits(
    optimizer: str, epochs: int, tmp_path: Path
) -> None:
    recipe = changed(TINY, optimizer=optimizer, precision="bf16")
    stopped(recipe, tmp_path / "checkpoint", epochs)
    epochs_seen = []
    resumed = outcome(
        recipe,
        checkpoint=Checkpoint(tmp_path / "checkpoint", pytest.fail, interval=0),
        report=lambda progress, share: epochs_seen.append(progress.epoch),
    )
    assert resumed == outcome(recipe)
    assert min(epochs_seen) == epochs


def test_a_run_goes_on_with_the_threads_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint"
    with training.threads(2):
        stopped(TINY, path, 1)
    steps, evaluations = [], []
    scored = Training.class_scores

    def class_scores(self: Training, images: torch.Tensor) -> torch.Tensor:
        evaluations.append(torch.get_num_threads())
        return scored(self, images)

    monkeypatch.setattr(Training, "class_scores", class_scores)
    _, progress, _ = training.train(
        TINY,
        0,
        noise(),
        CPU,
        checkpoint=Checkpoint(path, pytest.fail),
        report=lambda progress, share: steps.append(torch.get_num_threads()),
    )
    assert set(steps) == {2}
    assert set(evaluations) == {2}
    assert len(evaluations) > 2 * (TINY.epochs - 1), "after each epoch, and the predictions"
    assert progress.threads == 2, "the record says so"
    assert torch.get_num_threads() == 1, "the next run has its own"


def test_resuming_counts_stops_and_keeps_the_start(tmp_path: Path) -> None:
    for epochs in (1, 2):
        stopped(TINY, tmp_path / "checkpoint", epochs)
    checkpoint = Checkpoint(tmp_path / "checkpoint", pytest.fail, interval=0)
    progress = checkpoint.load(Training(TINY, 0, noise(), CPU))
    assert progress is not None
    assert (progress.resumed, progress.epoch, len(progress.curve)) == (2, 2, 2)
    assert len(progress.seconds) == 2


def test_checkpoints_come_at_intervals(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    training.train(TINY, 0, noise(), CPU, checkpoint=Checkpoint(path, pytest.fail, interval=3600))
    assert not path.exists()
    training.train(TINY, 0, noise(), CPU, checkpoint=Checkpoint(path, pytest.fail, interval=0))
    assert path.exists()


def test_every_damaged_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    stopped(TINY, path, 1)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    places = [0, 63, 64, 65, len(whole) - 1, *random.integers(0, len(whole), 20)]
    damages = [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in places]
    for damage in [*damages, whole[:-1], whole + b"x", b"", whole[: len(whole) // 2]]:
        path.write_bytes(damage)
        said: list[str] = []
        assert Checkpoint(path, said.append).load(Training(TINY, 0, noise(), CPU)) is None
        assert said == [f"the checkpoint {path} is damaged; starting from the beginning"]


def test_a_run_with_a_damaged_checkpoint_starts_again(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    stopped(TINY, path, 2)
    path.write_bytes(path.read_bytes()[:-100])
    said: list[str] = []
    assert outcome(TINY, checkpoint=Checkpoint(path, said.append, interval=0)) == outcome(TINY)
    assert len(said) == 1


@pytest.mark.parametrize("other", ["recipe", "seed", "data", "code", "torch"])
def test_a_checkpoint_of_another_run_is_not_used(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint"
    stopped(TINY, path, 1)
    recipe, seed, images = TINY, 0, noise()
    if other == "recipe":
        recipe = changed(TINY, weight_decay=0.0)
    elif other == "seed":
        seed = 1
    elif other == "data":
        images = noise(seed=1)
    elif other == "torch":
        monkeypatch.setattr(torch, "__version__", "2.11.0")
    else:
        monkeypatch.setattr(training, "code_digest", lambda: "0" * 16)
    said: list[str] = []
    assert Checkpoint(path, said.append).load(Training(recipe, seed, images, CPU)) is None
    assert len(said) == 1
    assert f"is of another run or machine ({other} " in said[0]


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "pwned",))

    import hashlib
    import io

    content = io.BytesIO()
    torch.save({"identity": Hostile()}, content)
    digest = hashlib.sha256(content.getvalue()).hexdigest().encode()
    (tmp_path / "checkpoint").write_bytes(digest + b"\n" + content.getvalue())
    said: list[str] = []
    checkpoint = Checkpoint(tmp_path / "checkpoint", said.append)
    assert checkpoint.load(Training(TINY, 0, noise(), CPU)) is None
    assert said == [
        f"{checkpoint.path} is no checkpoint of this program; starting from the beginning"
    ]
    assert not (tmp_path / "pwned").exists()


def test_a_full_disk_costs_the_checkpoint_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint"
    stopped(TINY, path, 1)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    said: list[str] = []
    assert outcome(TINY, checkpoint=Checkpoint(path, said.append, interval=0)) == outcome(TINY)
    assert said[0].startswith("no checkpoint after epoch 2 ([Errno 28] No space left on device)")
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["checkpoint"]


def test_a_checkpoint_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    said: list[str] = []
    checkpoint = Checkpoint(tmp_path / "checkpoint", said.append)
    assert checkpoint.load(Training(TINY, 0, noise(), CPU)) is None
    assert said[0].startswith("the checkpoint cannot be read ([Errno 21] Is a directory")


def test_progress_is_plain_data() -> None:
    progress = Progress("2026-01-01T00:00:00+00:00", 1, epoch=1, curve=[{"loss in training": 0.5}])
    assert Progress(**json.loads(json.dumps(dataclasses.asdict(progress)))) == progress
