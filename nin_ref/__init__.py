"""The reference: NumPy oracle, operators, models and counts. It knows no claim."""
