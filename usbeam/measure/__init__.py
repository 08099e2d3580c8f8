"""What an image is worth: regions, contrast and its companions, point-spread functions."""
