"""How the cases of a command line are done: one by one, side by side in processes that may be lost, over a cluster."""
