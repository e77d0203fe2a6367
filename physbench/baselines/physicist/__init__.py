"""`baseline:physicist`: sees the context, knows the laws, simulates on."""
