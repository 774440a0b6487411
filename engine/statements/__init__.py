"""What each kind of statement does; `dispatch` knows which."""
