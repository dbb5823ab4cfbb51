"""Sparse adversarial perturbations of intensive-care records.

They show on which measurement, at which hour, a model cannot be trusted.
"""
