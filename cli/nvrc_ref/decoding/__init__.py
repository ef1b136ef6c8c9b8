"""What the commands that decode share: opening a stream, progress, and reporting damage."""
