"""The modules that a network description may name: layers of networks that read, write, fetch and run nothing else.

A list, not a rule: a module that is new in torch, torchvision or Ultralytics is refused until it has been looked at.
"""

from __future__ import annotations

ACTIVATIONS = frozenset(
    f"nn.{name}"
    for name in (
        "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh Identity LeakyReLU LogSigmoid Mish PReLU RReLU ReLU ReLU6 "
        "SELU SiLU Sigmoid Softmax2d Softplus Softshrink Softsign Tanh Tanhshrink Threshold"
    ).split()
)
TORCH = frozenset(
    f"nn.{name}"
    for name in (
        "AdaptiveAvgPool2d AdaptiveMaxPool2d AvgPool2d BatchNorm2d ChannelShuffle CircularPad2d ConstantPad2d Conv2d "
        "ConvTranspose2d Dropout Dropout2d GroupNorm InstanceNorm2d LPPool2d LayerNorm LocalResponseNorm MaxPool2d "
        "PixelShuffle PixelUnshuffle ReflectionPad2d ReplicationPad2d SyncBatchNorm Upsample UpsamplingBilinear2d "
        "UpsamplingNearest2d ZeroPad2d"
    ).split()
)
TORCHVISION = frozenset(
    f"torchvision.ops.{name}"
    for name in "DeformConv2d DropBlock2d FrozenBatchNorm2d Permute SqueezeExcitation StochasticDepth".split()
)
HEADS = frozenset(  # parsed, so that a model of another task is called that
    (
        "Classify Depth Detect LRPCHead OBB OBB26 Pose Pose26 RTDETRDecoder Segment Segment26 SemanticSegment WorldDetect "
        "YOLOEDetect YOLOESegment YOLOESegment26 v10Detect"
    ).split()
)
ULTRALYTICS = frozenset(
    (
        "A2C2f AConv ADown AIFI Bottleneck BottleneckCSP C1 C2 C2PSA C2f C2fAttn C2fCIB C2fPSA C3 C3Ghost C3TR C3k2 C3x CBFuse "
        "CBLinear Concat Conv Conv2 ConvTranspose DWConv DWConvTranspose2d ELAN1 Focus GhostBottleneck GhostConv HGBlock "
        "HGStem ImagePoolingAttn Index PSA RepC3 RepConv RepNCSPELAN4 RepVGGDW ResNetLayer SCDown SPP SPPELAN SPPF"
    ).split()
)
NETWORK_LAYERS = ACTIVATIONS | TORCH | TORCHVISION | HEADS | ULTRALYTICS
