//go:build !unix

package spool

// syncFolder does nothing: folders cannot be synced there.
func syncFolder(string) error { return nil }
