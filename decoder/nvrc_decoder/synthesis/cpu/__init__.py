"""Prediction of planes on the CPU, with OpenCV."""
