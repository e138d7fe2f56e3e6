package engine

// Name returns a short name of the kind of damage, one of a few: "index", or
// what is damaged of the log: "log-header", "log-record", "log-body",
// "log-short" or "log-missing".
func (d *Damage) Name() string {
	switch {
	case d.Segment == 0:
		return "index"
	case d.What == "header" || d.What == "header is too short":
		return "log-header"
	case d.What == "body" || d.What == "checksums of the body" || d.What == "size of the body":
		return "log-body"
	case d.What == "segment is missing":
		return "log-missing"
	case d.What == "segment is too short" || d.What == "segment ends before a body":
		return "log-short"
	}
	return "log-record"
}
