"""What ksqlDB's answers owe to Java: numbers, text, regular expressions, time, zones, the order of hash maps."""
