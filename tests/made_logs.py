"""Training logs that the tests write."""

COLUMNS = "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds,images_per_second"


VAL_LOSS = [0.9, 0.4, 0.25, 0.31, 0.25]  # lowest at epoch 3, and again at epoch 5


def lines(val_loss=VAL_LOSS, first=1):
    return [
        f"{epoch},{0.8 / (epoch + 1)},{1 - 0.4 / (epoch + 1)},{loss},{1 - loss / 2},1e-4,3.5,812.5"
        for epoch, loss in enumerate(val_loss, first)
    ]


def write_run(folder, rows=None, columns=COLUMNS):
    folder.mkdir(parents=True, exist_ok=True)
    rows = lines() if rows is None else rows
    (folder / "log.csv").write_text("\n".join([columns, *rows]) + "\n")
    return folder
