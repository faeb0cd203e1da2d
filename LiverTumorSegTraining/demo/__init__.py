"""The demonstration: two public sample CTs, segmented by the real command line and compared with their labels."""
