"""What the paper of Network in Network reports: test errors, and what lowers them.

The paper, document 004 (line 10) and document 001 (line 148). All of it waits for training runs.
Where a number is from: [A] the authors' code or README, [S] second-hand, [M] from memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from claims.awaited import awaited
from claims.core.claim import Claim


def waiting(
    name: str, says: str, cites: Sequence[str], *, needs: str, arms: Mapping[str, int]
) -> Claim:
    """Return a claim of this topic that waits for runs."""
    return awaited(
        f"nin-results/{name}",
        says=says,
        cites=cites,
        needs=needs,
        arms=arms,
        renamed_from=f"network-in-network/{name}",
    )


def reaches(
    name: str, says: str, cites: Sequence[str], *, arm: str, error: str, half_width: float = 0.75
) -> Claim:
    """Return the claim that an arm reaches the test error of the paper."""
    needs = (
        f"6 runs: holds if the 95 % prediction interval for one more run contains {error} and "
        f"reaches at most {half_width} points to either side, refuted if it does not contain it"
    )
    return waiting(name, says, cites, needs=needs, arms={arm: 6})


def beats(
    name: str, says: str, cites: Sequence[str], *, arms: Mapping[str, int], paper: str
) -> Claim:
    """Return the claim that the first arm has a lower test error than the second."""
    needs = (
        f"{min(arms.values())} runs of each: Welch's test on the errors, Holm over the family of "
        f"comparisons, delta 0.3 points; the paper: {paper}"
    )
    return waiting(name, says, cites, needs=needs, arms=arms)


ERRORS = (
    reaches(
        "reaches-10.41-on-cifar10",
        "NiN has a test error of 10.41 % on CIFAR-10, with dropout and without augmentation.",
        ["004:10", "nin-paper:4.2", "nin-paper:table-1", "nin-paper:table-5"],
        arm="cifar10",
        error="10.41 [S] ([A]: 10.4)",
    ),
    reaches(
        "reaches-8.81-on-cifar10-with-augmentation",
        "NiN has a test error of 8.81 % on CIFAR-10 with dropout, translations and horizontal "
        "flips.",
        ["004:10", "nin-paper:4.2", "nin-paper:table-1"],
        arm="cifar10-augmented",
        error="8.81 [S]",
    ),
    reaches(
        "reaches-14.51-on-cifar10-without-dropout",
        "NiN has a test error of 14.51 % on CIFAR-10 without dropout and augmentation.",
        ["nin-paper:4.2"],
        arm="cifar10-no-dropout",
        error="14.51 [S]",
    ),
    reaches(
        "reaches-35.68-on-cifar100",
        "NiN has a test error of 35.68 % on CIFAR-100, with dropout and without augmentation.",
        ["004:10", "nin-paper:4.3", "nin-paper:table-2"],
        arm="cifar100",
        error="35.68 [S]",
    ),
    # The general half-width of 0.75 points says nothing about errors as small as the next two.
    reaches(
        "reaches-2.35-on-svhn",
        "NiN has a test error of 2.35 % on SVHN.",
        ["nin-paper:4.4", "nin-paper:table-3"],
        arm="svhn",
        error="2.35 [S]",
        half_width=0.2,
    ),
    reaches(
        "reaches-0.47-on-mnist",
        "NiN has a test error of 0.47 % on MNIST, without augmentation.",
        ["nin-paper:4.5", "nin-paper:table-4"],
        arm="mnist",
        error="0.47 [S]",
        half_width=0.1,
    ),
    reaches(
        "reaches-11.59-with-a-fully-connected-head",
        "With a fully connected layer for the mean NiN has a test error of 11.59 % on CIFAR-10.",
        ["nin-paper:4.6", "nin-paper:table-5"],
        arm="cifar10-fc-head",
        error="11.59 [M]",
    ),
    reaches(
        "reaches-10.88-with-a-fully-connected-head-and-dropout",
        "With a fully connected layer and dropout for the mean NiN has a test error of 10.88 % on "
        "CIFAR-10.",
        ["nin-paper:4.6", "nin-paper:table-5"],
        arm="cifar10-fc-dropout-head",
        error="10.88 [M]",
    ),
    reaches(
        "plain-network-reaches-17.56-with-a-fully-connected-head",
        "A plain convolutional network with a fully connected head has a test error of 17.56 % on "
        "CIFAR-10.",
        ["nin-paper:4.6"],
        arm="plain-fc",
        error="17.56 [M]",
    ),
    reaches(
        "plain-network-reaches-15.99-with-dropout",
        "A plain convolutional network with a fully connected head and dropout has a test error "
        "of 15.99 % on CIFAR-10.",
        ["nin-paper:4.6"],
        arm="plain-fc-dropout",
        error="15.99 [M]",
    ),
    reaches(
        "plain-network-reaches-16.46-with-a-mean",
        "A plain convolutional network with global average pooling for its head has a test error "
        "of 16.46 % on CIFAR-10.",
        ["nin-paper:4.6"],
        arm="plain-gap",
        error="16.46 [M]",
    ),
)

COMPARISONS = (
    waiting(
        "dropout-cuts-the-error-by-more-than-a-fifth",
        "Dropout between the mlpconv layers cuts the test error on CIFAR-10 by more than 20 %.",
        ["nin-paper:4.2"],
        needs="3 runs of each: Welch's test that the logarithm of the ratio of errors is below "
        "log 0.8; the paper has one run of each, 14.51 and 10.41 [S], the wording is from "
        "memory [M]",
        arms={"cifar10": 3, "cifar10-no-dropout": 3},
    ),
    beats(
        "mlpconv-layers-beat-plain-convolutions",
        "NiN has a lower test error on CIFAR-10 than a network of plain convolutions with as many "
        "parameters and multiply-adds.",
        ["004:10"],
        arms={"cifar10": 5, "cifar10-plain": 5},
        paper="it compares with published networks only",
    ),
    beats(
        "mean-beats-a-fully-connected-head",
        "On NiN's trunk global average pooling gives a lower test error than a fully connected "
        "layer.",
        ["001:148", "nin-paper:4.6", "nin-paper:table-5"],
        arms={"cifar10": 8, "cifar10-fc-head": 8},
        paper="10.41 [S] against 11.59 [M]",
    ),
    beats(
        "mean-beats-a-fully-connected-head-with-dropout",
        "On NiN's trunk global average pooling gives a lower test error than a fully connected "
        "layer with dropout.",
        ["nin-paper:4.6", "nin-paper:table-5"],
        arms={"cifar10": 11, "cifar10-fc-dropout-head": 11},
        paper="10.41 [S] against 10.88 [M], which cannot be told apart",
    ),
    beats(
        "mean-beats-a-fully-connected-head-on-a-plain-network",
        "On a plain convolutional network, too, global average pooling gives a lower test error "
        "than a fully connected layer.",
        ["001:148", "nin-paper:4.6"],
        arms={"plain-gap": 8, "plain-fc": 8},
        paper="16.46 [M] against 17.56 [M]",
    ),
    beats(
        "dropout-helps-a-fully-connected-head",
        "On NiN's trunk dropout lowers the test error of a fully connected layer.",
        ["nin-paper:4.6", "nin-paper:table-5"],
        arms={"cifar10-fc-dropout-head": 8, "cifar10-fc-head": 8},
        paper="10.88 [M] against 11.59 [M]",
    ),
    beats(
        "dropout-beats-a-mean-on-a-plain-network",
        "On a plain convolutional network a fully connected layer with dropout gives a lower test "
        "error than global average pooling.",
        ["nin-paper:4.6"],
        arms={"plain-fc-dropout": 8, "plain-gap": 8},
        paper="15.99 [M] against 16.46 [M]",
    ),
)
