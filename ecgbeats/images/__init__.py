"""Images: how a beat is drawn, image files and folders of them, and which of them train, validate and test."""
