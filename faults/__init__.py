"""What breaks around the product, done to it on purpose: ``make faults``."""
