"""Which devices train, in which precision, and by how many threads they are fed."""

import contextlib

from ecgbeats import command
from ecgbeats.command import InputError
from ecgbeats.images.folder import Images

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")


def choose_devices(wanted: int | None, process: int = 0):
    """Return the names of the devices to train on, and a function that gives their strategy's scope.

    All GPUs, or one CPU, unless ``wanted`` says how many; CPU devices are then logical ones. Of several processes, on
    JAX, each brings so many, and all are returned; this is number ``process``. Raises InputError if there are fewer.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        return _jax_devices(wanted, process), contextlib.nullcontext
    if backend != "tensorflow":
        raise InputError(f"KERAS_BACKEND={backend} is not supported; use tensorflow or jax")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # it warns that each fold's network is compiled anew
    gpus = tf.config.list_physical_devices("GPU")
    names, addresses = _tensorflow_gpus(gpus, wanted) if gpus else _tensorflow_cpus(wanted)
    if len(addresses) == 1:
        return names, contextlib.nullcontext
    return names, tf.distribute.MirroredStrategy(addresses).scope


def _jax_devices(wanted: int | None, process: int) -> list[str]:
    """Choose JAX's devices, have Keras part each batch over them, and return their names."""
    import jax
    import keras

    if wanted and wanted > 1:
        with contextlib.suppress(RuntimeError):  # JAX is already running: then it has the devices it has
            jax.config.update("jax_num_cpu_devices", wanted)
    devices = jax.devices()  # of all processes
    gpus = [device for device in devices if device.platform == "gpu"]
    owners = sorted({device.process_index for device in devices})
    by_owner = [[d for d in gpus or devices if d.process_index == owner] for owner in owners]
    own = _first_devices(by_owner[process] if gpus else by_owner[process][: wanted or 1], wanted, bool(gpus))
    counts = [len(theirs) for theirs in by_owner]
    if gpus and not wanted and len(set(counts)) > 1:
        raise InputError(
            f"the machines have different numbers of GPUs ({', '.join(map(str, counts))}); "
            f"give --devices {max(1, min(counts))}, which is the number on each"
        )
    # In the order of the processes: so each makes one piece of every batch.
    chosen = [device for theirs in by_owner for device in theirs[: len(own)]]
    if len(chosen) > 1:
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(
                devices=[f"{d.platform}:{d.id}" for d in chosen], auto_shard_dataset=False
            )
        )
    # A CPU has no kind but its platform.
    kinds = ["" if d.device_kind == d.platform else f"{d.device_kind} " for d in chosen]
    return [f"{kind}{d.platform}:{d.id}" for kind, d in zip(kinds, chosen, strict=True)]


def describe_devices(devices: list[str], processes: int) -> str:
    """Say where ``choose_devices`` trains: equally many devices in each process."""
    own = ", ".join(devices[: len(devices) // processes])
    return f"on {own}" if processes == 1 else f"in {processes} processes, each on {own}"


@contextlib.contextmanager
def undistributed():
    """While this lasts, what Keras makes stands on this process's first device alone; on JAX."""
    import keras

    if keras.backend.backend() != "jax":
        yield
        return
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def _tensorflow_gpus(gpus: list, wanted: int | None) -> tuple[list[str], list[str]]:
    """Return the names and addresses of the GPUs to train on, which take memory as they need it."""
    import tensorflow as tf

    for gpu in gpus:
        with contextlib.suppress(RuntimeError):  # already in use
            tf.config.experimental.set_memory_growth(gpu, True)
    names = [
        f"{tf.config.experimental.get_device_details(gpu).get('device_name', 'GPU')} GPU:{i}"
        for i, gpu in enumerate(gpus)
    ]
    chosen = _first_devices(names, wanted, True)
    return chosen, [f"GPU:{i}" for i in range(len(chosen))]


def _tensorflow_cpus(wanted: int | None) -> tuple[list[str], list[str]]:
    """Return the names, which are also the addresses, of as many logical CPU devices as are wanted."""
    import tensorflow as tf

    if wanted and wanted > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        with contextlib.suppress(RuntimeError):  # already in use: then it has the devices it has
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(wanted)]
            )
    addresses = [f"CPU:{i}" for i in range(len(tf.config.list_logical_devices("CPU")))]
    chosen = _first_devices(addresses[: wanted or 1], wanted, False)
    return chosen, chosen


def _first_devices(available: list, wanted: int | None, gpu: bool) -> list:
    """Return the first ``wanted`` devices (None is all). Raises InputError if there are fewer."""
    if wanted and wanted > len(available):
        kind = "GPU(s)" if gpu else "CPU device(s)"
        raise InputError(
            f"--devices {wanted}: this machine has {len(available)} {kind}; give at most that many"
        )
    return available[:wanted]


def release_devices() -> None:
    """Let go of the training's memory and devices, for scoring on one device."""
    import keras

    keras.config.set_dtype_policy("float32")
    if keras.backend.backend() == "jax":
        keras.distribution.set_distribution(None)
    keras.backend.clear_session()


def choose_workers(images: Images, devices: list[str]) -> int:
    """Return how many threads make the training batches."""
    if images.in_memory and not is_gpu(devices):
        return 2  # they are ahead of any CPU's training, and no more than the DataGenerator needs
    return max(2, min(8, command.available_cores()))


def is_gpu(devices: list[str]) -> bool:
    """Return whether the names that choose_devices gave are of GPUs."""
    return any("gpu" in name.lower() for name in devices)


def choose_precision(wanted: str, devices: list[str]) -> str:
    """Return the dtype policy: ``wanted``, or for ``auto`` the fastest that the devices are made for.

    bfloat16 needs NVIDIA's compute capability 8.0 (Ampere), fast float16 7.0 (Volta).
    """
    if wanted != "auto":
        return wanted
    if not is_gpu(devices):
        return "float32"
    capability = _compute_capability()
    return "mixed_bfloat16" if capability >= 8 else "mixed_float16" if capability >= 7 else "float32"


def _compute_capability() -> float:
    """Return the lowest compute capability of this machine's NVIDIA GPUs, 0 where it is not known."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return min(float(getattr(d, "compute_capability", 0) or 0) for d in jax.devices("gpu"))
    import tensorflow as tf

    details = [tf.config.experimental.get_device_details(g) for g in tf.config.list_physical_devices("GPU")]
    return min(float("{}.{}".format(*d.get("compute_capability", (0, 0)))) for d in details)
