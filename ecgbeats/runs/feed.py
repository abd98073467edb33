"""How batches reach Keras' fit, in their order, on both backends, from the batch on that a run has come to."""

from ecgbeats.runs.time_limit import TimeIsUp


def build_metrics(model, batches) -> None:
    """Make the variables of a compiled model's metrics, which Keras makes from the first batch.

    On JAX, Keras 3.15 takes that batch from fit's first epoch, which then begins with the second and ends with the
    first: a resumed run would not see an unbroken one's batches in their order.
    """
    model.test_on_batch(*batches[0])
    model.reset_metrics()


def feed(batches, first: int = 0):
    """Return what Keras' fit should read a DataGenerator's batches from, from batch ``first`` of each epoch on.

    On TensorFlow that is a tf.data.Dataset, filled ahead by as many threads as the DataGenerator has workers, in its
    order, of the epoch that is set when reading begins (``set_epoch``; Keras does not count it up). Given the
    DataGenerator itself, Keras 3.15 loses a tenth of a second at the end of each epoch, and under a strategy for several
    devices it reads one queue twice: an epoch then begins with the rest of the one before. On JAX one reader takes the
    DataGenerator's own order.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return _rest(batches, first) if first else batches
    import tensorflow as tf

    example = batches[0]

    def batch(i):
        arrays = tf.numpy_function(batches.__getitem__, [i], [array.dtype for array in example])
        for array, like in zip(arrays, example, strict=True):
            array.set_shape((None, *like.shape[1:]))
        return tuple(arrays)

    options = tf.data.Options()
    options.autotune.enabled = False  # its thread would hold up the end of an epoch
    dataset = tf.data.Dataset.range(first, len(batches))
    dataset = dataset.map(batch, num_parallel_calls=batches.workers, deterministic=True)
    return dataset.prefetch(batches.max_queue_size).with_options(options)


def _rest(batches, first: int):
    """Return the batches of an epoch from ``first`` on as a PyDataset."""
    import keras

    class Rest(keras.utils.PyDataset):
        def __len__(self):
            return len(batches) - first

        def __getitem__(self, i):
            return batches[first + i]

    return Rest(workers=batches.workers, max_queue_size=batches.max_queue_size)


def fit(model, training, validation, recorder, first: int, batch: int, options) -> bool:
    """Train from ``batch`` of epoch ``first`` on (both from 0); return whether the time limit ended it early.

    ``training`` and ``validation`` are DataGenerators, ``recorder`` is the callback, ``options`` are train_keras.py's.
    """
    import keras

    if batch:
        print(f"going on in epoch {first + 1}, after {batch} of {len(training)} batches", flush=True)
    elif first:
        print(f"going on after epoch {first}", flush=True)
    if batch or keras.backend.backend() == "jax":
        build_metrics(model, training)
    # First, last epoch and first batch: the rest of an epoch that was broken off, then the whole ones, if any are left.
    stretches = [(first, options.epochs, 0)]
    if batch:
        stretches = [(first, first + 1, batch), (first + 1, options.epochs, 0)]
    try:
        for begin, end, first_batch in stretches:
            if begin == end:
                continue
            training.set_epoch(begin)
            model.fit(
                feed(training, first_batch),
                validation_data=feed(validation),
                epochs=end,
                initial_epoch=begin,
                shuffle=False,  # the generator shuffles, by its own seed
                verbose=0,
                callbacks=[recorder],
            )
    except TimeIsUp:
        print(f"stopping before --max-hours {options.max_hours:g}: {len(recorder.rows)} whole epochs done")
        if not recorder.rows:
            print("no epoch has ended; scoring the network as it is")
            recorder.save_network()
        return True
    return False
