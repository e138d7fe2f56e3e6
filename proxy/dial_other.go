//go:build !linux

package proxy

import "time"

// portLater does nothing: a source address has its ports once, for all back
// ends together.
func portLater(int) error { return nil }

// giveUpAfter leaves it to the system when it gives up.
func giveUpAfter(int, time.Duration) {}
