"""The partitioned, transactional log; `protocol.Log` is what others see of it."""
