"""How a network is trained: learning rate, optimizer, momentum of the moving averages, loss.

How high the rate is, --learning-rate decides, else the network's line in MODELS of model_keras.py, where its optimizer,
epochs and batch size stand too; the rate does not change with the number of devices. Here is its course.
"""

# Keras' default of 0.99 needs some 500 steps to forget its starting values. An epoch here can be shorter,
# and then validation, which uses the moving averages, jumps between good and useless.
MOMENTUM = 0.9
# The share of all steps in which the learning rate rises to its full value.
WARM_UP = 0.1


def make_schedule(learning_rate: float, steps: int):
    """Return the learning rate of each of ``steps`` steps: a rise to ``learning_rate``, then a cosine.

    It ends near zero: at a constant rate the validation loss jumps from epoch to epoch. Returns a Keras schedule.
    """
    import keras

    warm_up = max(1, round(WARM_UP * steps))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=learning_rate / 100,
        warmup_target=learning_rate,
        warmup_steps=warm_up,
        decay_steps=max(1, steps - warm_up),
    )


def set_momentum(model, steps: int) -> None:
    """Let the moving averages of a network forget their start well within ``steps`` steps.

    Validation uses them, and in a run of few steps they would still be those of the beginning.
    """
    import keras

    momentum = min(MOMENTUM, max(0.5, 1 - 20 / steps))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum


def compile_model(model, schedule, optimizer: str, weight_decay: float = 0.0) -> None:
    """Give a network its optimizer ("adam" or "adamw"), loss and metrics, in place."""
    import keras

    if optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay)
    else:
        optimizer = keras.optimizers.Adam(schedule)
    model.compile(
        optimizer,
        # Summed over the batch and divided by its size, images of weight 0 included.
        loss=keras.losses.SparseCategoricalCrossentropy(),
        # Means over the real images alone, whatever a batch was filled up with.
        weighted_metrics=[
            keras.metrics.SparseCategoricalCrossentropy(name="cross_entropy"),
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
        ],
        # JAX compiles always. For TensorFlow, XLA does not help on a CPU, and on a rented GPU it fails
        # where CUDA's libdevice is not found.
        jit_compile="auto" if keras.backend.backend() == "jax" else False,
    )
