"""Sparse adversarial perturbations of intensive-care records: which measurement, at which hour, can a model not be trusted on?"""
