"""What each kind of statement does, one file per family; `dispatch` chooses."""
