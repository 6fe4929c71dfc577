package prices

import "github.com/sluicehq/sluice/accounting/tokens"

// What a provider may charge for a request, as Bounds takes it.
const (
	BillNone      = "none"      // nothing
	BillPartial   = "partial"   // up to the cut
	BillFull      = "full"      // as if it had run to its end
	BillUnknown   = "unknown"   // the provider does not say
	BillCompleted = "completed" // it has run to its end, or the numbers are the provider's last
)

// Bounds returns the least and the most that a provider may charge for a request of which
// u is known, in units of 1e-9 USD. maxOutput is the largest number of output tokens that
// the request could have come to, 0 if that is not known.
//
//	none       nothing, whatever was counted and whether there is a price or not
//	partial    the cost of u
//	completed  the cost of u
//	full       from the cost of u to that with the largest output
//	unknown    from nothing to that with the largest output
//
// high is nil where nothing bounds it: the largest output or the input is not known. Both
// are nil where Cost has no answer.
func (t *Table) Bounds(s Subject, u tokens.Usage, bill string, maxOutput int64) (low, high *int64) {
	if bill == BillNone {
		return new(int64), new(int64)
	}
	cost, ok := t.Cost(s, u)
	if !ok {
		return nil, nil
	}
	low, high = &cost, &cost
	if bill == BillPartial || bill == BillCompleted {
		return low, high
	}
	if bill != BillFull {
		low = new(int64)
	}
	if maxOutput <= 0 || !u.Input.Known {
		return low, nil
	}
	u.Output = tokens.Known(max(maxOutput, whole(u.Output, count(u.OutputReasoning), count(u.OutputAudio))))
	most, _ := t.Cost(s, u)
	return low, &most
}
