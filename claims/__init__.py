"""Claims about convolutional networks, as executable tests with a verdict."""
