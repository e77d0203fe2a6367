"""Models without weights: persistence (freeze), constant velocity, the oracle, the physicist."""
