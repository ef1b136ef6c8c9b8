"""``python -m nvrc_ref`` is the command `nvrc-ref`."""

from nvrc_ref.start import start

start()
