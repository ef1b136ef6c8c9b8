"""Entropy coding: integer tables, rANS, the parameter payload (spec chapter 4)."""
