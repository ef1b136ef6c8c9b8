"""The parts of `nvrc-ref encode`: its options, its files, its progress, its report, and why a target was missed."""
