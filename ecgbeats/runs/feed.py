"""What Keras' fit reads batches from."""


def feed(batches):
    """Return what Keras' fit should read a DataGenerator's batches from.

    On TensorFlow that is a tf.data.Dataset, filled ahead by as many threads as the DataGenerator has workers, in its
    order, of the epoch that is set when reading begins (``set_epoch``; Keras does not count it up). Given the
    DataGenerator itself, Keras 3.15 loses a tenth of a second at the end of each epoch, and under a strategy for several
    devices it reads one queue twice: an epoch then begins with the rest of the one before. On JAX one reader takes the
    DataGenerator's own order.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    first = batches[0]

    def batch(i):
        arrays = tf.numpy_function(batches.__getitem__, [i], [array.dtype for array in first])
        for array, like in zip(arrays, first, strict=True):
            array.set_shape((None, *like.shape[1:]))
        return tuple(arrays)

    options = tf.data.Options()
    options.autotune.enabled = False  # its thread would hold up the end of an epoch
    dataset = tf.data.Dataset.range(len(batches))
    dataset = dataset.map(batch, num_parallel_calls=batches.workers, deterministic=True)
    return dataset.prefetch(batches.max_queue_size).with_options(options)
