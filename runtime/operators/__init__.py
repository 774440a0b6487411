"""One file per operator; `base.Operator` is the contract."""
