"""Learning by heart: nets with one hidden layer that learn random labels of random inputs."""

from __future__ import annotations

from dataclasses import dataclass

from claims.subjects import Layers

INPUTS, CLASSES, LABELS, STEPS = 16, 10, 64, 400


@dataclass(frozen=True)
class Fit:
    """A net with one hidden layer, a seed of its numbers and of its task, and weight decay."""

    hidden_units: int
    seed: int
    weight_decay: float = 0.0

    @property
    def parameters(self) -> int:
        """Weights and biases of both layers."""
        return self.hidden_units * (INPUTS + 1) + CLASSES * (self.hidden_units + 1)


def steps_to_learn(layers: Layers, c: Fit) -> int:
    """Return the steps of Adam (rate 0.003, all inputs at once) until the mean loss is below 0.1.

    Where it does not get there, the result is `STEPS`. In float64, so that machines agree.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(c.seed)
        inputs = torch.randn(LABELS, INPUTS, dtype=torch.float64)
        labels = torch.randint(CLASSES, (LABELS,))
        model = layers.Sequential(
            layers.Linear(INPUTS, c.hidden_units),
            layers.ReLU(),
            layers.Linear(c.hidden_units, CLASSES),
        ).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003, weight_decay=c.weight_decay)
    for step in range(STEPS):
        scores = model(inputs)
        loss = (scores.logsumexp(dim=1) - scores[torch.arange(LABELS), labels]).mean()
        if loss.item() < 0.1:
            return step
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return STEPS
