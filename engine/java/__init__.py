"""Java's behaviour where ksqlDB shows it: text, regular expressions, time, zones, and the order of hash maps."""
