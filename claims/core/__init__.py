"""The machinery: claims, cases, verdicts, the pytest plugin. It knows nothing of convolution."""
