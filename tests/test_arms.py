"""The arms: recipes as stated, and traces that show what a change of the code changed."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
import torch

from claims.training import runs
from claims.training.arms import ARMS, FULL, HEADS, SHORT_VARIANTS, STARTS, TRICKS
from nin_ref import networks
from nin_ref.training import Recipe

BRIEF = (
    "cifar10-brief",
    "cifar10-batch-norm-brief",
    "cifar10-batch-norm-fc-head-brief",
)
TRACES = json.loads((runs.RESULTS / "traces.json").read_bytes())


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_trains_as_its_committed_trace_says(name: str) -> None:
    """A difference means that all its runs are stale: `python -m claims.training.declared`."""
    assert ARMS[name].trace() == pytest.approx(TRACES[name], rel=ARMS[name].trace_tolerance)


def test_traces_are_compared_closely() -> None:
    loose = {name: arm.trace_tolerance for name, arm in ARMS.items() if arm.trace_tolerance > 1e-9}
    assert loose == {"plain-56": 1e-6}
    trace = [2.0, 2.1, 2.2, 2.3, 2.4]
    assert runs.same_trace("cifar10", trace, [*trace[:4], 2.4 * (1 + 0.9e-9)])
    assert not runs.same_trace("cifar10", trace, [*trace[:4], 2.4 * (1 + 1.1e-9)])
    assert not runs.same_trace("cifar10", trace, trace[:4])
    assert not runs.same_trace("cifar10", trace, [*trace[:4], float("nan")])


def test_each_arm_has_a_trace_and_no_other() -> None:
    assert list(TRACES) == list(ARMS)


def test_no_two_arms_are_the_same() -> None:
    digests = {arm.recipe.digest for arm in ARMS.values()}
    assert len(digests) == len(ARMS) == len({arm.says for arm in ARMS.values()})


def differences(one: Recipe, other: Recipe) -> set[str]:
    return {
        field.name
        for field in dataclasses.fields(Recipe)
        if getattr(one, field.name) != getattr(other, field.name)
    }


def test_the_recipe_of_the_paper_is_that_of_its_authors() -> None:
    """In PyTorch's terms, from the authors' definition of the network and its training [A]."""
    assert ARMS["cifar10"].recipe == Recipe(
        data="cifar10",
        preprocessing="whitened",
        network="nin",
        options={},
        initial_deviations=(0.05,),
        optimizer="sgd",
        learning_rate=0.1,
        bias_rate=2.0,
        last_layer_rate=0.1,
        momentum=0.9,
        weight_decay=1e-4,
        batch_size=128,
        phases=((200, 1.0), (30, 0.1), (30, 0.01)),
        crop=0,
        mirror=False,
        precision="bf16",
        held_out=0,
        stream=0,
        probes=(),
    )
    hundred = ARMS["cifar100"].recipe
    assert hundred.initial_deviations == (0.001, 0.01, 0.01, 0.05)
    assert (hundred.learning_rate, hundred.bias_rate, hundred.last_layer_rate) == (0.02, 2.0, 1.0)
    assert hundred.weight_decay == 5e-4


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("cifar10", 966_986),
        ("cifar100", 984_356),
        ("mnist", 349_674),
        ("svhn", 1_986_026),
        ("handwritten", 1_107_914),
        ("cifar10-fc-head", 966_986 + 640 * 10 + 10),
        ("wide-mlp", 3072 * 65_536 + 65_536 + 65_536 * 10 + 10),
    ],
)
def test_networks_have_their_parameters(name: str, parameters: int) -> None:
    recipe = ARMS[name].recipe
    with torch.device("meta"):
        network = networks.build(recipe.network, **recipe.options)
    assert sum(one.numel() for one in network.parameters()) == parameters


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("cifar10-augmented", {"crop", "mirror"}),
        ("cifar10-no-dropout", {"options"}),
        ("cifar10-fc-head", {"options"}),
        ("cifar10-fc-dropout-head", {"options"}),
        ("cifar10-fc-head-full-rate-short", {"options", "last_layer_rate", "phases", "probes"}),
        ("cifar10-again-short", {"stream", "phases"}),
        ("cifar10-tf32-short", {"precision", "phases"}),
        ("cifar10-standardised-short", {"preprocessing", "phases"}),
        ("cifar10-plain-short", {"network", "phases"}),
    ],
)
def test_an_arm_changes_what_it_says(name: str, changed: set[str]) -> None:
    assert differences(ARMS[name].recipe, ARMS["cifar10"].recipe) == changed


def test_heads_are_compared_on_the_same_schedule_and_images() -> None:
    for name, arm in HEADS.items():
        assert arm.recipe.phases == ((77, 1.0), (12, 0.1), (11, 0.01)), name
        assert arm.recipe.probes == HEADS["cifar10-short"].recipe.probes
        full = FULL.get(name.removesuffix("-short"))
        if full:
            assert differences(arm.recipe, full.recipe) == {"phases", "probes"}


def test_tricks_differ_in_the_network_alone() -> None:
    for name, (_, recipe) in TRICKS.items():
        expected = {"options"}
        if name == "trunk":
            expected = set()
        elif name == "wide-mlp":
            expected = {"network", "learning_rate", "options"} - {"options"}
        elif name.startswith(("plain", "residual")):
            expected |= {"network", "weight_decay", "probes"}
        assert differences(recipe, TRICKS["trunk"][1]) == expected, name
    skips = [TRICKS[f"{kind}-56"][1].options["skip"] for kind in ("plain", "residual")]
    assert skips == [False, True]


def test_brief_arms_differ_in_what_they_say() -> None:
    published, maps, fc_head = (ARMS[name].recipe for name in BRIEF)
    assert differences(published, ARMS["cifar10"].recipe) == {"phases"}
    assert differences(maps, ARMS["cifar10-batch-norm-short"].recipe) == {"phases"}
    assert differences(fc_head, maps) == {"options"}
    assert fc_head.options == {**maps.options, "head": "linear"}
    assert published.phases == ((8, 1.0), (1, 0.1), (1, 0.01))
    assert maps.phases == ((5, 1.0), (1, 0.1), (1, 0.01))


def test_weights_are_kept_where_claims_need_them_and_where_they_are_small() -> None:
    kept = {name: arm.weights_of for name, arm in ARMS.items() if arm.weights_of != 1}
    lesions = ("trunk", "trunk-squeeze-excitation", "plain-56", "residual-56")
    assert kept == {
        "cifar10": 6,
        **dict.fromkeys(BRIEF, 3),
        **dict.fromkeys(lesions, 5),
        **dict.fromkeys(("wide-mlp", "mnist-start"), 0),
    }
    for name, arm in ARMS.items():
        with torch.device("meta"):
            network = networks.build(arm.recipe.network, **arm.recipe.options)
        size = 2 * sum(one.numel() for one in network.parameters())
        assert arm.weights_of == 0 or size < 5e6, name


def test_the_document_s_dropout_and_batch_norm_are_those_of_its_listing() -> None:
    options = SHORT_VARIANTS["batch-norm"][1].options
    assert options == {"batch_norm": True, "dropout": "inverted", "rate": 0.2}


def test_the_handwritten_network_trains_as_fixed_before_its_first_run() -> None:
    recipe = ARMS["handwritten"].recipe
    assert (recipe.optimizer, recipe.learning_rate, recipe.batch_size) == ("adam", 1e-3, 128)
    assert (recipe.epochs, recipe.mirror, recipe.crop) == (40, True, 0)
    assert (recipe.bias_rate, recipe.last_layer_rate, recipe.weight_decay) == (1.0, 1.0, 0.0)
    assert ARMS["handwritten"].on_cpu


def test_repairs_change_what_they_name_and_train_as_long() -> None:
    start = ARMS["cifar10-start"].recipe
    changes = {
        name: {
            field: value
            for field, value in dataclasses.asdict(ARMS[f"cifar10{name}-start"].recipe).items()
            if value != getattr(start, field)
        }
        for name in STARTS
    }
    assert changes == {
        "": {},
        "-tf32": {"precision": "tf32"},
        "-inverted-average": {"options": {"dropout": "inverted", "second_pool": "average"}},
        "-warm-up": {"learning_rate": 0.05, "phases": ((1, 0.1), (1, 0.5), (6, 1.0))},
        "-small-first-weights": {"initial_deviations": (0.01, 0.05)},
        "-no-last-relu": {"options": {"last_relu": False}},
    }
    assert {ARMS[f"cifar10{name}-start"].recipe.epochs for name in STARTS} == {8}


def test_the_commands_for_missing_evidence_name_arms_with_the_seeds_that_rules_need() -> None:
    needed: dict[str, int] = {}
    for rule in runs.rules(runs.RESULTS).values():
        for arm, seeds in rule["arms"].items():
            needed[arm] = max(needed.get(arm, 0), seeds)
    text = (runs.RESULTS / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"reproduce --arms (\S+) --seeds 0-(\d+)$", text, re.MULTILINE)
    assert len(commands) > 10
    for arms, last in commands:
        for arm in arms.split(","):
            assert arm in ARMS
            assert int(last) + 1 >= needed.get(arm, 0), arm
    (repairs,) = re.findall(r"`--arms (\S+)`", text)
    assert set(repairs.split(",")) <= {f"cifar10{name}-start" for name in STARTS}
