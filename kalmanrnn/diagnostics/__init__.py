"""What is wrong, with evidence and a cure: with a scenario, a training, a log."""
