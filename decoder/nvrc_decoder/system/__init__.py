"""This machine: optional packages, threads, memory, signals."""
