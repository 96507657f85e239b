"""The networks that the documents describe, and the older ones that they are compared with.

Each function returns an ``nn.Sequential`` that reads like the table or listing it follows, with
PyTorch's default initialisation. Under ``torch.device("meta")`` a network costs no memory, which
is enough for shapes and counts. Shapes are given for one image, as channels x height x width;
parameter counts are for the default arguments; 001:80 means line 80 of document 001.
"""

from collections import OrderedDict

from torch import nn


def mlpconv(
    in_channels: int,
    widths: tuple[int, int, int],
    kernel_size: int,
    *,
    stride: int = 1,
    padding: int = 0,
) -> nn.Sequential:
    """Build an mlpconv layer (000:29-35, 004:30-31): a convolution, two 1x1 ones, ReLU after each.

    C x H x W becomes ``widths[2]`` x H' x W', where the first convolution alone sets H' and W'.
    """
    first, second, third = widths
    return nn.Sequential(
        nn.Conv2d(in_channels, first, kernel_size, stride=stride, padding=padding),
        nn.ReLU(),
        nn.Conv2d(first, second, 1),
        nn.ReLU(),
        nn.Conv2d(second, third, 1),
        nn.ReLU(),
    )


def nin_block(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, padding: int = 0
) -> nn.Sequential:
    """Build the lecture's NiN block (001:69-72, 88-90): an mlpconv layer with one width."""
    widths = (out_channels, out_channels, out_channels)
    return mlpconv(in_channels, widths, kernel_size, stride=stride, padding=padding)


def mlpconv_block(
    in_channels: int = 96, out_channels: int = 192, *, batch_norm: bool = True
) -> nn.Sequential:
    """Build the listing of document 000 (lines 56-66): 96 x H x W to 192 x ceil(H/2) x ceil(W/2).

    536,256 parameters. Without batch normalisation its three layers are gone and 535,104 remain.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, 5, padding=2),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.AvgPool2d(3, stride=2, padding=1),
        nn.Dropout(0.2),
    ]
    return nn.Sequential(
        *(layer for layer in layers if batch_norm or not isinstance(layer, nn.BatchNorm2d))
    )


def lecture_nin(in_channels: int = 1, num_classes: int = 10) -> nn.Sequential:
    """Build the lecture's NiN (001:79-91): 1 x 224 x 224 to 10 class scores; 1,992,166 parameters.

    The stages are 96 x 54 x 54, 26 x 26, 256 x 26 x 26, 12 x 12, 384 x 12 x 12, 5 x 5, 10 x 5 x 5.
    Widths, strides and paddings are those of Dive into Deep Learning, which the lecture follows.
    """
    return nn.Sequential(
        nin_block(in_channels, 96, 11, stride=4),
        nn.MaxPool2d(3, stride=2),
        nin_block(96, 256, 5, padding=2),
        nn.MaxPool2d(3, stride=2),
        nin_block(256, 384, 3, padding=1),
        nn.MaxPool2d(3, stride=2),
        nn.Dropout(0.5),
        nin_block(384, num_classes, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def table_nin() -> nn.Sequential:
    """Build the ImageNet table of document 004 (lines 43-57): 3 x 224 x 224 to 1000 class scores.

    7,595,176 parameters. The rows are reachable by name: ``c1``, ``cccp1``, ``cccp2``, ``s1``, ...,
    ``cccp8``. The table omits the paddings (here those that give its output sizes), the kind of the
    down-sampling (here the maximum), the ReLUs, and the averaging of 004:36 at the end.
    """
    rows: OrderedDict[str, nn.Module] = OrderedDict(
        c1=nn.Conv2d(3, 96, 11, stride=4, padding=2),
        c1_relu=nn.ReLU(),
        cccp1=nn.Conv2d(96, 96, 1),
        cccp1_relu=nn.ReLU(),
        cccp2=nn.Conv2d(96, 96, 1),
        cccp2_relu=nn.ReLU(),
        s1=nn.MaxPool2d(3, stride=2),
        c2=nn.Conv2d(96, 256, 5, padding=2),
        c2_relu=nn.ReLU(),
        cccp3=nn.Conv2d(256, 256, 1),
        cccp3_relu=nn.ReLU(),
        cccp4=nn.Conv2d(256, 256, 1),
        cccp4_relu=nn.ReLU(),
        s2=nn.MaxPool2d(3, stride=2),
        c3=nn.Conv2d(256, 384, 3, padding=1),
        c3_relu=nn.ReLU(),
        cccp5=nn.Conv2d(384, 384, 1),
        cccp5_relu=nn.ReLU(),
        cccp6=nn.Conv2d(384, 384, 1),
        cccp6_relu=nn.ReLU(),
        s3=nn.MaxPool2d(3, stride=2),
        c4=nn.Conv2d(384, 1024, 3, padding=1),
        c4_relu=nn.ReLU(),
        cccp7=nn.Conv2d(1024, 1024, 1),
        cccp7_relu=nn.ReLU(),
        cccp8=nn.Conv2d(1024, 1000, 1),
        cccp8_relu=nn.ReLU(),
        gap=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
    )
    return nn.Sequential(rows)


def handwritten_nin(num_classes: int = 10) -> nn.Sequential:  # noqa: ARG001
    """Build the CIFAR-10 listing of document 004 (lines 74-109): 3 x 32 x 32 to 10 class scores.

    1,107,914 parameters. ``num_classes`` changes nothing, as in the listing (004:75, 103): its head
    always has ten outputs.
    """
    features = nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(64, 64, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(64, 64, 1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 192, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(192, 192, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(192, 192, 1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 384, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 1),
        nn.ReLU(inplace=True),
        nn.AvgPool2d(4),
    )
    return nn.Sequential(
        OrderedDict(features=features, flatten=nn.Flatten(), classifier=nn.Linear(256, 10))
    )


def cifar10_nin() -> nn.Sequential:
    """Build the paper's CIFAR-10 net: 3 x 32 x 32 to 10 class scores; 966,986 parameters.

    From the authors' own definition of it. Pools round up: 32, 16, 8. ReLU follows all nine
    convolutions, the last included. The original dropout masks in training and halves at test;
    PyTorch's doubles in training instead.
    """
    return _paper_nin(
        mlpconv(3, (192, 160, 96), 5, padding=2),
        mlpconv(96, (192, 192, 192), 5, padding=2),
        mlpconv(192, (192, 192, 10), 3, padding=1),
    )


def cifar100_nin() -> nn.Sequential:
    """Build the paper's CIFAR-100 net: ``cifar10_nin`` with 100 class maps; 984,356 parameters."""
    return _paper_nin(
        mlpconv(3, (192, 160, 96), 5, padding=2),
        mlpconv(96, (192, 192, 192), 5, padding=2),
        mlpconv(192, (192, 192, 100), 3, padding=1),
    )


def mnist_nin() -> nn.Sequential:
    """Build the paper's MNIST net: 1 x 28 x 28 to 10 class scores; 349,674 parameters.

    Widths, kernels and the final 7 x 7 average are the authors'. Inferred from CIFAR-10: paddings
    of 2, pools (28, 14, 7 agrees with that average), ReLUs and dropout.
    """
    return _paper_nin(
        mlpconv(1, (96, 64, 48), 5, padding=2),
        mlpconv(48, (128, 96, 48), 5, padding=2),
        mlpconv(48, (128, 96, 10), 5, padding=2),
    )


def svhn_nin() -> nn.Sequential:
    """Build the paper's SVHN net: 3 x 32 x 32 to 10 class scores; 1,986,026 parameters.

    Widths and kernels are the authors'. Inferred from CIFAR-10: paddings of 2, pools, ReLUs,
    dropout and the final average.
    """
    return _paper_nin(
        mlpconv(3, (128, 96, 64), 5, padding=2),
        mlpconv(64, (320, 256, 128), 5, padding=2),
        mlpconv(128, (384, 256, 10), 5, padding=2),
    )


def lenet5() -> nn.Sequential:
    """Build LeNet-5 as lectures teach it (001:34): 1 x 28 x 28 to 10; 61,706 parameters.

    Unlike the original of 1998 it pads 28 to 32, has full connections between 6 and 16 maps, pools
    without weights, and ends in a linear layer.
    """
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120),
        nn.Sigmoid(),
        nn.Linear(120, 84),
        nn.Sigmoid(),
        nn.Linear(84, 10),
    )


def lecture_alexnet(in_channels: int = 1, num_classes: int = 10) -> nn.Sequential:
    """Build Dive into Deep Learning's AlexNet (001:35): 1 x 224 x 224 to 10 class scores.

    46,764,746 parameters. No groups, and a first padding of 1: the last map is 256 x 5 x 5.
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, 96, 11, stride=4, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(96, 256, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(256, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Flatten(),
        *_two_hidden_layers(256 * 5 * 5, num_classes),
    )


def lecture_vgg11(in_channels: int = 1, num_classes: int = 10) -> nn.Sequential:
    """Build Dive into Deep Learning's VGG-11 (001:36, 88-89): 1 x 224 x 224 to 10 class scores.

    128,806,154 parameters. Five stages, each ending in a 2x2 maximum; the last map is 512 x 7 x 7.
    """
    layers: list[nn.Module] = []
    for widths in ((64,), (128,), (256, 256), (512, 512), (512, 512)):
        for width in widths:
            layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU()]
            in_channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), *_two_hidden_layers(512 * 7 * 7, num_classes))


def _paper_nin(first: nn.Module, second: nn.Module, third: nn.Module) -> nn.Sequential:
    """Put the pools, dropout and average of the CIFAR-10 net around three mlpconv layers."""
    return nn.Sequential(
        first,
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        nn.Dropout(0.5),
        second,
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        nn.Dropout(0.5),
        third,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def _two_hidden_layers(in_features: int, num_classes: int) -> list[nn.Module]:
    """Build the fully connected head that AlexNet and VGG share (001:29)."""
    return [
        nn.Linear(in_features, 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(4096, num_classes),
    ]
