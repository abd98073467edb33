"""The PyTorch side of step.py: a network's same layers and weights, channels last, eager, with a fused optimizer."""

from ecgbeats.runs.networks import multiply_adds

import keras
import numpy as np
import torch
from torch import nn

from benchmarks import harness, step
from model_keras import MODELS, build_model

TOLERANCE = 1e-4  # how far the predictions of PyTorch's network may be from those of Keras
ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "softmax": lambda: nn.Softmax(dim=1)}


def measure(name: str, size: int, seconds: float, matrices: list[int]) -> dict:
    """Train and predict with one of step.TORCH_MODELS; arguments and result as step.measure has.

    Raises ValueError if its predictions are not those of Keras.
    """
    model = build_model(name, step.CLASSES)
    network = twin(model)
    check_twin(model, network)
    count = multiply_adds(model)
    del model
    images, labels, _ = map(torch.from_numpy, step.constant_batch(size))
    recipe = MODELS[name]
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    rate = recipe.learning_rate / 100  # at which Keras' schedule begins, too
    optimizer = kind(network.parameters(), lr=rate, weight_decay=recipe.weight_decay, fused=True)
    logits = network[:-1]  # without the softmax, which is in the loss

    def train():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(logits(images), labels.long())
        loss.backward()
        optimizer.step()
        return loss.item()

    def predict():
        with torch.inference_mode():
            return network(images).numpy()

    training = harness.median_seconds(train, seconds)
    network.eval()
    return {
        "framework": f"PyTorch {torch.__version__.partition('+')[0]}",
        "batch_size": size,
        "multiply_adds": count,
        "training": size / training,
        "inference": size / harness.median_seconds(predict, seconds),
        "peak": step.peak_rate(torch.matmul, lambda n: torch.randn(n, n), matrices),
    }


def check_twin(model: keras.Model, network: nn.Module) -> float:
    """Return the largest difference of two networks' predictions; raise ValueError above ``TOLERANCE``."""
    images = step.constant_batch(4)[0]
    with torch.inference_mode():
        theirs = network.eval()(torch.from_numpy(images)).numpy()
    network.train()
    difference = float(np.abs(keras.ops.convert_to_numpy(model(images, training=False)) - theirs).max())
    if not difference <= TOLERANCE:  # so that NaN fails, too
        raise ValueError(f"PyTorch's {model.name} is another network: predictions differ by {difference:.2g}")
    return difference


def twin(model: keras.Model) -> nn.Sequential:
    """Return a network of step.TORCH_MODELS in PyTorch, with the same weights.

    It takes uint8 (B, H, W, C), as Keras does. Raises ValueError for a kind of layer that those do not have.
    """
    modules = [module for layer in model.layers for module in converted(layer)]
    return nn.Sequential(*modules).to(memory_format=torch.channels_last)


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


def converted(layer: keras.Layer) -> list[nn.Module]:
    """Return the PyTorch modules of one Keras layer, its activation among them."""
    match type(layer).__name__:
        case "InputLayer":
            return [Function(lambda images: images.permute(0, 3, 1, 2))]
        case "Rescaling":
            scale, offset = float(layer.scale), float(layer.offset)
            return [Function(lambda x: x.float(memory_format=torch.channels_last) * scale + offset)]
        case "Conv2D":
            kernel = keras.ops.transpose(layer.kernel, (3, 2, 0, 1))
            outputs, inputs, *size = kernel.shape
            # Our networks' strides divide the image, so Keras' padding="same" is this on each side.
            around = [(one - stride + 1) // 2 for one, stride in zip(size, layer.strides, strict=True)]
            module = nn.Conv2d(inputs, outputs, size, layer.strides, around, bias=layer.use_bias)
            modules = [with_weights(module, weight=kernel, bias=layer.bias)]
        case "Dense":
            module = nn.Linear(*layer.kernel.shape, bias=layer.use_bias)
            modules = [with_weights(module, weight=keras.ops.transpose(layer.kernel), bias=layer.bias)]
        case "BatchNormalization":
            kind = nn.BatchNorm2d if len(layer.output.shape) == 4 else nn.BatchNorm1d
            module = kind(layer.output.shape[-1], layer.epsilon, 1 - layer.momentum)
            statistics = {"running_mean": layer.moving_mean, "running_var": layer.moving_variance}
            return [with_weights(module, weight=layer.gamma, bias=layer.beta, **statistics)]
        case "MaxPooling2D":
            return [nn.MaxPool2d(layer.pool_size, layer.strides)]
        case "GlobalAveragePooling2D":
            return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        case "Flatten":
            return [Function(lambda x: x.permute(0, 2, 3, 1).flatten(1))]
        case "Dropout":
            return [nn.Dropout(layer.rate)]
        case "Activation":
            modules = []
        case kind:
            raise ValueError(f"{layer.name}: PyTorch's network is not written for a layer of the kind {kind}")
    activation = layer.activation.__name__
    return modules if activation == "linear" else [*modules, ACTIVATIONS[activation]()]


def with_weights(module: nn.Module, **weights) -> nn.Module:
    """Return a module that has these weights of a Keras layer, as far as there are any."""
    with torch.no_grad():
        for name, weight in weights.items():
            if weight is not None:
                getattr(module, name).copy_(torch.tensor(keras.ops.convert_to_numpy(weight)))
    return module
