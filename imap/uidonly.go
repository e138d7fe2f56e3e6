package imap

import "github.com/emersion/go-imap/v2"

// errUIDRequired refuses sequence numbers once UIDONLY is enabled (RFC 9586 §3).
var errUIDRequired = &imap.Error{
	Type: imap.StatusResponseTypeBad, Code: "UIDREQUIRED", Text: "Message numbers are not allowed once UIDONLY is enabled",
}

// usesNumbers tells the commands that take or return sequence numbers: each has
// a twin that uses UIDs. EXPUNGE has one too, but names no messages.
func usesNumbers(name string) bool {
	_, twin := commands["UID "+name]
	return twin && name != "EXPUNGE"
}

// beginFetch writes a FETCH response up to its first item, or UIDFETCH, which
// begins with the UID (RFC 9586 §3).
func (s *session) beginFetch(v *view, i int) {
	o := &s.out
	o.text("* ")
	if s.enabled(uidOnly) {
		o.number(uint64(v.at(i).uid))
		o.text(" UIDFETCH (")
		return
	}
	o.number(uint64(i + 1))
	o.text(" FETCH (")
}

// tellsUID reports whether every FETCH response that tells of changed flags
// has a UID item (RFC 7162 §3.2.4).
func (s *session) tellsUID() bool { return s.enabled(qresync) && !s.enabled(uidOnly) }
