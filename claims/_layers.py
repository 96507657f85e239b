"""Listings of layers as data, networks held against them, and proofs about every size.

A listing names, line by line, a layer class of PyTorch and its arguments. A network has the layers
of a listing if all their options and the sizes of all their weights agree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from claims.core.claim import PROOF, Claim, Fault, Proof
from claims.faults.fields import perturbed
from claims.faults.models import put, surgery
from claims.subjects import FORMULAS, Formulas, Models

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Line:
    """A line of a listing: a layer class of PyTorch and its arguments.

    An argument may be text: then it is the constructor's parameter of that name.
    """

    line: int
    layer: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self, **parameters: int) -> nn.Module:
        """Make the layer where the network's constructor got these parameters."""
        from torch import nn

        arguments = {
            name: parameters[value] if isinstance(value, str) and value in parameters else value
            for name, value in self.arguments.items()
        }
        made: nn.Module = getattr(nn, self.layer)(**arguments)
        return made


Listing = Mapping[str, Line]


def reread(key: str, **arguments: Any) -> Fault[Listing]:
    """Return a fault that reads arguments of a line as others, or arguments that are not there."""

    def plant(listing: Listing) -> Listing:
        line = listing[key]
        changed = dataclasses.replace(line, arguments={**line.arguments, **arguments})
        return {**listing, key: changed}

    return Fault(f"{key} with {_told(arguments)}", plant)


def reread_each(key: str, **arguments: Any) -> list[Fault[Listing]]:
    """Return a fault for each argument of a line, that alone read as another."""
    return [reread(key, **{name: value}) for name, value in arguments.items()]


def other_layer(key: str, layer: str, **arguments: Any) -> Fault[Listing]:
    """Return a fault that reads another layer in a line."""
    return perturbed(f"{layer} for {key}", key, layer=layer, arguments=arguments)


def described(layer: nn.Module) -> dict[str, Any]:
    """Return the class of a layer, all its options and the sizes of its weights."""
    options = {
        name: value
        for name, value in vars(layer).items()
        if not name.startswith("_") and name != "training"
    }
    sizes = {name: tuple(weight.shape) for name, weight in layer.state_dict().items()}
    return {"class": type(layer).__name__} | options | sizes


def assert_has_layers(network: nn.Module, listed: nn.Module) -> None:
    """Assert that a network has the layers of another, in the order and by the names of these."""
    found, wanted = (
        {name: layer for name, layer in one.named_modules() if not list(layer.children())}
        for one in (network, listed)
    )
    for name, layer in wanted.items():
        other = found.get(name)
        alike = other is not None and described(other) == described(layer)
        assert alike, f"{name} is {other}, listed is {layer}"
    assert list(found) == list(wanted), f"the layers are {', '.join(found)}"
    counts = [sum(weight.numel() for weight in one.parameters()) for one in (network, listed)]
    assert counts[0] == counts[1], f"{counts[0]:,} parameters, listed are {counts[1]:,}"


def remade(key: str, kind: str = "", **options: Any) -> Fault[Models]:
    """Return a surgery that makes a layer anew, with other options or of another kind."""

    def change(model: nn.Module) -> None:
        import torch
        from torch import nn

        layer = model.get_submodule(key)
        constants = () if kind else getattr(layer, "__constants__", ())
        kept = {name: getattr(layer, name) for name in constants if name != "output_padding"}
        like = next(model.parameters())
        with torch.device(like.device):
            made = getattr(nn, kind or type(layer).__name__)(**kept | options)
        put(model, key, made.to(like.dtype))

    told = " ".join(word for word in (kind, _told(options)) if word)
    return surgery(f"{key} made with {told}", change)


def swapped(one: str, other: str) -> Fault[Models]:
    """Return a surgery that exchanges two layers."""

    def change(model: nn.Module) -> None:
        first, second = model.get_submodule(one), model.get_submodule(other)
        put(model, one, second)
        put(model, other, first)

    return surgery(f"{one} and {other} exchanged", change)


def for_all(holds: Callable[[Any], Any], *, low: int, what: str) -> None:
    """Assert by proof that `holds`, which takes a z3 integer, is true of all integers from low."""
    import z3

    number = z3.Int("number")
    solver = z3.Solver()
    solver.add(number >= low, z3.Not(holds(number)))
    result = solver.check()
    assert result == z3.unsat, (
        f"{what} of {solver.model()[number]}" if result == z3.sat else f"no proof for {what}"
    )


def proved(
    claim: Claim,
    holds: Callable[[Formulas, Any], Any],
    *,
    low: int,
    what: str = "a side",
    flipped_by: Sequence[Fault[Formulas]],
) -> None:
    """Judge a claim by proof that `holds` is true of the closed forms and all integers from low."""

    @claim.judged(subject=FORMULAS, on=PROOF, flipped_by=flipped_by)
    def holds_for_all(formulas: Formulas, _: Proof) -> None:
        for_all(lambda number: holds(formulas, number), low=low, what=what)


def _told(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in arguments.items())
