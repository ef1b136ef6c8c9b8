"""Encoding of long videos in segments that share nothing, each with a NETWORK of its own."""
