"""What is behind one number: which errors a pose network makes, of what and on whom."""
