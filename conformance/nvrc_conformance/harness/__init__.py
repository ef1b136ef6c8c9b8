"""The harness: runs any decoder on the suite and says which streams it passes (conformance/README.md).

A decoder is a program that an adapter describes (`adapter`). Each stream of the suite (`cases`) is one run of that
program (`child`), whose ending and output are scored (`score`, `frames`); `run` does them all, `reports` renders them.
"""
