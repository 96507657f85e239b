"""What the paper of Network in Network reports: test errors, and what lowers them.

The paper, document 004 (line 10) and document 001 (line 148). All of it waits for training runs.
Where a number is from: [A] the authors' code or README, [S] second-hand, [M] from memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from claims.core.claim import Claim
from claims.core.verdict import Undecided
from claims.trained import trained
from claims.training.rules import Lower, RatioBelow, Reaches, Rule, described


def waiting(name: str, says: str, cites: Sequence[str], *, rule: Rule, paper: str) -> Claim:
    """Return a claim of this topic that waits for runs; `paper` is what it goes back to."""
    return trained(
        f"nin-results/{name}",
        says=says,
        cites=cites,
        rule=rule,
        recorded=Undecided(f"{described(rule)}; the paper: {paper}"),
        renamed_from=f"network-in-network/{name}",
    )


def reaches(name: str, says: str, cites: Sequence[str], *, rule: Reaches, label: str) -> Claim:
    """Return the claim that an arm has the test error of the paper; `label` is where it is from."""
    return waiting(name, says, cites, rule=rule, paper=f"{rule.value} {label}")


ERRORS = (
    reaches(
        "reaches-10.41-on-cifar10",
        "NiN has a test error of 10.41 % on CIFAR-10, with dropout and without augmentation.",
        ["004:10", "nin-paper:4.2", "nin-paper:table-1", "nin-paper:table-5"],
        rule=Reaches("cifar10", 10.41),
        label="[S] ([A]: 10.4)",
    ),
    reaches(
        "reaches-8.81-on-cifar10-with-augmentation",
        "NiN has a test error of 8.81 % on CIFAR-10 with dropout, translations and horizontal "
        "flips.",
        ["004:10", "nin-paper:4.2", "nin-paper:table-1"],
        rule=Reaches("cifar10-augmented", 8.81),
        label="[S]",
    ),
    reaches(
        "reaches-14.51-on-cifar10-without-dropout",
        "NiN has a test error of 14.51 % on CIFAR-10 without dropout and augmentation.",
        ["nin-paper:4.2"],
        rule=Reaches("cifar10-no-dropout", 14.51),
        label="[S]",
    ),
    reaches(
        "reaches-35.68-on-cifar100",
        "NiN has a test error of 35.68 % on CIFAR-100, with dropout and without augmentation.",
        ["004:10", "nin-paper:4.3", "nin-paper:table-2"],
        rule=Reaches("cifar100", 35.68),
        label="[S]",
    ),
    # The general half-width of 0.75 points says nothing about errors as small as the next two.
    reaches(
        "reaches-2.35-on-svhn",
        "NiN has a test error of 2.35 % on SVHN.",
        ["nin-paper:4.4", "nin-paper:table-3"],
        rule=Reaches("svhn", 2.35, half_width=0.2),
        label="[S]",
    ),
    reaches(
        "reaches-0.47-on-mnist",
        "NiN has a test error of 0.47 % on MNIST, without augmentation.",
        ["nin-paper:4.5", "nin-paper:table-4"],
        rule=Reaches("mnist", 0.47, half_width=0.1),
        label="[S]",
    ),
    reaches(
        "reaches-11.59-with-a-fully-connected-head",
        "With a fully connected layer for the mean NiN has a test error of 11.59 % on CIFAR-10.",
        ["nin-paper:4.6", "nin-paper:table-5"],
        rule=Reaches("cifar10-fc-head", 11.59),
        label="[M]",
    ),
    reaches(
        "reaches-10.88-with-a-fully-connected-head-and-dropout",
        "With a fully connected layer and dropout for the mean NiN has a test error of 10.88 % on "
        "CIFAR-10.",
        ["nin-paper:4.6", "nin-paper:table-5"],
        rule=Reaches("cifar10-fc-dropout-head", 10.88),
        label="[M]",
    ),
    reaches(
        "plain-network-reaches-17.56-with-a-fully-connected-head",
        "A plain convolutional network with a fully connected head has a test error of 17.56 % on "
        "CIFAR-10.",
        ["nin-paper:4.6"],
        rule=Reaches("plain-fc", 17.56),
        label="[M]",
    ),
    reaches(
        "plain-network-reaches-15.99-with-dropout",
        "A plain convolutional network with a fully connected head and dropout has a test error "
        "of 15.99 % on CIFAR-10.",
        ["nin-paper:4.6"],
        rule=Reaches("plain-fc-dropout", 15.99),
        label="[M]",
    ),
    reaches(
        "plain-network-reaches-16.46-with-a-mean",
        "A plain convolutional network with global average pooling for its head has a test error "
        "of 16.46 % on CIFAR-10.",
        ["nin-paper:4.6"],
        rule=Reaches("plain-gap", 16.46),
        label="[M]",
    ),
)

COMPARISONS = (
    waiting(
        "dropout-cuts-the-error-by-more-than-a-fifth",
        "Dropout between the mlpconv layers cuts the test error on CIFAR-10 by more than 20 %.",
        ["nin-paper:4.2"],
        rule=RatioBelow("cifar10", "cifar10-no-dropout", ratio=0.8, seeds=3),
        paper="one run of each, 10.41 and 14.51 [S]; the wording is from memory [M]",
    ),
    waiting(
        "mlpconv-layers-beat-plain-convolutions",
        "NiN has a lower test error on CIFAR-10 than a network of plain convolutions with as many "
        "parameters and multiply-adds.",
        ["004:10"],
        rule=Lower("cifar10-short", "cifar10-plain-short", family="comparisons"),
        paper="it compares with published networks only",
    ),
    waiting(
        "mean-beats-a-fully-connected-head",
        "On NiN's trunk global average pooling gives a lower test error than a fully connected "
        "layer.",
        ["001:148", "nin-paper:4.6", "nin-paper:table-5"],
        rule=Lower("cifar10-short", "cifar10-fc-head-short", family="comparisons"),
        paper="10.41 [S] against 11.59 [M]",
    ),
    waiting(
        "mean-beats-a-fully-connected-head-with-dropout",
        "On NiN's trunk global average pooling gives a lower test error than a fully connected "
        "layer with dropout.",
        ["nin-paper:4.6", "nin-paper:table-5"],
        rule=Lower(
            "cifar10-short", "cifar10-fc-dropout-head-short", delta=0, family="heads with dropout"
        ),
        paper="10.41 [S] against 10.88 [M], which cannot be told apart",
    ),
    waiting(
        "mean-beats-a-fully-connected-head-on-a-plain-network",
        "On a plain convolutional network, too, global average pooling gives a lower test error "
        "than a fully connected layer.",
        ["001:148", "nin-paper:4.6"],
        rule=Lower("plain-gap-short", "plain-fc-short", family="comparisons"),
        paper="16.46 [M] against 17.56 [M]",
    ),
    waiting(
        "dropout-helps-a-fully-connected-head",
        "On NiN's trunk dropout lowers the test error of a fully connected layer.",
        ["nin-paper:4.6", "nin-paper:table-5"],
        rule=Lower("cifar10-fc-dropout-head-short", "cifar10-fc-head-short", family="comparisons"),
        paper="10.88 [M] against 11.59 [M]",
    ),
    waiting(
        "dropout-beats-a-mean-on-a-plain-network",
        "On a plain convolutional network a fully connected layer with dropout gives a lower test "
        "error than global average pooling.",
        ["nin-paper:4.6"],
        rule=Lower(
            "plain-fc-dropout-short", "plain-gap-short", delta=0, family="heads with dropout"
        ),
        paper="15.99 [M] against 16.46 [M]",
    ),
)
