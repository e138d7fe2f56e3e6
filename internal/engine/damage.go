package engine

import "strings"

// Name returns a short name of the kind of damage, one of a few: "index",
// "checkpoint", "location", or what is damaged of the log: "log-header", "log-record",
// "log-body", "log-short" or "log-missing".
func (d *Damage) Name() string {
	switch what := d.What; {
	case strings.HasPrefix(what, "checkpoint "):
		return "checkpoint"
	case strings.HasPrefix(what, "file "):
		return "location"
	case d.Segment == 0, strings.HasPrefix(what, "account"), strings.HasSuffix(what, "is not what stands there"):
		return "index"
	case what == "header", what == "header is too short":
		return "log-header"
	case what == "body", what == "checksums of the body", what == "size of the body":
		return "log-body"
	case what == "segment is missing", what == "segments before it are missing":
		return "log-missing"
	case what == "segment is too short":
		return "log-short"
	}
	return "log-record"
}
