"""Results as messages for other programs: JSON Lines and MQTT."""
