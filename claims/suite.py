"""This suite: its topics in reading order, the documents it cites, where its verdicts are."""

from __future__ import annotations

from pathlib import Path

from claims import faults, subjects
from claims.bring import bring_operators
from claims.core.suite import Suite
from claims.documents import DOCUMENTS

HERE = Path(__file__).resolve().parent

TOPICS = (
    "pointwise",
    "pointwise_nonlinearity",
    "convolution",
    "fully_connected",
    "mlpconv",
    "mlpconv_listing",
    "nin_block",
    "global_average_pooling",
    "average_head",
    "confidence_maps",
    "heads",
    "fully_convolutional",
    "receptive_field",
    "kernel_size",
    "small_kernels",
    "inception",
    "bottleneck",
    "dilation",
    "gridding",
    "hybrid_dilation",
    "hybrid_dilation_formula",
    "deformable",
    "deformable_offsets",
    "depthwise_separable",
    "separable_savings",
    "group_convolution",
    "channel_shuffle",
    "shufflenet",
    "squeeze_excitation",
    "residual",
    "residual_paths",
    "dense_connections",
    "classic_networks",
    "network_in_network",
    "mlp_mixer",
    "nin_cost",
    "nin_elsewhere",
    "nin_results",
    "imagenet_table",
    "imagenet_parameters",
    "handwritten_listing",
    "handwritten_results",
    "compute",
    "practice",
    "bibliography",
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
