"""A network becomes runnable: network, normalisation, bundle, shipped models, devices, tiles; opens no scan."""
