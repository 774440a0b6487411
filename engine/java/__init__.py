"""Java's behaviour where ksqlDB shows it: text, regular expressions, times, zones, and the order of hash maps."""
