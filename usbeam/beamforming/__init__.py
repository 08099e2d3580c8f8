"""From a recording to an image: subsets of transmits, delays, apodization, and the plan that joins them."""
