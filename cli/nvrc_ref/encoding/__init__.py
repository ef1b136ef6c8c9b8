"""The parts of `nvrc-ref encode`: its files, its progress, its report."""
