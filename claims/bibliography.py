"""Bibliographic facts: who wrote what, when, and where it appeared.

Documents 000 (line 21), 001 (lines 54 to 63 and 187 to 189) and 004 (lines 10 to 36, 66 to 70 and
116 to 118). The facts stand in `facts.json`, with their source and how sure we are.
"""

from __future__ import annotations

from collections.abc import Mapping

from claims._facts import record_says, stated
from claims.core.claim import Claim
from claims.core.verdict import Holds, HoldsIf, Refuted
from claims.subjects import FACTS, Fact

# The paper ----------------------------------------------------------------------------------------

title = stated(
    "bibliography/nin-title",
    "The paper that proposes NiN is called Network In Network.",
    ["004:10", "004:16"],
    Holds(),
    key="nin/title",
    value="Network In Network",
    otherwise="Network on Network",
)

arxiv_id = stated(
    "bibliography/nin-is-arxiv-1312.4400",
    "Network In Network has the arXiv number 1312.4400.",
    ["004:18"],
    Holds(),
    key="nin/arxiv-id",
    value="1312.4400",
    otherwise="1409.1556",
)

authors = stated(
    "bibliography/nin-authors",
    "Network In Network is by Min Lin, Qiang Chen and Shuicheng Yan, in this order.",
    ["004:20"],
    Holds(),
    key="nin/authors",
    value="Min Lin, Qiang Chen, Shuicheng Yan",
    otherwise="Min Lin, Shuicheng Yan, Qiang Chen",
)

# Document 004 contradicts itself: ICLR in line 10, LCLR in line 22.

venue_iclr = stated(
    "bibliography/nin-appeared-at-iclr",
    "Network In Network appeared at ICLR 2014.",
    ["004:10"],
    Holds(),
    key="nin/venue",
    value="ICLR 2014",
    otherwise="ICLR 2015",
)

venue_lclr = stated(
    "bibliography/nin-appeared-at-lclr",
    "Network In Network appeared at LCLR 2014.",
    ["004:22"],
    Refuted(instead="bibliography/nin-appeared-at-iclr"),
    key="nin/venue",
    value="LCLR 2014",
    otherwise="LCLR 2014",
)

proposals = stated(
    "bibliography/nin-proposes-mlpconv-and-global-average-pooling",
    "Network In Network proposes two things: the mlpconv layer and global average pooling.",
    ["004:26", "004:30-31", "004:35-36", "nin-paper:abstract", "nin-paper:3.1", "nin-paper:3.2"],
    Holds(),
    key="nin/proposals",
    value="mlpconv layer, global average pooling",
    otherwise="mlpconv layer",
)

linear_filters = stated(
    "bibliography/nin-paper-says-linear-filters-need-linearly-separable-concepts",
    "The argument that linear filters suffice only where the concepts are linearly separable is "
    "the paper's.",
    ["000:21"],
    Holds(),
    key="nin/linear-filters-suffice",
    value="for linearly separable concepts",
    otherwise="for all concepts",
)

many_filters = stated(
    "bibliography/nin-paper-says-many-filters-burden-the-next-layer",
    "The argument that making up for linear filters by many of them burdens the next layer is the "
    "paper's.",
    ["000:21"],
    Holds(),
    key="nin/many-filters",
    value="burden the next layer",
    otherwise="help the next layer",
)

linear_layers_overfit = stated(
    "bibliography/nin-paper-says-fully-connected-layers-overfit",
    "The paper's case against fully connected layers is that they overfit.",
    ["001:54", "001:56", "004:36", "nin-paper:abstract"],
    Holds(),
    key="nin/fully-connected-layers",
    value="prone to overfitting",
    otherwise="slow",
)

improves = Claim(
    "bibliography/nin-beats-the-best-earlier-error",
    says="On CIFAR-10, CIFAR-100 and other data sets the test error that the paper reports without "
    "augmentation is below the best earlier one in its tables.",
    cites=[
        "004:10",
        "nin-paper:abstract",
        *(f"nin-paper:table-{number}" for number in range(1, 5)),
    ],
    recorded=HoldsIf("the data set is not SVHN", "the data set is not MNIST"),
)


@improves.judged(
    subject=FACTS,
    on=["cifar10", "cifar100", "svhn", "mnist"],
    when={
        "the data set is not SVHN": lambda name: name != "svhn",
        "the data set is not MNIST": lambda name: name != "mnist",
    },
    flipped_by=[
        record_says("nin/cifar10-error", "11.70"),
        record_says("earlier/cifar100-error", "35.60"),
        record_says("earlier/svhn-error", "2.47"),
        record_says("nin/mnist-error", "0.44"),
    ],
)
def error_is_below_the_best_earlier_one(
    facts: Mapping[str, Fact], name: str
) -> dict[str, float | str]:
    ours, before = (facts[f"{who}/{name}-error"] for who in ("nin", "earlier"))
    error, earlier = float(ours.value), float(before.value)
    assert error < earlier, f"{name}: {error} % against {earlier} % before"
    return {
        "error": error,
        "certainty": ours.certainty,
        "best earlier error": earlier,
        "its certainty": before.certainty,
    }


# What came before and after -----------------------------------------------------------------------

answers_older_networks = Claim(
    "bibliography/nin-answers-lenet-alexnet-and-vgg",
    says="NiN was proposed to solve the problems that LeNet, AlexNet and VGG have with their fully "
    "connected layers, so it came after each of them.",
    cites=["001:54"],
    recorded=HoldsIf("the network is not VGG"),
)


@answers_older_networks.judged(
    subject=FACTS,
    on=["lenet", "alexnet", "vgg"],
    when={"the network is not VGG": lambda network: network != "vgg"},
    flipped_by=[
        record_says("vgg/first-public", "2013-09-04"),
        record_says("nin/first-public", "2011-12-16"),
    ],
)
def it_came_after(facts: Mapping[str, Fact], network: str) -> None:
    nin, other = (facts[f"{name}/first-public"].value for name in ("nin", network))
    assert other < nin, f"NiN is of {nin}, {network} of {other}"


follows_vgg = Claim(
    "bibliography/nin-blocks-follow-vgg",
    says="NiN, with its blocks, is one of the networks that came after VGG.",
    cites=["001:63"],
    recorded=Refuted(instead="bibliography/nin-precedes-vgg"),
)


@follows_vgg.judged(
    subject=FACTS,
    on=["vgg"],
    flipped_by=[record_says("vgg/first-public", "2013-09-04")],
)
def vgg_came_before(facts: Mapping[str, Fact], network: str) -> None:
    it_came_after(facts, network)


precedes_vgg = Claim(
    "bibliography/nin-precedes-vgg",
    says="NiN was public in December 2013, nine months before VGG.",
    cites=["001:54", "001:63"],
    recorded=Holds(),
)


@precedes_vgg.judged(
    subject=FACTS,
    on=["vgg"],
    flipped_by=[
        record_says("vgg/first-public", "2013-09-04"),
        record_says("nin/first-public", "2014-12-16"),
    ],
)
def vgg_came_nine_months_later(facts: Mapping[str, Fact], network: str) -> None:
    (year, month), (later_year, later_month) = (
        map(int, facts[f"{name}/first-public"].value.split("-")[:2]) for name in ("nin", network)
    )
    assert (year, month) == (2013, 12), f"NiN is of {year}-{month}"
    months = 12 * (later_year - year) + later_month - month
    assert months == 9, f"{months} months passed"


mixer_id = stated(
    "bibliography/mlp-mixer-is-arxiv-2105.01601",
    "MLP-Mixer has the arXiv number 2105.01601.",
    ["001:189"],
    Holds(),
    key="mlp-mixer/arxiv-id",
    value="2105.01601",
    otherwise="2105.03404",
)

mixer_origin = stated(
    "bibliography/mlp-mixer-is-by-google-2021",
    "MLP-Mixer was proposed by Google in 2021.",
    ["001:56"],
    Holds(),
    key="mlp-mixer/origin",
    value="Google, 2021",
    otherwise="Facebook, 2021",
)

mixer_needs_no_convolution = stated(
    "bibliography/mlp-mixer-says-convolutions-are-not-necessary",
    "The MLP-Mixer paper says that perceptrons can take the place of convolutions.",
    ["001:56"],
    Holds(),
    key="mlp-mixer/convolutions",
    value="sufficient but not necessary",
    otherwise="necessary",
)

mixer_against_convolution = stated(
    "bibliography/mlp-mixer-says-convolutions-are-not-good-enough",
    "The MLP-Mixer paper says that convolutions are not good enough.",
    ["001:56"],
    Refuted(instead="bibliography/mlp-mixer-says-convolutions-are-not-necessary"),
    key="mlp-mixer/convolutions",
    value="not sufficient",
    otherwise="not sufficient",
)

maxout_nin_title = stated(
    "bibliography/maxout-nin-title",
    "A follow-up of NiN is called Batch-normalized Maxout Network in Network.",
    ["004:116"],
    Holds(),
    key="maxout-nin/title",
    value="Batch-normalized Maxout Network in Network",
    otherwise="Maxout Networks",
)

maxout_nin_id = stated(
    "bibliography/maxout-nin-is-arxiv-1511.02583",
    "Batch-normalized Maxout Network in Network has the arXiv number 1511.02583.",
    ["004:118"],
    Holds(),
    key="maxout-nin/arxiv-id",
    value="1511.02583",
    otherwise="1302.4389",
)

# Code, chapters and data that the documents point to ----------------------------------------------

caffe = stated(
    "bibliography/nin-caffe-model-is-public",
    "A Caffe model of NiN is public as the gist d802a5849de39225bcc6.",
    ["004:66"],
    Holds(),
    key="nin/caffe-gist",
    value="https://gist.github.com/mavenlin/d802a5849de39225bcc6",
    otherwise="https://gist.github.com/mavenlin/e56253735ef32c3c296d",
)

tflearn = stated(
    "bibliography/nin-tflearn-example-is-public",
    "A TensorFlow implementation of NiN is public among the examples of tflearn.",
    ["004:68"],
    Holds(),
    key="nin/tflearn-example",
    value="https://github.com/tflearn/tflearn/blob/master/examples/images/network_in_network.py",
    otherwise="https://github.com/tflearn/tflearn/blob/master/examples/images/alexnet.py",
)

chapter = stated(
    "bibliography/lecture-follows-the-nin-chapter-of-d2l",
    "The lecture's reference for NiN is the NiN section of Dive into Deep Learning.",
    ["001:187"],
    Holds(),
    key="d2l/nin-chapter",
    value="https://zh-v2.d2l.ai/chapter_convolutional-modern/nin.html",
    otherwise="https://zh-v2.d2l.ai/chapter_convolutional-modern/vgg.html",
)

cifar10_images = stated(
    "bibliography/cifar10-images-are-32x32",
    "The images of CIFAR-10 are 32x32, in colour.",
    ["004:70"],
    Holds(),
    key="cifar10/images",
    value="32x32 colour",
    otherwise="28x28 grey",
)

cifar10_classes = stated(
    "bibliography/cifar10-has-ten-classes",
    "CIFAR-10 has ten classes.",
    ["004:70"],
    Holds(),
    key="cifar10/classes",
    value="10",
    otherwise="100",
)
