//go:build !linux

package ledger

import "errors"

func childLimit(orders, func(string, ...any)) error { return errors.New("there are no limits here") }
