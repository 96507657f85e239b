"""A toy suite about whole numbers: the machinery knows nothing of convolution."""
