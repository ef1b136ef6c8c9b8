"""What a GPU offers, and how frames are divided into calls for it."""
