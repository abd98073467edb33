"""The networks: pixels of a beat's image in, a probability for each class out.

``build_model(name)`` makes one of ``MODELS``; ``python model_keras.py NAME`` shows its layers. Input is
uint8 of shape (B, 128, 128, 1), 255 being the white background; output is float32 of shape (B, classes),
each row summing to 1, in the order of the class names that :func:`save_model` stores with the network.

To add a network of your own, see ``MODELS`` below.
"""

# keras is imported inside the functions: it takes seconds, and the options are checked before that.
from collections.abc import Callable
from dataclasses import dataclass

from ecgbeats import command
from ecgbeats.runs.networks import layer_multiply_adds, load_model, multiply_adds, read_classes, save_model
from ecgbeats.runs.recipe import MOMENTUM

__all__ = ["MODELS", "Network", "build_model", "load_model", "multiply_adds", "read_classes", "save_model"]


def build_model(name, num_classes=8, input_shape=(128, 128, 1), seed=0):
    """Build a network of ``MODELS`` with new random weights.

    Parameters
    ----------
    name : str
        A key of ``MODELS``.
    num_classes : int
    input_shape : tuple of int
        Height and width in pixels, and channels. The networks are laid out for (128, 128, 1).
    seed : int, 0 to 2**32 - 1
        The same seed gives the same weights and the same sequence of dropout. It seeds Python, NumPy and
        Keras as a whole (``keras.utils.set_random_seed``), for ``keras.applications`` take no seed.

    Returns
    -------
    keras.Model
        Not compiled. uint8 (B, *input_shape) to float32 (B, num_classes), under every dtype policy.

    Raises
    ------
    command.InputError
        If there is no network of that name.
    """
    if name not in MODELS:
        raise command.InputError(f"there is no model {name!r}; choose from {', '.join(MODELS)}")
    import keras

    keras.utils.set_random_seed(seed)
    images = keras.Input(input_shape, dtype="uint8", name="images")
    # The white background becomes 0 and the line 1, so what padding adds looks like background. Pixels and
    # probabilities are float32 under mixed precision too: bfloat16 has no room for 256 gray levels.
    pixels = keras.layers.Rescaling(-1 / 255, offset=1, dtype="float32", name="pixels")(images)
    features = MODELS[name].build(pixels)
    logits = keras.layers.Dense(num_classes, name="logits")(features)
    outputs = keras.layers.Activation("softmax", dtype="float32", name="probabilities")(logits)
    return keras.Model(images, outputs, name=name)


def paper(x):
    """Jun et al. 2018 (arXiv:1804.06812): 135,392,200 parameters with eight classes.

    Keras initializes with Glorot's (Xavier's) scheme, as the paper does, unless told otherwise.
    """
    from keras import layers

    for filters in (64, 128, 256):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same")(x)
            x = layers.Activation("elu")(x)
            x = layers.BatchNormalization(momentum=MOMENTUM)(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Dense(2048)(layers.Flatten()(x))
    x = layers.Activation("elu")(x)
    x = layers.BatchNormalization(momentum=MOMENTUM)(x)
    return layers.Dropout(0.5)(x)


def alexnet(x):
    """Krizhevsky et al. 2012 (NeurIPS), as one tower, on smaller images.

    What differs from the paper, and why:

    - Batch normalization stands where the paper has local response normalization. Keras has no layer for
      that, and a class of our own would keep a saved network from loading without this file; Simonyan
      and Zisserman (arXiv:1409.1556, section 4.1) found that it does not help.
    - No split into two groups, which only served to fit two GPUs of 3 GB (Krizhevsky 2014, arXiv:1404.5997).
    - He initialization, which a network of ReLU learns from sooner than from normal noise of 0.01.
    - 'same' padding in the first layer: 32, 15 and 7 pixels follow from 128, near the paper's 55, 27, 13.
    """
    from keras import layers

    conv = {"padding": "same", "activation": "relu", "kernel_initializer": "he_normal"}
    x = layers.Conv2D(96, 11, strides=4, **conv)(x)
    x = layers.BatchNormalization(momentum=MOMENTUM)(x)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = layers.Conv2D(256, 5, **conv)(x)
    x = layers.BatchNormalization(momentum=MOMENTUM)(x)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = layers.Conv2D(384, 3, **conv)(x)
    x = layers.Conv2D(384, 3, **conv)(x)
    x = layers.Conv2D(256, 3, **conv)(x)
    x = layers.MaxPooling2D(3, strides=2)(x)
    return _two_dense_layers(layers.Flatten()(x))


def vgg16(x):
    """Simonyan and Zisserman 2014 (arXiv:1409.1556), configuration D.

    Not taken from keras.applications, for that leaves out the paper's dropout and offers no choice of
    initializer: with Keras' own the signal shrinks to 1/50 on its way through sixteen layers of ReLU with
    no batch normalization, and learning starts late. He initialization keeps it level.
    """
    from keras import layers

    for filters, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convolutions):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer="he_normal")(
                x
            )
        x = layers.MaxPooling2D(2)(x)
    return _two_dense_layers(layers.Flatten()(x))


def _two_dense_layers(x):
    """The head that AlexNet and VGG share."""
    from keras import layers

    for _ in range(2):
        x = layers.Dense(4096, activation="relu", kernel_initializer="he_normal")(x)
        x = layers.Dropout(0.5)(x)
    return x


def resnet50(x):
    """He et al. 2015 (arXiv:1512.03385), from keras.applications."""
    import keras

    return _from_applications(keras.applications.ResNet50, x)


def inceptionv3(x):
    """Szegedy et al. 2015 (arXiv:1512.00567), from keras.applications."""
    import keras

    return _from_applications(keras.applications.InceptionV3, x)


def _from_applications(application, x):
    """Continue ``x`` with a network of keras.applications, untrained and without its class layer."""
    import keras

    network = application(include_top=False, weights=None, input_tensor=x, pooling="avg")
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = MOMENTUM
    return network.output


def fast(x):
    """A small network for machines with no GPU: 0.32 M parameters, 23 M multiply-adds.

    A wide first convolution with stride 4 sees the thin line at once and leaves 32x32 pixels to the rest. Most
    multiply-adds are spent late, on few pixels and many channels, where a CPU loses least time on what is no
    multiply-add. Channels are multiples of 16, the width of a CPU's vectors.
    """
    from keras import layers

    def convolution(x, filters, size=3, strides=1):
        # No bias: batch normalization would take it out again.
        x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=MOMENTUM)(x)
        return layers.Activation("relu")(x)

    x = convolution(x, 32, size=6, strides=4)
    x = layers.MaxPooling2D(2)(x)
    x = convolution(convolution(x, 48), 64)
    x = layers.MaxPooling2D(2)(x)
    x = convolution(convolution(x, 96), 96)
    x = layers.MaxPooling2D(2)(x)
    x = convolution(x, 160)
    return layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))


def columns(x):
    """A network that reads the drawing "usual" column by column: 0.12 M parameters, 1.7 M multiply-adds.

    There a place has its meaning: a bar at the left is another beat's, a row further down another measure. So each
    filter of the first convolution is as high as the image, nothing is pooled, and the layer behind knows where what
    was found.
    """
    from keras import layers

    def normalized(x):
        return layers.Activation("relu")(layers.BatchNormalization(momentum=MOMENTUM)(x))

    def convolution(x, size, strides, padding="same"):
        return normalized(layers.Conv2D(64, size, strides=strides, padding=padding, use_bias=False)(x))

    height = x.shape[1]
    x = convolution(x, (height, 4), (height, 4), "valid")
    x = convolution(convolution(x, (1, 3), 1), (1, 3), (1, 2))
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    return layers.Dropout(0.5)(normalized(layers.Dense(64, use_bias=False)(x)))


@dataclass(frozen=True)
class Network:
    """A network and the recipe that train_keras.py uses where no option says otherwise.

    Attributes
    ----------
    build : callable
        From pixels, a Keras tensor of shape (B, H, W, C) with 0 for background and 1 for the line, to
        features, one of shape (B, F). :func:`build_model` adds the layer of classes.
    description : str
        One line.
    learning_rate : float
        At its highest.
    epochs : int
    batch_size : int
        Images over all devices.
    optimizer : str
        "adam" or "adamw".
    weight_decay : float
        Of adamw; 0 for adam.
    shift : int
        Training images are moved at random by up to so many pixels in each direction, and by less in short
        trainings, which have no time to learn it: at most half a pixel for each epoch.
    balance : float
        How much more often than they occur rare classes are drawn in training; see DataGenerator.
    """

    build: Callable
    description: str
    learning_rate: float
    epochs: int
    batch_size: int = 128
    optimizer: str = "adam"
    weight_decay: float = 0.0
    shift: int = 0
    balance: float = 0.0


# Your own network: write a function like `fast` above (pixels in, features out, layers of Keras alone so
# that the saved file loads anywhere), add a line such as
#     "mine": Network(mine, "what it is, in one line", learning_rate=1e-3, epochs=10),
# and train it with `python train_keras.py --model mine ...`.
MODELS = {
    "paper": Network(paper, "the network of Jun et al. 2018", learning_rate=1e-4, epochs=20),
    "alexnet": Network(alexnet, "AlexNet, Krizhevsky et al. 2012", learning_rate=1e-4, epochs=20),
    # With no batch normalization a higher rate can blow up.
    "vgg16": Network(vgg16, "VGG-16, Simonyan and Zisserman 2014", learning_rate=1e-4, epochs=20),
    "resnet50": Network(resnet50, "ResNet-50, He et al. 2015", learning_rate=1e-3, epochs=20),
    "inceptionv3": Network(inceptionv3, "Inception-v3, Szegedy et al. 2015", learning_rate=1e-3, epochs=20),
    "fast": Network(
        fast,
        "small and quick, for machines with no GPU",
        learning_rate=2.8e-3,
        epochs=5,
        batch_size=64,
        optimizer="adamw",
        weight_decay=0.02,
        shift=6,
        balance=0.25,
    ),
    "columns": Network(
        columns,
        "small and quick, for the drawing usual and new patients",
        learning_rate=3e-3,
        epochs=4,
        optimizer="adamw",
        weight_decay=0.02,
    ),
}


def describe_recipe(network: Network) -> str:
    """Return in words how a network is trained where the options of train_keras.py say nothing else."""
    told = [network.optimizer, f"learning rate {network.learning_rate:g}"]
    if network.weight_decay:
        told.append(f"weight decay {network.weight_decay:g}")
    told += [f"batches of {network.batch_size}", f"{network.epochs} epochs"]
    if network.shift:
        shift = min(network.shift, network.epochs // 2)
        told.append(f"images moved by up to {shift} pixels (up to {network.shift} in more epochs)")
    if network.balance:
        told.append(f"rare classes drawn more often (--balance {network.balance:g})")
    return ", ".join(told)


def main(argv: list[str]) -> None:
    """Print a network's layers, parameters, multiply-adds and recipe."""
    listing = "\n".join(f"  {name:<12} {network.description}" for name, network in MODELS.items())
    parser = command.Parser(
        prog="model_keras.py",
        description="Print a network's layers, output shapes, parameters and multiply-adds.",
        epilog=f"networks:\n{listing}",
    )
    parser.add_argument("name", metavar="NAME", choices=MODELS, help="one of the networks below")
    name = parser.parse_args(argv).name

    with command.quiet_import():
        model = build_model(name)
    # Keras' own summary cuts long names and has no multiply-adds.
    print(f"{'layer':<28}{'kind':<24}{'output':<18}{'parameters':>12}{'multiply-adds':>16}")
    for layer in model.layers:
        shape = " x ".join(map(str, layer.output.shape[1:]))
        print(
            f"{layer.name:<28}{type(layer).__name__:<24}{shape:<18}"
            f"{layer.count_params():>12,}{layer_multiply_adds(layer):>16,}"
        )
    print(f"{'total, for one image':<70}{model.count_params():>12,}{multiply_adds(model):>16,}")
    print(f"recipe: {describe_recipe(MODELS[name])}")


if __name__ == "__main__":
    command.run(main)
