//go:build !linux

package proxy

// portLater does nothing: a source address has its ports once, for all back
// ends together.
func portLater(int) error { return nil }
