"""``python -m nvrc_ref`` is the command `nvrc-ref`."""

from nvrc_ref.main import main

main()
