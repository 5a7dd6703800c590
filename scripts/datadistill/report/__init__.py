"""Metrics and label sets -> tables, figures and pages."""
