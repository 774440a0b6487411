"""One file per operator; `base.Operator` is their interface."""
