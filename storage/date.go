package storage

import "time"

// TrimDate returns t as Message.Date has it: whole seconds, and a zone of
// whole minutes without a name. Years outside of 1 to 9999, which IMAP can't
// write, become the nearest that are inside.
func TrimDate(t time.Time) time.Time {
	_, offset := t.Zone()
	offset = min(max(offset/60, -maxZone), maxZone) * 60
	seconds := min(max(t.Unix(), minDate), maxDate)
	if offset == 0 {
		return time.Unix(seconds, 0).UTC()
	}
	return time.Unix(seconds, 0).In(time.FixedZone("", offset))
}

const (
	maxZone = 23*60 + 59   // minutes
	minDate = -62135510400 // 0001-01-02, so that no zone leads out of year 1
	maxDate = 253402214399 // the end of 9999-12-30, likewise
)
