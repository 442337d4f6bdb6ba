"""What past searches teach about the next: laws of service times, and how predictions err."""
