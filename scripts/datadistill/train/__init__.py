"""Splits and label sets -> models."""
