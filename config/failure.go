package config

// OnFailure tells what holds for the requests of a key while the ledger cannot be
// written: OnLedgerFailureRefuse or OnLedgerFailureAllow. The key's own setting goes
// before the global one; auto refuses where a hard budget could not be kept.
func OnFailure(global, own string, hardBudget bool) string {
	switch {
	case own != "":
		return own
	case global != OnLedgerFailureAuto:
		return global
	case hardBudget:
		return OnLedgerFailureRefuse
	}
	return OnLedgerFailureAllow
}
