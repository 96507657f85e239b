"""This suite: its topics in reading order, the documents it cites, where its verdicts are."""

from __future__ import annotations

from pathlib import Path

from claims import faults, subjects
from claims.bring import bring_operators
from claims.core.document import Document
from claims.core.suite import Suite

HERE = Path(__file__).resolve().parent

TOPICS = (
    "pointwise",
    "convolution",
    "fully_connected",
    "mlpconv",
    "mlpconv_listing",
    "nin_block",
    "global_average_pooling",
    "confidence_maps",
    "classic_networks",
    "network_in_network",
    "imagenet_table",
    "handwritten_listing",
    "compute",
    "practice",
    "bibliography",
)

DOCUMENTS = (
    Document(
        "000",
        "NiN networks and 1x1 kernels (blog post)",
        sha256="3b67aa529c998a19a8e1f460da11bbb3d0e127b55a80eecf1efb3c6c975c61b2",
        lines=68,
    ),
    Document(
        "001",
        "Network in network, lecture 26 of a deep learning course (notes)",
        sha256="fa576b5525658e3e872d74a2fc9905f5b30c222c03376a4fc191d3b608d1bba2",
        lines=193,
    ),
    Document(
        "002",
        "Questions about convolutional networks (blog post)",
        sha256="9b461f4c9cafa0fe21790cf90228f6ba4ce7ee53b41b8976f85293805c16bbde",
        lines=33,
    ),
    Document(
        "003",
        "Summary of convolution tricks (blog post)",
        sha256="110990b6fced9d693cbf595dc48b391619f800e9233259a9eebd9c2f89e98432",
        lines=95,
    ),
    Document(
        "004",
        "One hundred days of deep learning, week 1 day 3: NIN (course)",
        sha256="0f22ebe8cc3d720fafb7e8be9ecd65fd8b9d61fccfbc56ef424f33b543c9c2ce",
        lines=125,
    ),
    Document(
        "nin-paper",
        "M. Lin, Q. Chen, S. Yan: Network In Network, arXiv 1312.4400, ICLR 2014",
        locators=(
            "abstract",
            "1",
            "3.1",
            "3.2",
            "4.1",
            "4.2",
            "4.3",
            "4.4",
            "4.5",
            "4.6",
            "4.7",
            "table-1",
            "table-2",
            "table-3",
            "table-4",
            "table-5",
        ),
    ),
)

SUITE = Suite(
    package="claims",
    directory=HERE,
    topics=TOPICS,
    documents=DOCUMENTS,
    verdicts=HERE.parent / "results" / "verdicts.json",
    replaceable=subjects.OPERATORS,
    bring=bring_operators,
    catalogue=faults.CATALOGUE,
    packages=("numpy", "torch", "torchvision"),
    closing="Look closer: python -m claims ID, python -m claims 004:43, results/verdicts.json",
)
